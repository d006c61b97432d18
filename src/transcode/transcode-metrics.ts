import type { Counter, Gauge, Histogram } from 'prom-client';
import type { Metrics } from '../base/metrics.ts';
import { rungClass, type Rung, type RungClass } from './ladder-choice.ts';

/** `off`: nothing is to be encoded. `degraded`: it should be, but is not; the source goes out alone. */
export const CHANNEL_STATES = ['running', 'starting', 'degraded', 'off'] as const;
export type ChannelState = (typeof CHANNEL_STATES)[number];

/** Why an encoder was started again. */
export type RestartReason =
  /** It ended by itself. */
  | 'exited'
  /** It gave nothing for too long. */
  | 'hung'
  /** What it gave was not FLV with H.264. */
  | 'malformed'
  /** A rung was left out because it was too slow, or tried again. */
  | 'shed'
  | 'restored'
  /** The clock of its input came to its end. */
  | 'worn';

/** Why an encoded or source frame was not used. */
export type FrameDropCause =
  /** It has the time of no source frame that is waited for. */
  | 'unmatched'
  /** A rung never gave it, although it gave later ones; counted a rung each. */
  | 'missing'
  /** Two source frames within a millisecond cannot be told apart. */
  | 'ambiguous'
  /** No picture in it. */
  | 'malformed'
  /** At or before the last one delivered. */
  | 'behind'
  /** Between what was delivered and the oldest that could be read again after a restart: source frames. */
  | 'not_cached'
  /** The encoder was too slow and the queue before it overflowed: source frames. */
  | 'overflow';

/** Why a stream goes out without rungs although the configuration asks for some. */
export type RefusalReason = 'channels' | 'cores';

const DELAY_BUCKETS = [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5];
const START_BUCKETS = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5];

/** Every metric of the encoders; one instance serves all channels. */
export class TranscodeMetrics {
  readonly framesIn: Counter;
  readonly startSeconds: Histogram;
  readonly shedRungs: Gauge;
  readonly #channels: Gauge<'state'>;
  readonly #restarts: Counter<'reason'>;
  readonly #framesOut: Counter<'rung_class'>;
  readonly #dropped: Counter<'cause'>;
  readonly #delaySeconds: Histogram<'rung_class'>;
  readonly #refused: Counter<'reason'>;

  constructor(metrics: Metrics) {
    this.#channels = metrics.gauge('transcode_channels', 'Streams by what their encoder does.', ['state']);
    this.#restarts = metrics.counter('transcode_restarts_total', 'Encoders started again.', ['reason']);
    this.shedRungs = metrics.gauge(
      'transcode_shed_rungs',
      'Rungs left out now because encoding was too slow.',
    );
    this.framesIn = metrics.counter('transcode_source_frames_total', 'Source frames given to encoders.');
    this.#framesOut = metrics.counter(
      'transcode_encoded_frames_total',
      'Encoded frames taken from encoders.',
      ['rung_class'],
    );
    this.#dropped = metrics.counter('transcode_frames_dropped_total', 'Frames not encoded or not used.', [
      'cause',
    ]);
    this.#delaySeconds = metrics.histogram(
      'transcode_frame_delay_seconds',
      'From a source frame given to an encoder to the same frame encoded.',
      DELAY_BUCKETS,
      ['rung_class'],
    );
    this.startSeconds = metrics.histogram(
      'transcode_start_seconds',
      'From the start of an encoder to its first frame.',
      START_BUCKETS,
    );
    this.#refused = metrics.counter(
      'transcode_refused_total',
      'Timelines that went out without rungs for want of room.',
      ['reason'],
    );
    for (const state of CHANNEL_STATES) this.#channels.set({ state }, 0);
  }

  channels(state: ChannelState, count: number): void {
    this.#channels.set({ state }, count);
  }

  restarted(reason: RestartReason): void {
    this.#restarts.inc({ reason });
  }

  encoded(rung: Rung, delayMs: number): void {
    const labels: { rung_class: RungClass } = { rung_class: rungClass(rung) };
    this.#framesOut.inc(labels);
    this.#delaySeconds.observe(labels, delayMs / 1000);
  }

  dropped(cause: FrameDropCause, count = 1): void {
    if (count > 0) this.#dropped.inc({ cause }, count);
  }

  refused(reason: RefusalReason): void {
    this.#refused.inc({ reason });
  }
}
