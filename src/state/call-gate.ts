import type { Clock } from '../base/clock.ts';
import { AppError, type ErrorCode } from '../base/errors.ts';
import type { CallFailure, StateMetrics, StatePart } from './state-metrics.ts';

export interface CallGateOptions {
  readonly part: StatePart;
  /** What every failure is reported as. */
  readonly code: ErrorCode;
  readonly deadlineMs: number;
  /** Calls under way at once; one more fails at once. */
  readonly maxPending?: number;
}

export interface CallGateDeps {
  readonly clock: Clock;
  readonly metrics: StateMetrics;
}

/** Calls that wait for a store at once: a store that stands still must not fill the memory. */
const MAX_PENDING = 20_000;

/** Errors of client libraries carry the command with its arguments, passwords too: only the words are kept. */
export function plainCause(error: unknown): Error {
  return error instanceof Error ? new Error(error.message) : new Error(typeof error);
}

/**
 * Every call of a store passes it: it is answered within the deadline whatever the store does, fails under one code,
 * and there are never too many of them.
 */
export class CallGate {
  readonly #options: CallGateOptions;
  readonly #clock: Clock;
  readonly #metrics: StateMetrics;
  readonly #pending = new Set<Promise<unknown>>();
  #closed = false;

  constructor(options: CallGateOptions, { clock, metrics }: CallGateDeps) {
    this.#options = options;
    this.#clock = clock;
    this.#metrics = metrics;
    for (const reason of ['deadline', 'full', 'fault'] as const) {
      metrics.failedCalls.inc({ part: options.part, reason }, 0);
    }
    metrics.pendingCalls.set({ part: options.part }, 0);
  }

  /**
   * Runs `call`, which may go on after the deadline: what it does then nobody hears of. A RangeError is a fault of the
   * caller and is thrown as it is.
   * @throws AppError with the code of this gate
   */
  async run<T>(call: () => T | Promise<T>): Promise<T> {
    if (this.#closed) throw new AppError(this.#options.code);
    if (this.#pending.size >= (this.#options.maxPending ?? MAX_PENDING)) throw this.#failure('full');
    const running = this.#track(Promise.resolve().then(call));
    try {
      return await this.#beforeDeadline(running);
    } catch (error) {
      if (error instanceof AppError || error instanceof RangeError) throw error;
      throw this.#failure('fault', error);
    }
  }

  #beforeDeadline<T>(running: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(this.#options.deadlineMs, () => reject(this.#failure('deadline')));
      running.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  /** Refuses further calls and resolves when those under way are over, or at the deadline. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    const over = Promise.allSettled(this.#pending);
    await this.#beforeDeadline(over).catch(() => undefined);
  }

  #track<T>(running: Promise<T>): Promise<T> {
    const { part } = this.#options;
    const settle = (): void => {
      this.#pending.delete(running);
      this.#metrics.pendingCalls.set({ part }, this.#pending.size);
    };
    this.#pending.add(running);
    this.#metrics.pendingCalls.set({ part }, this.#pending.size);
    running.then(settle, settle);
    return running;
  }

  #failure(reason: CallFailure, cause?: unknown): AppError {
    this.#metrics.failedCalls.inc({ part: this.#options.part, reason });
    const kept = cause === undefined ? undefined : { cause: plainCause(cause) };
    return new AppError(this.#options.code, undefined, kept);
  }
}
