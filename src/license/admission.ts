import type { Clock } from '../base/clock.ts';

export interface AdmissionLimits {
  /** Requests being worked on at once. */
  readonly maxConcurrent: number;
  /** Requests that may wait for their turn. */
  readonly maxWaiting: number;
  /** One that would wait longer is turned away. */
  readonly maxWaitMs: number;
  /**
   * The answer that turns away is held back for so long, so that clients that ask again at once do not take the time
   * that is short: reading them all would leave none for licences.
   */
  readonly holdMs: number;
  /** Answers held back at once; further ones leave at once. */
  readonly maxHeld: number;
}

interface Waiting {
  readonly sinceMs: number;
  readonly go: (admitted: boolean) => void;
}

/** Weight of the newest figure in the running means. */
const SMOOTHING = 0.05;

/**
 * Lets in as many requests as can be answered in time and turns the others away at once: under more load than there is
 * strength for, those that are let in are as fast as ever.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #clock: Clock;
  readonly #waiting: Waiting[] = [];
  #underWay = 0;
  #held = 0;
  /** Running mean of the time between two requests that are done while others wait; 0 = not known. */
  #gapMs = 0;
  #lastDoneMs = Number.NaN;
  #closed = false;

  constructor(limits: AdmissionLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Requests that wait for their turn now. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** True when it is this request's turn: {@link Admission.leave} must follow. False: answer 503. */
  async enter(): Promise<boolean> {
    if (this.#closed) return false;
    if (this.#underWay < this.#limits.maxConcurrent) {
      this.#underWay += 1;
      return true;
    }
    const admitted = this.#mayWait() && (await this.#wait());
    if (!admitted) await this.#hold();
    return admitted;
  }

  /** A request that was let in is done. */
  leave(): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#waiting.length > 0) this.#note(nowMs - this.#lastDoneMs);
    this.#lastDoneMs = nowMs;
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      const late = nowMs - next.sinceMs > this.#limits.maxWaitMs;
      next.go(!late);
      if (!late) return;
    }
    this.#underWay -= 1;
  }

  /** Turns away all that wait. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const { go } of this.#waiting.splice(0)) go(false);
  }

  #mayWait(): boolean {
    const expectedMs = this.#waiting.length * this.#gapMs;
    return this.#waiting.length < this.#limits.maxWaiting && expectedMs <= this.#limits.maxWaitMs;
  }

  #wait(): Promise<boolean> {
    return new Promise((go) => {
      this.#waiting.push({ sinceMs: this.#clock.monotonicMs(), go });
    });
  }

  #note(gapMs: number): void {
    if (Number.isNaN(gapMs)) return;
    this.#gapMs = this.#gapMs === 0 ? gapMs : this.#gapMs + (gapMs - this.#gapMs) * SMOOTHING;
  }

  async #hold(): Promise<void> {
    if (this.#closed || this.#held >= this.#limits.maxHeld) return;
    this.#held += 1;
    await new Promise<void>((resolve) => {
      this.#clock.after(this.#limits.holdMs, resolve);
    });
    this.#held -= 1;
  }
}
