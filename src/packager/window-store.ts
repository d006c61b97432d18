import type { Clock } from '../base/clock.ts';
import { errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type {
  Chunk,
  LiveState,
  LiveWindow,
  Part,
  SegmentPlan,
  Splice,
  WindowChange,
} from '../stream/live-window.ts';
import type { EventKind, TimedEvent } from '../stream/track.ts';
import { type LiveRendition, LiveSegment, type SegmentStart } from './live-rendition.ts';
import { type BehindMemory, MediaTiers } from './media-tiers.ts';
import type { PackagerMetrics } from './packager-metrics.ts';
import type { LivePeriod } from './period-factory.ts';
import { SpliceBook } from './splice-book.ts';
import { rescaleTicks } from './ticks.ts';

export interface WindowDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: PackagerMetrics;
  /** Undefined: there is nothing but memory. */
  readonly behind?: BehindMemory | undefined;
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
 * A segment that left a list of `listSeconds` is downloadable for its own duration and that of the longest list it was in
 * (RFC 8216bis 6.2.2): the segment itself and the parts of the open one stood in that list, too.
 */
export function keptSeconds(listSeconds: number, targetDurationSeconds: number): number {
  const list = Math.max(listSeconds, MIN_LIST_TARGETS * targetDurationSeconds);
  return 2 * list + KEPT_TARGETS * targetDurationSeconds;
}

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
  #closed = false;
  /** Number of the first segment of this broadcast: what is before it is of an earlier one. */
  #firstOwn = 0;
  readonly #tiers: MediaTiers;
  /** What the archive was told last of where the list begins. */
  #toldFirst = 0;
  readonly #deps: WindowDeps;
  readonly #listeners = new Set<(change: WindowChange) => void>();

  constructor(stream: string, plan: SegmentPlan, maxBytes: number, deps: WindowDeps) {
    this.stream = stream;
    this.plan = plan;
    this.#tiers = new MediaTiers(maxBytes, deps.behind, deps.metrics);
    this.#deps = deps;
    this.mpdChangedMs = deps.clock.wallMs();
    deps.behind?.archive.onShortened((number) => this.#shorten(number));
  }

  subscribe(listener: (change: WindowChange) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Media bytes held. */
  get totalBytes(): number {
    return this.#tiers.totalBytes;
  }

  /** Number of the first segment that nobody may have seen in an earlier broadcast. */
  get firstOwn(): number {
    return this.#firstOwn;
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
    if (!removed) return;
    this.#tiers.takeBack(removed, 0);
    for (const segment of removed.segments) this.#tiers.forget(segment);
    this.#slideDue = true;
    this.touchMpd();
  }

  /** Takes back segments without media, from `number` on, that a rendition had while nobody knew of its track. */
  truncate(rendition: LiveRendition, number: number): void {
    this.#tiers.takeBack(rendition, number);
    rendition.truncate(number);
  }

  /** Goes on behind the periods and renditions of an earlier broadcast with segment `firstOwn`. */
  resume(periods: readonly LivePeriod[], renditions: readonly LiveRendition[], firstOwn: number): void {
    this.#firstOwn = firstOwn;
    this.periods.push(...periods);
    for (const rendition of renditions) {
      this.addRendition(rendition);
      this.#deps.metrics.restoredSegments.inc({ rendition: rendition.origin }, rendition.segments.length);
    }
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
    rendition.push(segment);
    return segment;
  }

  addChunk(rendition: LiveRendition, segment: LiveSegment, chunk: Chunk, startTicks: number): void {
    if (segment.chunks.length === 0) {
      segment.startTicks = startTicks;
      segment.independent = chunk.independent;
      if (!chunk.independent) rendition.dependent.push(segment.number);
    }
    segment.addChunk(chunk);
    this.#tiers.addBytes(chunk.bytes.length);
    this.#tellLater({ kind: 'chunk', rendition: rendition.id, segment });
  }

  addPart(rendition: LiveRendition, segment: LiveSegment, part: Part): void {
    segment.addPart(part);
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
    rendition.completed(segment);
    this.#tiers.completed(rendition, segment);
    this.#slideDue = true;
    this.#note({ kind: 'segment', rendition: rendition.id, segment });
  }

  /**
   * Empties the list for a stream that begins anew far from where it ended. Numbers run on; the discontinuities of
   * the old list, and the one between the lists, count as left behind.
   */
  restart(firstNumber: number): void {
    for (const rendition of this.renditions) {
      for (const segment of rendition.segments) this.#tiers.forget(segment);
      rendition.clear(firstNumber);
    }
    this.periods.length = 0;
    this.#book.clear();
    this.published = false;
    this.touchMpd();
  }

  /** Makes everything since the last commit known. */
  commit(): void {
    if (this.#closed) return;
    if (this.#slideDue) this.#slide();
    while (this.#changes.length > 0) {
      const changes = this.#changes;
      this.#changes = [];
      for (const change of changes) this.#tell(change);
    }
  }

  /** Lets go of all media and listeners. */
  close(): void {
    this.#closed = true;
    this.#tiers.close();
    this.#changes = [];
    this.#listeners.clear();
  }

  #note(change: WindowChange): void {
    this.version += 1;
    this.#tellLater(change);
  }

  /** At the next commit, should anybody listen. */
  #tellLater(change: WindowChange): void {
    if (this.#listeners.size > 0) this.#changes.push(change);
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

  #slide(): void {
    this.#slideDue = false;
    const { plan, renditions } = this;
    if (renditions.length === 0) return;
    this.published ||= !this.#held && renditions.every((rendition) => this.#hasOwn(rendition));
    const tiers = this.#tiers;
    if (this.published) tiers.handOver();
    const listSeconds = Math.max(plan.windowSeconds, MIN_LIST_TARGETS * plan.targetDurationSeconds);
    while (renditions.every(({ secondsListed }) => secondsListed >= listSeconds)) this.#unlistFirst();
    tiers.release(renditions);
    const heldSeconds = keptSeconds(plan.windowSeconds, plan.targetDurationSeconds);
    while (this.#canEvict(heldSeconds)) this.#evictFirst();
    while (tiers.isFull && this.#makeRoom());
    this.#dropUnusedPeriods();
    this.#dropPastEvents();
    if (this.published) this.#tellFirst();
  }

  /** It has a complete segment of this broadcast. */
  #hasOwn({ newestComplete }: LiveRendition): boolean {
    return newestComplete !== undefined && newestComplete.number >= this.#firstOwn;
  }

  #canEvict(heldSeconds: number): boolean {
    return this.renditions.every((rendition) => {
      const first = rendition.segments[0];
      return (
        first !== undefined &&
        first.number < rendition.firstListed &&
        rendition.secondsHeld >= heldSeconds &&
        !this.#tiers.isAwaited(first)
      );
    });
  }

  /**
   * Gives up the oldest media. With an archive its segments stay in the list; without one they leave it. False when only
   * the last complete segment and the open one are left.
   */
  #makeRoom(): boolean {
    if (this.#tiers.hasArchive) {
      const made = this.#tiers.makeRoom(this.renditions);
      if (made?.isLost) this.version += 1;
      return made !== undefined;
    }
    if (this.renditions.some(({ completeInMemory }) => completeInMemory <= 1)) return false;
    if (this.renditions.some((r) => r.segments[0]?.number === r.firstListed)) {
      this.#unlistFirst();
      this.#deps.metrics.shrunkWindows.inc();
    }
    this.#evictFirst();
    return true;
  }

  #unlistFirst(): void {
    for (const rendition of this.renditions) rendition.unlistFirst();
    this.version += 1;
  }

  #evictFirst(): void {
    for (const rendition of this.renditions) this.#tiers.forget(rendition.evictFirst());
  }

  /** The store has given up what is before `number`: it leaves the list. */
  #shorten(number: number): void {
    const { renditions } = this;
    const newest = Math.min(...renditions.map(({ memoryFrom }) => memoryFrom));
    while (renditions.some(({ firstListed }) => firstListed < Math.min(number, newest))) this.#unlistFirst();
    this.#slideDue = true;
    this.commit();
  }

  #tellFirst(): void {
    const [lead] = this.renditions;
    if (!lead || lead.firstListed === this.#toldFirst) return;
    this.#toldFirst = lead.firstListed;
    this.#deps.behind?.archive.listedFrom(lead.firstListed, lead.discontinuitySequence);
  }

  /** A splice whose moment left the list says nothing any more. */
  #dropPastEvents(): void {
    const [lead] = this.renditions;
    const first = lead?.at(lead.firstListed);
    if (!lead || !first) return;
    if (this.#book.forgetBefore(rescaleTicks(first.startTicks, lead.timescale, EVENT_TIMESCALE)))
      this.touchMpd();
  }

  #dropUnusedPeriods(): void {
    while (this.periods.length > 1) {
      const [oldest] = this.periods;
      // Periods follow each other as the segments do.
      if (!oldest || this.renditions.some(({ segments }) => segments[0]?.period === oldest)) return;
      this.periods.shift();
      this.touchMpd();
    }
  }
}
