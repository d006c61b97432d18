import { isIPv6 } from 'node:net';
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
    const entry = this.#failures.get(group(address));
    if (!entry || entry.count < this.#options.maxFailures) return 0;
    return Math.max(0, entry.sinceMs + WINDOW_MS - this.#options.clock.monotonicMs());
  }

  /** Notes one wrong guess. */
  fail(address: string): void {
    const name = group(address);
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

/** An IPv6 network is handed out as a /64: one peer has all of it. */
function group(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
  if (!isIPv6(plain)) return plain;
  const [head = '', tail] = plain.toLowerCase().split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  return [...left, ...Array.from({ length: zeros }, () => '0'), ...right].slice(0, 4).join(':');
}
