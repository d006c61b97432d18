import type { Counter, Gauge } from 'prom-client';
import type { Metrics } from '../base/metrics.ts';

/** What is counted of recordings. */
export class RecorderMetrics {
  readonly recordings: Counter<'why' | 'end'>;
  readonly making: Gauge;
  readonly retries: Counter;
  readonly segments: Counter;
  readonly bytes: Counter;
  readonly missing: Counter;
  readonly expired: Counter;

  constructor(metrics: Metrics) {
    this.recordings = metrics.counter(
      'vod_recordings_total',
      'Recordings of live streams: why they were made (broadcast, order), and how that ended.',
      ['why', 'end'],
    );
    this.making = metrics.gauge('vod_recordings_making', 'Recordings that are being made or wait for it.');
    this.retries = metrics.counter(
      'vod_recording_retries_total',
      'Times that the making of a recording failed and will be tried again.',
    );
    this.segments = metrics.counter('vod_recording_segments_total', 'Segments copied into recordings.');
    this.bytes = metrics.counter('vod_recording_bytes_total', 'Bytes of segments copied into recordings.');
    this.missing = metrics.counter(
      'vod_recording_segments_missing_total',
      'Segments that were not in the store when they were to be copied: gaps of the recordings.',
    );
    this.expired = metrics.counter(
      'vod_recordings_expired_total',
      'Titles made of broadcasts that went after live.recordingsKeptHours.',
    );
  }
}
