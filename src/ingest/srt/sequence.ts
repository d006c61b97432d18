/** Sequence numbers are 31 bits and go round (draft-sharabayko-srt 3.1). */
const SEQUENCE_MASK = 0x7fff_ffff;
const HALF_WAY = 0x4000_0000;

/** The number `count` after `sequence`; `count` may be negative. */
export function addSequence(sequence: number, count: number): number {
  return (sequence + count) & SEQUENCE_MASK;
}

/** How far `to` lies after `from`, by the shorter way round: negative when it lies before. */
export function sequenceDistance(from: number, to: number): number {
  const forward = (to - from) & SEQUENCE_MASK;
  return forward < HALF_WAY ? forward : forward - SEQUENCE_MASK - 1;
}
