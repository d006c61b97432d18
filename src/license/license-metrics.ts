import type { Counter, Gauge, Histogram } from 'prom-client';
import type { Metrics } from '../base/metrics.ts';
import type { KeyTier, LicenseSystem } from './tiers.ts';

/** What this room counts. Labels come from closed sets: error codes, systems, tiers. */
export class LicenseMetrics {
  readonly decisions: Counter<'system' | 'outcome'>;
  readonly keys: Counter<'tier'>;
  readonly seconds: Histogram;
  readonly limited: Counter<'scope'>;
  readonly shed: Counter;
  readonly waiting: Gauge;
  readonly starts: Counter<'outcome'>;
  readonly heartbeats: Counter<'outcome'>;
  readonly ends: Counter<'by'>;
  readonly rejudged: Counter<'outcome'>;
  readonly jwksFetches: Counter<'outcome'>;

  constructor(metrics: Metrics) {
    this.decisions = metrics.counter(
      'license_decisions_total',
      'Licence requests, by DRM system and by what was decided: granted, or the code of the refusal.',
      ['system', 'outcome'],
    );
    this.keys = metrics.counter('license_keys_total', 'Keys that decisions have granted, by tier.', ['tier']);
    this.seconds = metrics.histogram(
      'license_decision_seconds',
      'Time from the request to the decision, waiting included.',
      [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
    );
    this.limited = metrics.counter(
      'license_limited_total',
      'Requests refused because their address or session asks too often (429).',
      ['scope'],
    );
    this.shed = metrics.counter(
      'license_shed_total',
      'Requests turned away because they could not have been answered in time (503).',
    );
    this.waiting = metrics.gauge('license_waiting_requests', 'Requests that wait for their turn.');
    this.starts = metrics.counter(
      'session_starts_total',
      'Playback sessions asked for, by outcome: started, or the code of the refusal.',
      ['outcome'],
    );
    this.heartbeats = metrics.counter(
      'session_heartbeats_total',
      'Heartbeats of playback sessions, by outcome: alive, or the code of the refusal.',
      ['outcome'],
    );
    this.ends = metrics.counter(
      'session_ends_total',
      'Playback sessions that were ended, by whom: viewer, operator, or entitlement (not allowed any more, or nobody has said so for too long).',
      ['by'],
    );
    this.rejudged = metrics.counter(
      'session_rejudged_total',
      'Heartbeats at which it was asked again whether the session may go on, by outcome: allowed, refused, kept (nobody answers, the last yes counts) or overdue (it does not count any more).',
      ['outcome'],
    );
    this.jwksFetches = metrics.counter(
      'license_jwks_fetches_total',
      'Times that the key set of a token issuer was fetched, by outcome.',
      ['outcome'],
    );
  }

  /** Counts one decision that was asked for at a system. */
  decided(system: LicenseSystem, outcome: string, tiers: readonly KeyTier[] = []): void {
    this.decisions.inc({ system, outcome });
    for (const tier of tiers) this.keys.inc({ tier });
  }
}
