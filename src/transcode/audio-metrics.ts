import type { Counter, Gauge } from 'prom-client';
import type { Metrics } from '../base/metrics.ts';

/** Why an audio encoder was started again. */
export type AudioRestartReason =
  /** It ended by itself. */
  | 'exited'
  /** It gave nothing for too long. */
  | 'hung'
  /** What it gave was not FLV with AAC. */
  | 'malformed'
  /** The source's codec, rate or channels changed. */
  | 'changed'
  /** The source's clock jumped. */
  | 'jumped'
  /** The clock of its input came to its end. */
  | 'worn';

/** Why audio was not encoded, or an encoded frame not used. */
export type AudioDropCause =
  /** More was waiting than is kept: received tags. */
  | 'overflow'
  /** The greatest number of encoders was running: received tags. */
  | 'no_room'
  /** No encoder could tell what it is: received tags. */
  | 'unreadable'
  /** At or before the last one given: encoded frames. */
  | 'behind';

/** Every metric of the audio encoders; one instance serves all publishers. */
export class AudioMetrics {
  readonly processes: Gauge;
  readonly framesIn: Counter;
  readonly framesOut: Counter;
  readonly #restarts: Counter<'reason'>;
  readonly #dropped: Counter<'cause'>;

  constructor(metrics: Metrics) {
    this.processes = metrics.gauge(
      'transcode_audio_processes',
      'Processes that encode audio which came in another codec than AAC.',
    );
    this.#restarts = metrics.counter('transcode_audio_restarts_total', 'Audio encoders started again.', [
      'reason',
    ]);
    this.framesIn = metrics.counter(
      'transcode_audio_frames_in_total',
      'Audio tags given to audio encoders, those given again among them.',
    );
    this.framesOut = metrics.counter(
      'transcode_audio_frames_out_total',
      'AAC frames taken from audio encoders.',
    );
    this.#dropped = metrics.counter(
      'transcode_audio_frames_dropped_total',
      'Audio tags not encoded, and encoded frames not used.',
      ['cause'],
    );
    this.processes.set(0);
  }

  restarted(reason: AudioRestartReason): void {
    this.#restarts.inc({ reason });
  }

  dropped(cause: AudioDropCause, count = 1): void {
    if (count > 0) this.#dropped.inc({ cause }, count);
  }
}
