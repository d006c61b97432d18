import type { Sample } from '../stream/track.ts';
import type { PlannedSegment, RenditionPackager } from './rendition-packager.ts';

/** What a follower must know of the lead track, in the follower's own ticks. */
export interface LeadView {
  /** The next cut cannot come before this. */
  readonly earliestEnd: number;
  /** Where the next cut is foretold, if it is. */
  readonly predictedEnd: number | undefined;
  /** End of the lead's last frame: a cut can only come at or after it. */
  readonly position: number;
}

/** A follower this far behind a cut is cut there without waiting for it any longer. */
const MAX_LATE_SECONDS = 1;

/** Ten seconds of AAC: waiting samples past this are given up, oldest first. */
const MAX_HELD_SAMPLES = 512;

/** A sample starting this many frames past a cut stands behind a hole. */
const HOLE_FRAMES = 2;

/**
 * Keeps the segments of another track in step with the lead's: segment n of the follower holds the samples that
 * start from the lead's cut n to just before its cut n+1, in whole samples.
 *
 * Samples go out at once while it is certain, or foretold, that the lead's next cut lies behind them. Only those
 * that run ahead of the lead and past the expected cut wait, and only until the lead gets there.
 */
export class SlotFollower {
  readonly packager: RenditionPackager;
  readonly #upcoming: PlannedSegment[] = [];
  readonly #held: Sample[] = [];

  constructor(packager: RenditionPackager) {
    this.packager = packager;
  }

  /** dts of the newest sample that waits; undefined when none does. */
  get newestHeld(): number | undefined {
    return this.#held.at(-1)?.dts;
  }

  /** The lead has been cut: `planned` follows the segments planned so far. */
  plan(planned: PlannedSegment): void {
    if (this.packager.isOpen || this.#upcoming.length > 0) this.#upcoming.push(planned);
    else this.packager.open(planned);
  }

  /** Takes a sample; false when the oldest that waits had to go for it. */
  add(sample: Sample): boolean {
    this.#held.push(sample);
    if (this.#held.length <= MAX_HELD_SAMPLES) return true;
    this.#held.shift();
    return false;
  }

  /** Writes every sample whose segment is decided, and catches up with a lead that is far ahead. */
  drain(lead: LeadView): void {
    for (let sample = this.#held[0]; sample; sample = this.#held[0]) {
      const next = this.#upcoming[0];
      if (next && sample.dts >= next.startTicks) {
        this.#advance(next, sample);
        continue;
      }
      if (!next && sample.dts >= Math.max(lead.earliestEnd, lead.position)) break;
      this.#held.shift();
      const end = next?.startTicks ?? lead.predictedEnd;
      this.packager.add(sample, end !== undefined && sample.dts + sample.duration >= end);
    }
    this.#catchUp(lead.position);
  }

  /**
   * Writes all that waits and fits, cuts where it is still due, and closes; the lead ended at `endTicks`. Sound that ran
   * on behind the picture makes the last segment no longer than `longestTicks`; gives the samples left out for it.
   */
  end(endTicks: number, longestTicks: number): number {
    const lastStart = this.#upcoming.at(-1)?.startTicks ?? this.packager.rendition.open?.startTicks;
    const limit = lastStart === undefined ? Infinity : lastStart + longestTicks;
    const kept = this.#held.filter((sample) => sample.dts + sample.duration <= limit);
    const dropped = this.#held.splice(0, this.#held.length, ...kept).length - kept.length;
    this.drain({ earliestEnd: Infinity, predictedEnd: undefined, position: 0 });
    for (let next = this.#upcoming[0]; next; next = this.#upcoming[0]) this.#advance(next, undefined);
    this.packager.close(this.packager.isEmpty ? endTicks : this.packager.endTicks);
    return dropped;
  }

  #catchUp(leadPosition: number): void {
    for (let next = this.#upcoming[0]; next; next = this.#upcoming[0]) {
      if (leadPosition - next.startTicks <= MAX_LATE_SECONDS * next.timescale) return;
      this.#advance(next, undefined);
    }
  }

  #advance(next: PlannedSegment, first: Sample | undefined): void {
    this.#upcoming.shift();
    this.packager.close(this.#endBefore(next, first));
    this.packager.open(next);
  }

  /** Media that runs on gives the exact duration; before a hole the segment ends where the lead's did. */
  #endBefore(next: PlannedSegment, first: Sample | undefined): number {
    const runsOn = first !== undefined && first.dts <= next.startTicks + HOLE_FRAMES * first.duration;
    return runsOn ? first.dts : Math.max(next.startTicks, this.packager.endTicks);
  }
}
