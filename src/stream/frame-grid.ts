import { type FrameRate, frameTicksOf } from './cadence.ts';
import type { Sample } from './track.ts';

const TICKS_PER_MS = 90;
/** A frame further than this from its place misfits: 1 ms, and half a millisecond for clocks rounded twice. */
export const FIT_TICKS = 1.5 * TICKS_PER_MS;
/** When so many frames in a row are off by the same, within 2 ms, the source's clock has shifted: the grid follows. */
const SHIFT_FRAMES = 8;
const SHIFT_SPREAD_TICKS = 2 * TICKS_PER_MS;
/** This many misfits in so many frames, not agreeing, are a variable rate. */
const MISFIT_LIMIT = 10;
const MISFIT_WINDOW = 30;
/** So many evenly spaced frames in a row bring the constant rate back. */
const REGULAR_FRAMES = 60;
/** After a pause this long nothing ties the next frame to the old phase. */
const PAUSE_TICKS = 500 * TICKS_PER_MS;
/** Shortest frame at a variable rate, 1/120 s: how fast a clock that went back is caught up with. */
const MIN_FRAME_TICKS = 750;
/** Duration of a variable-rate frame of which nothing better is known. */
const DEFAULT_FRAME_TICKS = 3000;

/** Where one frame stands, as the source says: 90 kHz ticks since the Unix epoch, fractional. */
export interface PlacedFrame {
  readonly dtsTicks: number;
  readonly compositionTicks: number;
  readonly key: boolean;
  readonly data: Uint8Array;
}

/** A frame held back until the next one tells its duration. */
interface HeldFrame {
  readonly dts: number;
  readonly pts: number;
  readonly key: boolean;
  readonly data: Uint8Array;
}

/** What the grid counts, since it was made. */
export interface FrameGridCounts {
  /** Places left empty by frames that never came. */
  missing: number;
  /** Times the grid moved to follow the source's clock. */
  shifts: number;
  /** Times the source left, or came back to, its constant rate. */
  rateChanges: number;
}

/**
 * Gives one timeline's video frames their final times.
 *
 * At a constant rate each frame stands on an even grid, exact as a fraction for ever, and its duration is known before
 * the next frame comes, so nothing is held back. Missing frames leave their places empty. A source clock that runs
 * off the grid is followed by making single frames longer or shorter, never by going back. When the source stops
 * being even the grid falls to variable: one frame is held so that its true duration is known.
 *
 * Decode times are shifted by the first frame's composition offset, so that there dts = pts. Decode times strictly
 * grow, and never lie before the `floorTicks` given at the start.
 */
export class FrameGrid {
  readonly counts: FrameGridCounts = { missing: 0, shifts: 0, rateChanges: 0 };
  readonly #emit: (sample: Sample) => void;
  readonly #rate: FrameRate | undefined;
  readonly #frameTicks: number;
  readonly #floorTicks: number;
  /** Composition offset of the first frame, ticks. */
  #firstComposition: number | undefined;
  #mode: 'constant' | 'variable';

  /** The grid: place n is base + round(n × frameTicks); `#place` is the next one to fill. */
  #base = 0;
  #place = 0;
  /** What is left to move the grid by. */
  #slew = 0;
  readonly #recentErrors = new Float64Array(SHIFT_FRAMES);
  readonly #misfits = new Uint8Array(MISFIT_WINDOW);
  #misfitCount = 0;
  #frames = 0;

  #held: HeldFrame | undefined;
  #lastDelta = 0;
  #lastRaw = 0;
  #regularInARow = 0;
  #endDts = 0;
  #endPts = 0;

  /** `floorTicks`: where this track's media ended before; 0 when there was none. */
  constructor(rate: FrameRate | undefined, floorTicks: number, emit: (sample: Sample) => void) {
    this.#rate = rate;
    this.#frameTicks = rate ? frameTicksOf(rate) : DEFAULT_FRAME_TICKS;
    this.#mode = rate ? 'constant' : 'variable';
    this.#floorTicks = floorTicks;
    this.#endDts = floorTicks;
    this.#endPts = floorTicks;
    this.#emit = emit;
  }

  /** Where the media written so far ends, in decode order: no later sample may begin before. */
  get endDts(): number {
    return this.#endDts;
  }

  /** Where the last picture written so far leaves the screen. */
  get endTicks(): number {
    return Math.max(this.#endDts, this.#endPts);
  }

  get mode(): 'constant' | 'variable' {
    return this.#mode;
  }

  /** Where a frame that came now would begin, if it were the first: the start of the timeline. */
  startTicksFor(frame: PlacedFrame): number {
    const wanted = frame.dtsTicks + frame.compositionTicks;
    return Math.abs(wanted - this.#floorTicks) <= FIT_TICKS
      ? this.#floorTicks
      : Math.max(Math.round(wanted), this.#floorTicks);
  }

  push(frame: PlacedFrame): void {
    if (this.#firstComposition === undefined) {
      this.#firstComposition = frame.compositionTicks;
      this.#base = this.startTicksFor(frame);
    }
    if (this.#mode === 'constant') this.#pushConstant(frame, this.#shifted(frame));
    else this.#pushVariable(frame, this.#shifted(frame));
  }

  /** Writes a frame that is held; `untilTicks` is where the next timeline's video begins, when that is known. */
  flush(untilTicks?: number): void {
    const held = this.#held;
    if (!held) return;
    this.#held = undefined;
    const known = untilTicks === undefined ? 0 : Math.round(untilTicks) - held.dts;
    const plausible = known >= MIN_FRAME_TICKS && known <= PAUSE_TICKS;
    this.#write(held, plausible ? known : this.#lastDelta || Math.round(this.#frameTicks));
  }

  #shifted(frame: PlacedFrame): number {
    return frame.dtsTicks + (this.#firstComposition ?? 0);
  }

  #pushConstant(frame: PlacedFrame, rawTicks: number): void {
    this.#lastRaw = rawTicks;
    let error = rawTicks - this.#at(this.#place) - this.#slew;
    if (error > PAUSE_TICKS) error = this.#startAfterPause(rawTicks);
    else if (error > this.#frameTicks / 2) error -= this.#skipPlaces(error);
    const place = this.#place;
    const dts = this.#at(place);
    const pts = this.#presentation(frame, place, dts);
    this.#judge(error);
    this.#applySlew();
    this.#place++;
    this.#write({ dts, pts, key: frame.key, data: frame.data }, this.#at(this.#place) - dts);
    if (this.#isVariable()) this.#fallToVariable();
  }

  #at(place: number): number {
    const { numerator, denominator } = this.#rate ?? { numerator: 30, denominator: 1 };
    return this.#base + Math.round((place * 90_000 * denominator) / numerator);
  }

  /** A new phase after a pause; the hole counts as missing frames. */
  #startAfterPause(rawTicks: number): number {
    this.counts.missing += Math.round((rawTicks - this.#at(this.#place)) / this.#frameTicks);
    this.#base = Math.round(rawTicks);
    this.#place = 0;
    this.#slew = 0;
    return 0;
  }

  #skipPlaces(error: number): number {
    const skipped = Math.round(error / this.#frameTicks);
    this.#place += skipped;
    this.counts.missing += skipped;
    return skipped * this.#frameTicks;
  }

  /** pts on the grid when the offset is whole frames, as it is at a constant rate; else as the source says. */
  #presentation(frame: PlacedFrame, place: number, dts: number): number {
    const offset = frame.compositionTicks - (this.#firstComposition ?? 0);
    if (offset === 0) return dts;
    const frames = Math.round(offset / this.#frameTicks);
    const onGrid = Math.abs(offset - frames * this.#frameTicks) <= FIT_TICKS;
    return onGrid ? this.#at(place + frames) : dts + Math.round(offset);
  }

  /** Notes how far a frame was from its place, and follows a source that has moved as a whole. */
  #judge(error: number): void {
    const misfit = Math.abs(error) > FIT_TICKS;
    this.#recentErrors[this.#frames % SHIFT_FRAMES] = error;
    this.#noteMisfit(misfit);
    if (!misfit || this.#frames < SHIFT_FRAMES) return;
    const least = Math.min(...this.#recentErrors);
    const most = Math.max(...this.#recentErrors);
    if (most - least > SHIFT_SPREAD_TICKS) return;
    const shift = (least + most) / 2;
    this.#slew += shift;
    this.#recentErrors.forEach((_, slot) => {
      this.#recentErrors[slot] = (this.#recentErrors[slot] ?? 0) - shift;
    });
    this.counts.shifts++;
    this.#forgetMisfits();
  }

  #noteMisfit(misfit: boolean): void {
    const slot = this.#frames % MISFIT_WINDOW;
    this.#misfitCount += (misfit ? 1 : 0) - (this.#misfits[slot] ?? 0);
    this.#misfits[slot] = misfit ? 1 : 0;
    this.#frames++;
  }

  #forgetMisfits(): void {
    this.#misfits.fill(0);
    this.#misfitCount = 0;
  }

  #isVariable(): boolean {
    return this.#misfitCount >= MISFIT_LIMIT;
  }

  /** Moves the grid under the next place: forward at once, back by no more than half a frame a frame. */
  #applySlew(): void {
    if (this.#slew === 0) return;
    const step = Math.max(Math.round(this.#slew), -Math.floor(this.#frameTicks / 2));
    this.#base += step;
    this.#slew = Math.abs(this.#slew - step) < 1 ? 0 : this.#slew - step;
  }

  #fallToVariable(): void {
    this.#mode = 'variable';
    this.#slew = 0;
    this.#regularInARow = 0;
    this.#forgetMisfits();
    this.counts.rateChanges++;
  }

  #pushVariable(frame: PlacedFrame, rawTicks: number): void {
    const held = this.#held;
    const earliest = held ? held.dts + this.#minStep() : this.#endDts;
    const dts = Math.max(Math.round(rawTicks), earliest);
    const offset = Math.round(frame.compositionTicks - (this.#firstComposition ?? 0));
    const next = { dts, pts: dts + offset, key: frame.key, data: frame.data };
    if (held) {
      this.#lastDelta = dts - held.dts;
      this.#write(held, this.#lastDelta, frame.key);
    }
    this.#held = next;
    this.#watchForRegularity(rawTicks, dts);
  }

  #minStep(): number {
    return Math.min(MIN_FRAME_TICKS, Math.floor(this.#frameTicks / 2));
  }

  #watchForRegularity(rawTicks: number, dts: number): void {
    const places = Math.max(1, Math.round((rawTicks - this.#lastRaw) / this.#frameTicks));
    const even = Math.abs(rawTicks - this.#lastRaw - places * this.#frameTicks) <= FIT_TICKS;
    this.#lastRaw = rawTicks;
    this.#regularInARow = even && Math.abs(dts - rawTicks) <= 1 ? this.#regularInARow + 1 : 0;
    if (this.#rate && this.#regularInARow >= REGULAR_FRAMES) this.#returnToConstant();
  }

  #returnToConstant(): void {
    const held = this.#held;
    if (!held) return;
    this.#held = undefined;
    this.#mode = 'constant';
    this.#base = held.dts;
    this.#place = 1;
    this.#regularInARow = 0;
    this.counts.rateChanges++;
    this.#write(held, this.#at(1) - held.dts);
  }

  #write(frame: HeldFrame, duration: number, nextKey?: boolean): void {
    this.#endDts = frame.dts + duration;
    this.#endPts = Math.max(this.#endPts, frame.pts + duration);
    this.#emit({
      kind: 'video',
      dts: frame.dts,
      pts: frame.pts,
      duration,
      key: frame.key,
      data: frame.data,
      nextKey,
    });
  }
}
