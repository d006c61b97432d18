import type { Counter, Gauge, Histogram } from 'prom-client';
import type { Metrics } from '../base/metrics.ts';

/** What is held: a playlist reload, a part, or a segment that has not begun. */
export type HoldKind = 'playlist' | 'part' | 'segment';

/** Everything the origin counts; registered once per process. */
export class OriginMetrics {
  readonly waiters: Gauge<'kind'>;
  readonly blockedSeconds: Histogram<'kind'>;
  readonly holdsExpired: Counter<'kind'>;
  readonly holdsRefused: Counter<'kind'>;
  readonly holdsAbandoned: Counter<'kind'>;
  readonly renders: Counter<'kind'>;
  readonly growingReaders: Gauge;
  readonly joinedBytes: Gauge;
  readonly responses: Counter<'kind' | 'status'>;

  constructor(metrics: Metrics) {
    this.waiters = metrics.gauge('origin_waiters', 'Requests held until something is published.', ['kind']);
    this.blockedSeconds = metrics.histogram(
      'origin_blocked_seconds',
      'How long held requests waited for their answer.',
      [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1, 2, 4, 8],
      ['kind'],
    );
    this.holdsExpired = metrics.counter(
      'origin_hold_expired_total',
      'Held requests answered with an error because what they waited for did not come in time.',
      ['kind'],
    );
    this.holdsRefused = metrics.counter(
      'origin_hold_refused_total',
      'Requests refused because a stream already holds as many as it may (live.maxWaiters).',
      ['kind'],
    );
    this.holdsAbandoned = metrics.counter(
      'origin_hold_abandoned_total',
      'Held requests whose client went away.',
      ['kind'],
    );
    this.renders = metrics.counter('origin_renders_total', 'Playlists and manifests rendered.', ['kind']);
    this.growingReaders = metrics.gauge(
      'origin_growing_readers',
      'Clients reading a segment while it grows.',
    );
    this.joinedBytes = metrics.gauge(
      'origin_joined_bytes',
      'Copies of parts and segments in one piece, kept for further requests (64 MiB at most).',
    );
    this.responses = metrics.counter('origin_responses_total', 'Answers by kind and status.', [
      'kind',
      'status',
    ]);
  }
}
