import type { Timer } from '../base/clock.ts';
import type { StreamArchive } from '../stream/archive.ts';
import type { LadderSink } from '../stream/ladder.ts';
import type { LiveWindow } from '../stream/live-window.ts';
import type { Sample, StreamSink, TimedEvent, Timeline } from '../stream/track.ts';
import { Ladder } from './ladder.ts';
import type { PackagerDeps } from './packager-deps.ts';
import type { DropReason } from './packager-metrics.ts';
import { PackagingRun } from './packaging-run.ts';
import { initsDiffer, type Programme, prepareProgramme, sameInit, sameRenditions } from './period-factory.ts';
import { leadTrack, type PlanOptions, planStream } from './segment-plan.ts';
import type { Instant } from './slot.ts';
import { type ProgrammeStart, SlotLedger } from './slot-ledger.ts';
import { keptSeconds, WindowStore } from './window-store.ts';

/** How a stream is packaged. */
export interface PackagerOptions extends PlanOptions {
  /** How far back playlists reach where there is an archive, when that is further than `windowSeconds`. */
  readonly dvrSeconds: number;
  /** Media held in memory for one stream; at the limit the oldest segments go first. */
  readonly maxWindowBytes: number;
  /** A segment is cut, with or without a key frame, before it grows past this. */
  readonly maxSegmentBytes: number;
  /** An encoder will say which rungs there are to be (see {@link LadderSink}); until then nothing is shown. */
  readonly ladder: boolean;
}

export const DEFAULT_PACKAGER_OPTIONS: PackagerOptions = {
  segmentMs: 2000,
  partMs: 200,
  chunkFrames: 1,
  windowSeconds: 60,
  dvrSeconds: 0,
  maxWindowBytes: 256 * 1024 * 1024,
  maxSegmentBytes: 32 * 1024 * 1024,
  ladder: false,
};

/** Samples of other tracks kept until the lead's first frame says where the period starts. */
const MAX_EARLY_SAMPLES = 512;

/** What exists once the first lead frame has fixed the plan. */
interface OpenWindow {
  readonly store: WindowStore;
  readonly ledger: SlotLedger;
}

/**
 * Packages one stream: eats its samples, and those of its encoded rungs, and writes its {@link LiveWindow}. The
 * source's video track (or its audio track, when it is alone) leads; see {@link PackagingRun}.
 */
export class StreamPackager implements StreamSink {
  readonly #stream: string;
  readonly #options: PackagerOptions;
  readonly #deps: PackagerDeps;
  #archive: StreamArchive | undefined;
  readonly #ladder: Ladder;
  #open: OpenWindow | undefined;
  /** A timeline whose first lead frame has not come yet, and what came before it. */
  #timeline: Timeline | undefined;
  #early: Sample[] = [];
  #run: PackagingRun | undefined;
  /** The programme of the last run, also after it ended. */
  #programme: Programme | undefined;
  /** The timeline could not be encrypted so far. */
  #refused = false;
  #gapTimer: Timer | undefined;
  #closed = false;

  constructor(stream: string, options: PackagerOptions, deps: PackagerDeps) {
    this.#stream = stream;
    this.#options = options;
    this.#deps = deps;
    this.#ladder = new Ladder(() => this.#open, deps.metrics);
  }

  /** Where the encoder of this stream puts its rungs. */
  readonly rungs: LadderSink = {
    expect: (rungs) => this.#withLadder((ladder) => ladder.expect(rungs)),
    track: (rung, track) => this.#withLadder((ladder) => ladder.track(rung, track)),
    sample: (rung, sample) => this.#withLadder((ladder) => this.#sampleOfRung(ladder, rung, sample)),
    flushed: (rung) => this.#withLadder((ladder) => ladder.flushed(rung)),
  };

  /** What readers see; undefined until the first sample of the stream has fixed the plan. */
  get window(): LiveWindow | undefined {
    return this.#open?.store;
  }

  begin(timeline: Timeline): void {
    if (this.#closed) return;
    this.#timeline = timeline;
    this.#early = [];
    if (this.#run && !this.#runsOn(this.#run, timeline)) this.#finishRun();
    this.#open?.store.commit();
  }

  sample(sample: Sample): void {
    if (this.#closed) return;
    if (sample.data.length > this.#options.maxSegmentBytes) this.#drop('too_large');
    else if (this.#timeline) this.#sampleOfNewTimeline(sample, this.#timeline);
    else if (this.#run) this.#run.sample(sample);
    else this.#drop('no_track');
    this.#open?.store.commit();
  }

  event(event: TimedEvent): void {
    if (this.#closed || !this.#open) return;
    this.#open.store.addEvent(event);
    this.#open.store.commit();
  }

  away(): void {
    if (this.#closed || this.#open?.store.state === 'ended') return;
    this.#stop();
    this.#open?.store.setState('away');
    this.#open?.store.commit();
    this.#armGapTimer();
  }

  end(): void {
    if (this.#closed) return;
    this.#stop();
    this.#ladder.settle();
    this.#gapTimer?.cancel();
    this.#open?.store.setState('ended');
    this.#open?.store.commit();
    this.#archive?.end();
  }

  /** Lets go of the window's memory and of every timer. The window must not be read any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#gapTimer?.cancel();
    this.#open?.store.close();
    this.#archive?.close();
  }

  #withLadder(act: (ladder: Ladder) => void): void {
    if (this.#closed || this.#open?.store.state === 'ended') return;
    act(this.#ladder);
    this.#open?.store.commit();
  }

  #sampleOfRung(ladder: Ladder, rung: string, sample: Sample): void {
    if (sample.data.length > this.#options.maxSegmentBytes) this.#drop('too_large');
    else ladder.sample(rung, sample, this.#run?.predictedEnd);
  }

  #stop(): void {
    this.#timeline = undefined;
    this.#early = [];
    this.#finishRun();
  }

  #finishRun(): void {
    this.#run?.finish();
    this.#run = undefined;
  }

  #drop(reason: DropReason): void {
    this.#deps.metrics.droppedSamples.inc({ reason });
  }

  /**
   * A change of tracks that leaves the other tracks as they are: they run on through the cut, and no sample of
   * theirs is lost to it.
   */
  #runsOn(run: PackagingRun, timeline: Timeline): boolean {
    if (timeline.reason !== 'tracks' || !this.#open) return false;
    const { programme } = run;
    const next = prepareProgramme(timeline, this.#open.store.plan, this.#options.segmentMs);
    if (!next || next.lead.kind !== programme.lead.kind || !sameRenditions(programme, next)) return false;
    return run.followerIds.every((id) => sameInit(programme, next, id));
  }

  #sampleOfNewTimeline(sample: Sample, timeline: Timeline): void {
    const lead = leadTrack(timeline);
    if (sample.kind === lead?.kind) this.#tryStart(timeline, sample, lead.timescale);
    else if (!timeline[sample.kind]) this.#drop('no_track');
    else if (this.#run) this.#run.sampleBeforeCut(sample);
    else this.#keepEarly(sample);
  }

  #keepEarly(sample: Sample): void {
    this.#early.push(sample);
    if (this.#early.length <= MAX_EARLY_SAMPLES) return;
    this.#early.shift();
    this.#drop('held_too_long');
  }

  /** A stream that cannot be encrypted is not packaged until it can, and then from a key frame on. */
  #tryStart(timeline: Timeline, first: Sample, timescale: number): void {
    const { ledger } = (this.#open ??= this.#openWindow(timeline));
    const refused = this.#refused ? !first.key : false;
    if (refused || !ledger.periods.mayBegin(timeline, { ticks: first.dts, timescale })) {
      this.#refused = true;
      this.#finishRun();
      return this.#drop('not_encryptable');
    }
    this.#refused = false;
    this.#startRun(timeline, first);
  }

  #startRun(timeline: Timeline, first: Sample): void {
    const { store, ledger } = (this.#open ??= this.#openWindow(timeline));
    const programme = prepareProgramme(timeline, store.plan, this.#options.segmentMs);
    if (!programme) throw new Error('a timeline needs a track');
    this.#gapTimer?.cancel();
    if (this.#run?.leavesHole(first.dts)) this.#finishRun();
    const continuing = this.#run;
    const before = this.#programme;
    const periodBefore = ledger.slot?.period.id;
    const { number, behind } = continuing
      ? ({ number: ledger.nextNumber, behind: 'own' } as const)
      : this.#place(ledger, { ticks: first.dts, timescale: programme.lead.timescale });
    const changed = before !== undefined && initsDiffer(before, programme);
    if (before && !sameInit(before, programme, 'video')) this.#ladder.sourceChanged();
    ledger.addRenditions(programme);
    const ladder = this.#ladder;
    const { maxSegmentBytes } = this.#options;
    const keyTicks = timeline.leadIn?.keyTicks;
    const options = { programme, first, continuing, ladder, maxSegmentBytes, keyTicks };
    const run = new PackagingRun(options, ledger, this.#deps.metrics);
    const early = this.#early;
    this.#timeline = undefined;
    this.#early = [];
    this.#programme = programme;
    this.#run = run;
    store.setState('live');
    const start = {
      number,
      discontinuity: behind === 'past' || (behind === 'own' && (timeline.reason !== 'tracks' || changed)),
      continues: continuing && !changed ? periodBefore : undefined,
      reason: timeline.reason,
    };
    run.start(first, start, early);
    if (before === undefined) this.#ladder.opened();
  }

  /** Where a programme that continues nothing begins; whatever stands before it is closed then. */
  #place(ledger: SlotLedger, start: Instant): ProgrammeStart {
    if (ledger.gapsBefore(start) > 0) this.#ladder.settle();
    return ledger.startAt(start);
  }

  #openWindow(timeline: Timeline): OpenWindow {
    const archive = this.#deps.archive?.open(this.#stream);
    this.#archive = archive;
    const { windowSeconds, dvrSeconds, maxWindowBytes, segmentMs } = this.#options;
    const listSeconds = archive ? Math.max(windowSeconds, dvrSeconds) : windowSeconds;
    const plan = planStream({ ...this.#options, windowSeconds: listSeconds }, timeline);
    const { targetDurationSeconds } = plan;
    const memorySeconds = keptSeconds(windowSeconds, targetDurationSeconds);
    const behind = archive && { archive, memorySeconds };
    const store = new WindowStore(this.#stream, plan, maxWindowBytes, { ...this.#deps, behind });
    this.#deps.log.info({ stream: this.#stream, ...plan }, 'segment plan fixed');
    if (this.#options.ladder && !this.#ladder.announced) store.hold();
    const ledger = new SlotLedger(this.#stream, store, segmentMs, this.#deps, archive);
    archive?.describe({ targetDurationSeconds });
    return { store, ledger };
  }

  /** While the publisher is away: a GAP segment each time the end of its slot has passed. */
  #armGapTimer(): void {
    this.#gapTimer?.cancel();
    const open = this.#open;
    if (!open) return;
    const { store, ledger } = open;
    const delayMs = Math.max(0, ledger.nextGapEndMs - this.#deps.clock.wallMs());
    this.#gapTimer = this.#deps.clock.after(delayMs, () => {
      this.#ladder.settle();
      ledger.appendGap(ledger.gapMs);
      store.commit();
      this.#armGapTimer();
    });
  }
}
