import { type Amf0Value, isAmf0Object } from '../../media/amf0.ts';
import { parseAudioTag, parseVideoTag } from '../../media/flv.ts';
import type { Publisher } from '../../stream/publisher.ts';
import type { RtmpMessage } from './protocol.ts';

/** What became of one media message. */
export type FeedResult =
  | { readonly kind: 'fed' }
  /** Nothing in it to use, and nothing wrong with it. */
  | { readonly kind: 'ignored' }
  | { readonly kind: 'unsupported'; readonly codec: string }
  | { readonly kind: 'malformed' };

const FED: FeedResult = { kind: 'fed' };

/** Gives a video message to the publisher. */
export function feedVideo(publisher: Publisher, message: RtmpMessage): FeedResult {
  const tag = parseVideoTag(message.payload);
  if (tag.kind === 'config') publisher.videoConfig(tag.config);
  else if (tag.kind === 'frame') {
    publisher.write({
      kind: 'video',
      dts: message.timestamp,
      compositionOffset: tag.compositionOffsetMs,
      key: tag.key,
      data: tag.data,
    });
  } else return tag;
  return FED;
}

/** Gives an audio message to the publisher. */
export function feedAudio(publisher: Publisher, message: RtmpMessage): FeedResult {
  const tag = parseAudioTag(message.payload);
  if (tag.kind === 'config') publisher.audioConfig(tag.config);
  else if (tag.kind === 'frame') {
    const { timestamp } = message;
    publisher.write({ kind: 'audio', dts: timestamp, compositionOffset: 0, key: true, data: tag.data });
  } else return tag;
  return FED;
}

/**
 * Gives metadata to the publisher: `@setDataFrame, onMetaData, {…}` or the last two alone. Other handlers, and metadata
 * that names no codec, say nothing about what will come.
 */
export function feedData(publisher: Publisher, values: readonly Amf0Value[]): void {
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
