import type { Clock, Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { StreamJournal } from '../stream/journal.ts';
import type { LiveWindow, Period } from '../stream/live-window.ts';
import type { Sample, StreamSink, Timeline, TrackKind } from '../stream/track.ts';
import { gapDurations } from './gap-slots.ts';
import type { DropReason, PackagerMetrics, PeriodReason } from './packager-metrics.ts';
import {
  createPeriod,
  initsDiffer,
  nextPeriodId,
  type Programme,
  prepareProgramme,
  sameInit,
  sameRenditions,
} from './period-factory.ts';
import { type PlannedSegment, RenditionPackager } from './rendition-packager.ts';
import { SegmentGrid } from './segment-grid.ts';
import { type PlanOptions, planStream } from './segment-plan.ts';
import { type LeadView, SlotFollower } from './slot-follower.ts';
import { rescaleTicks, ticksToMs } from './ticks.ts';
import { LiveRendition, LiveSegment, WindowStore } from './window-store.ts';

/** How a stream is packaged. */
export interface PackagerOptions extends PlanOptions {
  /** Media held in memory for one stream; at the limit the oldest segments go first. */
  readonly maxWindowBytes: number;
  /** A segment is cut, with or without a key frame, before it grows past this. */
  readonly maxSegmentBytes: number;
}

export const DEFAULT_PACKAGER_OPTIONS: PackagerOptions = {
  segmentMs: 2000,
  partMs: 200,
  chunkFrames: 1,
  windowSeconds: 60,
  maxWindowBytes: 256 * 1024 * 1024,
  maxSegmentBytes: 32 * 1024 * 1024,
};

export interface PackagerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: PackagerMetrics;
  readonly journal: StreamJournal;
}

/** A media time with its timescale: what tracks of different timescales share. */
interface Instant {
  readonly ticks: number;
  readonly timescale: number;
}

/** One column of the window: the segments of one number in all renditions. */
interface Slot {
  readonly number: number;
  readonly period: Period;
  readonly start: Instant;
  readonly discontinuity: boolean;
}

/** The stretch being packaged: one programme, its grid, and who follows whom. */
interface Run {
  readonly programme: Programme;
  readonly lead: RenditionPackager;
  readonly followers: ReadonlyMap<TrackKind, SlotFollower>;
  grid: SegmentGrid;
  /** End of the lead's last frame, ticks of the lead. */
  position: number;
}

/** Samples of other tracks kept until the lead's first frame says where the period starts. */
const MAX_EARLY_SAMPLES = 512;

/** Past this much of other media beyond a due boundary, a lead that has fallen silent is cut without it. */
const MAX_LEAD_SILENCE_SECONDS = 1;

/** A lead that comes back this far into its segment (share of it) starts a new period instead of filling in. */
const LATE_LEAD_SHARE = 0.2;

/**
 * Packages one stream: eats its samples and writes its {@link LiveWindow}. The video track (or the audio track,
 * when it is alone) leads: its frames decide where segments are cut; the other track follows.
 */
export class StreamPackager implements StreamSink {
  readonly #stream: string;
  readonly #options: PackagerOptions;
  readonly #deps: PackagerDeps;
  readonly #packagers = new Map<TrackKind, RenditionPackager>();
  #store: WindowStore | undefined;
  #timeline: Timeline | undefined;
  #early: Sample[] = [];
  #run: Run | undefined;
  /** The programme of the last run, also after it ended. */
  #programme: Programme | undefined;
  #slot: Slot | undefined;
  /** Where listed media ends while no run is going on; ms since the epoch. */
  #endMs = 0;
  #gapTimer: Timer | undefined;
  #lastPeriodId: string | undefined;
  #closed = false;

  constructor(stream: string, options: PackagerOptions, deps: PackagerDeps) {
    this.#stream = stream;
    this.#options = options;
    this.#deps = deps;
  }

  /** What readers see; undefined until the first sample of the stream has fixed the plan. */
  get window(): LiveWindow | undefined {
    return this.#store;
  }

  begin(timeline: Timeline): void {
    if (this.#closed) return;
    this.#timeline = timeline;
    this.#early = [];
    if (this.#run && !this.#runsOn(this.#run, timeline)) this.#finishRun();
    this.#store?.commit();
  }

  sample(sample: Sample): void {
    if (this.#closed) return;
    if (sample.data.length > this.#options.maxSegmentBytes) this.#drop('too_large');
    else if (this.#timeline) this.#sampleOfNewTimeline(sample, this.#timeline);
    else if (this.#run) this.#sampleOfRun(sample, this.#run);
    else this.#drop('no_track');
    this.#store?.commit();
  }

  away(): void {
    if (this.#closed || this.#store?.state === 'ended') return;
    this.#stop();
    this.#store?.setState('away');
    this.#store?.commit();
    this.#armGapTimer();
  }

  end(): void {
    if (this.#closed) return;
    this.#stop();
    this.#gapTimer?.cancel();
    this.#store?.setState('ended');
    this.#store?.commit();
  }

  /** Lets go of the window's memory and of every timer. The window must not be read any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#gapTimer?.cancel();
    this.#store?.close();
  }

  #stop(): void {
    this.#timeline = undefined;
    this.#early = [];
    if (this.#run) this.#finishRun();
  }

  #drop(reason: DropReason): void {
    this.#deps.metrics.droppedSamples.inc({ reason });
  }

  /**
   * A change of tracks that leaves the other tracks as they are: they run on through the cut, and no sample of
   * theirs is lost to it.
   */
  #runsOn(run: Run, timeline: Timeline): boolean {
    if (timeline.reason !== 'tracks' || !this.#store) return false;
    const next = prepareProgramme(timeline, this.#store.plan, this.#options.segmentMs);
    if (!next || next.lead.kind !== run.programme.lead.kind || !sameRenditions(run.programme, next))
      return false;
    return [...run.followers.keys()].every((id) => sameInit(run.programme, next, id));
  }

  // --- a new timeline -------------------------------------------------------------------------------------------

  #sampleOfNewTimeline(sample: Sample, timeline: Timeline): void {
    const leadKind = timeline.video ? 'video' : 'audio';
    if (sample.kind === leadKind) {
      this.#timeline = undefined;
      this.#startProgramme(timeline, sample);
      return;
    }
    if (!timeline[sample.kind]) {
      this.#drop('no_track');
    } else if (this.#run) {
      this.#sampleOfFollower(sample, this.#run, true);
    } else {
      this.#early.push(sample);
      if (this.#early.length > MAX_EARLY_SAMPLES) {
        this.#early.shift();
        this.#drop('held_too_long');
      }
    }
  }

  #startProgramme(timeline: Timeline, first: Sample): void {
    const store = this.#store ?? this.#openStore(timeline);
    const programme = prepareProgramme(timeline, store.plan, this.#options.segmentMs);
    if (!programme) return;
    this.#gapTimer?.cancel();
    const start: Instant = { ticks: first.dts, timescale: programme.lead.timescale };
    const late = first.dts - (this.#run?.position ?? first.dts);
    if (late > LATE_LEAD_SHARE * programme.segmentTicks) this.#finishRun();
    const continuing = this.#run;
    const before = this.#programme;
    const { number, restarted } = this.#numberAt(start, store);
    const changed = before !== undefined && initsDiffer(before, programme);
    const discontinuity = !restarted && before !== undefined && (timeline.reason !== 'tracks' || changed);
    const unchanged = continuing !== undefined && before !== undefined && !changed;
    this.#addMissingRenditions(programme, store);
    const period = this.#addPeriod(
      programme,
      start,
      number,
      unchanged ? this.#slot?.period.id : undefined,
      timeline.reason,
    );
    const run = this.#openRun(programme, first, continuing);
    this.#run = run;
    this.#programme = programme;
    store.setState('live');
    this.#enterSlot({ number, period, start, discontinuity }, run);
    this.#writeLead(first, run, false);
    this.#feedEarly(run, first);
  }

  #openStore(timeline: Timeline): WindowStore {
    const plan = planStream(this.#options, timeline);
    const store = new WindowStore(this.#stream, plan, this.#options.maxWindowBytes, this.#deps);
    this.#store = store;
    this.#deps.log.info({ stream: this.#stream, ...plan }, 'segment plan fixed');
    return store;
  }

  /** The number of the segment that starts here, after what is missing before it has been filled with gaps. */
  #numberAt(start: Instant, store: WindowStore): { number: number; restarted: boolean } {
    const startMs = ticksToMs(start.ticks, start.timescale);
    const epochNumber = Math.max(1, Math.floor(startMs / this.#options.segmentMs));
    const slot = this.#slot;
    if (!slot) {
      const record = this.#deps.journal.load(this.#stream);
      this.#lastPeriodId = record?.lastPeriodId;
      return { number: Math.max(epochNumber, (record?.lastNumber ?? 0) + 1), restarted: false };
    }
    if (this.#run) return { number: slot.number + 1, restarted: false };
    const segmentMs = nominalMs(slot.period);
    const gaps = gapDurations(startMs - this.#endMs, segmentMs);
    if (gaps.length * segmentMs > store.plan.windowSeconds * 1000) {
      const number = Math.max(epochNumber, slot.number + 1);
      store.restart(number);
      return { number, restarted: true };
    }
    for (const durationMs of gaps) this.#appendGap(durationMs);
    return { number: (this.#slot?.number ?? slot.number) + 1, restarted: false };
  }

  #addMissingRenditions(programme: Programme, store: WindowStore): void {
    const record = this.#slot ? undefined : this.#deps.journal.load(this.#stream);
    for (const [id, track] of programme.tracks) {
      const rule = programme.rules.get(id);
      if (this.#packagers.has(id) || !rule) continue;
      const [model] = store.renditions;
      const rendition = new LiveRendition(
        id,
        id,
        track.timescale,
        model?.firstListed ?? 0,
        model?.discontinuitySequence ?? (record ? record.discontinuitySequence + 1 : 0),
      );
      if (model) fillWithGaps(rendition, model);
      store.addRendition(rendition);
      this.#packagers.set(id, new RenditionPackager(rendition, rule, store, this.#deps));
    }
  }

  #addPeriod(
    programme: Programme,
    start: Instant,
    number: number,
    continues: string | undefined,
    reason: PeriodReason,
  ): Period {
    const id = nextPeriodId(ticksToMs(start.ticks, start.timescale), this.#lastPeriodId);
    this.#lastPeriodId = id;
    const period = createPeriod(programme, { id, startTicks: start.ticks, startNumber: number, continues });
    this.#store?.addPeriod(period);
    this.#deps.metrics.periods.inc({ reason });
    this.#deps.log.info({ stream: this.#stream, period: id, number, reason }, 'period begun');
    return period;
  }

  #openRun(programme: Programme, first: Sample, continuing: Run | undefined): Run {
    const lead = this.#packagers.get(programme.lead.kind);
    if (!lead) throw new Error('the lead has no packager');
    const followers = new Map<TrackKind, SlotFollower>();
    for (const id of programme.tracks.keys()) {
      const packager = this.#packagers.get(id);
      if (!packager || packager === lead) continue;
      followers.set(id, continuing?.followers.get(id) ?? new SlotFollower(packager));
    }
    return { programme, lead, followers, grid: createGrid(programme, first), position: first.dts };
  }

  /** Other media that came before the lead's first frame: what starts before the period is of no use. */
  #feedEarly(run: Run, first: Sample): void {
    const early = this.#early;
    this.#early = [];
    for (const sample of early) {
      const track = run.programme.tracks.get(sample.kind);
      const start = track ? rescaleTicks(first.dts, run.programme.lead.timescale, track.timescale) : Infinity;
      if (sample.dts < start) this.#drop('before_period');
      else run.followers.get(sample.kind)?.add(sample);
    }
    this.#drainFollowers(run);
  }

  // --- samples of the run ---------------------------------------------------------------------------------------

  #sampleOfRun(sample: Sample, run: Run): void {
    if (sample.kind === run.programme.lead.kind) this.#sampleOfLead(sample, run);
    else if (run.followers.has(sample.kind)) this.#sampleOfFollower(sample, run, false);
    else this.#drop('no_track');
  }

  #sampleOfLead(sample: Sample, run: Run): void {
    const last = this.#cutLead(sample, run);
    this.#writeLead(sample, run, last);
    this.#drainFollowers(run);
  }

  /** Cuts before `sample` where it must be; true when the sample is foretold to be the last of its segment. */
  #cutLead(sample: Sample, run: Run): boolean {
    const { grid, lead, programme } = run;
    const slotStart = this.#slot?.start.ticks ?? 0;
    if (lead.isEmpty && sample.dts - slotStart > LATE_LEAD_SHARE * programme.segmentTicks) {
      this.#startPeriodAfterHole(sample, slotStart, run);
      return false;
    }
    const tooLarge = lead.openBytes + sample.data.length > this.#options.maxSegmentBytes;
    const decision = tooLarge ? grid.force(sample) : grid.next(sample);
    if (decision.kind === 'continue') return decision.last;
    if (decision.kind === 'hole') {
      this.#startPeriodAfterHole(sample, Math.max(decision.endTicks, lead.lastDts), run);
    } else if (decision.reanchored) {
      this.#startPeriodWithin(sample, run, this.#slot?.period.id, tooLarge ? 'size' : 'grid');
    } else {
      this.#enterNextSlot(sample.dts, run);
    }
    return false;
  }

  #writeLead(sample: Sample, run: Run, last: boolean): void {
    run.lead.add(sample, last);
    run.position = Math.max(run.position, sample.dts + sample.duration);
  }

  #sampleOfFollower(sample: Sample, run: Run, cutPending: boolean): void {
    const follower = run.followers.get(sample.kind);
    if (!follower) return;
    if (follower.packager.openBytes + sample.data.length > this.#options.maxSegmentBytes) {
      this.#drop('too_large');
      return;
    }
    if (!follower.add(sample)) this.#drop('held_too_long');
    if (cutPending) follower.drain(this.#leadView(run, follower, run.position));
    else this.#drainFollowers(run);
  }

  #drainFollowers(run: Run): void {
    for (const follower of run.followers.values()) {
      follower.drain(this.#leadView(run, follower, undefined));
      while (this.#leadIsSilent(run, follower)) {
        this.#enterNextSlot(Math.max(run.grid.boundary, run.lead.lastDts), run);
        run.grid.skip();
        follower.drain(this.#leadView(run, follower, undefined));
      }
    }
  }

  /** `cutAt`: the lead's next frame, whenever it comes from there on, is a cut. */
  #leadView(run: Run, follower: SlotFollower, cutAt: number | undefined): LeadView {
    const from = run.programme.lead.timescale;
    const to = follower.packager.rendition.timescale;
    const { predictedEnd } = run.grid;
    return {
      earliestEnd: rescaleTicks(cutAt ?? run.grid.earliestEnd, from, to),
      predictedEnd: predictedEnd === undefined ? undefined : rescaleTicks(predictedEnd, from, to),
      position: rescaleTicks(run.position, from, to),
    };
  }

  #leadIsSilent(run: Run, follower: SlotFollower): boolean {
    const newest = follower.newestHeld;
    if (newest === undefined) return false;
    const { timescale } = run.programme.lead;
    const reached = rescaleTicks(newest, follower.packager.rendition.timescale, timescale);
    return reached - Math.max(run.grid.boundary, run.position) > MAX_LEAD_SILENCE_SECONDS * timescale;
  }

  // --- slots and periods ----------------------------------------------------------------------------------------

  #enterNextSlot(startTicks: number, run: Run): void {
    const slot = this.#slot;
    if (!slot) return;
    this.#enterSlot(
      {
        number: slot.number + 1,
        period: slot.period,
        start: { ticks: startTicks, timescale: run.programme.lead.timescale },
        discontinuity: false,
      },
      run,
    );
  }

  /** The lead has no frames from `endTicks` to `sample`: gaps stand there, then a new period starts. */
  #startPeriodAfterHole(sample: Sample, endTicks: number, run: Run): void {
    // A slot that is open without media is the first of the gaps itself.
    let entered = run.lead.isEmpty;
    if (!entered) run.lead.close(endTicks);
    let at = endTicks;
    for (const duration of gapDurations(sample.dts - endTicks, run.programme.segmentTicks)) {
      if (!entered) this.#enterNextSlot(at, run);
      entered = false;
      at += Math.round(duration);
    }
    this.#startPeriodWithin(sample, run, undefined, 'hole');
    run.grid = createGrid(run.programme, sample);
  }

  #startPeriodWithin(sample: Sample, run: Run, continues: string | undefined, reason: PeriodReason): void {
    const number = (this.#slot?.number ?? 0) + 1;
    const start: Instant = { ticks: sample.dts, timescale: run.programme.lead.timescale };
    const period = this.#addPeriod(run.programme, start, number, continues, reason);
    this.#enterSlot({ number, period, start, discontinuity: false }, run);
  }

  /** Moves the lead into `slot`, lets the followers know, and gives renditions without a track a gap. */
  #enterSlot(slot: Slot, run: Run): void {
    this.#slot = slot;
    for (const [id, packager] of this.#packagers) {
      const planned = planSegment(slot, run.programme, id, packager);
      const follower = run.followers.get(id);
      if (follower) {
        follower.plan(planned);
      } else {
        packager.close(planned.startTicks);
        packager.open(planned);
      }
    }
    this.#firstListed(slot.number);
    this.#saveJournal(slot.number);
  }

  /** A new list begins at its first slot. */
  #firstListed(number: number): void {
    for (const rendition of this.#store?.renditions ?? []) rendition.firstListed ||= number;
  }

  #saveJournal(lastNumber: number): void {
    const [model] = this.#store?.renditions ?? [];
    if (!model || this.#lastPeriodId === undefined) return;
    const listed = model.segments.filter((s) => s.discontinuity && s.number >= model.firstListed);
    this.#deps.journal.save(this.#stream, {
      lastNumber,
      discontinuitySequence: model.discontinuitySequence + listed.length,
      lastPeriodId: this.#lastPeriodId,
    });
  }

  // --- the end of a run, and gaps while away --------------------------------------------------------------------

  #finishRun(): void {
    const run = this.#run;
    const slot = this.#slot;
    if (!run || !slot) return;
    this.#run = undefined;
    const { lead, programme } = run;
    const end: Instant = {
      ticks: lead.isEmpty ? run.grid.boundary : lead.endTicks,
      timescale: programme.lead.timescale,
    };
    lead.close(end.ticks);
    for (const [id, packager] of this.#packagers) {
      const endTicks = Math.round(rescaleTicks(end.ticks, end.timescale, packager.rendition.timescale));
      const follower = run.followers.get(id);
      if (follower) follower.finish(endTicks);
      else packager.close(endTicks);
    }
    this.#endMs = ticksToMs(end.ticks, end.timescale);
  }

  #armGapTimer(): void {
    this.#gapTimer?.cancel();
    const slot = this.#slot;
    if (!slot || !this.#store) return;
    const segmentMs = nominalMs(slot.period);
    const delayMs = this.#endMs + segmentMs - this.#deps.clock.wallMs();
    this.#gapTimer = this.#deps.clock.after(Math.max(0, delayMs), () => {
      this.#appendGap(segmentMs);
      this.#store?.commit();
      this.#armGapTimer();
    });
  }

  /** One GAP segment in every rendition, from where media ended. */
  #appendGap(durationMs: number): void {
    const slot = this.#slot;
    const store = this.#store;
    if (!slot || !store) return;
    const number = slot.number + 1;
    const endMs = this.#endMs + durationMs;
    for (const rendition of store.renditions) {
      const start = Math.round(rescaleTicks(this.#endMs, 1000, rendition.timescale));
      const segment = store.openSegment(rendition, {
        number,
        period: slot.period,
        startTicks: start,
        discontinuity: false,
      });
      store.closeSegment(
        rendition,
        segment,
        Math.round(rescaleTicks(endMs, 1000, rendition.timescale)) - start,
      );
    }
    this.#slot = { ...slot, number, start: { ticks: this.#endMs, timescale: 1000 }, discontinuity: false };
    this.#endMs = endMs;
    this.#saveJournal(number);
  }
}

function createGrid(programme: Programme, first: Sample): SegmentGrid {
  const { lead } = programme;
  const grid = new SegmentGrid({
    segmentTicks: programme.segmentTicks,
    startTicks: first.dts,
    maxSegmentTicks: programme.maxSegmentTicks,
    gopTicks: lead.kind === 'video' ? lead.cadence.gopTicks : lead.frameTicks,
  });
  grid.first(first);
  return grid;
}

/** The slot as one rendition sees it: in its own ticks, rounded up so that no sample before the cut fits. */
function planSegment(
  slot: Slot,
  programme: Programme,
  id: TrackKind,
  packager: RenditionPackager,
): PlannedSegment {
  const track = programme.tracks.get(id) ?? programme.lead;
  const rule = programme.rules.get(id) ?? programme.rules.get(programme.lead.kind);
  if (!rule) throw new Error('the programme has no rule for its lead');
  const absent = !programme.tracks.has(id);
  const timescale = absent ? packager.rendition.timescale : track.timescale;
  return {
    number: slot.number,
    period: slot.period,
    startTicks: Math.ceil(rescaleTicks(slot.start.ticks, slot.start.timescale, timescale)),
    discontinuity: slot.discontinuity,
    track: absent ? { ...track, timescale } : track,
    rule,
  };
}

function nominalMs(period: Period): number {
  return (period.segmentTicks / period.segmentTimescale) * 1000;
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
