import type { Counter, Gauge, Histogram } from 'prom-client';
import type { BreakerState } from '../base/circuit-breaker.ts';
import type { Metrics } from '../base/metrics.ts';

/** What is counted of the back end that is asked what users may play. */
export class EntitlementMetrics {
  readonly questions: Counter<'outcome'>;
  readonly seconds: Histogram;
  readonly cached: Gauge;
  readonly #open: Gauge;

  constructor(metrics: Metrics) {
    this.questions = metrics.counter(
      'session_entitlement_questions_total',
      'Questions what a user may play, by outcome: cached, allowed, denied, spared (the back end is left alone), or how the call failed.',
      ['outcome'],
    );
    this.seconds = metrics.histogram(
      'session_entitlement_seconds',
      'Time the back end took to say what a user may play.',
      [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5],
    );
    this.cached = metrics.gauge(
      'session_entitlement_cached_answers',
      'Answers of the back end that are kept.',
    );
    this.#open = metrics.gauge(
      'session_entitlement_breaker_open',
      '1 while the back end is left alone because it has failed several times, else 0.',
    );
  }

  state(state: BreakerState): void {
    this.#open.set(state === 'open' ? 1 : 0);
  }
}
