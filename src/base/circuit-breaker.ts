import type { Clock } from './clock.ts';

export interface BreakerLimits {
  /** Failures in a row after which nothing more is asked. */
  readonly maxFailures: number;
  /** Time until one call is let through again to see; doubled each time that one fails too. */
  readonly pauseMs: number;
  /** Longest such time. */
  readonly maxPauseMs: number;
}

export type BreakerState = 'closed' | 'open' | 'half_open';

type Inner =
  /** Calls pass; so many failed in a row. */
  | { readonly kind: 'closed'; readonly failures: number }
  /** Nothing passes before that time. */
  | { readonly kind: 'open'; readonly untilMs: number; readonly pauseMs: number }
  /** One call is on its way to see whether the other side is back. */
  | { readonly kind: 'half_open'; readonly pauseMs: number };

/** Leave to make one call; says once how it went, and what is said later does not count. */
export interface Permit {
  succeeded(): void;
  failed(): void;
  /** The call was given up for reasons of our own and tells nothing of the other side. */
  abandoned(): void;
}

/**
 * Spares a failing back end, and whoever waits for it: after some failures in a row calls are refused at once for a
 * while, then a single one is let through to see. Opens no timer: it looks at the clock when it is asked.
 */
export class CircuitBreaker {
  readonly #limits: BreakerLimits;
  readonly #clock: Clock;
  #inner: Inner = { kind: 'closed', failures: 0 };
  /** Of the state that permits were given in; those of an older one do not count any more. */
  #epoch = 0;

  constructor(limits: BreakerLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  get state(): BreakerState {
    return this.#inner.kind;
  }

  /** Time until a call may be tried, for Retry-After; 0 when it may now. */
  get waitMs(): number {
    return this.#inner.kind === 'open' ? Math.max(0, this.#inner.untilMs - this.#clock.monotonicMs()) : 0;
  }

  /** Undefined: the other side is not to be asked now. */
  enter(): Permit | undefined {
    const inner = this.#inner;
    if (inner.kind === 'closed') return this.#permit();
    if (inner.kind === 'half_open' || this.waitMs > 0) return undefined;
    this.#change({ kind: 'half_open', pauseMs: inner.pauseMs });
    return this.#permit();
  }

  #permit(): Permit {
    const epoch = this.#epoch;
    let said = false;
    const say = (act: () => void) => (): void => {
      if (said || epoch !== this.#epoch) return;
      said = true;
      act();
    };
    return {
      succeeded: say(() => this.#succeeded()),
      failed: say(() => this.#failed()),
      abandoned: say(() => this.#abandoned()),
    };
  }

  #succeeded(): void {
    if (this.#inner.kind === 'closed') this.#inner = { kind: 'closed', failures: 0 };
    else this.#change({ kind: 'closed', failures: 0 });
  }

  #failed(): void {
    const inner = this.#inner;
    if (inner.kind === 'half_open') return this.#open(Math.min(inner.pauseMs * 2, this.#limits.maxPauseMs));
    if (inner.kind !== 'closed') return;
    const failures = inner.failures + 1;
    if (failures >= this.#limits.maxFailures) this.#open(this.#limits.pauseMs);
    else this.#inner = { kind: 'closed', failures };
  }

  /** A probe that told nothing: the next caller probes at once. */
  #abandoned(): void {
    if (this.#inner.kind !== 'half_open') return;
    this.#change({ kind: 'open', untilMs: this.#clock.monotonicMs(), pauseMs: this.#inner.pauseMs });
  }

  #open(pauseMs: number): void {
    this.#change({ kind: 'open', untilMs: this.#clock.monotonicMs() + pauseMs, pauseMs });
  }

  #change(inner: Inner): void {
    this.#inner = inner;
    this.#epoch += 1;
  }
}
