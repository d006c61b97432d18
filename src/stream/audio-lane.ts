import { msToTicks, rescale, ticksToMs } from '../media/timescale.ts';
import { AudioClock } from './audio-clock.ts';
import type { StreamCounters } from './stream-metrics.ts';
import type { AudioTrack, Sample } from './track.ts';

/** Where a stream's audio ended: ticks since the Unix epoch. */
export interface AudioEnd {
  readonly endTicks: number;
  readonly timescale: number;
}

/** One publisher's audio on its way to its final times, from timeline to timeline. */
export class AudioLane {
  readonly #emit: (sample: Sample) => void;
  readonly #counters: StreamCounters;
  #end: AudioEnd | undefined;
  #clock: AudioClock | undefined;
  #track: AudioTrack | undefined;
  #seenHoles = 0;

  /** @param end where the stream's audio ended before */
  constructor(counters: StreamCounters, emit: (sample: Sample) => void, end: AudioEnd | undefined) {
    this.#counters = counters;
    this.#emit = emit;
    this.#end = end;
  }

  get isOpen(): boolean {
    return this.#clock !== undefined;
  }

  /** Where the audio written so far ends. */
  get end(): AudioEnd | undefined {
    const { endTicks } = this.#clock ?? {};
    if (endTicks === undefined || !this.#track) return this.#end;
    return { endTicks, timescale: this.#track.timescale };
  }

  /** Where audio that comes at `atMs` may begin, milliseconds. */
  startMs(atMs: number, { timescale }: AudioTrack): number {
    return ticksToMs(Math.max(msToTicks(atMs, timescale), this.#floor(timescale)), timescale);
  }

  /** Begins a timeline at `startMs`; without a track it has no audio. */
  open(track: AudioTrack | undefined, startMs: number): void {
    const floor = track ? this.#floor(track.timescale) : 0;
    this.collectCounts();
    this.#end = this.end;
    this.#seenHoles = 0;
    this.#track = track;
    const startTicks = track ? Math.floor((startMs * track.timescale) / 1000) : 0;
    this.#clock = track && new AudioClock(track, startTicks, floor, this.#emit);
  }

  /**
   * Takes a frame; says why it was dropped, if it was. Only while open.
   * @param frameTicks ticks it lasts, where frames differ
   */
  push(atMs: number, data: Uint8Array, frameTicks: number | undefined): 'clock' | 'before_key' | undefined {
    const clock = this.#clock;
    if (!clock || !this.#track) return 'before_key';
    const droppedBefore = clock.counts.dropped;
    if (clock.push(msToTicks(atMs, this.#track.timescale), data, frameTicks)) return undefined;
    return clock.counts.dropped > droppedBefore ? 'clock' : 'before_key';
  }

  collectCounts(): void {
    const holes = this.#clock?.counts.holes ?? 0;
    this.#counters.resynced('audio', 'hole', holes - this.#seenHoles);
    this.#seenHoles = holes;
  }

  /** Where audio may begin: at the end of what there is, rounded up should the sample rate have changed. */
  #floor(timescale: number): number {
    const { end } = this;
    if (!end) return 0;
    const roundUp = end.timescale === timescale ? 0 : 1;
    return rescale(end.endTicks, end.timescale, timescale) + roundUp;
  }
}
