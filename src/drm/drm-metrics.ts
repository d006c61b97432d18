import type { Counter, Gauge } from 'prom-client';
import type { Metrics } from '../base/metrics.ts';

/** What went wrong with a key. */
export type KeyFailure = 'make' | 'open' | 'prepare' | 'read' | 'rewrap' | 'retire' | 'kek';

/** Metrics of the keys at rest. */
export class DrmMetrics {
  readonly made: Counter<'when'>;
  readonly retired: Counter;
  readonly adopted: Counter;
  readonly failures: Counter<'what'>;
  readonly sets: Gauge;
  readonly damaged: Gauge;
  readonly limit: Counter;

  constructor(metrics: Metrics) {
    this.made = metrics.counter(
      'drm_key_sets_made_total',
      'Sets of content keys made: ahead of their period, or only when they were needed.',
      ['when'],
    );
    this.retired = metrics.counter(
      'drm_key_sets_retired_total',
      'Sets of content keys deleted after their time.',
    );
    this.adopted = metrics.counter(
      'drm_keys_adopted_total',
      'Content keys of live streams that titles recorded of them got as their own.',
    );
    this.failures = metrics.counter(
      'drm_key_failures_total',
      'Content keys that could not be made, opened, prepared, read, wrapped anew or deleted, and KEKs not read.',
      ['what'],
    );
    this.sets = metrics.gauge(
      'drm_key_sets',
      'Sets of content keys held: one a stream or title and crypto period.',
    );
    this.damaged = metrics.gauge(
      'drm_key_sets_damaged',
      'Files of content keys that are damaged and left as they are.',
    );
    this.limit = metrics.counter(
      'drm_key_sets_refused_total',
      'Sets of content keys not made: as many as may be are held.',
    );
  }
}
