import type { Clock } from '../base/clock.ts';
import type { HttpLimits } from './types.ts';

/** How long kept idle connections stay open after shutdown has begun: a request may be on its way to one. */
export const LAME_DUCK_IDLE_MS = 1500;

const POLL_MS = 20;

/** Waits until `done()` or until `withinMs` have passed. */
export async function waitFor(clock: Clock, withinMs: number, done: () => boolean): Promise<void> {
  const endMs = clock.monotonicMs() + withinMs;
  while (!done()) {
    const leftMs = endMs - clock.monotonicMs();
    if (leftMs <= 0) return;
    await new Promise<void>((resolve) => {
      clock.after(Math.min(POLL_MS, leftMs), resolve);
    });
  }
}

/** How often readers are looked at, so that a stalled one is cut at most a quarter of the limit late. */
export function stallCheckMs(limits: Pick<HttpLimits, 'stallTimeoutMs'>): number {
  return Math.max(50, Math.min(1000, limits.stallTimeoutMs / 4));
}
