import { createHmac } from 'node:crypto';
import type { Clock } from '../base/clock.ts';

/** How long one nonce is given out; it counts for as long again. */
const SLOT_MS = 60_000;

/**
 * Nonces for proofs (RFC 9449 8): from time and a secret, so that every process with that secret knows them and none
 * has to be kept.
 */
export class ProofNonces {
  readonly #secret: Uint8Array;
  readonly #clock: Clock;

  constructor(secret: Uint8Array, clock: Clock) {
    this.#secret = secret;
    this.#clock = clock;
  }

  /** The one to give out now. */
  current(): string {
    return this.#of(this.#slot());
  }

  /** Whether a claim is the nonce of now or of the minute before. */
  isCurrent(nonce: unknown): boolean {
    const slot = this.#slot();
    return typeof nonce === 'string' && (nonce === this.#of(slot) || nonce === this.#of(slot - 1));
  }

  #slot(): number {
    return Math.floor(this.#clock.wallMs() / SLOT_MS);
  }

  #of(slot: number): string {
    return createHmac('sha256', this.#secret).update(`nonce:${slot}`).digest('base64url');
  }
}
