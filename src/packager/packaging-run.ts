import type { Sample, Track } from '../stream/track.ts';
import { gapDurations } from './gap-slots.ts';
import type { Ladder } from './ladder.ts';
import type { DropReason, PackagerMetrics, PeriodReason } from './packager-metrics.ts';
import type { LivePeriod, Programme } from './period-factory.ts';
import type { RenditionPackager } from './rendition-packager.ts';
import { SegmentGrid } from './segment-grid.ts';
import { HOLE_SECONDS } from './segment-plan.ts';
import { type LeadView, SlotFollower } from './slot-follower.ts';
import type { Instant, Slot } from './slot.ts';
import type { FollowerOf, SlotLedger } from './slot-ledger.ts';
import { rescaleTicks } from './ticks.ts';

/** A lead that is this late (share of a segment) has left a hole: a new period starts instead of filling in. */
const LATE_LEAD_SHARE = 0.2;

export interface RunOptions {
  readonly programme: Programme;
  /** The lead's first sample; it is still to be given to {@link PackagingRun.start}. */
  readonly first: Sample;
  readonly ladder: Ladder;
  readonly maxSegmentBytes: number;
  /** The run before, when its followers run on through the change. */
  readonly continuing: PackagingRun | undefined;
  /** When the lead's first key frame really was, should the period begin later than that. */
  readonly keyTicks: number | undefined;
}

/** How the first slot of a run starts. */
export interface RunStart {
  readonly number: number;
  readonly discontinuity: boolean;
  /** The period this one continues. */
  readonly continues: string | undefined;
  readonly reason: PeriodReason;
}

/**
 * Packages one programme: the lead's frames decide, by the segment grid, where slots are cut; the other track and the
 * ladder's rungs follow. One run lasts from a timeline's first lead frame to the next timeline, or until the publisher is gone.
 */
export class PackagingRun {
  readonly programme: Programme;
  /** The source's other track. */
  readonly #followers = new Map<string, SlotFollower>();
  readonly #followerOf: FollowerOf;
  readonly #lead: RenditionPackager;
  readonly #ladder: Ladder;
  readonly #ledger: SlotLedger;
  readonly #metrics: PackagerMetrics;
  readonly #maxSegmentBytes: number;
  #grid: SegmentGrid;
  /** End of the lead's last frame, ticks of the lead. */
  #position: number;
  /** How long one kind of media has come without any of the other, seconds. */
  readonly #alone = { lead: 0, others: 0 };
  #leadFrameSeconds = 0;

  constructor(options: RunOptions, ledger: SlotLedger, metrics: PackagerMetrics) {
    const { programme, first, continuing, ladder } = options;
    this.programme = programme;
    this.#ladder = ladder;
    this.#followerOf = (id) => this.#followers.get(id) ?? ladder.follower(id);
    this.#ledger = ledger;
    this.#metrics = metrics;
    this.#maxSegmentBytes = options.maxSegmentBytes;
    this.#lead = ledger.packager(programme.lead.kind);
    for (const id of programme.tracks.keys()) {
      if (id === programme.lead.kind) continue;
      this.#followers.set(id, continuing?.followerOf(id) ?? new SlotFollower(ledger.packager(id)));
    }
    this.#grid = createGrid(programme, first, options.keyTicks);
    this.#position = first.dts;
  }

  /** Renditions of the source that follow the lead. */
  get followerIds(): readonly string[] {
    return [...this.#followers.keys()];
  }

  /** Where the lead's open segment will end, ticks of the lead, when regular key frames foretell it. */
  get predictedEnd(): number | undefined {
    return this.#grid.predictedEnd;
  }

  /** The follower of rendition `id`; a run that continues this one takes it over. */
  followerOf(id: string): SlotFollower | undefined {
    return this.#followers.get(id);
  }

  /** Begins the run's period and first slot with the lead's first sample, then takes what came `early`. */
  start(first: Sample, start: RunStart, early: readonly Sample[]): void {
    this.#beginPeriod(first, start);
    this.#writeLead(first, false);
    for (const sample of early) this.#takeEarly(sample, first);
    this.#drainFollowers();
  }

  sample(sample: Sample): void {
    if (sample.kind === this.programme.lead.kind) this.#sampleOfLead(sample);
    else if (this.#addToFollower(sample)) this.#drainFollowers();
    const { periods, slot } = this.#ledger;
    if (slot && periods.owesAnnouncement) this.#announceRekey(slot);
  }

  /**
   * The lead has sent nothing while other media came for as long as a hole lasts: nothing waits for it. A method, as all
   * that is asked with every frame is: V8 makes no fast code for private getters.
   */
  #leadHasStopped(): boolean {
    return this.#alone.others > HOLE_SECONDS + this.#leadFrameSeconds;
  }

  /** A sample of a follower while the next run's first lead frame, which will be a cut, has not come yet. */
  sampleBeforeCut(sample: Sample): void {
    const follower = this.#addToFollower(sample);
    if (follower) follower.drain({ ...this.#leadView(follower), earliestEnd: 0 });
  }

  /** True when `dts` of the lead lies so far behind its last frame that there is a hole before it. */
  leavesHole(dts: number): boolean {
    return dts - this.#position > LATE_LEAD_SHARE * this.programme.segmentTicks;
  }

  /** Flushes all that is held and closes every rendition. */
  finish(): void {
    const { timescale } = this.programme.lead;
    const ticks = this.#lead.isEmpty ? this.#grid.boundary : this.#lead.endTicks;
    this.#ledger.finish({ ticks, timescale }, this.#followerOf);
  }

  #drop(reason: DropReason): void {
    this.#metrics.droppedSamples.inc({ reason });
  }

  // --- the lead -------------------------------------------------------------------------------------------------

  #sampleOfLead(given: Sample): void {
    const sample = this.#withoutPause(given);
    const last = this.#cutLead(sample);
    this.#writeLead(sample, last);
    this.#drainFollowers();
    this.#ladder.leadMoved(this.#position, this.programme.lead.timescale);
  }

  /**
   * At a variable rate a frame lasts until the next one, be that seconds away. When the other media paused meanwhile, it
   * lasts as long as the one before, and there is a hole behind it; else it is a picture that stands still.
   */
  #withoutPause(sample: Sample): Sample {
    const { timescale } = this.programme.lead;
    const duration = Math.round(this.#leadFrameSeconds * timescale);
    if (sample.nextKey === undefined) return sample;
    const ranOn = sample.dts - this.#endOfOthers <= HOLE_SECONDS * timescale;
    const end = Math.max(this.#endOfOthers, sample.dts + duration);
    const pauses = ranOn && duration > 0 && this.#isHole(sample.dts + sample.duration, end);
    return pauses ? { ...sample, duration } : sample;
  }

  #writeLead(sample: Sample, last: boolean): void {
    this.#lead.add(sample, last);
    this.#position = Math.max(this.#position, sample.dts + sample.duration);
    this.#leadFrameSeconds = sample.duration / this.programme.lead.timescale;
    this.#alone.lead += this.#leadFrameSeconds;
    this.#alone.others = 0;
  }

  /** Cuts before `sample` where it must be; true when the sample is foretold to be the last of its segment. */
  #cutLead(sample: Sample): boolean {
    const slot = this.#ledger.slot;
    if (!slot) throw new Error('the run has not started');
    if (this.#lead.isEmpty ? this.#isLate(sample, slot) : this.#isHole(sample.dts, this.#position)) {
      const isPause = this.#isHole(sample.dts, this.#endOfAll);
      this.#resumeAfterHole(sample, this.#lead.isEmpty ? slot.start.ticks : this.#endOfAll, isPause);
      return false;
    }
    const tooLarge = this.#lead.openBytes + sample.data.length > this.#maxSegmentBytes;
    const decision = tooLarge ? this.#grid.force(sample) : this.#grid.next(sample);
    if (decision.kind === 'continue') return decision.last;
    if (decision.kind === 'hole') {
      this.#resumeAfterHole(sample, Math.max(decision.endTicks, this.#lead.lastDts), false);
    } else if (decision.reanchored) {
      this.#beginNextPeriod(sample, slot.period.id, tooLarge ? 'size' : 'grid');
    } else if (decision.independent && this.#ladder.changeDue(slot.period)) {
      this.#beginPeriodOfLadder(sample, slot.period);
    } else if (decision.independent && this.#ledger.periods.rekeyDue(slot, this.#instant(sample.dts))) {
      this.#beginNextPeriod(sample, slot.period.id, 'keys');
    } else {
      this.#enterNextSlot(sample.dts);
    }
    return false;
  }

  /** Where media of any kind ended before the lead goes on, ticks of the lead. */
  get #endOfAll(): number {
    return Math.round(Math.max(this.#position, this.#endOfOthers));
  }

  /** Where the media of those who follow end, ticks of the lead; 0 when there are none. */
  get #endOfOthers(): number {
    const { timescale } = this.programme.lead;
    const ends = [...this.#followers.values()].map(({ reachTicks, packager }) =>
      rescaleTicks(reachTicks, packager.rendition.timescale, timescale),
    );
    return Math.max(0, ...ends);
  }

  /** No media between the two is more than a few frames that may have been lost. */
  #isHole(toTicks: number, fromTicks: number): boolean {
    return toTicks - fromTicks > HOLE_SECONDS * this.programme.lead.timescale;
  }

  /** The first frame of a slot that was entered without it comes behind a hole. */
  #isLate(sample: Sample, slot: Slot): boolean {
    const late = sample.dts - slot.start.ticks;
    if (late > LATE_LEAD_SHARE * this.programme.segmentTicks) return true;
    return late > 0 && this.#isHole(sample.dts, this.#position);
  }

  /**
   * The lead has no frames from `endTicks` to `sample`: gaps stand there, then a new period starts, behind a
   * discontinuity when that was a real hole: the lead's segments last as long as what they hold, so what they last
   * adds up to less than the time that went by. When all media paused (`isPause`), what other tracks have before the
   * lead goes on is of no use.
   */
  #resumeAfterHole(sample: Sample, endTicks: number, isPause: boolean): void {
    const discontinuity = this.#isHole(sample.dts, this.#position);
    if (isPause) this.#dropBefore(sample.dts);
    // A slot that is open without media is the first of the gaps itself.
    let entered = this.#lead.isEmpty;
    if (!entered) this.#lead.close(endTicks);
    let at = endTicks;
    for (const duration of gapDurations(sample.dts - endTicks, this.programme.segmentTicks)) {
      if (!entered) this.#enterNextSlot(at);
      entered = false;
      at += Math.round(duration);
    }
    const number = this.#ledger.nextNumber;
    this.#beginPeriod(sample, { number, discontinuity, continues: undefined, reason: 'hole' });
    this.#grid.force(sample);
  }

  #beginPeriodOfLadder(sample: Sample, before: LivePeriod): void {
    const discontinuity = this.#ladder.replaces(before);
    const continues = discontinuity ? undefined : before.id;
    const number = this.#ledger.nextNumber;
    this.#beginPeriod(sample, { number, discontinuity, continues, reason: 'ladder' });
  }

  #beginNextPeriod(sample: Sample, continues: string, reason: PeriodReason): void {
    this.#beginPeriod(sample, { number: this.#ledger.nextNumber, discontinuity: false, continues, reason });
  }

  #beginPeriod(sample: Sample, start: RunStart): void {
    const { number, discontinuity, continues, reason } = start;
    const { members } = this.#ladder;
    const at = { ticks: sample.dts, number, continues };
    const { periods, slot: before } = this.#ledger;
    const period = periods.begin(before, this.programme, members, at, reason);
    const slot = { number, period, start: this.#instant(sample.dts), discontinuity };
    this.#enter(slot);
  }

  #enterNextSlot(startTicks: number): void {
    const slot = this.#ledger.slot;
    if (!slot) throw new Error('the run has not started');
    const next = {
      number: slot.number + 1,
      period: slot.period,
      start: this.#instant(startTicks),
      discontinuity: false,
    };
    this.#enter(next);
  }

  #enter(slot: Slot): void {
    this.#ledger.enter(slot, this.programme, this.#followerOf);
    this.#announceRekey(slot);
  }

  #announceRekey(open: Slot): void {
    const { members } = this.#ladder;
    this.#ledger.periods.announceRekey(open, this.programme, members, this.#grid.predictedEnd);
  }

  #instant(ticks: number): Instant {
    return { ticks, timescale: this.programme.lead.timescale };
  }

  // --- those who follow -----------------------------------------------------------------------------------------

  /** Other media that came before the lead's first frame: what starts before the period is of no use. */
  #takeEarly(sample: Sample, first: Sample): void {
    const track = this.#track(sample.kind);
    const { timescale } = this.programme.lead;
    const start = track ? rescaleTicks(first.dts, timescale, track.timescale) : Infinity;
    if (sample.dts < start) this.#drop('before_period');
    else this.#addToFollower(sample);
  }

  #dropBefore(leadTicks: number): void {
    const { timescale } = this.programme.lead;
    for (const follower of this.#followers.values()) {
      const start = rescaleTicks(leadTicks, timescale, follower.packager.rendition.timescale);
      this.#metrics.droppedSamples.inc({ reason: 'before_period' }, follower.dropBefore(start));
    }
  }

  #track(id: string): Track | undefined {
    return this.programme.tracks.get(id)?.track;
  }

  #addToFollower(sample: Sample): SlotFollower | undefined {
    const follower = this.#followers.get(sample.kind);
    if (!follower) {
      this.#drop('no_track');
      return undefined;
    }
    if (follower.packager.openBytes + sample.data.length > this.#maxSegmentBytes) {
      this.#drop('too_large');
      return undefined;
    }
    if (!follower.add(sample)) this.#drop('held_too_long');
    // The rendition has another one until its next segment begins, when the sample rate has changed.
    this.#alone.others += sample.duration / (this.#track(sample.kind)?.timescale ?? 1);
    this.#alone.lead = 0;
    return follower;
  }

  #drainFollowers(): void {
    // What there is of a lead that has stopped is not kept from those who watch.
    if (this.#leadHasStopped()) this.#lead.closePart();
    for (const follower of this.#followers.values()) {
      if (follower.isAtRest && this.#alone.lead <= HOLE_SECONDS) continue;
      follower.drain(this.#leadView(follower));
      while (this.#leadIsSilent(follower)) {
        this.#enterNextSlot(Math.max(this.#grid.boundary, this.#lead.lastDts));
        this.#grid.skip();
        follower.drain(this.#leadView(follower));
      }
    }
  }

  #leadView(follower: SlotFollower): LeadView {
    const from = this.programme.lead.timescale;
    const to = follower.packager.rendition.timescale;
    const { predictedEnd, earliestEnd } = this.#grid;
    return {
      earliestEnd: rescaleTicks(earliestEnd, from, to),
      predictedEnd: predictedEnd === undefined ? undefined : rescaleTicks(predictedEnd, from, to),
      position: rescaleTicks(this.#position, from, to),
      stopped: this.#leadHasStopped(),
      aloneSeconds: this.#alone.lead,
    };
  }

  #leadIsSilent(follower: SlotFollower): boolean {
    const newest = follower.newestHeld;
    if (newest === undefined) return false;
    const { timescale } = this.programme.lead;
    const reached = rescaleTicks(newest, follower.packager.rendition.timescale, timescale);
    return this.#leadHasStopped() && reached >= Math.max(this.#grid.boundary, this.#position);
  }
}

function createGrid(programme: Programme, first: Sample, keyTicks: number | undefined): SegmentGrid {
  const { lead } = programme;
  const grid = new SegmentGrid({
    segmentTicks: programme.segmentTicks,
    startTicks: first.dts,
    maxSegmentTicks: programme.maxSegmentTicks,
    gopTicks: lead.kind === 'video' ? lead.cadence.gopTicks : lead.frameTicks,
    keyTicks,
  });
  grid.first(first);
  return grid;
}
