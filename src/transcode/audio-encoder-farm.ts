import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { ForeignAudioEncoder, ForeignAudioFeed } from '../stream/foreign-audio.ts';
import type { Publisher } from '../stream/publisher.ts';
import { AudioEncoder, type AudioEncoderHost, type AudioOptions } from './audio-encoder.ts';
import { AudioMetrics } from './audio-metrics.ts';
import type { SpawnEncoder } from './encoder-process.ts';

export interface AudioFarmOptions extends AudioOptions {
  /** Publishers whose audio is encoded at once; of one more the audio is dropped. */
  readonly maxAudioEncoders: number;
}

export interface AudioFarmDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly spawn: SpawnEncoder;
  /** 0 to 1. */
  readonly random: () => number;
  readonly maxRunMs?: number;
}

/** The audio encoders of all publishers, and the room they share. */
export class AudioEncoderFarm implements ForeignAudioEncoder, AudioEncoderHost {
  readonly #options: AudioFarmOptions;
  readonly #deps: AudioFarmDeps;
  readonly #metrics: AudioMetrics;
  /** Every encoder of which something may still run. */
  readonly #encoders = new Set<AudioEncoder>();
  readonly #admitted = new Set<AudioEncoder>();
  #closing: Promise<void> | undefined;
  #onAllGone: (() => void) | undefined;

  constructor(options: AudioFarmOptions, deps: AudioFarmDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#metrics = new AudioMetrics(deps.metrics);
  }

  open(publisher: Publisher): ForeignAudioFeed {
    const encoder = new AudioEncoder(publisher, {
      clock: this.#deps.clock,
      log: this.#deps.log.child({ stream: publisher.stream }),
      metrics: this.#metrics,
      spawn: this.#deps.spawn,
      options: this.#options,
      host: this,
      random: this.#deps.random,
      maxRunMs: this.#deps.maxRunMs,
    });
    this.#encoders.add(encoder);
    if (this.#closing) encoder.close();
    return encoder;
  }

  /** Process ids of the encoders that run now. */
  pids(): number[] {
    return [...this.#encoders].flatMap(({ pids }) => pids);
  }

  admit(encoder: AudioEncoder): boolean {
    if (this.#admitted.size >= this.#options.maxAudioEncoders) return false;
    this.#admitted.add(encoder);
    return true;
  }

  release(encoder: AudioEncoder): void {
    this.#admitted.delete(encoder);
  }

  gone(encoder: AudioEncoder): void {
    this.#encoders.delete(encoder);
    if (this.#encoders.size === 0) this.#onAllGone?.();
  }

  /** Ends all encoders and waits until they are gone. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#onAllGone = resolve;
      for (const encoder of this.#encoders) encoder.close();
      if (this.#encoders.size === 0) resolve();
    });
    return this.#closing;
  }
}
