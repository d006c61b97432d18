import type { AudioRestartReason } from './audio-metrics.ts';
import type { AudioSource } from './audio-source.ts';

/** Samples in an AAC frame. */
const FRAME_SAMPLES = 1024;
/** Where the fed file's clock starts: the first frame lies before the first sample. */
const LEAD_MS = 1000;
/** A smaller step back of the source's clock is disorder. */
const STEP_BACK_MS = 100;
/** A longer step forward is a new clock; a shorter one is audio that is missing. */
const STEP_FORWARD_MS = 10_000;

/** Whether the source's clock stepped back, by what it said last. */
export function isStepBack(lastMs: number | undefined, atMs: number): boolean {
  return atMs < (lastMs ?? atMs) - STEP_BACK_MS;
}

/**
 * A stretch of the source's clock that goes on evenly, and the file that it is fed as. Times in milliseconds: `source`
 * ones on the source's unwrapped clock, `file` ones on the fed file's.
 */
export class AudioLine {
  readonly source: AudioSource;
  /** The source's clock stepped back before it: its times are not to be compared with earlier ones. */
  stepsBack: boolean;
  /** Source time of the newest frame that came of it. */
  lastOutMs: number | undefined;
  readonly #originMs: number;

  /** @param originMs source time of its first tag */
  constructor(source: AudioSource, originMs: number, stepsBack: boolean) {
    this.source = source;
    this.stepsBack = stepsBack;
    this.#originMs = originMs;
  }

  get halfFrameMs(): number {
    return (FRAME_SAMPLES * 500) / this.source.sampleRate;
  }

  fileMs(sourceMs: number): number {
    return sourceMs - this.#originMs + LEAD_MS;
  }

  sourceMs(fileMs: number): number {
    return fileMs - LEAD_MS + this.#originMs;
  }

  /**
   * Where the next process begins, in samples of the fed file. Frames of all processes of a line lie on one grid, so
   * that the next one's go on where the last one's ended, to the sample.
   *
   * @param firstMs source time of the first tag that it will be fed
   */
  firstSample(firstMs: number): number {
    const next = this.lastOutMs === undefined ? 0 : Math.round(this.#frameOf(this.lastOutMs)) + 1;
    return Math.max(next, Math.ceil(this.#frameOf(firstMs))) * FRAME_SAMPLES;
  }

  /** Why a tag does not go on with this line; undefined when it does. */
  breakBefore(
    source: AudioSource,
    lastMs: number | undefined,
    atMs: number,
    maxRunMs: number,
  ): AudioRestartReason | undefined {
    if (isStepBack(lastMs, atMs) || atMs - (lastMs ?? atMs) > STEP_FORWARD_MS) return 'jumped';
    if (source.format !== this.source.format || source.sampleRate !== this.source.sampleRate)
      return 'changed';
    return atMs - this.#originMs > maxRunMs ? 'worn' : undefined;
  }

  #frameOf(sourceMs: number): number {
    return (this.fileMs(sourceMs) * this.source.sampleRate) / (1000 * FRAME_SAMPLES);
  }
}
