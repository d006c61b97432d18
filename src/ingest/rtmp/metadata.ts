import { type Amf0Value, isAmf0Object } from '../../media/amf0.ts';
import type { Publisher } from '../../stream/publisher.ts';

/**
 * Gives metadata to the publisher: `@setDataFrame, onMetaData, {…}` or the last two alone. Other handlers, and metadata
 * that names no codec, say nothing about what will come.
 */
export function feedMetadata(publisher: Publisher, values: readonly Amf0Value[]): void {
  const [name, properties] = values[0] === '@setDataFrame' ? values.slice(1) : values;
  if (name !== 'onMetaData' || !isAmf0Object(properties)) return;
  const video = announces(properties.get('videocodecid'));
  const audio = announces(properties.get('audiocodecid'));
  if (video || audio) publisher.announce({ video, audio });
}

/** Codec ids come as numbers or as FourCC text; 0 and the empty text are what some encoders send for "none". */
function announces(codecId: Amf0Value): boolean {
  return (typeof codecId === 'number' && codecId > 0) || (typeof codecId === 'string' && codecId !== '');
}
