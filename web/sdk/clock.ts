/** Time and chance, so that tests need no waiting. */
export interface SdkClock {
  /** Ms since the Unix epoch. */
  nowMs(): number;
  /** Calls back once; the returned function takes it back. */
  after(delayMs: number, act: () => void): () => void;
  /** 0 to below 1. */
  random(): number;
}

/** The browser's own. */
export const browserClock: SdkClock = {
  nowMs: () => Date.now(),
  after(delayMs, act) {
    const timer = setTimeout(act, delayMs);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};

/** Bounds of a wait that doubles. */
export interface BackOff {
  readonly firstMs: number;
  readonly mostMs: number;
}

/** The wait before attempt number `failures` + 1: doubled each time, half of it by chance, so that not all come at once. */
export function backOffMs(failures: number, { firstMs, mostMs }: BackOff, random: number): number {
  const full = Math.min(mostMs, firstMs * 2 ** Math.max(0, failures - 1));
  return full / 2 + (full / 2) * random;
}

/** Ready after the wait, or at once when the signal is aborted. */
export function waitFor(clock: SdkClock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(delayMs, done);
    if (signal.aborted) done();
    else signal.addEventListener('abort', done);
  });
}
