/**
 * The pace that brings a buffer to its target, for a player that has no working catch-up of its own (hls.js speeds up
 * only while it has more than a second in its buffer). Pure; all times in milliseconds.
 */

/** Ears take a fifth faster and a tenth slower for as long as a catch-up lasts: browsers keep the pitch. */
export const FASTEST = 1.2;
export const SLOWEST = 0.9;

/** What is to be done to the playback. */
export interface Pace {
  readonly playbackRate: number;
  /** Jump forward by this much; undefined is no jump. */
  readonly skipMs: number | undefined;
}

/** The buffer rises by a whole part at a time: its least over this many readings is what playback lives on. */
export const PACE_READINGS = 10;

/** Within these of the target the pace is normal, so that it does not change for ever. */
const ABOVE_MS = 30;
const BELOW_MS = 20;
/** Fastest from this far above the target on, slowest from this far below on. */
const FAR_ABOVE_MS = 400;
const FAR_BELOW_MS = 100;
/** The least that is worth a change. */
const LEAST_FASTER = 0.03;
/** This far above the target, running faster would take too long. */
const SKIP_ABOVE_MS = 1500;

const STEADY: Pace = { playbackRate: 1, skipMs: undefined };

/**
 * The pace for the latest readings of the buffer ahead (`PACE_READINGS` of them at most). One low reading is enough to
 * slow down; a sprint or a jump wants the whole row.
 */
export function paceFor(bufferMs: readonly number[], targetMs: number): Pace {
  const offMs = Math.min(...bufferMs) - targetMs;
  if (offMs < -BELOW_MS) return rate(1 - (1 - SLOWEST) * Math.min(1, -offMs / FAR_BELOW_MS));
  if (bufferMs.length < PACE_READINGS || offMs <= ABOVE_MS) return STEADY;
  if (offMs > SKIP_ABOVE_MS) return { playbackRate: 1, skipMs: offMs };
  return rate(1 + Math.max(LEAST_FASTER, (FASTEST - 1) * Math.min(1, offMs / FAR_ABOVE_MS)));
}

function rate(playbackRate: number): Pace {
  return { playbackRate, skipMs: undefined };
}
