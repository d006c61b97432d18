import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { StreamJournal, StreamRecord } from '../stream/journal.ts';
import type { Period } from '../stream/live-window.ts';
import type { TrackKind } from '../stream/track.ts';
import { gapDurations } from './gap-slots.ts';
import type { PackagerMetrics, PeriodReason } from './packager-metrics.ts';
import { createPeriod, nextPeriodId, type Programme } from './period-factory.ts';
import { type PlannedSegment, RenditionPackager } from './rendition-packager.ts';
import type { SlotFollower } from './slot-follower.ts';
import { rescaleTicks, ticksToMs } from './ticks.ts';
import { LiveRendition, LiveSegment, type WindowStore } from './window-store.ts';

export interface PackagerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: PackagerMetrics;
  readonly journal: StreamJournal;
}

/** A media time with its timescale: what tracks of different timescales share. */
export interface Instant {
  readonly ticks: number;
  readonly timescale: number;
}

/** One column of the window: the segments of one number in all renditions. */
export interface Slot {
  readonly number: number;
  readonly period: Period;
  readonly start: Instant;
  readonly discontinuity: boolean;
}

/** Where a programme is to begin. */
export interface ProgrammeStart {
  readonly number: number;
  /** The list was emptied: nothing before it is listed any more. */
  readonly restarted: boolean;
}

/**
 * The columns of one stream's window: gives out numbers and period ids, opens each slot in every rendition, fills
 * holes with gaps, and keeps the journal.
 */
export class SlotLedger {
  readonly #stream: string;
  readonly #store: WindowStore;
  readonly #segmentMs: number;
  readonly #deps: PackagerDeps;
  readonly #record: StreamRecord | undefined;
  readonly #packagers = new Map<TrackKind, RenditionPackager>();
  #slot: Slot | undefined;
  #lastPeriodId: string | undefined;
  /** Where the media of the closed slots ends, ms since the epoch; meaningful while no slot is open. */
  #endMs = 0;

  constructor(stream: string, store: WindowStore, segmentMs: number, deps: PackagerDeps) {
    this.#stream = stream;
    this.#store = store;
    this.#segmentMs = segmentMs;
    this.#deps = deps;
    this.#record = deps.journal.load(stream);
    this.#lastPeriodId = this.#record?.lastPeriodId;
  }

  /** The newest slot. */
  get slot(): Slot | undefined {
    return this.#slot;
  }

  packager(id: TrackKind): RenditionPackager {
    const packager = this.#packagers.get(id);
    if (!packager) throw new Error(`no rendition ${id}`);
    return packager;
  }

  /** The number after the open slot. */
  get nextNumber(): number {
    return (this.#slot?.number ?? 0) + 1;
  }

  /**
   * The number of the segment that starts at `start` when no slot is open: what is missing before it becomes gaps,
   * or, when that is more than a whole window, a new list. The very first is locked to the epoch.
   */
  startAt(start: Instant): ProgrammeStart {
    const startMs = ticksToMs(start.ticks, start.timescale);
    const epochNumber = Math.max(1, Math.floor(startMs / this.#segmentMs));
    if (!this.#slot) {
      return { number: Math.max(epochNumber, (this.#record?.lastNumber ?? 0) + 1), restarted: false };
    }
    const gaps = gapDurations(startMs - this.#endMs, this.gapMs);
    if (gaps.length * this.gapMs > this.#store.plan.windowSeconds * 1000) {
      const number = Math.max(epochNumber, this.nextNumber);
      this.#store.restart(number);
      return { number, restarted: true };
    }
    for (const durationMs of gaps) this.appendGap(durationMs);
    return { number: this.nextNumber, restarted: false };
  }

  /** Adds the renditions of `programme` that the window lacks, with gaps for the slots they missed. */
  addRenditions(programme: Programme): void {
    for (const [id, track] of programme.tracks) {
      const rule = programme.rules.get(id);
      if (this.#packagers.has(id) || !rule) continue;
      const [model] = this.#store.renditions;
      // A list that follows one of an earlier process lies behind a discontinuity that is not in it.
      const sequence =
        model?.discontinuitySequence ?? (this.#record ? this.#record.discontinuitySequence + 1 : 0);
      const rendition = new LiveRendition(id, id, track.timescale, model?.firstListed ?? 0, sequence);
      if (model) fillWithGaps(rendition, model);
      this.#store.addRendition(rendition);
      this.#packagers.set(id, new RenditionPackager(rendition, rule, this.#store, this.#deps));
    }
  }

  beginPeriod(
    programme: Programme,
    start: { readonly ticks: number; readonly number: number; readonly continues: string | undefined },
    reason: PeriodReason,
  ): Period {
    const id = nextPeriodId(ticksToMs(start.ticks, programme.lead.timescale), this.#lastPeriodId);
    this.#lastPeriodId = id;
    const period = createPeriod(programme, {
      id,
      startTicks: start.ticks,
      startNumber: start.number,
      continues: start.continues,
    });
    this.#store.addPeriod(period);
    this.#deps.metrics.periods.inc({ reason });
    this.#deps.log.info({ stream: this.#stream, period: id, number: start.number, reason }, 'period begun');
    return period;
  }

  /** Moves the lead into `slot`, lets the followers know, and gives renditions without a track a gap. */
  enter(slot: Slot, programme: Programme, followers: ReadonlyMap<TrackKind, SlotFollower>): void {
    this.#slot = slot;
    for (const [id, packager] of this.#packagers) {
      const planned = planSegment(slot, programme, id, packager);
      const follower = followers.get(id);
      if (follower) {
        follower.plan(planned);
      } else {
        packager.close(planned.startTicks);
        packager.open(planned);
      }
    }
    // A new list begins at its first slot.
    for (const rendition of this.#store.renditions) rendition.firstListed ||= slot.number;
    this.#saveJournal(slot.number);
  }

  /** Closes every rendition; the lead's media ends at `end`. */
  finish(end: Instant, followers: ReadonlyMap<TrackKind, SlotFollower>): void {
    for (const [id, packager] of this.#packagers) {
      const endTicks = Math.round(rescaleTicks(end.ticks, end.timescale, packager.rendition.timescale));
      const follower = followers.get(id);
      if (follower) follower.finish(endTicks);
      else packager.close(endTicks);
    }
    this.#endMs = ticksToMs(end.ticks, end.timescale);
  }

  /** Nominal duration of a gap here, ms. */
  get gapMs(): number {
    const period = this.#slot?.period;
    return period ? (period.segmentTicks / period.segmentTimescale) * 1000 : this.#segmentMs;
  }

  /** When the next gap will have passed, ms since the epoch. */
  get nextGapEndMs(): number {
    return this.#endMs + this.gapMs;
  }

  /** One GAP segment in every rendition, from where media ended. Only between programmes. */
  appendGap(durationMs: number): void {
    const slot = this.#slot;
    if (!slot) return;
    const number = slot.number + 1;
    const endMs = this.#endMs + durationMs;
    for (const rendition of this.#store.renditions) {
      const startTicks = Math.round(rescaleTicks(this.#endMs, 1000, rendition.timescale));
      const endTicks = Math.round(rescaleTicks(endMs, 1000, rendition.timescale));
      const start = { number, period: slot.period, startTicks, discontinuity: false };
      this.#store.closeSegment(rendition, this.#store.openSegment(rendition, start), endTicks - startTicks);
    }
    this.#slot = { ...slot, number, start: { ticks: this.#endMs, timescale: 1000 }, discontinuity: false };
    this.#endMs = endMs;
    this.#saveJournal(number);
  }

  #saveJournal(lastNumber: number): void {
    const [model] = this.#store.renditions;
    if (!model || this.#lastPeriodId === undefined) return;
    const listed = model.segments.filter((s) => s.discontinuity && s.number >= model.firstListed);
    this.#deps.journal.save(this.#stream, {
      lastNumber,
      discontinuitySequence: model.discontinuitySequence + listed.length,
      lastPeriodId: this.#lastPeriodId,
    });
  }
}

/** The slot as one rendition sees it: in its own ticks, rounded up so that no sample before the cut fits. */
function planSegment(
  slot: Slot,
  programme: Programme,
  id: TrackKind,
  packager: RenditionPackager,
): PlannedSegment {
  const track = programme.tracks.get(id);
  const rule = programme.rules.get(id) ?? packager.rule;
  const timescale = track?.timescale ?? packager.rendition.timescale;
  return {
    number: slot.number,
    period: slot.period,
    startTicks: Math.ceil(rescaleTicks(slot.start.ticks, slot.start.timescale, timescale)),
    discontinuity: slot.discontinuity,
    timescale,
    rule,
  };
}

/** A rendition that came late has gaps where the others have media, so that the same numbers mean the same time. */
function fillWithGaps(rendition: LiveRendition, model: LiveRendition): void {
  for (const segment of model.segments) {
    const gap = new LiveSegment({
      number: segment.number,
      period: segment.period,
      startTicks: Math.round(rescaleTicks(segment.startTicks, model.timescale, rendition.timescale)),
      discontinuity: segment.discontinuity,
    });
    gap.durationTicks = Math.round((segment.durationTicks * rendition.timescale) / model.timescale);
    gap.state = 'gap';
    rendition.segments.push(gap);
  }
}
