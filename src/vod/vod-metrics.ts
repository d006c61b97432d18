import type { Counter, Gauge } from 'prom-client';
import type { Metrics } from '../base/metrics.ts';

/** What is counted of the making of titles. */
export class VodMetrics {
  readonly titles: Counter<'end'>;
  readonly making: Gauge;
  readonly segmentBytes: Counter;
  readonly refused: Counter<'code'>;

  constructor(metrics: Metrics) {
    this.titles = metrics.counter('vod_titles_total', 'Titles whose making has ended, by how.', ['end']);
    this.making = metrics.gauge('vod_titles_making', 'Titles that are being made.');
    this.segmentBytes = metrics.counter(
      'vod_segment_bytes_total',
      'Bytes of segments of titles that were stored.',
    );
    this.refused = metrics.counter(
      'vod_masters_refused_total',
      'Masters that were not taken, by the code of the error.',
      ['code'],
    );
  }
}
