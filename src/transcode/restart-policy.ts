/** How an encoder failed. */
export interface Failure {
  /** From its first frame to its last, milliseconds. */
  readonly ranMs: number;
  /** There is no such program. */
  readonly missing: boolean;
}

export interface RestartPlan {
  /** Failures in a row, this one counted. */
  readonly failures: number;
  readonly delayMs: number;
  /** The rungs are not to be waited for any more. */
  readonly degraded: boolean;
}

/** One that ran so long had started well: its failure is the first of a row. */
export const STABLE_MS = 2000;
/** The first is restarted at once: viewers have about a second of buffer. */
const SECOND_DELAY_MS = 400;
const MAX_DELAY_MS = 15_000;
const MISSING_DELAY_MS = 30_000;
/** Failures in a row after which a channel is degraded. */
const TOLERATED = 2;

/**
 * Decides when a failed encoder is tried again: at once, then after a time that doubles, up to a quarter of a minute.
 *
 * @param failures failures in a row before this one
 * @param random 0 to 1, so that channels that failed together do not come back together
 */
export function planRestart(failures: number, failure: Failure, random: number): RestartPlan {
  const jitter = 0.75 + random / 2;
  const count = failure.ranMs >= STABLE_MS ? 1 : failures + 1;
  if (failure.missing) return { failures: count, delayMs: MISSING_DELAY_MS * jitter, degraded: true };
  const delayMs = count === 1 ? 0 : Math.min(MAX_DELAY_MS, SECOND_DELAY_MS * 2 ** (count - 2)) * jitter;
  return { failures: count, delayMs, degraded: count > TOLERATED };
}
