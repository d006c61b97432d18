import type { Clock } from '../base/clock.ts';
import { errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type {
  Chunk,
  LiveState,
  LiveWindow,
  Part,
  Rendition,
  Segment,
  SegmentPlan,
  SegmentState,
  Splice,
  WindowChange,
} from '../stream/live-window.ts';
import type { EventKind, TimedEvent, TrackKind } from '../stream/track.ts';
import type { PackagerMetrics, RenditionOrigin } from './packager-metrics.ts';
import type { LivePeriod } from './period-factory.ts';
import { SpliceBook } from './splice-book.ts';
import { rescaleTicks } from './ticks.ts';

/** Where a segment begins and what it belongs to. */
export interface SegmentStart {
  readonly number: number;
  readonly period: LivePeriod;
  /** Ticks of the rendition. */
  readonly startTicks: number;
  readonly discontinuity: boolean;
}

/** A segment while it is being made. */
export class LiveSegment implements Segment {
  readonly number: number;
  readonly period: LivePeriod;
  readonly discontinuity: boolean;
  startTicks: number;
  durationTicks = 0;
  state: SegmentState = 'open';
  sizeBytes = 0;
  independent = false;
  partsForetold = false;
  brokenOff = false;
  readonly chunks: Chunk[] = [];
  readonly parts: Part[] = [];

  constructor(start: SegmentStart) {
    this.number = start.number;
    this.period = start.period;
    this.startTicks = start.startTicks;
    this.discontinuity = start.discontinuity;
  }
}

/** What a rendition is and where its list begins. */
interface RenditionStart {
  readonly id: string;
  readonly kind: TrackKind;
  readonly origin: RenditionOrigin;
  readonly timescale: number;
  readonly firstListed: number;
  readonly discontinuitySequence: number;
}

/** A rendition as its window stores it. */
export class LiveRendition implements Rendition {
  readonly id: string;
  readonly kind: TrackKind;
  /** Its label in metrics. */
  readonly origin: RenditionOrigin;
  timescale: number;
  readonly segments: LiveSegment[] = [];
  firstListed: number;
  discontinuitySequence: number;
  peakBps = 0;
  averageBps = 0;

  constructor(start: RenditionStart) {
    this.id = start.id;
    this.kind = start.kind;
    this.origin = start.origin;
    this.timescale = start.timescale;
    this.firstListed = start.firstListed;
    this.discontinuitySequence = start.discontinuitySequence;
  }

  /** The segment at the live edge, if it is still growing. */
  get open(): LiveSegment | undefined {
    const last = this.segments.at(-1);
    return last?.state === 'open' ? last : undefined;
  }
}

export interface WindowDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: PackagerMetrics;
}

/** An event with its place among all of the stream: chunks name it by that. */
export interface InbandEvent extends TimedEvent {
  readonly id: number;
}

/** Events kept for renditions that have not written a chunk since. */
const MAX_INBAND_EVENTS = 256;
const EVENT_TIMESCALE = 90_000;

/** A list is never shorter than this many target durations (RFC 8216bis 6.2.2). */
const MIN_LIST_TARGETS = 3;

/** Twice its own duration, that of the open segment, and margin: segments may be a fifth longer than nominal. */
const KEPT_TARGETS = 4;

/**
 * One stream's live window. Its mutators change the model at once and remember what changed; `commit()` slides the
 * window and then tells the listeners, so that they only ever see a consistent whole.
 */
export class WindowStore implements LiveWindow {
  readonly stream: string;
  readonly plan: SegmentPlan;
  readonly periods: LivePeriod[] = [];
  #upcoming: LivePeriod | undefined;
  readonly renditions: LiveRendition[] = [];
  state: LiveState = 'live';
  readonly #book = new SpliceBook();
  readonly inbandEvents = new Set<EventKind>();
  /** What chunks may still have to carry; see {@link inbandFrom}. */
  readonly #inband: InbandEvent[] = [];
  #inbandCount = 0;
  version = 0;
  mpdChangedMs: number;
  published = false;
  #changes: WindowChange[] = [];
  #slideDue = false;
  #held = false;
  #totalBytes = 0;
  readonly #maxBytes: number;
  readonly #deps: WindowDeps;
  readonly #listeners = new Set<(change: WindowChange) => void>();

  constructor(stream: string, plan: SegmentPlan, maxBytes: number, deps: WindowDeps) {
    this.stream = stream;
    this.plan = plan;
    this.#maxBytes = maxBytes;
    this.#deps = deps;
    this.mpdChangedMs = deps.clock.wallMs();
  }

  subscribe(listener: (change: WindowChange) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Media bytes held. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  rendition(id: string): LiveRendition | undefined {
    return this.renditions.find((rendition) => rendition.id === id);
  }

  /** True while the window is not shown, complete or not, because an encoder may still name rungs. */
  get held(): boolean {
    return this.#held && !this.published;
  }

  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    this.#slideDue = true;
  }

  /** Adds a rendition; video stands before audio, in the order in which it was added. */
  addRendition(rendition: LiveRendition): void {
    const audio = this.renditions.findIndex(({ kind }) => kind === 'audio');
    if (rendition.kind === 'video' && audio >= 0) this.renditions.splice(audio, 0, rendition);
    else this.renditions.push(rendition);
    this.touchMpd();
  }

  /** Takes away a rendition that nobody has seen. */
  removeRendition(id: string): void {
    const index = this.renditions.findIndex((rendition) => rendition.id === id);
    const [removed] = index < 0 ? [] : this.renditions.splice(index, 1);
    for (const segment of removed?.segments ?? []) this.#addBytes(-segment.sizeBytes);
    this.#slideDue = true;
    this.touchMpd();
  }

  get upcoming(): LivePeriod | undefined {
    return this.#upcoming;
  }

  /** Announces the period that is to begin next, or takes that back. */
  announce(period: LivePeriod | undefined): void {
    if (period === this.#upcoming) return;
    this.#upcoming = period;
    this.touchMpd();
  }

  addPeriod(period: LivePeriod): void {
    this.#upcoming = undefined;
    this.periods.push(period);
    this.touchMpd();
    this.#note({ kind: 'period', period });
  }

  /** Takes an event to be carried in chunks and, when it is a splice, to be listed. */
  addEvent(event: TimedEvent): void {
    this.#deps.metrics.events.inc({ kind: event.kind });
    this.#inband.push({ ...event, id: this.#inbandCount });
    this.#inbandCount += 1;
    if (this.#inband.length > MAX_INBAND_EVENTS) this.#inband.shift();
    const isNewKind = !this.inbandEvents.has(event.kind);
    this.inbandEvents.add(event.kind);
    const isNewSplice = event.kind === 'scte35' && this.#book.add(event);
    if (isNewKind || isNewSplice) this.touchMpd();
  }

  get splices(): readonly Splice[] {
    return this.#book.splices;
  }

  /** Id of the event to come. */
  get nextEventId(): number {
    return this.#inbandCount;
  }

  /** The events from `id` on that are still kept. */
  inbandFrom(id: number): readonly InbandEvent[] {
    return id === this.#inbandCount ? [] : this.#inband.filter((event) => event.id >= id);
  }

  setState(state: LiveState): void {
    if (state === this.state) return;
    // Of a stream that is away the MPD says where its period ended.
    this.touchMpd();
    this.state = state;
    this.#note({ kind: 'state', state });
  }

  openSegment(rendition: LiveRendition, start: SegmentStart): LiveSegment {
    const segment = new LiveSegment(start);
    rendition.segments.push(segment);
    return segment;
  }

  addChunk(rendition: LiveRendition, segment: LiveSegment, chunk: Chunk, startTicks: number): void {
    if (segment.chunks.length === 0) {
      segment.startTicks = startTicks;
      segment.independent = chunk.independent;
    }
    segment.chunks.push(chunk);
    segment.sizeBytes += chunk.bytes.length;
    this.#addBytes(chunk.bytes.length);
    this.#deps.metrics.chunks[rendition.origin].inc();
    this.#changes.push({ kind: 'chunk', rendition: rendition.id, segment });
  }

  addPart(rendition: LiveRendition, segment: LiveSegment, part: Part): void {
    segment.parts.push(part);
    this.#deps.metrics.parts[rendition.origin].inc();
    this.#note({ kind: 'part', rendition: rendition.id, segment, part });
  }

  /** Closes the open segment; one that never got media becomes a gap. */
  closeSegment(rendition: LiveRendition, segment: LiveSegment, durationTicks: number): void {
    segment.durationTicks = durationTicks;
    const { metrics } = this.#deps;
    if (segment.chunks.length === 0) {
      segment.state = 'gap';
      metrics.gapSegments.inc({ rendition: rendition.origin });
    } else {
      segment.state = 'closed';
      metrics.segments.inc({ rendition: rendition.origin });
      if (!segment.independent) metrics.nonIndependentSegments.inc({ rendition: rendition.origin });
    }
    this.#slideDue = true;
    this.#note({ kind: 'segment', rendition: rendition.id, segment });
  }

  /**
   * Empties the list for a stream that begins anew far from where it ended. Numbers run on; the discontinuities of
   * the old list, and the one between the lists, count as left behind.
   */
  restart(firstNumber: number): void {
    for (const rendition of this.renditions) {
      const listed = rendition.segments.filter((segment) => segment.number >= rendition.firstListed);
      rendition.discontinuitySequence += listed.filter((segment) => segment.discontinuity).length + 1;
      for (const segment of rendition.segments) this.#addBytes(-segment.sizeBytes);
      rendition.segments.length = 0;
      rendition.firstListed = firstNumber;
    }
    this.periods.length = 0;
    this.#book.clear();
    this.published = false;
    this.touchMpd();
  }

  /** Makes everything since the last commit known. */
  commit(): void {
    if (this.#slideDue) this.#slide();
    while (this.#changes.length > 0) {
      const changes = this.#changes;
      this.#changes = [];
      for (const change of changes) this.#tell(change);
    }
  }

  /** Lets go of all media and listeners. */
  close(): void {
    this.#addBytes(-this.#totalBytes);
    this.#changes = [];
    this.#listeners.clear();
  }

  #note(change: WindowChange): void {
    this.version += 1;
    this.#changes.push(change);
  }

  /** What the MPD says has changed. */
  touchMpd(): void {
    this.version += 1;
    this.mpdChangedMs = this.#deps.clock.wallMs();
  }

  #tell(change: WindowChange): void {
    // A copy: a listener may subscribe again from within, and is not to be called twice for one change.
    const listeners = [...this.#listeners];
    for (const listener of listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#deps.metrics.failedListeners.inc();
        this.#deps.log.error(
          { stream: this.stream, code: errorCode(error), error },
          'live window listener failed',
        );
      }
    }
  }

  #addBytes(count: number): void {
    this.#totalBytes += count;
    this.#deps.metrics.windowBytes.inc(count);
  }

  #slide(): void {
    this.#slideDue = false;
    const { plan } = this;
    this.published ||=
      !this.#held && this.renditions.every((rendition) => rendition.segments.some((s) => s.state !== 'open'));
    const listSeconds = Math.max(plan.windowSeconds, MIN_LIST_TARGETS * plan.targetDurationSeconds);
    // A segment that left the list is downloadable for its own duration and that of the longest list it was in
    // (RFC 8216bis 6.2.2): the segment itself and the parts of the open one stood in that list, too.
    const keepSeconds = 2 * listSeconds + KEPT_TARGETS * plan.targetDurationSeconds;
    while (this.#canDropListed(listSeconds)) this.#unlistFirst();
    while (this.#canEvict(keepSeconds)) this.#evictFirst();
    while (this.#totalBytes > this.#maxBytes && this.#makeRoom());
    for (const rendition of this.renditions) measureRates(rendition, plan.targetDurationSeconds);
    this.#dropUnusedPeriods();
    this.#dropPastEvents();
  }

  #canDropListed(listSeconds: number): boolean {
    return this.renditions.every(
      (rendition) => secondsAfter(rendition, rendition.firstListed) >= listSeconds,
    );
  }

  #canEvict(keepSeconds: number): boolean {
    return this.renditions.every((rendition) => {
      const first = rendition.segments[0];
      return (
        first !== undefined &&
        first.number < rendition.firstListed &&
        secondsAfter(rendition, first.number) >= keepSeconds
      );
    });
  }

  /** Gives up the oldest segment, listed or not; false when only the last complete one and the open one are left. */
  #makeRoom(): boolean {
    const renditions = this.renditions;
    if (renditions.some((r) => r.segments.filter((s) => s.state !== 'open').length <= 1)) return false;
    if (renditions.some((r) => r.segments[0]?.number === r.firstListed)) {
      this.#unlistFirst();
      this.#deps.metrics.shrunkWindows.inc();
    }
    this.#evictFirst();
    return true;
  }

  #unlistFirst(): void {
    for (const rendition of this.renditions) {
      const left = rendition.segments.find((segment) => segment.number === rendition.firstListed);
      if (left?.discontinuity) rendition.discontinuitySequence += 1;
      rendition.firstListed += 1;
    }
    this.version += 1;
  }

  #evictFirst(): void {
    for (const rendition of this.renditions) {
      const evicted = rendition.segments.shift();
      if (evicted) this.#addBytes(-evicted.sizeBytes);
    }
  }

  /** A splice whose moment left the list says nothing any more. */
  #dropPastEvents(): void {
    const [lead] = this.renditions;
    const first = lead?.segments.find(({ number }) => number === lead.firstListed);
    if (!lead || !first) return;
    if (this.#book.forgetBefore(rescaleTicks(first.startTicks, lead.timescale, EVENT_TIMESCALE)))
      this.touchMpd();
  }

  #dropUnusedPeriods(): void {
    const used = new Set(this.renditions.flatMap((r) => r.segments.map((segment) => segment.period)));
    while (this.periods.length > 1) {
      const [oldest] = this.periods;
      if (!oldest || used.has(oldest)) return;
      this.periods.shift();
      this.touchMpd();
    }
  }
}

/** Seconds of complete segments behind segment `number`. */
function secondsAfter(rendition: LiveRendition, number: number): number {
  let ticks = 0;
  for (const segment of rendition.segments) if (segment.number > number) ticks += segment.durationTicks;
  return ticks / rendition.timescale;
}

/**
 * The peak is that of runs of segments that last half a target duration or more (RFC 8216bis 4.4.6.2): a segment that
 * was cut short says little by itself, least of all one that begins with the GOP of a publisher that took over.
 */
function measureRates(rendition: LiveRendition, targetSeconds: number): void {
  let bits = 0;
  let ticks = 0;
  let peak = 0;
  let run = { bits: 0, ticks: 0 };
  for (const segment of rendition.segments) {
    if (segment.state !== 'closed' || segment.number < rendition.firstListed || segment.durationTicks <= 0)
      continue;
    const segmentBits = segment.sizeBytes * 8;
    bits += segmentBits;
    ticks += segment.durationTicks;
    run = { bits: run.bits + segmentBits, ticks: run.ticks + segment.durationTicks };
    if (run.ticks < (targetSeconds * rendition.timescale) / 2) continue;
    peak = Math.max(peak, (run.bits * rendition.timescale) / run.ticks);
    run = { bits: 0, ticks: 0 };
  }
  rendition.averageBps = ticks === 0 ? 0 : Math.round((bits * rendition.timescale) / ticks);
  rendition.peakBps = Math.max(Math.round(peak), rendition.averageBps);
}
