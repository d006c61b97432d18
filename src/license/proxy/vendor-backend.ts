import { type BreakerLimits, CircuitBreaker, type Permit } from '../../base/circuit-breaker.ts';
import type { Clock } from '../../base/clock.ts';
import { AppError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { CallFailure, CallOutcome, OutgoingCall, OutgoingHttp } from '../../base/outgoing-http.ts';
import type { VendorName, VendorMetrics } from './vendor-metrics.ts';

export type VendorAnswer = Extract<CallOutcome, { kind: 'answer' }>;

export interface VendorBackendOptions {
  readonly system: VendorName;
  readonly breaker: BreakerLimits;
  /** Whether an answer shows that the service does not work, whatever it says of this request. */
  readonly isBroken: (answer: VendorAnswer) => boolean;
}

export interface VendorBackendDeps {
  readonly http: OutgoingHttp;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: VendorMetrics;
}

/** How long players are asked to wait when the service is too busy or does not answer. */
const RETRY_AFTER_SECONDS = 2;

/**
 * A vendor's licence service, or a key server: asked within time limits, and left alone for a while after it has failed several times in
 * a row. The URL and what is sent are the operator's and the player's secrets; neither is logged.
 */
export class VendorBackend {
  readonly #options: VendorBackendOptions;
  readonly #deps: VendorBackendDeps;
  readonly #breaker: CircuitBreaker;

  constructor(options: VendorBackendOptions, deps: VendorBackendDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#breaker = new CircuitBreaker(options.breaker, deps.clock);
    deps.metrics.state(options.system, this.#breaker.state);
  }

  /** `signal` aborts when the player has gone. @throws VendorUnavailable */
  async call(call: OutgoingCall, signal: AbortSignal): Promise<VendorAnswer> {
    const { system } = this.#options;
    const { metrics } = this.#deps;
    const permit = this.#breaker.enter();
    if (!permit) {
      metrics.called(system, 'spared');
      throw new VendorUnavailable(Math.max(1, Math.ceil(this.#breaker.waitMs / 1000)));
    }
    try {
      return await this.#ask(call, signal, permit);
    } finally {
      metrics.state(system, this.#breaker.state);
    }
  }

  async #ask(call: OutgoingCall, signal: AbortSignal, permit: Permit): Promise<VendorAnswer> {
    const { system, isBroken } = this.#options;
    const { clock, metrics, http } = this.#deps;
    const startedMs = clock.monotonicMs();
    const outcome = await http.call(call, signal);
    metrics.seconds(system, (clock.monotonicMs() - startedMs) / 1000);
    if (outcome.kind === 'failed') {
      metrics.called(system, outcome.reason);
      if (tellsNothing(outcome.reason)) permit.abandoned();
      else this.#failed(permit, { reason: outcome.reason });
      throw new VendorUnavailable(RETRY_AFTER_SECONDS);
    }
    if (isBroken(outcome)) {
      metrics.called(system, 'broken');
      this.#failed(permit, { reason: 'broken', status: outcome.status });
      throw new VendorUnavailable(RETRY_AFTER_SECONDS);
    }
    metrics.called(system, 'answered');
    permit.succeeded();
    return outcome;
  }

  #failed(permit: Permit, fields: Readonly<Record<string, unknown>>): void {
    const before = this.#breaker.state;
    permit.failed();
    const { log } = this.#deps;
    const { system } = this.#options;
    log.warn({ system, ...fields }, 'DRM service failed');
    if (this.#breaker.state === 'open' && before === 'closed')
      log.error({ system, pauseMs: this.#breaker.waitMs }, 'DRM service is not asked for a while');
  }
}

/** The player left, or we are too busy ourselves: the service is not to blame. */
function tellsNothing(reason: CallFailure): boolean {
  return reason === 'aborted' || reason === 'busy';
}

/** The service cannot be had now. */
export class VendorUnavailable extends AppError {
  readonly retryAfterSeconds: number;

  constructor(retryAfterSeconds: number) {
    super('LICENSE_VENDOR_UNAVAILABLE');
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
