import type { Counter, Gauge } from 'prom-client';
import type { Metrics } from '../../base/metrics.ts';

/** Why VOD stands back. */
export const STEP_BACK_REASONS = ['starting', 'lag', 'shed'] as const;
export type StepBackReason = (typeof STEP_BACK_REASONS)[number];

/** Every metric of the work on titles. */
export class WorkMetrics {
  /** Frames of all rungs. */
  readonly frames: Counter;
  readonly rereads: Counter;
  readonly encoders: Gauge;
  readonly held: Gauge;
  readonly heldSeconds: Counter;
  readonly #stepBacks: Counter<'reason'>;

  constructor(metrics: Metrics) {
    this.frames = metrics.counter('vod_encoded_frames_total', 'Frames of titles encoded, of all rungs.');
    this.rereads = metrics.counter(
      'vod_piece_rereads_total',
      'Pieces read again from further ahead because frames were missing.',
    );
    this.encoders = metrics.gauge('vod_encoders', 'Encoders of titles that run now, held up or not.');
    this.held = metrics.gauge('vod_held', '1 while the work on titles is held up for live encoding.');
    this.heldSeconds = metrics.counter('vod_held_seconds_total', 'Time that titles were held up for live.');
    this.#stepBacks = metrics.counter(
      'vod_step_backs_total',
      'Times that titles were held up for live, by what live was short of.',
      ['reason'],
    );
    this.held.set(0);
    this.encoders.set(0);
  }

  steppedBack(reason: StepBackReason): void {
    this.held.set(1);
    this.#stepBacks.inc({ reason });
  }
}
