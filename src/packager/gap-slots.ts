/** A hole shorter than this share of a segment is left to PROGRAM-DATE-TIME instead of a segment of its own. */
const SMALLEST_GAP = 0.2;

/**
 * The durations of the GAP segments that stand for a hole: whole segments, and at the end what is left, between 0.2
 * and 1.2 segments long. Their sum is the hole (RFC 8216bis 6.2.1), or nothing when the hole is tiny.
 * Same unit in and out.
 */
export function gapDurations(hole: number, segment: number): number[] {
  const count = Math.ceil(hole / segment - SMALLEST_GAP);
  if (count <= 0) return [];
  const durations = Array.from({ length: count }, () => segment);
  durations[count - 1] = hole - segment * (count - 1);
  return durations;
}
