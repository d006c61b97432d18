import { parseAudioConfig, type AudioCodecName } from '../../media/audio-config.ts';
import { writeChunk, type ChunkSample } from '../../media/isobmff/chunk.ts';
import { type AudioInit, writeInitSegment } from '../../media/isobmff/init-segment.ts';
import type { StreamTrack } from '../../media/isobmff/stream-init.ts';
import { STREAM_READER_LIMITS, StreamReader, type StreamSample } from '../../media/isobmff/stream-reader.ts';
import { SHIFT_SECONDS } from './audio-track-arguments.ts';

export interface StretchOptions {
  /** Where the first stretch ends, milliseconds from the title's 0, and how long each other is. */
  readonly firstMs: number;
  readonly stretchMs: number;
  /** No sound begins from here on; undefined: all that there is is taken. */
  readonly endMs: number | undefined;
  /** Where the title's 0 is not known before, it is the first sample. */
  readonly fromFirst: boolean;
}

/** One stretch of a track: an initialization segment and a chunk. */
export interface Stretch {
  readonly bytes: Uint8Array;
  /** How far the track is done with it. */
  readonly endMs: number;
}

const CODECS: ReadonlySet<string> = new Set<AudioCodecName>(['mp4a', 'ac-3', 'ec-3', 'Opus', 'fLaC']);
/** Clocks are rounded: what is so little too early is not. */
const TOLERANCE_SECONDS = 0.001;

/**
 * Cuts the fragmented MP4 that ffmpeg gives of a track into stretches, with times from the title's 0. What comes before
 * it is left out: the encoder's priming, and frames that begin too early. Where the cuts are only depends on the samples.
 */
export class AudioStretches {
  readonly #options: StretchOptions;
  readonly #reader: StreamReader;
  readonly #ready: Stretch[] = [];
  #init: AudioInit | undefined;
  /** Of what is read: HE-AAC may have the rate of its extension there, and that of its core in the configuration. */
  #storedTimescale = 1;
  #samples: ChunkSample[] = [];
  #shiftTicks: number | undefined;
  #cutTicks = 0;
  #number = 0;
  #firstMs: number | undefined;
  #endTicks = 0;
  #fault: string | undefined;

  constructor(options: StretchOptions) {
    this.#options = options;
    this.#reader = new StreamReader(
      {
        init: ([track]) => this.#begin(track),
        fragment() {},
        sample: (sample) => this.#take(sample),
        event() {},
        last() {},
      },
      STREAM_READER_LIMITS,
    );
  }

  /** When the sound begins, milliseconds from the title's 0; undefined before there is any. */
  get firstMs(): number | undefined {
    return this.#firstMs;
  }

  /** How far the sound reaches, milliseconds from the title's 0. */
  get reachedMs(): number {
    return this.#init ? (this.#endTicks / this.#init.timescale) * 1000 : 0;
  }

  /** Why the bytes cannot be used, for people. Final. */
  get fault(): string | undefined {
    return this.#fault;
  }

  push(bytes: Uint8Array): void {
    const fault = this.#reader.push(bytes);
    if (fault !== undefined) this.#fault ??= `its sound cannot be read (${fault})`;
  }

  /** The track is over: what is left is the last stretch. */
  end(): void {
    const fault = this.#reader.end();
    if (fault !== undefined) this.#fault ??= `its sound cannot be read (${fault})`;
    this.#cut();
  }

  get hasNext(): boolean {
    return this.#ready.length > 0;
  }

  /** The next stretch that is whole. */
  next(): Stretch | undefined {
    return this.#ready.shift();
  }

  #begin(track: StreamTrack | undefined): boolean {
    const codec = track && isCodec(track.entry) ? track.entry : undefined;
    const parsed = codec && track?.config && parseAudioConfig(codec, track.config);
    if (!track || !parsed) {
      this.#fault ??= `its sound is of a kind that is not carried (${track?.entry ?? 'none'})`;
      return false;
    }
    const { config, channels, sampleRate } = parsed;
    this.#init = { kind: 'audio', codec: parsed.codec, timescale: sampleRate, config, channels };
    this.#storedTimescale = track.timescale;
    this.#cutTicks = this.#ticks(this.#options.firstMs);
    return true;
  }

  #take({ baseTicks, offsetTicks, durationTicks, data }: StreamSample): void {
    const { endMs, stretchMs } = this.#options;
    const init = this.#init;
    if (!init) return;
    const toTicks = init.timescale / this.#storedTimescale;
    const stored = Number(baseTicks - BigInt(SHIFT_SECONDS) * BigInt(this.#storedTimescale)) + offsetTicks;
    const shifted = Math.round(stored * toTicks);
    const duration = Math.round(durationTicks * toTicks);
    if (!this.#options.fromFirst && shifted < -TOLERANCE_SECONDS * init.timescale) return;
    // Nothing is moved but what stands a rounding error before the title's 0, and what has no 0 but itself.
    this.#shiftTicks ??= this.#options.fromFirst ? -shifted : Math.max(0, -shifted);
    const ticks = shifted + this.#shiftTicks;
    if (endMs !== undefined && ticks >= this.#ticks(endMs)) return;
    this.#firstMs ??= (ticks / init.timescale) * 1000;
    if (ticks >= this.#cutTicks) {
      this.#cut();
      while (ticks >= this.#cutTicks) this.#cutTicks += this.#ticks(stretchMs);
    }
    this.#samples.push({ dts: ticks, pts: ticks, duration, key: true, data });
    this.#endTicks = ticks + duration;
  }

  #cut(): void {
    const samples = this.#samples;
    const init = this.#init;
    if (!init || samples.length === 0) return;
    this.#samples = [];
    const head = writeInitSegment(init);
    const chunk = writeChunk({
      ...{ sequence: ++this.#number, samples, position: 'segment-start', reference: undefined },
    });
    this.#ready.push({ bytes: Buffer.concat([head, chunk]), endMs: this.reachedMs });
  }

  #ticks(ms: number): number {
    return Math.round((ms * (this.#init?.timescale ?? 0)) / 1000);
  }
}

function isCodec(entry: string): entry is AudioCodecName {
  return CODECS.has(entry);
}
