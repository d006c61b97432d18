import { type Box, findBox, readBoxes } from '../../media/isobmff/box-reader.ts';
import type { SegmentRefit } from './title-file.ts';

/** Full boxes begin with version and flags. */
const FULL_BYTES = 4;
const TWO_32 = 2 ** 32;

/**
 * A copy of a segment with another track id and other times; no byte more or less. Undefined: it is no segment as ours are.
 */
export function refitSegment(bytes: Uint8Array, refit: SegmentRefit): Uint8Array | undefined {
  const { boxes, fault } = readBoxes(bytes);
  if (fault !== undefined) return undefined;
  const copy = new Uint8Array(bytes);
  const view = new DataView(copy.buffer);
  let fragments = 0;
  for (const moof of boxes.filter(({ type }) => type === 'moof')) {
    if (!refitFragment(view, moof, refit, fragments)) return undefined;
    fragments += 1;
  }
  return fragments > 0 ? copy : undefined;
}

function refitFragment(view: DataView, moof: Box, refit: SegmentRefit, index: number): boolean {
  const mfhd = findBox(moof.children, ['mfhd']);
  const tfhd = findBox(moof.children, ['traf', 'tfhd']);
  const tfdt = findBox(moof.children, ['traf', 'tfdt']);
  if (!mfhd || !tfhd || !tfdt || view.getUint8(tfdt.bodyStart) !== 1) return false;
  view.setUint32(mfhd.bodyStart + FULL_BYTES, (refit.sequence + index) % TWO_32);
  view.setUint32(tfhd.bodyStart + FULL_BYTES, refit.trackId);
  const at = tfdt.bodyStart + FULL_BYTES;
  const ticks = view.getUint32(at) * TWO_32 + view.getUint32(at + 4) + refit.shiftTicks;
  // Sound may begin a part of a frame before the pictures: nothing is before 0.
  const shifted = Math.max(0, Math.round(ticks));
  view.setUint32(at, Math.floor(shifted / TWO_32));
  view.setUint32(at + 4, shifted % TWO_32);
  return true;
}
