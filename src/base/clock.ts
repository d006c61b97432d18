// The global of that name is looked up anew by a getter at every use, and the time is asked for with every frame.
import { performance } from 'node:perf_hooks';

/** A pending callback of a {@link Clock}. */
export interface Timer {
  /** Stops the callback from running; harmless when it already ran. */
  cancel(): void;
}

/** The only source of time. Everything that looks at the time takes one, so that tests own it. */
export interface Clock {
  /** Wall-clock time in milliseconds since the Unix epoch. It may step; use it to label, not to measure. */
  wallMs(): number;
  /** Milliseconds from an arbitrary origin, fractional, never going back. */
  monotonicMs(): number;
  /** Runs `callback` once after `delayMs`. The timer does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, callback) {
    const handle = setTimeout(callback, delayMs);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Runs `callback` every `periodMs` until cancelled; the next run is timed from the end of the last. */
export function every(clock: Clock, periodMs: number, callback: () => void): Timer {
  let cancelled = false;
  let timer: Timer;
  const arm = (): void => {
    timer = clock.after(periodMs, () => {
      callback();
      if (!cancelled) arm();
    });
  };
  arm();
  return {
    cancel() {
      cancelled = true;
      timer.cancel();
    },
  };
}
