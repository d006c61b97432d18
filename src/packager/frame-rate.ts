import type { VideoTrack } from '../stream/track.ts';

/** A ratio of two positive integers, in lowest terms. */
export interface Ratio {
  readonly numerator: number;
  readonly denominator: number;
}

/** Frame lengths are halves of a 90 kHz tick at worst (59.94 fps = 1501.5); more than this is not a frame rate. */
const MAX_SCALE = 1001;

/** Exact frame rate of a track of constant cadence; undefined when it varies. */
export function frameRate(track: VideoTrack): Ratio | undefined {
  const { frameTicks } = track.cadence;
  if (frameTicks === undefined || frameTicks <= 0) return undefined;
  const { numerator, denominator } = wholeRatio(frameTicks, track.timescale);
  return reduce(denominator, numerator);
}

/** `ticks / timescale` as a ratio of integers, for ticks that may be fractional. Not reduced. */
export function wholeRatio(ticks: number, timescale: number): Ratio {
  for (let scale = 1; scale <= MAX_SCALE; scale++) {
    const numerator = Math.round(ticks * scale);
    if (Math.abs(numerator - ticks * scale) < 1e-6) return { numerator, denominator: timescale * scale };
  }
  return { numerator: Math.round(ticks * MAX_SCALE), denominator: timescale * MAX_SCALE };
}

function reduce(numerator: number, denominator: number): Ratio {
  const divisor = greatestCommonDivisor(numerator, denominator);
  return { numerator: numerator / divisor, denominator: denominator / divisor };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
