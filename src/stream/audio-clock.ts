import type { Sample } from './track.ts';

/** How far the source's clock may be off the count of frames before it is believed: 1.5 frames. */
const RESYNC_FRAMES = 1.5;
/** A timestamp may be rounded to the millisecond. */
const ROUNDING_MS = 1;

/** What the audio clock counts, since it was made. */
export interface AudioClockCounts {
  /** Holes left because the source's clock was ahead. */
  holes: number;
  /** Frames dropped because the source's clock was behind. */
  dropped: number;
}

/**
 * Gives one track's audio frames their final times by counting frames, which is exact, instead of believing
 * timestamps, which are rounded. When the source's clock is more than 1.5 frames ahead a hole is left; when it is as
 * far behind, frames are dropped until it is not.
 */
export class AudioClock {
  readonly counts: AudioClockCounts = { holes: 0, dropped: 0 };
  readonly #frameTicks: number;
  readonly #timescale: number;
  readonly #startTicks: number;
  readonly #emit: (sample: Sample) => void;
  #next: number | undefined;
  #endTicks: number;

  /**
   * @param startTicks frames before it are dropped: where the timeline begins
   * @param floorTicks where this track's media ended before, 0 when there was none
   */
  constructor(
    track: { readonly timescale: number; readonly frameTicks: number },
    startTicks: number,
    floorTicks: number,
    emit: (sample: Sample) => void,
  ) {
    this.#frameTicks = track.frameTicks;
    this.#timescale = track.timescale;
    this.#startTicks = startTicks;
    this.#endTicks = floorTicks;
    this.#emit = emit;
  }

  /** Where the media written so far ends. */
  get endTicks(): number {
    return this.#endTicks;
  }

  /**
   * False when the frame was dropped.
   * @param atTicks the frame's time by the source, ticks since the Unix epoch
   * @param duration ticks it lasts, where frames differ (Opus packets, the last block of FLAC)
   */
  push(atTicks: number, data: Uint8Array, duration: number = this.#frameTicks): boolean {
    const dts = this.#next === undefined ? this.#first(atTicks) : this.#following(atTicks, this.#next);
    if (dts === undefined) return false;
    this.#next = dts + duration;
    this.#endTicks = this.#next;
    this.#emit({ kind: 'audio', dts, pts: dts, duration, key: true, data });
    return true;
  }

  /** Frames from before the start are another timeline's, or nobody's: not counted as resynchronising. */
  #first(atTicks: number): number | undefined {
    const at = Math.round(atTicks);
    const floor = this.#endTicks;
    if (at < this.#startTicks - (ROUNDING_MS * this.#timescale) / 1000) return undefined;
    if (at < floor - this.#frameTicks / 2) return undefined;
    return Math.max(at, this.#startTicks, floor);
  }

  #following(atTicks: number, next: number): number | undefined {
    const error = atTicks - next;
    const limit = RESYNC_FRAMES * this.#frameTicks;
    if (error > limit) {
      this.counts.holes++;
      return Math.round(atTicks);
    }
    if (error < -limit) {
      this.counts.dropped++;
      return undefined;
    }
    return next;
  }
}
