import type { ArchivedStretch, StreamArchive } from '../stream/archive.ts';
import type { StreamRecord } from '../stream/journal.ts';
import { gapDurations } from './gap-slots.ts';
import type { TrackKind } from '../stream/track.ts';
import type { PackagerDeps } from './packager-deps.ts';
import type { RenditionOrigin } from './packager-metrics.ts';
import { laterPeriodId, type Programme } from './period-factory.ts';
import { LiveRendition, LiveSegment } from './live-rendition.ts';
import { type PlannedSegment, RenditionPackager } from './rendition-packager.ts';
import { discontinuitiesOf, gapsBehind, lastNumberOf, restorePast } from './restored-past.ts';
import { longestSegmentTicks, type PartRule, restingRule } from './segment-plan.ts';
import type { Instant, Slot } from './slot.ts';
import { StreamPeriods } from './stream-periods.ts';
import { rescaleTicks, ticksToMs } from './ticks.ts';
import type { WindowStore } from './window-store.ts';

/** Ticks a second of every video track (see {@link VideoTrack.timescale}). */
const VIDEO_TIMESCALE = 90_000;

/** What keeps a rendition's segments in step with the lead's. */
export interface Follower {
  /** The lead has been cut: `planned` follows the segments planned so far. */
  plan(planned: PlannedSegment): void;
  /**
   * The lead's media ends at `endTicks` of the rendition: close there. Gives the samples that had to go because the last
   * segment would have lasted longer than `longestTicks`.
   */
  end(endTicks: number, longestTicks: number): number;
}

/** Finds the follower of a rendition; undefined for the lead and for what has no media now. */
export type FollowerOf = (id: string) => Follower | undefined;

/** Where a programme is to begin. */
export interface ProgrammeStart {
  readonly number: number;
  /** What stands before it in the list: nothing, segments of this broadcast, or those of an earlier one. */
  readonly behind: 'nothing' | 'own' | 'past';
}

/**
 * The columns of one stream's window: gives out numbers, opens each slot in every rendition, fills holes with gaps, and
 * keeps the journal.
 */
export class SlotLedger {
  /** Of what is in the columns: their ids and keys. */
  readonly periods: StreamPeriods;
  readonly #stream: string;
  readonly #store: WindowStore;
  readonly #segmentMs: number;
  readonly #deps: PackagerDeps;
  readonly #record: StreamRecord | undefined;
  readonly #packagers = new Map<string, RenditionPackager>();
  #slot: Slot | undefined;
  /** Where the media of the closed slots ends, ms since the epoch; meaningful while no slot is open. */
  #endMs = 0;
  readonly #archive: StreamArchive | undefined;
  /** What an earlier broadcast has left, until this one begins. */
  #past: ArchivedStretch | undefined;
  /** Discontinuities over the life of the stream before this broadcast; undefined: it is the first. */
  #discontinuitiesBefore: number | undefined;

  constructor(
    stream: string,
    store: WindowStore,
    segmentMs: number,
    deps: PackagerDeps,
    archive?: StreamArchive,
  ) {
    this.#stream = stream;
    this.#store = store;
    this.#segmentMs = segmentMs;
    this.#deps = deps;
    this.#archive = archive;
    this.#record = deps.journal.load(stream);
    this.#past = archive?.past();
    const lastId = laterPeriodId(this.#record?.lastPeriodId, this.#past?.periods.at(-1)?.id);
    this.periods = new StreamPeriods(stream, lastId, store, deps);
    this.#discontinuitiesBefore = this.#record?.discontinuitySequence;
  }

  /** The newest slot. */
  get slot(): Slot | undefined {
    return this.#slot;
  }

  packager(id: string): RenditionPackager {
    const packager = this.#packagers.get(id);
    if (!packager) throw new Error(`no rendition ${id}`);
    return packager;
  }

  /** The number after the open slot. */
  get nextNumber(): number {
    return (this.#slot?.number ?? 0) + 1;
  }

  /** How many gaps would stand before a segment that starts at `start` when no slot is open. */
  gapsBefore(start: Instant): number {
    const startMs = ticksToMs(start.ticks, start.timescale);
    return this.#slot ? gapDurations(startMs - this.#endMs, this.gapMs).length : 0;
  }

  /**
   * The number of the segment that starts at `start` when no slot is open: what is missing before it becomes gaps,
   * or, when that is more than a whole window, a new list. The very first is locked to the epoch.
   */
  startAt(start: Instant): ProgrammeStart {
    const startMs = ticksToMs(start.ticks, start.timescale);
    const epochNumber = Math.max(1, Math.floor(startMs / this.#segmentMs));
    if (!this.#slot) {
      const past = this.#past;
      this.#past = undefined;
      if (past && this.#resume(past, startMs)) return { number: this.nextNumber, behind: 'past' };
      const lastNumber = Math.max(this.#record?.lastNumber ?? 0, past ? lastNumberOf(past) : 0);
      const number = Math.max(epochNumber, lastNumber + 1);
      if (past) this.#forget(past, number);
      return { number, behind: 'nothing' };
    }
    const gaps = gapDurations(startMs - this.#endMs, this.gapMs);
    if (gaps.length * this.gapMs > this.#store.plan.windowSeconds * 1000) {
      const number = Math.max(epochNumber, this.nextNumber);
      this.#store.restart(number);
      return { number, behind: 'nothing' };
    }
    for (const durationMs of gaps) this.appendGap(durationMs);
    return { number: this.nextNumber, behind: 'own' };
  }

  /** The list begins anew at `number`, with nothing of the past in it. */
  #forget(past: ArchivedStretch, number: number): void {
    const before = discontinuitiesOf(past);
    this.#discontinuitiesBefore = Math.max(this.#discontinuitiesBefore ?? 0, before);
    this.#archive?.listedFrom(number, this.#discontinuitiesBefore + 1);
    this.#deps.log.info(
      { stream: this.#stream, number },
      'what an earlier broadcast has left is not listed any more',
    );
  }

  /** Goes on behind the past, if that can be: its list with gaps for the time between. */
  #resume(stretch: ArchivedStretch, startMs: number): boolean {
    const { plan } = this.#store;
    const fits = stretch.targetDurationSeconds === plan.targetDurationSeconds;
    const past = fits ? restorePast(stretch) : undefined;
    if (!past) return false;
    const gaps = gapsBehind(past, {
      startMs,
      slotMs: past.lastPeriod.segmentMs,
      listSeconds: plan.windowSeconds,
      targetDurationSeconds: plan.targetDurationSeconds,
      used: this.#record,
    });
    if (!gaps) return false;
    this.#store.resume(past.periods, past.renditions, past.lastNumber + gaps.length + 1);
    for (const rendition of past.renditions) {
      const rule = restingRule(plan, rendition.timescale);
      this.#packagers.set(rendition.id, new RenditionPackager(rendition, rule, this.#store, this.#deps));
    }
    this.#endMs = past.endMs;
    this.#slot = {
      number: past.lastNumber,
      period: past.lastPeriod,
      start: { ticks: past.endMs, timescale: 1000 },
      discontinuity: false,
    };
    for (const { durationMs, discontinuity } of gaps) this.appendGap(durationMs, discontinuity);
    this.#deps.log.info(
      { stream: this.#stream, number: this.nextNumber, segments: past.renditions[0]?.segments.length },
      'the list goes on behind an earlier broadcast',
    );
    return true;
  }

  /** Adds the renditions of `programme` that the window lacks, with gaps for the slots they missed. */
  addRenditions(programme: Programme): void {
    for (const [id, { track }] of programme.tracks) {
      const rule = programme.rules.get(track.kind);
      if (this.#packagers.has(id) || !rule) continue;
      const [model] = this.#store.renditions;
      const { rendition } = this.#add(id, track.kind, track.kind, track.timescale, rule);
      if (model) appendGaps(rendition, model, model.segments);
    }
  }

  /**
   * The rendition of an encoded rung, whose parts are the source's: with gaps for every segment of the lead before
   * `number`, and nothing from there on. One of an earlier broadcast has its segments of that, too.
   */
  addRung(id: string, timescale: number, number: number): RenditionPackager {
    const { rule, rendition: model } = this.packager('video');
    const known = this.#packagers.get(id);
    if (known) {
      this.#store.truncate(known.rendition, number);
      return known;
    }
    const packager = this.#add(id, 'video', 'rung', timescale, rule);
    appendGaps(packager.rendition, model, model.segments.slice(0, indexOf(model, number)));
    return packager;
  }

  /** Takes a rendition away that nobody has seen; false for one of an earlier broadcast, which stays. */
  removeRung(id: string): boolean {
    const { firstOwn } = this.#store;
    const oldest = this.#packagers.get(id)?.rendition.segments[0];
    if (oldest && oldest.number < firstOwn) return false;
    this.#packagers.delete(id);
    this.#store.removeRendition(id);
    return true;
  }

  /** Segments of the source from `number` on. */
  sourceFrom(number: number): readonly LiveSegment[] {
    const model = this.packager('video').rendition;
    return model.segments.slice(indexOf(model, number));
  }

  /** Plans segments of the lead for a rung that comes after they were begun. */
  planFrom(segments: readonly LiveSegment[], rung: Follower): void {
    const { rule } = this.packager('video');
    for (const { number, period, startTicks, discontinuity } of segments) {
      rung.plan({ number, period, startTicks, discontinuity, timescale: VIDEO_TIMESCALE, rule });
    }
  }

  /** Moves the lead into `slot`, lets the followers know, and gives renditions without a track a gap. */
  enter(slot: Slot, programme: Programme, followerOf: FollowerOf): void {
    this.#slot = slot;
    for (const [id, packager] of this.#packagers) {
      const planned = planSegment(slot, programme, id, packager);
      const follower = followerOf(id);
      if (follower) {
        follower.plan(planned);
      } else {
        const ended = slot.discontinuity && !packager.isEmpty;
        // What is behind a discontinuity does not follow: the segment ends with its own media.
        packager.close(ended ? Math.min(planned.startTicks, packager.endTicks) : planned.startTicks);
        packager.open(planned);
      }
    }
    // A new list begins at its first slot.
    for (const rendition of this.#store.renditions) rendition.firstListed ||= slot.number;
    this.#saveJournal(slot.number);
  }

  /** Closes every rendition; the lead's media ends at `end`. */
  finish(end: Instant, followerOf: FollowerOf): void {
    for (const [id, packager] of this.#packagers) {
      const { timescale } = packager.rendition;
      const endTicks = Math.round(rescaleTicks(end.ticks, end.timescale, timescale));
      const follower = followerOf(id);
      if (follower) {
        const longestTicks = longestSegmentTicks(this.#store.plan, timescale);
        this.#deps.metrics.droppedSamples.inc(
          { reason: 'held_too_long' },
          follower.end(endTicks, longestTicks),
        );
      } else packager.close(endTicks);
    }
    this.#endMs = ticksToMs(end.ticks, end.timescale);
    this.#store.announce(undefined);
  }

  /** Nominal duration of a gap here, ms. */
  get gapMs(): number {
    return this.#slot?.period.segmentMs ?? this.#segmentMs;
  }

  /** When the next gap will have passed, ms since the epoch. */
  get nextGapEndMs(): number {
    return this.#endMs + this.gapMs;
  }

  /** One GAP segment in every rendition, from where media ended. Only while every rendition is closed. */
  appendGap(durationMs: number, discontinuity = false): void {
    const slot = this.#slot;
    if (!slot) return;
    const number = slot.number + 1;
    const endMs = this.#endMs + durationMs;
    for (const rendition of this.#store.renditions) {
      const startTicks = Math.round(rescaleTicks(this.#endMs, 1000, rendition.timescale));
      const endTicks = Math.round(rescaleTicks(endMs, 1000, rendition.timescale));
      const start = { number, period: slot.period, startTicks, discontinuity };
      this.#store.closeSegment(rendition, this.#store.openSegment(rendition, start), endTicks - startTicks);
    }
    this.#slot = { ...slot, number, start: { ticks: this.#endMs, timescale: 1000 }, discontinuity };
    this.#endMs = endMs;
    this.#saveJournal(number);
  }

  #add(
    id: string,
    kind: TrackKind,
    origin: RenditionOrigin,
    timescale: number,
    rule: PartRule,
  ): RenditionPackager {
    const [model] = this.#store.renditions;
    // A list that follows one of an earlier process lies behind a discontinuity that is not in it.
    const before = this.#discontinuitiesBefore;
    const discontinuitySequence = model?.discontinuitySequence ?? (before === undefined ? 0 : before + 1);
    const firstListed = model?.firstListed ?? 0;
    const rendition = new LiveRendition({
      id,
      kind,
      origin,
      timescale,
      firstListed,
      discontinuitySequence,
      rateRunSeconds: this.#store.plan.targetDurationSeconds / 2,
    });
    this.#store.addRendition(rendition);
    const packager = new RenditionPackager(rendition, rule, this.#store, this.#deps);
    this.#packagers.set(id, packager);
    return packager;
  }

  #saveJournal(lastNumber: number): void {
    const [model] = this.#store.renditions;
    const lastPeriodId = this.periods.lastId;
    if (!model || lastPeriodId === undefined) return;
    this.#deps.journal.save(this.#stream, {
      lastNumber,
      discontinuitySequence: model.discontinuitySequence + model.listedDiscontinuities,
      lastPeriodId,
    });
  }
}

/** The slot as one rendition sees it: in its own ticks, rounded up so that no sample before the cut fits. */
function planSegment(
  slot: Slot,
  programme: Programme,
  id: string,
  packager: RenditionPackager,
): PlannedSegment {
  const { rendition } = packager;
  const rule = programme.rules.get(rendition.kind) ?? packager.rule;
  const timescale = programme.tracks.get(id)?.track.timescale ?? rendition.timescale;
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
function appendGaps(rendition: LiveRendition, model: LiveRendition, missed: readonly LiveSegment[]): void {
  for (const segment of missed) {
    const gap = new LiveSegment({
      number: segment.number,
      period: segment.period,
      startTicks: Math.round(rescaleTicks(segment.startTicks, model.timescale, rendition.timescale)),
      discontinuity: segment.discontinuity,
    });
    gap.durationTicks = Math.round((segment.durationTicks * rendition.timescale) / model.timescale);
    gap.state = 'gap';
    rendition.push(gap);
  }
  rendition.beginMemoryAt(model.memoryFrom);
}

/** Index of the first segment from `number` on. */
function indexOf({ segments }: LiveRendition, number: number): number {
  return Math.max(0, number - (segments[0]?.number ?? number));
}
