import type { CryptoPeriod } from './content-key.ts';

/** The end of a period that has none. */
export const ENDLESS_MS = Number.MAX_SAFE_INTEGER;

const ENDLESS: CryptoPeriod = { index: 0, startMs: 0, endMs: ENDLESS_MS };

/** How long before and after its period a key may be given out. All in ms. */
export interface KeyLifetime {
  /** Before the period begins; never more than one period. */
  readonly leadMs: number;
  /** How far back the longest window of any stream reaches. */
  readonly windowMs: number;
  /** Longest life of a licence. */
  readonly licenseTtlMs: number;
}

/** The crypto period that `mediaMs` (ms since the Unix epoch) falls into; `rotationMs` 0 never rotates. */
export function periodAt(mediaMs: number, rotationMs: number): CryptoPeriod {
  if (rotationMs === 0) return ENDLESS;
  const index = Math.floor(mediaMs / rotationMs);
  return { index, startMs: index * rotationMs, endMs: (index + 1) * rotationMs };
}

/** The period after this one on the same grid; undefined when it has no end. */
export function nextPeriod({ index, startMs, endMs }: CryptoPeriod): CryptoPeriod | undefined {
  if (endMs === ENDLESS_MS) return undefined;
  return { index: index + 1, startMs: endMs, endMs: endMs + (endMs - startMs) };
}

/** When the keys of a period may be given out for the first time. */
export function obtainableFromMs({ startMs, endMs }: CryptoPeriod, { leadMs }: KeyLifetime): number {
  return startMs - Math.min(leadMs, endMs - startMs);
}

/** From when on nobody may get the keys of a period any more. */
export function refusedFromMs({ endMs }: CryptoPeriod, { windowMs, licenseTtlMs }: KeyLifetime): number {
  return endMs === ENDLESS_MS ? ENDLESS_MS : endMs + windowMs + licenseTtlMs;
}

/** Whether the keys of a period may be given out at `nowMs`. */
export function isObtainable(period: CryptoPeriod, nowMs: number, lifetime: KeyLifetime): boolean {
  return nowMs >= obtainableFromMs(period, lifetime) && nowMs < refusedFromMs(period, lifetime);
}
