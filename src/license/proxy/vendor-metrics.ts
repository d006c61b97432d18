import type { BreakerState } from '../../base/circuit-breaker.ts';
import type { Metrics } from '../../base/metrics.ts';
import type { CallFailure } from '../../base/outgoing-http.ts';

/** Systems whose licences another service makes. */
export type ProxySystem = 'widevine' | 'playready' | 'fairplay';

/** Services outside that are asked: licence services, and a key server. */
export type VendorName = ProxySystem | 'speke';

/** How a challenge ended. */
export type ProxyOutcome =
  | 'licensed'
  | 'certificate'
  | 'malformed'
  | 'refused'
  | 'vendor_denied'
  | 'vendor_unusable'
  | 'vendor_unavailable'
  | 'keys_unavailable'
  | 'left';

/** How one call of a service ended. */
export type VendorCall = CallFailure | 'answered' | 'broken' | 'spared';

const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const STATES: readonly BreakerState[] = ['closed', 'half_open', 'open'];

/** What is counted of licences that other services make. */
export class VendorMetrics {
  readonly #requests;
  readonly #calls;
  readonly #seconds;
  readonly #states;

  constructor(metrics: Metrics) {
    this.#requests = metrics.counter(
      'license_proxy_requests_total',
      'Challenges for licences that a vendor makes, by system and outcome.',
      ['system', 'outcome'],
    );
    this.#calls = metrics.counter(
      'license_vendor_calls_total',
      'Calls of DRM services and the key server (speke), by system and result; spared: not made because the service had failed several times.',
      ['system', 'result'],
    );
    this.#seconds = metrics.histogram(
      'license_vendor_seconds',
      'Time DRM services took to answer.',
      SECONDS,
      ['system'],
    );
    this.#states = metrics.gauge(
      'license_vendor_breaker_state',
      '1 for the state of each DRM service: closed (asked), open (left alone), half_open (one call to see).',
      ['system', 'state'],
    );
  }

  requested(system: ProxySystem, outcome: ProxyOutcome): void {
    this.#requests.inc({ system, outcome });
  }

  called(system: VendorName, result: VendorCall): void {
    this.#calls.inc({ system, result });
  }

  seconds(system: VendorName, seconds: number): void {
    this.#seconds.observe({ system }, seconds);
  }

  state(system: VendorName, now: BreakerState): void {
    for (const state of STATES) this.#states.set({ system, state }, state === now ? 1 : 0);
  }
}
