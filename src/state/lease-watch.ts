import type { Clock, Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';

export interface LeaseWatchOptions {
  /** Ms until the lease runs out; 0 when nobody has it. */
  readonly remainingMs: () => Promise<number>;
  readonly onFree: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A lease is looked at so often at least: who gave it back may not have been heard, nor who took it. */
const MAX_WAIT_MS = 2000;
/** After it was told that it is free: by then somebody has it, and until when is known. */
const TAKEN_MS = 100;
/** After the time at which it should have run out. */
const MARGIN_MS = 5;

/** Waits for one lease to be free, again and again; tells it every {@link MAX_WAIT_MS} while nobody takes it. */
export class LeaseWatch {
  readonly #options: LeaseWatchOptions;
  #timer: Timer | undefined;
  #isLooking = false;
  /** A release was heard of while it was being looked at. */
  #isLookDue = false;
  /** When it was told that it is free, as it still was when it was last looked at. */
  #toldMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: LeaseWatchOptions) {
    this.#options = options;
    void this.#look();
  }

  /** The lease was given back, or word of it may be missing: it is looked at now. */
  notify(isReleased: boolean): void {
    if (isReleased) this.#toldMs = Number.NEGATIVE_INFINITY;
    this.#isLookDue = true;
    void this.#look();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    if (this.#isLooking || this.#closed) return;
    this.#isLooking = true;
    this.#timer?.cancel();
    let waitMs = MAX_WAIT_MS;
    do {
      this.#isLookDue = false;
      waitMs = await this.#judge();
    } while (this.#isLookDue);
    this.#isLooking = false;
    if (!this.#closed) this.#timer = this.#options.clock.after(waitMs, () => void this.#look());
  }

  /** Gives how long to wait before it is looked at again. */
  async #judge(): Promise<number> {
    const remainingMs = await this.#options.remainingMs().catch(() => MAX_WAIT_MS);
    const nowMs = this.#options.clock.monotonicMs();
    if (remainingMs > 0 || this.#closed) {
      this.#toldMs = Number.NEGATIVE_INFINITY;
      return Math.min(MAX_WAIT_MS, remainingMs + MARGIN_MS);
    }
    if (nowMs - this.#toldMs < MAX_WAIT_MS) return this.#toldMs + MAX_WAIT_MS - nowMs;
    this.#toldMs = nowMs;
    this.#call();
    return TAKEN_MS;
  }

  #call(): void {
    try {
      this.#options.onFree();
    } catch (error) {
      this.#options.log.error({ err: error }, 'a listener failed on a free lease');
    }
  }
}
