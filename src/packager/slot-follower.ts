import type { Sample } from '../stream/track.ts';
import type { PlannedSegment, RenditionPackager } from './rendition-packager.ts';
import { HOLE_SECONDS } from './segment-plan.ts';

/** What a follower must know of the lead track, in the follower's own ticks. */
export interface LeadView {
  /** The next cut cannot come before this. */
  readonly earliestEnd: number;
  /** Where the next cut is foretold, if it is. */
  readonly predictedEnd: number | undefined;
  /** End of the lead's last frame: a cut can only come at or after it. */
  readonly position: number;
  /** The lead sends nothing although the follower does. */
  readonly stopped: boolean;
  /** How long the follower has sent nothing although the lead did. */
  readonly aloneSeconds: number;
}

/** A follower this far behind a cut, or silent for so long, is cut there without waiting for it any longer. */
const MAX_LATE_SECONDS = 1;

/** Ten seconds of AAC: waiting samples past this are given up, oldest first. */
const MAX_HELD_SAMPLES = 512;

/**
 * A segment that was foretold to be complete is so, although the lead's cut comes up to so much later: players hold on
 * to the hint, and align renditions no finer than that.
 */
const FORETOLD_SECONDS = 0.1;

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

  /** None of its samples waits for the lead, and no cut of the lead's waits for it: draining would do nothing. */
  get isAtRest(): boolean {
    return this.#held.length === 0 && this.#upcoming.length === 0;
  }

  /** dts of the newest sample that waits; undefined when none does. */
  get newestHeld(): number | undefined {
    return this.#held.at(-1)?.dts;
  }

  /** Where its media ends, that what waits included, up to the first real hole. */
  get reachTicks(): number {
    return this.#held.slice(0, this.#heldBeforeHole()).reduce(laterEnd, this.packager.endTicks);
  }

  /** The lead has been cut: `planned` follows the segments planned so far. */
  plan(planned: PlannedSegment): void {
    if (!this.packager.isOpen && this.#upcoming.length === 0) this.packager.open(planned);
    else {
      this.#upcoming.push(planned);
      this.#closeComplete();
    }
  }

  /** Takes a sample; false when the oldest that waits had to go for it. */
  add(sample: Sample): boolean {
    this.#held.push(sample);
    if (this.#held.length <= MAX_HELD_SAMPLES) return true;
    this.#held.shift();
    return false;
  }

  /** Gives up what waits behind a real hole and starts before `startTicks`; gives how many samples that were. */
  dropBefore(startTicks: number): number {
    const from = this.#heldBeforeHole();
    const count = this.#held.slice(from).filter(({ dts }) => dts < startTicks).length;
    this.#held.splice(from, count);
    return count;
  }

  /** Writes every sample whose segment is decided, and catches up with a lead that is far ahead. */
  drain(lead: LeadView): void {
    for (let sample = this.#held[0]; sample; sample = this.#held[0]) {
      const next = this.#upcoming[0];
      if (next && sample.dts >= next.startTicks - this.#earlyTicks()) {
        this.#advance(next, sample);
        continue;
      }
      if (!next && sample.dts >= Math.max(lead.earliestEnd, lead.position)) break;
      if (!next && !lead.stopped && sample.dts >= lead.position && this.#heldBeforeHole() === 0) break;
      this.#held.shift();
      const end = next?.startTicks ?? lead.predictedEnd;
      this.packager.add(sample, end !== undefined && sample.dts + sample.duration >= end);
    }
    this.#closeComplete();
    // What there is of a track that has stopped is not kept from those who listen.
    if (lead.aloneSeconds > HOLE_SECONDS) this.packager.closePart();
    this.#catchUp(lead);
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
    this.drain({
      earliestEnd: Infinity,
      predictedEnd: undefined,
      position: 0,
      stopped: true,
      aloneSeconds: 0,
    });
    for (let next = this.#upcoming[0]; next; next = this.#upcoming[0]) this.#advance(next, undefined);
    this.packager.close(this.packager.isEmpty ? endTicks : this.packager.endTicks);
    return dropped;
  }

  #catchUp({ position, aloneSeconds }: LeadView): void {
    for (let next = this.#upcoming[0]; next; next = this.#upcoming[0]) {
      const lateSeconds = (position - next.startTicks) / next.timescale;
      if (Math.max(lateSeconds, aloneSeconds) <= MAX_LATE_SECONDS) return;
      this.#advance(next, undefined);
    }
  }

  /** Its last sample reaches the cut: what comes next, whenever it does, belongs to the next segment. */
  #closeComplete(): void {
    const next = this.#upcoming[0];
    const isComplete = next && this.#held.length === 0 && !this.packager.isEmpty;
    if (isComplete && this.packager.endTicks >= next.startTicks) this.#advance(next, undefined);
  }

  /** How much before a cut a sample may be the first behind it. */
  #earlyTicks(): number {
    const { rendition } = this.packager;
    return rendition.open?.partsForetold ? FORETOLD_SECONDS * rendition.timescale : 0;
  }

  /** How many samples wait before the first real hole. */
  #heldBeforeHole(): number {
    const longest = HOLE_SECONDS * this.packager.rendition.timescale;
    let end = this.packager.endTicks;
    const index = this.#held.findIndex((sample) => {
      const isBehind = sample.dts - end > longest;
      end = sample.dts + sample.duration;
      return isBehind;
    });
    return index < 0 ? this.#held.length : index;
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

function laterEnd(end: number, sample: Sample): number {
  return Math.max(end, sample.dts + sample.duration);
}
