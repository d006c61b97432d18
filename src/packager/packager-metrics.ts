import type { Counter } from 'prom-client';
import { BatchedCounter, type Series } from '../base/batched-counter.ts';
import { BatchedHistogram, type Observations } from '../base/batched-histogram.ts';
import type { Metrics } from '../base/metrics.ts';
import { SummedGauge } from '../base/summed-gauge.ts';

/** Seconds between the end of a part in media time and its publication: encode, network and packaging together. */
const LATE_SECONDS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 2, 5];

/** What a rendition is made from: a track of the source, or an encoder's output. */
export type RenditionOrigin = 'video' | 'audio' | 'rung';

/**
 * Why a sample was thrown away instead of packaged. Of rungs: `repeated` was given before, `awaits_boundary` cannot
 * be decoded where it stands.
 */
export type DropReason =
  | 'before_period'
  | 'no_track'
  | 'held_too_long'
  | 'too_large'
  | 'not_encryptable'
  | 'repeated'
  | 'awaits_boundary';

/** Why a period began. */
export type PeriodReason =
  | 'start'
  | 'resume'
  | 'jump'
  | 'tracks'
  | 'grid'
  | 'hole'
  | 'size'
  | 'ladder'
  | 'keys';

/** The packager's metrics, made once for the process and shared by the packagers of all streams. */
export class PackagerMetrics {
  readonly segments;
  /** A series for each origin: there are five parts a second of each rendition, and a chunk for every frame. */
  readonly parts: Readonly<Record<RenditionOrigin, Series>>;
  readonly chunks: Readonly<Record<RenditionOrigin, Series>>;
  readonly events;
  readonly gapSegments;
  readonly nonIndependentSegments;
  readonly clippedParts;
  readonly periods;
  readonly droppedSamples;
  readonly windowBytes;
  readonly shrunkWindows;
  readonly lostSegments;
  readonly restoredSegments;
  readonly failedListeners;
  readonly keyFailures;
  readonly unreadSlices;
  readonly partLateSeconds: Readonly<Record<RenditionOrigin, Observations>>;

  constructor(metrics: Metrics) {
    const rendition = ['rendition'] as const;
    this.segments = metrics.counter('packager_segments_total', 'Segments closed with media.', rendition);
    this.parts = originSeries(metrics.counter('packager_parts_total', 'Parts published.', rendition));
    this.chunks = originSeries(metrics.counter('packager_chunks_total', 'CMAF chunks written.', rendition));
    this.events = metrics.counter('packager_events_total', 'Timed events taken into streams.', ['kind']);
    this.gapSegments = metrics.counter('packager_gap_segments_total', 'Segments listed as GAP.', rendition);
    this.nonIndependentSegments = metrics.counter(
      'packager_non_independent_segments_total',
      'Segments that do not start with a key frame.',
      rendition,
    );
    this.clippedParts = metrics.counter(
      'packager_clipped_parts_total',
      'Parts whose one frame lasts longer than PART-TARGET.',
      rendition,
    );
    this.periods = metrics.counter('packager_periods_total', 'Periods begun, by reason.', [
      'reason',
    ] as const);
    this.droppedSamples = metrics.counter(
      'packager_dropped_samples_total',
      'Samples not packaged, by reason.',
      ['reason'] as const,
    );
    this.windowBytes = new SummedGauge(
      metrics.gauge('packager_window_bytes', 'Media held in memory by all live windows.'),
    );
    this.shrunkWindows = metrics.counter(
      'packager_shrunk_windows_total',
      'Segments taken off a list early because its window is at maxWindowBytes.',
    );
    this.lostSegments = metrics.counter(
      'packager_lost_segments_total',
      'Segments that left the memory before they could be stored, and are listed as GAP since.',
      rendition,
    );
    this.restoredSegments = metrics.counter(
      'packager_restored_segments_total',
      'Segments of before that are listed again, by a stream that goes on behind them.',
      rendition,
    );
    this.failedListeners = metrics.counter(
      'packager_failed_listeners_total',
      'Exceptions thrown by a listener of a live window.',
    );
    this.keyFailures = metrics.counter(
      'packager_key_failures_total',
      'Times a stream could not be encrypted with the keys that were due.',
    );
    this.unreadSlices = metrics.counter(
      'packager_unread_slices_total',
      'Slices encrypted from further ahead than they should be, because their header could not be read.',
      rendition,
    );
    const late = new BatchedHistogram(
      metrics.histogram(
        'packager_part_late_seconds',
        'Wall time at which a part was published, minus its end in media time.',
        LATE_SECONDS,
        rendition,
      ),
    );
    this.partLateSeconds = ofEachOrigin((origin) => late.series({ rendition: origin }));
  }
}

function originSeries(counter: Counter<'rendition'>): Record<RenditionOrigin, Series> {
  const batched = new BatchedCounter(counter);
  return ofEachOrigin((rendition) => batched.series({ rendition }));
}

function ofEachOrigin<T>(make: (origin: RenditionOrigin) => T): Record<RenditionOrigin, T> {
  return { video: make('video'), audio: make('audio'), rung: make('rung') };
}
