/** One segment as it was fetched. */
export interface MeasuredSegment {
  /** Place in the row of segments: neighbours follow each other. */
  readonly index: number;
  readonly seconds: number;
  readonly bytes: number;
}

/** What of a segment is not media of the Representation: nothing, but sizes are measured to the byte and rates rounded. */
const TOLERANCE = 1.01;

/** A run of segments that did not fit through. */
export interface Overflow {
  readonly segments: number;
  readonly bits: number;
  readonly allowedBits: number;
  readonly seconds: number;
}

/**
 * The hypothetical channel of ISO/IEC 23009-1 5.3.5.2: at `bandwidth` bits a second, and with playout beginning
 * `minBufferTime` after the first bit, every run of segments must have come before its last picture has been shown.
 * Gives the run that fails by most; undefined when all fit.
 */
export function findOverflow(
  segments: readonly MeasuredSegment[],
  bandwidth: number,
  minBufferTime: number,
): Overflow | undefined {
  let worst: Overflow | undefined;
  for (let first = 0; first < segments.length; first++) {
    let [bits, seconds] = [0, 0];
    for (let i = first; i < segments.length; i++) {
      const [segment, before] = [segments[i], segments[i - 1]];
      if (!segment || (i > first && segment.index !== (before?.index ?? 0) + 1)) break;
      bits += segment.bytes * 8;
      seconds += segment.seconds;
      const allowedBits = bandwidth * (minBufferTime + seconds);
      if (bits <= allowedBits * TOLERANCE) continue;
      if (worst && bits / allowedBits <= worst.bits / worst.allowedBits) continue;
      worst = { segments: i - first + 1, bits, allowedBits, seconds };
    }
  }
  return worst;
}
