import type { Counter, Gauge } from 'prom-client';
import { BatchedCounter, type Series } from '../base/batched-counter.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { Metrics } from '../base/metrics.ts';
import type { TimelineReason, TrackKind } from './track.ts';

/** Why a sample was not passed on. */
export type DropCause =
  /** No codec configuration came before it. */
  | 'no_config'
  /** Its NAL units do not fit its size, or it is to be shown seconds from its decoding. */
  | 'malformed'
  /** No picture, or no bytes. */
  | 'empty'
  /** The same bytes at the same time as the one before. */
  | 'duplicate'
  /** Before the key frame at which its timeline begins. */
  | 'before_key'
  /** Waiting for the key frame at which a new timeline begins. */
  | 'new_timeline'
  /** A lesser encoding's, whose frame the source does not have. */
  | 'no_source_frame'
  /** The source's clock is behind the count of audio frames, or ran ahead of ours. */
  | 'clock';

/** What made times be corrected. */
export type ResyncCause = 'jump' | 'drift' | 'hole' | 'shift' | 'rate' | 'warm_up';

/** Every metric of the hub; one instance serves all streams. */
export class StreamMetrics {
  readonly publishers: Gauge;
  readonly clockDriftMs: Gauge;
  readonly closed: Counter<'code'>;
  readonly refused: Counter<'code'>;
  readonly timelines: Counter<'reason'>;
  readonly longGops: Counter;
  readonly unusableConfigs: Counter<'kind'>;
  readonly missingFrames: Counter;
  readonly subscriberDropped: Counter;
  readonly #received: Readonly<Record<TrackKind, Series>>;
  readonly #dropped: Counter<'kind' | 'cause'>;
  readonly #resyncs: Counter<'kind' | 'cause'>;

  constructor(metrics: Metrics) {
    this.publishers = metrics.gauge('stream_publishers', 'Publishers connected to the hub.');
    this.clockDriftMs = metrics.gauge(
      'stream_clock_drift_ms',
      'Drift between a source clock and ours since it was anchored; of all streams the one furthest off.',
    );
    this.closed = metrics.counter('stream_publishers_closed_total', 'Publishers closed by the hub.', [
      'code',
    ]);
    this.refused = metrics.counter('stream_publishers_refused_total', 'Publishes refused.', ['code']);
    this.timelines = metrics.counter('stream_timelines_total', 'Timelines begun.', ['reason']);
    this.longGops = metrics.counter('stream_long_gops_total', 'GOPs longer than ingest allows for.');
    this.unusableConfigs = metrics.counter(
      'stream_unusable_configs_total',
      'Codec configurations passed over because they make no sense.',
      ['kind'],
    );
    this.missingFrames = metrics.counter(
      'stream_missing_frames_total',
      'Places of the frame grid for which no frame came.',
    );
    this.subscriberDropped = metrics.counter(
      'stream_subscriber_dropped_samples_total',
      'Samples lost by subscribers that were too slow.',
    );
    const received = new BatchedCounter(
      metrics.counter('stream_received_bytes_total', 'Media received from publishers.', ['kind']),
    );
    this.#received = { video: received.series({ kind: 'video' }), audio: received.series({ kind: 'audio' }) };
    this.#dropped = metrics.counter('stream_samples_dropped_total', 'Samples not passed on.', [
      'kind',
      'cause',
    ]);
    this.#resyncs = metrics.counter('stream_resyncs_total', 'Corrections of times.', ['kind', 'cause']);
  }

  received(kind: TrackKind, sizeBytes: number): void {
    (kind === 'video' ? this.#received.video : this.#received.audio).inc(sizeBytes);
  }

  dropped(kind: TrackKind, cause: DropCause, count = 1): void {
    this.#dropped.inc({ kind, cause }, count);
  }

  resynced(kind: TrackKind, cause: ResyncCause, count = 1): void {
    this.#resyncs.inc({ kind, cause }, count);
  }

  publisherClosed(code: ErrorCode): void {
    this.closed.inc({ code });
  }

  publishRefused(code: ErrorCode): void {
    this.refused.inc({ code });
  }

  timelineBegun(reason: TimelineReason): void {
    this.timelines.inc({ reason });
  }
}

/** The same events counted for one stream, for the control API, and passed on to the metrics. */
export class StreamCounters {
  readonly #metrics: StreamMetrics;
  #dropped = 0;
  #resynced = 0;

  constructor(metrics: StreamMetrics) {
    this.#metrics = metrics;
  }

  get droppedSamples(): number {
    return this.#dropped;
  }

  get resyncs(): number {
    return this.#resynced;
  }

  dropped(kind: TrackKind, cause: DropCause, count = 1): void {
    if (count === 0) return;
    this.#dropped += count;
    this.#metrics.dropped(kind, cause, count);
  }

  resynced(kind: TrackKind, cause: ResyncCause, count = 1): void {
    if (count === 0) return;
    this.#resynced += count;
    this.#metrics.resynced(kind, cause, count);
  }
}
