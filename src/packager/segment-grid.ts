import { SNAP_SHARE } from './segment-plan.ts';

/** What the grid looks at: a frame of the lead track in decode order. Times in ticks. */
export interface GridFrame {
  readonly dts: number;
  readonly duration: number;
  readonly key: boolean;
  /** See {@link Sample.nextKey}. */
  readonly nextKey?: boolean | undefined;
}

export interface GridOptions {
  /** Nominal segment duration. */
  readonly segmentTicks: number;
  /** dts of the period's first frame: boundary 0. */
  readonly startTicks: number;
  /** A segment that reaches further than this from its start must have a hole in it. */
  readonly maxSegmentTicks: number;
  /** From key frame to key frame, when the cadence is known to be regular. */
  readonly gopTicks: number | undefined;
  /** When the first key frame really was, should the period begin later than that. */
  readonly keyTicks?: number | undefined;
}

/** What to do with a frame. */
export type GridDecision =
  /** Belongs to the open segment; `last` when the next boundary is predicted right behind it. */
  | { readonly kind: 'continue'; readonly last: boolean }
  /** Starts a segment; `reanchored` when the grid was moved to it, which makes it the start of a period. */
  | { readonly kind: 'cut'; readonly independent: boolean; readonly reanchored: boolean }
  /** Stands behind a hole: the open segment ends at `endTicks`, the frame starts a period. */
  | { readonly kind: 'hole'; readonly endTicks: number };

/** Key frames that stay this share of a segment off the grid, twice in a row, move the grid. */
const DRIFT_SHARE = 0.05;

/** After so many segments without a key frame, when no two were seen yet, none is waited for any longer. */
const LONG_GOP_SEGMENTS = 5;

/** Two key frame intervals this close are the same interval. */
const SAME_INTERVAL = 0.02;

/**
 * Where segments are cut. Boundaries lie every `segmentTicks` from the start; each moves up to a tenth of a segment
 * to the key frame nearest to it, and stands where it must, without a key frame, when none is near.
 *
 * The grid moves (a new period that continues the old one) when key frames drift away from it, and when regular key
 * frames come at another phase: x264 restarts its GOP at a scene cut, and a grid at the old phase would never again
 * meet a key frame.
 */
export class SegmentGrid {
  readonly #segmentTicks: number;
  readonly #maxSegmentTicks: number;
  readonly #snapTicks: number;
  #anchor: number;
  #index = 0;
  #segmentStart: number;
  #lastKey: number | undefined;
  #lastInterval: number | undefined;
  /** The interval that key frames keep, as far as known. */
  #regular: number | undefined;
  #lastDeviation = 0;
  /** The open segment began where key frames are to be expected. */
  #lastIndependent: boolean;
  readonly #keyTicks: number | undefined;
  /** What each frame says of the next is believed instead of what regular key frames foretell. */
  #looksAhead = false;
  /** The key frame that the last frame spoke of, when it will be a cut. */
  #knownEnd: number | undefined;

  constructor(options: GridOptions) {
    this.#segmentTicks = options.segmentTicks;
    this.#maxSegmentTicks = options.maxSegmentTicks;
    this.#snapTicks = options.segmentTicks * SNAP_SHARE;
    this.#anchor = options.startTicks;
    this.#segmentStart = options.startTicks;
    this.#regular = options.gopTicks;
    this.#keyTicks = options.keyTicks;
    this.#lastIndependent = options.keyTicks === undefined;
  }

  /** Nominal end of the open segment. */
  get boundary(): number {
    return this.#anchor + (this.#index + 1) * this.#segmentTicks;
  }

  /** Where the end of the open segment is known, or regular key frames foretell it; undefined when nothing does. */
  get predictedEnd(): number | undefined {
    return this.#looksAhead ? this.#knownEnd : this.#predictedKey();
  }

  /** The earliest place the open segment may end: other tracks need not wait for the cut before it. */
  get earliestEnd(): number {
    return this.predictedEnd ?? this.boundary - this.#snapTicks;
  }

  /** The first frame of a period. */
  first(frame: GridFrame): void {
    if (frame.key) this.#noteKey(this.#keyTicks ?? frame.dts);
  }

  next(frame: GridFrame): GridDecision {
    if (frame.dts - this.#segmentStart > this.#maxSegmentTicks)
      return { kind: 'hole', endTicks: this.boundary };
    if (!frame.key) return this.#nonKey(frame);
    const steady = this.#noteKey(frame.dts);
    return this.#key(frame, steady);
  }

  /** Cuts at this frame whatever the grid says, and moves the grid to it. */
  force(frame: GridFrame): GridDecision {
    if (frame.key) this.#noteKey(frame.dts);
    return this.#reanchor(frame);
  }

  /** The boundary passed without a frame: the next segment is open from its nominal start. */
  skip(): void {
    this.#knownEnd = undefined;
    this.#index += 1;
    this.#segmentStart = this.#anchor + this.#index * this.#segmentTicks;
    this.#lastIndependent = false;
    this.#lastDeviation = 0;
  }

  #key(frame: GridFrame, steady: boolean): GridDecision {
    const deviation = frame.dts - this.boundary;
    if (deviation >= -this.#snapTicks) {
      if (this.#nearerKeyExpected(frame.dts)) return { kind: 'continue', last: false };
      const drifted = DRIFT_SHARE * this.#segmentTicks;
      const reanchor =
        Math.abs(deviation) > drifted &&
        Math.abs(this.#lastDeviation) > drifted &&
        Math.sign(deviation) === Math.sign(this.#lastDeviation);
      return reanchor ? this.#reanchor(frame) : this.#cut(frame, deviation);
    }
    if (steady && !this.#lastIndependent && this.#outOfPhase(frame.dts)) return this.#reanchor(frame);
    return this.#continue(frame);
  }

  #nonKey(frame: GridFrame): GridDecision {
    const boundary = this.boundary;
    if (frame.dts < boundary - this.#snapTicks) return this.#continue(frame);
    if (this.#noKeyIsNear && frame.dts >= this.#countedEnd - frame.duration / 2) return this.#cut(frame, 0);
    // The last frame that still starts within reach of the boundary: no key frame can come in time.
    if (frame.dts + frame.duration > boundary + this.#snapTicks) return this.#cut(frame, 0);
    return this.#continue(frame);
  }

  /** No key frame is to be waited for at the boundary, by what is known of their distance. */
  get #noKeyIsNear(): boolean {
    if (this.#looksAhead || this.#lastKey === undefined) return false;
    const interval = this.#regular ?? this.#lastInterval;
    if (interval === undefined) return this.boundary - this.#lastKey > LONG_GOP_SEGMENTS * this.#segmentTicks;
    const offset = (this.boundary - this.#lastKey) % interval;
    return Math.min(offset, interval - offset) > this.#snapTicks;
  }

  /** The end of a segment without a key frame: whole segments behind the last one, as encoders of rungs count them. */
  get #countedEnd(): number {
    const { boundary } = this;
    if (this.#lastKey === undefined) return boundary;
    const segments = Math.round((boundary - this.#lastKey) / this.#segmentTicks);
    const counted = this.#lastKey + segments * this.#segmentTicks;
    return Math.abs(counted - boundary) <= this.#snapTicks ? counted : boundary;
  }

  #continue(frame: GridFrame): GridDecision {
    this.#lookAhead(frame);
    if (this.#looksAhead) return { kind: 'continue', last: this.#knownEnd !== undefined };
    const predicted = this.#predictedKey();
    // Half a frame of slack: a variable cadence is never quite where it was foretold.
    return {
      kind: 'continue',
      last: predicted !== undefined && frame.dts + 1.5 * frame.duration > predicted,
    };
  }

  /** Frames are held one back at a variable rate: nobody could foretell them, but the next one is known. */
  #lookAhead({ dts, duration, nextKey }: GridFrame): void {
    const at = dts + duration;
    const inReach = at >= this.boundary - this.#snapTicks && !this.#nearerKeyExpected(at);
    this.#looksAhead = nextKey !== undefined;
    this.#knownEnd = nextKey && inReach ? at : undefined;
  }

  #cut(frame: GridFrame, deviation: number): GridDecision {
    this.#knownEnd = undefined;
    this.#index += 1;
    this.#segmentStart = frame.dts;
    this.#lastDeviation = deviation;
    this.#lastIndependent = frame.key;
    return { kind: 'cut', independent: frame.key, reanchored: false };
  }

  #reanchor(frame: GridFrame): GridDecision {
    this.#knownEnd = undefined;
    this.#anchor = frame.dts;
    this.#index = 0;
    this.#segmentStart = frame.dts;
    this.#lastDeviation = 0;
    this.#lastIndependent = frame.key;
    return { kind: 'cut', independent: frame.key, reanchored: true };
  }

  /** Remembers a key frame; true when it came one regular interval after the last. */
  #noteKey(dts: number): boolean {
    const since = this.#lastKey === undefined ? undefined : dts - this.#lastKey;
    const interval = since === undefined ? undefined : this.#withoutLost(since);
    this.#lastKey = dts;
    if (interval === undefined || interval <= 0) return false;
    const steady = isSame(interval, this.#regular) || isSame(interval, this.#lastInterval);
    if (steady) this.#regular = interval;
    this.#lastInterval = interval;
    return steady;
  }

  /** The interval of key frames, some of which were lost in a hole. */
  #withoutLost(sinceLastKey: number): number {
    if (this.#regular === undefined) return sinceLastKey;
    const count = Math.max(1, Math.round(sinceLastKey / this.#regular));
    const interval = sinceLastKey / count;
    return Math.abs(interval - this.#regular) * count <= SAME_INTERVAL * this.#regular
      ? interval
      : sinceLastKey;
  }

  /** The key frame that is foretold within reach of the boundary, nearest to it. */
  #predictedKey(): number | undefined {
    if (this.#lastKey === undefined || this.#regular === undefined) return undefined;
    const boundary = this.boundary;
    const steps = Math.max(1, Math.round((boundary - this.#lastKey) / this.#regular));
    const predicted = this.#lastKey + steps * this.#regular;
    return Math.abs(predicted - boundary) <= this.#snapTicks ? predicted : undefined;
  }

  #nearerKeyExpected(dts: number): boolean {
    if (this.#regular === undefined) return false;
    const boundary = this.boundary;
    return Math.abs(dts + this.#regular - boundary) < Math.abs(dts - boundary);
  }

  /** Regular key frames, some of which should meet boundaries, but at this phase none will. */
  #outOfPhase(dts: number): boolean {
    const interval = this.#regular;
    if (interval === undefined) return false;
    const ratio = Math.max(interval, this.#segmentTicks) / Math.min(interval, this.#segmentTicks);
    if (Math.abs(ratio - Math.round(ratio)) > SAME_INTERVAL) return false;
    const step = Math.min(interval, this.#segmentTicks);
    const offset = (((this.boundary - dts) % step) + step) % step;
    return Math.min(offset, step - offset) > this.#snapTicks;
  }
}

function isSame(interval: number, other: number | undefined): boolean {
  return other !== undefined && Math.abs(interval - other) <= SAME_INTERVAL * other;
}
