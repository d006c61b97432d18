import type { Clock } from '../base/clock.ts';

export interface RateLimit {
  /** Turns a second in the long run; 0 sets no limit. */
  readonly perSecond: number;
  /** Turns at once after a pause. */
  readonly burst: number;
  /** Names remembered at once; at the limit the one that asked longest ago is forgotten. */
  readonly maxNames: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** A bucket of turns for each name: an address, a session. */
export class RateLimiter {
  readonly #limit: RateLimit;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  constructor(limit: RateLimit, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
  }

  /** Takes a turn: 0 when there is one, else the milliseconds until the next. */
  take(name: string): number {
    const { perSecond, burst, maxNames } = this.#limit;
    if (perSecond === 0) return 0;
    const nowMs = this.#clock.monotonicMs();
    const bucket = this.#buckets.get(name) ?? { tokens: burst, atMs: nowMs };
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) * perSecond) / 1000);
    bucket.atMs = nowMs;
    // Re-inserting keeps the map in the order of the last turn.
    this.#buckets.delete(name);
    this.#buckets.set(name, bucket);
    const oldest = this.#buckets.size > maxNames ? this.#buckets.keys().next().value : undefined;
    if (oldest !== undefined) this.#buckets.delete(oldest);
    if (bucket.tokens < 1) return Math.ceil(((1 - bucket.tokens) * 1000) / perSecond);
    bucket.tokens -= 1;
    return 0;
  }

  /** Names remembered now. */
  get size(): number {
    return this.#buckets.size;
  }
}
