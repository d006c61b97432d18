import { BoxWriter, fourCc } from './box-writer.ts';

/** size, type, major brand, minor version, two compatible brands */
const SIZE_BYTES = 24;

/** A media segment without any media: a `styp` box, which decoders read over (ISO/IEC 14496-12 8.16.2). */
export function emptySegment(): Uint8Array {
  const writer = new BoxWriter(SIZE_BYTES);
  const styp = writer.begin(fourCc('styp'));
  writer.ascii('msdh');
  writer.u32(0);
  writer.ascii('msdh');
  writer.ascii('cmfs');
  writer.end(styp);
  return writer.bytes;
}
