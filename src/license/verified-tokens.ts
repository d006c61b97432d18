import type { Clock } from '../base/clock.ts';

/** A key that an issuer withdraws counts for no longer than this for tokens that were checked before. */
const LIFE_MS = 30_000;
/** At the limit the token that was kept first goes. */
const MAX_TOKENS = 20_000;
/** Longer tokens, of which a few would take the memory of many, are checked each time. */
const MAX_LENGTH = 2_048;

export interface VerifiedTokensOptions {
  /** How long a token counts past its end. */
  readonly leewayMs: number;
}

interface Kept<T> {
  readonly token: T;
  /** On the monotonic clock. */
  readonly untilMs: number;
}

/**
 * Tokens whose signature has been found right a moment ago. A device shows the same one every few seconds, and the check
 * takes longer than everything else that a report of where a viewer is needs. A token is its whole text: whoever
 * changes a character of it has another.
 */
export class VerifiedTokens<T extends { readonly expiresMs: number }> {
  readonly #options: VerifiedTokensOptions;
  readonly #clock: Clock;
  readonly #kept = new Map<string, Kept<T>>();

  constructor(options: VerifiedTokensOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  find(text: string): T | undefined {
    const kept = this.#kept.get(text);
    if (!kept) return undefined;
    const isOver = this.#clock.wallMs() >= kept.token.expiresMs + this.#options.leewayMs;
    if (!isOver && this.#clock.monotonicMs() < kept.untilMs) return kept.token;
    this.#kept.delete(text);
    return undefined;
  }

  keep(text: string, token: T): void {
    if (text.length > MAX_LENGTH) return;
    this.#kept.delete(text);
    const oldest = this.#kept.size >= MAX_TOKENS ? this.#kept.keys().next().value : undefined;
    if (oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(text, { token, untilMs: this.#clock.monotonicMs() + LIFE_MS });
  }
}
