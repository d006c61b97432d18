/** What a rung has done of what it was given. Times monotonic, milliseconds. */
export interface RungProgress {
  /** When the oldest frame was fed that it still owes; undefined when it owes none. */
  readonly waitingSinceMs: number | undefined;
  readonly lastOutputAtMs: number | undefined;
}

export interface WatchdogLimits {
  readonly watchdogMs: number;
  readonly startTimeoutMs: number;
}

/**
 * Decides whether an encoder hangs: some rung owes a frame and has given nothing for too long since it was fed it. A
 * run that has not given a frame yet is still starting and has more time, and no output while nothing is owed is
 * rightly so.
 */
export function isHung(rungs: readonly RungProgress[], limits: WatchdogLimits, nowMs: number): boolean {
  return rungs.some(({ waitingSinceMs, lastOutputAtMs }) => {
    if (waitingSinceMs === undefined) return false;
    const limitMs = lastOutputAtMs === undefined ? limits.startTimeoutMs : limits.watchdogMs;
    return nowMs - Math.max(waitingSinceMs, lastOutputAtMs ?? 0) > limitMs;
  });
}
