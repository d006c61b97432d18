import { type FrameRate, frameTicksOf } from './cadence.ts';
import { FIT_TICKS, FrameGrid, type PlacedFrame } from './frame-grid.ts';
import { LeadIn } from './lead-in.ts';
import type { StreamCounters, StreamMetrics } from './stream-metrics.ts';
import type { LeadInFacts, Sample } from './track.ts';
import type { SourceSample } from './warm-up.ts';

/** Where a stream's video ended, 90 kHz ticks since the Unix epoch. */
export interface VideoEnd {
  /** In decode order: no later sample may begin before. */
  readonly dtsTicks: number;
  /** Where the last picture leaves the screen. */
  readonly endTicks: number;
}

export interface VideoLaneDeps {
  readonly counters: StreamCounters;
  readonly metrics: StreamMetrics;
  readonly emit: (sample: Sample) => void;
  /** Told of each frame of the source that got its place. */
  readonly onPlaced?: ((source: SourceSample, sample: Sample) => void) | undefined;
}

/** Where a timeline's video begins. */
export interface VideoStart {
  readonly startTicks: number;
  readonly leadIn: LeadInFacts | undefined;
}

/** Between the frames of an unknown rate: those of 30 fps. */
const DEFAULT_FRAME_TICKS = 3000;
const NOTHING_SEEN = { missing: 0, shifts: 0, rateChanges: 0 };

/** One publisher's video on its way to its final times, from timeline to timeline. Frames go out in decode order. */
export class VideoLane {
  readonly #deps: VideoLaneDeps;
  #end: VideoEnd | undefined;
  #grid: FrameGrid | undefined;
  #leadIn: LeadIn | undefined;
  /** Frames that were given and have not gone out; kept only for who is told of their places. */
  readonly #unplaced: SourceSample[] = [];
  #seen = { ...NOTHING_SEEN };
  /** Pictures before the next key frame were left out, or there were none. */
  #holeBeforeKey = true;
  /** The same of the last key frame. */
  #keyAfterHole = true;

  /** @param end where the stream's video ended before */
  constructor(deps: VideoLaneDeps, end: VideoEnd | undefined) {
    this.#deps = deps;
    this.#end = end;
  }

  /** A timeline with video is open. */
  get isOpen(): boolean {
    return this.#grid !== undefined;
  }

  /** Where the video that went out so far ends. */
  get end(): VideoEnd | undefined {
    const grid = this.#grid;
    if (!grid) return this.#end;
    const leadIn = this.#leadIn;
    if (leadIn) return { dtsTicks: leadIn.endTicks, endTicks: leadIn.endTicks };
    return { dtsTicks: grid.endDts, endTicks: grid.endTicks };
  }

  /**
   * Begins a timeline at a key frame, which is still to be given; not before `floorTicks`, where what is to be shown
   * before ends. A frame from before that is the start of a {@link LeadIn}.
   */
  open(rate: FrameRate | undefined, first: PlacedFrame, floorTicks: number): VideoStart {
    const shownTicks = first.dtsTicks + first.compositionTicks;
    if (shownTicks < floorTicks - FIT_TICKS) return this.#openWithLeadIn(rate, first, floorTicks);
    const floor = Math.max(this.#end?.dtsTicks ?? 0, floorTicks);
    this.#grid = new FrameGrid(rate, floor, this.#emit);
    return { startTicks: this.#grid.startTicksFor(first), leadIn: undefined };
  }

  /** Takes a frame; false when nobody could decode it. Only while open. */
  push(source: SourceSample, frame: PlacedFrame): boolean {
    if (this.#cannotBeDecoded(source)) return false;
    if (this.#deps.onPlaced) this.#unplaced.push(source);
    this.#grid?.push(frame);
    if (source.key) this.collectCounts();
    return true;
  }

  /** A frame was left out. */
  skip(): void {
    this.#holeBeforeKey = true;
  }

  /** Gives out what is held; `untilTicks` is where the next timeline's video begins, when that is known. */
  flush(untilTicks?: number): void {
    this.#grid?.flush(untilTicks);
    for (const sample of this.#leadIn?.flush() ?? []) this.#emit(sample);
    this.#unplaced.length = 0;
    this.collectCounts();
  }

  /** Ends the timeline. */
  close(untilTicks: number | undefined): void {
    this.flush(untilTicks);
    this.#end = this.end;
    this.#grid = undefined;
    this.#leadIn = undefined;
    this.#seen = { ...NOTHING_SEEN };
  }

  collectCounts(): void {
    const { counters, metrics } = this.#deps;
    const counts = this.#grid?.counts;
    if (!counts) return;
    metrics.missingFrames.inc(counts.missing - this.#seen.missing);
    counters.resynced('video', 'shift', counts.shifts - this.#seen.shifts);
    counters.resynced('video', 'rate', counts.rateChanges - this.#seen.rateChanges);
    this.#seen = { ...counts };
  }

  #openWithLeadIn(rate: FrameRate | undefined, first: PlacedFrame, floorTicks: number): VideoStart {
    const leadIn = new LeadIn(
      floorTicks,
      rate ? frameTicksOf(rate) : DEFAULT_FRAME_TICKS,
      first.compositionTicks,
    );
    this.#leadIn = leadIn;
    this.#grid = new FrameGrid(rate, 0, (sample) => {
      if (this.#leadIn !== leadIn) this.#emit(sample);
      else for (const squeezed of leadIn.add(sample)) this.#emit(squeezed);
      if (leadIn.over) this.#leadIn = undefined;
    });
    const keyTicks = Math.round(first.dtsTicks + first.compositionTicks);
    return { startTicks: floorTicks, leadIn: { keyTicks } };
  }

  readonly #emit = (sample: Sample): void => {
    this.#deps.emit(sample);
    const source = this.#unplaced.shift();
    if (source) this.#deps.onPlaced?.(source, sample);
  };

  /**
   * Leading pictures of an open GOP lie before their key frame in time but behind it in the stream, and need what came
   * before it. Where that was left out, or there was nothing before, they go too: nobody could decode them. A viewer
   * who joins at such a key frame later drops them by himself (ISO/IEC 23008-2 8.1.3).
   */
  #cannotBeDecoded({ key, leading }: SourceSample): boolean {
    if (!key) return leading === true && this.#keyAfterHole;
    this.#keyAfterHole = this.#holeBeforeKey;
    this.#holeBeforeKey = false;
    return false;
  }
}
