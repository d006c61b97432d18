import { BoxWriter, fourCc } from '../../media/isobmff/box-writer.ts';
import { TRACK_ID } from '../../media/isobmff/init-segment.ts';

/** A stretch of a file that begins with a key frame: what an index refers to. */
export interface IndexedStretch {
  readonly sizeBytes: number;
  readonly durationTicks: number;
  /** Whether it begins with a stream access point of type 1: a key frame, or sound. */
  readonly isIndependent: boolean;
}

/** The count of references has 16 bits. */
export const MAX_INDEXED_STRETCHES = 0xffff;

const FIXED_BYTES = 40;
const REFERENCE_BYTES = 12;
/** starts_with_SAP, and SAP_type 1. */
const STARTS_WITH_SAP = 0x90000000;

/**
 * A Segment Index box (ISO/IEC 14496-12 8.16.3) of what follows it at once, one behind the other.
 * @throws RangeError for more than {@link MAX_INDEXED_STRETCHES}
 */
export function writeSegmentIndex(
  timescale: number,
  startTicks: number,
  stretches: readonly IndexedStretch[],
): Uint8Array {
  if (stretches.length > MAX_INDEXED_STRETCHES) throw new RangeError('too many stretches for one index');
  const writer = new BoxWriter(FIXED_BYTES + REFERENCE_BYTES * stretches.length);
  const sidx = writer.beginFull(fourCc('sidx'), 1, 0);
  writer.u32(TRACK_ID);
  writer.u32(timescale);
  writer.u64(startTicks);
  writer.u64(0);
  writer.u16(0);
  writer.u16(stretches.length);
  for (const { sizeBytes, durationTicks, isIndependent } of stretches) {
    writer.u32(sizeBytes);
    writer.u32(durationTicks);
    writer.u32(isIndependent ? STARTS_WITH_SAP : 0);
  }
  writer.end(sidx);
  return writer.finish();
}
