import { addressGroup } from '../base/address-group.ts';
import type { Clock } from '../base/clock.ts';

interface Options {
  readonly clock: Clock;
  /** Failures one address may have within a minute. */
  readonly maxFailures: number;
  /** Addresses remembered at once; at the limit the one that failed longest ago is forgotten. */
  readonly maxAddresses: number;
}

const WINDOW_MS = 60_000;

/**
 * Counts wrong guesses by address. Once an address has used up its failures it is refused unheard for the rest of
 * the minute, also with the right secret: an answer that depended on it would tell a guesser when it was right.
 */
export class AttemptLimiter {
  readonly #options: Options;
  readonly #failures = new Map<string, { count: number; readonly sinceMs: number }>();

  constructor(options: Options) {
    this.#options = options;
  }

  /** Milliseconds until `address` is heard again; 0 when it may try now. */
  blockedMs(address: string): number {
    const entry = this.#failures.get(addressGroup(address));
    if (!entry || entry.count < this.#options.maxFailures) return 0;
    return Math.max(0, entry.sinceMs + WINDOW_MS - this.#options.clock.monotonicMs());
  }

  /** Notes one wrong guess. */
  fail(address: string): void {
    const name = addressGroup(address);
    const nowMs = this.#options.clock.monotonicMs();
    const old = this.#failures.get(name);
    const current = old && nowMs - old.sinceMs < WINDOW_MS ? old : { count: 0, sinceMs: nowMs };
    current.count += 1;
    // Re-inserting keeps the map in the order of the last failure.
    this.#failures.delete(name);
    this.#failures.set(name, current);
    const oldest =
      this.#failures.size > this.#options.maxAddresses ? this.#failures.keys().next().value : undefined;
    if (oldest !== undefined) this.#failures.delete(oldest);
  }

  /** Addresses remembered now. */
  get size(): number {
    return this.#failures.size;
  }
}
