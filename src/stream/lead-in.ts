import type { Sample } from './track.ts';

/** What is held until the old end is passed is bounded by this; at the limit it goes out as it is. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;

/**
 * The beginning of a timeline whose first key frame lies before the place where the media before it ended: a publisher
 * takes over in the middle of its GOP. Frames of the time that was shown already are only there to decode what comes
 * after: they are squeezed to one tick each, right behind the old end, in the order they are shown. The last of them,
 * which is nearest to the old end, stays until the first frame whose time has not come yet. From there on all frames
 * stand at their true times: nothing is shown twice, and nothing later than it was captured.
 *
 * Frames are held until no frame can follow that is to be shown before the old end. Pure.
 */
export class LeadIn {
  readonly #floorTicks: number;
  readonly #halfFrame: number;
  /** How far before its decode time a frame may be shown. */
  #depthTicks: number;
  #held: Sample[] = [];
  #heldBytes = 0;
  #endTicks: number;
  #passed = false;

  /**
   * @param floorTicks where the media before ended
   * @param frameTicks how long a frame lasts, about
   * @param reorderTicks how far before its decode time a frame may be shown, as far as known
   */
  constructor(floorTicks: number, frameTicks: number, reorderTicks: number) {
    this.#floorTicks = floorTicks;
    this.#endTicks = floorTicks;
    this.#halfFrame = frameTicks / 2;
    this.#depthTicks = Math.max(0, reorderTicks);
  }

  /** Frames stand at their true times again: there is nothing left to do. */
  get over(): boolean {
    return this.#passed && this.#held.length === 0;
  }

  /** Where the media given out so far ends, in decode order. */
  get endTicks(): number {
    return this.#endTicks;
  }

  /** Takes a sample at its true time, in decode order; gives those that may go out, at their final times. */
  add(sample: Sample): readonly Sample[] {
    this.#held.push(sample);
    this.#heldBytes += sample.data.length;
    this.#depthTicks = Math.max(this.#depthTicks, sample.dts - sample.pts);
    const passedTicks = sample.dts - this.#depthTicks - this.#floorTicks;
    this.#passed = passedTicks >= Math.max(this.#halfFrame, this.#held.length);
    return this.#passed || this.#heldBytes > MAX_HELD_BYTES ? this.#release() : [];
  }

  /** No more will come: gives the rest, unless nothing of it has a time that was not shown already. */
  flush(): readonly Sample[] {
    return this.#held.some((sample) => !this.#isBefore(sample)) ? this.#release() : [];
  }

  #isBefore({ pts }: Sample): boolean {
    return pts < this.#floorTicks + this.#halfFrame;
  }

  #release(): readonly Sample[] {
    const held = this.#held;
    const start = this.#endTicks;
    const shown = held.toSorted((a, b) => a.pts - b.pts);
    const ranks = new Map(shown.map((sample, rank) => [sample, rank]));
    const before = shown.filter((sample) => this.#isBefore(sample)).length;
    let lastDts = start - 1;
    const placed = held.map((sample) => {
      const rank = ranks.get(sample) ?? 0;
      const early = rank < before;
      lastDts = early ? lastDts + 1 : Math.max(sample.dts, lastDts + 1);
      const pts = early ? start + rank : Math.max(sample.pts, start + rank);
      return { ...sample, dts: lastDts, pts, ...(rank < before - 1 && { leadIn: true }) };
    });
    const last = held.at(-1);
    this.#endTicks = Math.max(lastDts + 1, last ? last.dts + last.duration : 0);
    this.#held = [];
    this.#heldBytes = 0;
    return placed.map((sample, index) => ({
      ...sample,
      duration: (placed[index + 1]?.dts ?? this.#endTicks) - sample.dts,
    }));
  }
}
