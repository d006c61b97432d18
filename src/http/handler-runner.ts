import type { Clock } from '../base/clock.ts';
import { AppError, errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { AnsweringSide } from './answering-side.ts';
import type { HttpMetrics } from './http-metrics.ts';
import type { HttpHandler, HttpRequest } from './types.ts';

/** Faults of ours are logged one by one at most this often; the rest is counted and told with the next line. */
const FAULT_LOG_PERIOD_MS = 1000;

/** Runs a listener's handler so that nothing it throws, now or later, gets past this file. */
export class HandlerRunner {
  readonly #handler: HttpHandler;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #metrics: HttpMetrics;
  #lastFaultMs = Number.NEGATIVE_INFINITY;
  #untold = 0;

  constructor(handler: HttpHandler, deps: { log: Logger; clock: Clock; metrics: HttpMetrics }) {
    this.#handler = handler;
    this.#log = deps.log;
    this.#clock = deps.clock;
    this.#metrics = deps.metrics;
  }

  run(request: HttpRequest, response: AnsweringSide): void {
    try {
      const running = this.#handler(request, response);
      if (running) running.then(undefined, (error: unknown) => this.#failed(error, response));
    } catch (error) {
      this.#failed(error, response);
    }
  }

  /** Logs and counts a fault of ours that no answer can tell of. */
  readonly reportFault = (error: unknown): void => {
    this.#metrics.handlerFailed();
    const now = this.#clock.monotonicMs();
    if (now - this.#lastFaultMs < FAULT_LOG_PERIOD_MS) {
      this.#untold++;
      return;
    }
    const fields = { code: errorCode(error), reason: describe(error), untold: this.#untold };
    this.#lastFaultMs = now;
    this.#untold = 0;
    this.#log.error(fields, 'HTTP handler failed');
  };

  #failed(error: unknown, response: AnsweringSide): void {
    if (!(error instanceof AppError) || error.code === 'INTERNAL') this.reportFault(error);
    try {
      response.fail(error);
    } catch (second) {
      this.reportFault(second);
      response.destroy();
    }
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
