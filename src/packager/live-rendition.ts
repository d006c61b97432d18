import type { Chunk, Part, Rendition, Segment, SegmentState } from '../stream/live-window.ts';
import type { TrackKind } from '../stream/track.ts';
import { ListedRates } from './listed-rates.ts';
import type { RenditionOrigin } from './packager-metrics.ts';
import type { LivePeriod } from './period-factory.ts';
import { rescaleTicks } from './ticks.ts';

/** Where a segment begins and what it belongs to. */
export interface SegmentStart {
  readonly number: number;
  readonly period: LivePeriod;
  /** Ticks of the rendition. */
  readonly startTicks: number;
  readonly discontinuity: boolean;
}

/** How it is with a complete segment that was given to the archive: being stored, in the store, or not to be stored. */
type Keeping = 'pending' | 'kept' | 'failed';

/** Of segments without media in memory: a day of them is listed. Never written to. */
const NO_CHUNKS: Chunk[] = [];
const NO_PARTS: Part[] = [];

/** A segment while it is being made, and after. */
export class LiveSegment implements Segment {
  readonly number: number;
  readonly period: LivePeriod;
  readonly discontinuity: boolean;
  startTicks: number;
  durationTicks = 0;
  state: SegmentState = 'open';
  place: Segment['place'] = 'memory';
  sizeBytes = 0;
  independent = false;
  partsForetold = false;
  brokenOff = false;
  /** Undefined: not given to an archive. */
  keeping: Keeping | undefined = undefined;
  chunks: Chunk[] = NO_CHUNKS;
  parts: Part[] = NO_PARTS;

  constructor(start: SegmentStart) {
    this.number = start.number;
    this.period = start.period;
    this.startTicks = start.startTicks;
    this.discontinuity = start.discontinuity;
  }

  /** It has media, and that is in memory. */
  get isHeld(): boolean {
    return this.place === 'memory' && this.state !== 'gap';
  }

  addChunk(chunk: Chunk): void {
    if (this.chunks === NO_CHUNKS) this.chunks = [];
    this.chunks.push(chunk);
    this.sizeBytes += chunk.bytes.length;
  }

  addPart(part: Part): void {
    if (this.parts === NO_PARTS) this.parts = [];
    this.parts.push(part);
  }

  /** Its media leaves the memory. Who still has the old lists of chunks and parts keeps them whole. */
  leaveMemory(place: 'archive' | 'lost'): void {
    this.place = place;
    this.chunks = NO_CHUNKS;
    this.parts = NO_PARTS;
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
  /** What is half a target duration; see {@link ListedRates}. */
  readonly rateRunSeconds?: number;
}

/** Ticks that complete segments last together. */
interface Totals {
  held: number;
  listed: number;
  memory: number;
}

/** A rendition as its window stores it. What is asked for with every part is kept in step, never looked up in the list. */
export class LiveRendition implements Rendition {
  readonly id: string;
  readonly kind: TrackKind;
  /** Its label in metrics. */
  readonly origin: RenditionOrigin;
  timescale: number;
  readonly segments: LiveSegment[] = [];
  readonly dependent: number[] = [];
  firstListed: number;
  discontinuitySequence: number;
  /** Discontinuities in the list. */
  listedDiscontinuities = 0;
  readonly #rateRunSeconds: number;
  #rates: ListedRates;
  readonly #ticks: Totals = { held: 0, listed: 0, memory: 0 };
  /** Of the oldest segment whose turn to leave the memory has not come; undefined: the oldest of all. */
  #memoryFrom: number | undefined;

  constructor(start: RenditionStart) {
    this.id = start.id;
    this.kind = start.kind;
    this.origin = start.origin;
    this.timescale = start.timescale;
    this.firstListed = start.firstListed;
    this.discontinuitySequence = start.discontinuitySequence;
    this.#rateRunSeconds = start.rateRunSeconds ?? 1;
    this.#rates = new ListedRates(this.#rateRunSeconds);
  }

  /** The segment at the live edge, if it is still growing. */
  get open(): LiveSegment | undefined {
    const last = this.segments.at(-1);
    return last?.state === 'open' ? last : undefined;
  }

  get peakBps(): number {
    return this.#rates.peakBps;
  }

  get averageBps(): number {
    return this.#rates.averageBps;
  }

  /** The segment of that number. */
  at(number: number): LiveSegment | undefined {
    const first = this.segments[0];
    return first && this.segments[number - first.number];
  }

  /** The newest complete segment, or gap. */
  get newestComplete(): LiveSegment | undefined {
    return this.segments.at(this.open ? -2 : -1);
  }

  /** Number of the oldest segment whose turn to leave the memory has not come. */
  get memoryFrom(): number {
    return this.#memoryFrom ?? this.segments[0]?.number ?? 0;
  }

  /** How many complete segments those are. */
  get completeInMemory(): number {
    const first = this.segments[0]?.number ?? 0;
    return this.segments.length - (this.memoryFrom - first) - (this.open ? 1 : 0);
  }

  /** Seconds of complete segments behind the first one that is listed. */
  get secondsListed(): number {
    return (this.#ticks.listed - completeTicks(this.at(this.firstListed))) / this.timescale;
  }

  /** Seconds of complete segments behind the oldest one. */
  get secondsHeld(): number {
    return (this.#ticks.held - completeTicks(this.segments[0])) / this.timescale;
  }

  /** Seconds of complete segments behind the oldest one that is in memory. */
  get secondsInMemory(): number {
    return (this.#ticks.memory - completeTicks(this.at(this.memoryFrom))) / this.timescale;
  }

  /** Puts a segment at the end, open or complete. */
  push(segment: LiveSegment): void {
    this.segments.push(segment);
    if (segment.discontinuity && this.#isListed(segment)) this.listedDiscontinuities += 1;
    if (segment.state === 'closed' && !segment.independent) this.dependent.push(segment.number);
    if (segment.state !== 'open') this.completed(segment);
  }

  /** The last segment has become complete. */
  completed(segment: LiveSegment): void {
    this.#ticks.held += segment.durationTicks;
    this.#ticks.memory += segment.durationTicks;
    if (!this.#isListed(segment)) return;
    this.#ticks.listed += segment.durationTicks;
    if (segment.state === 'closed') this.#rates.add(this.#rated(segment));
  }

  /** Nothing before `number` is in memory, and never was. */
  beginMemoryAt(number: number): void {
    // Numbers count from 1970: what is not there is not gone through.
    const end = Math.min(number, (this.segments.at(-1)?.number ?? 0) + 1);
    while (this.memoryFrom < end) this.passMemory();
  }

  /** The oldest segment in memory is to leave it. */
  passMemory(): LiveSegment | undefined {
    const number = this.memoryFrom;
    const segment = this.at(number);
    this.#ticks.memory -= completeTicks(segment);
    this.#memoryFrom = number + 1;
    return segment;
  }

  /** The first segment leaves the list. */
  unlistFirst(): void {
    const left = this.at(this.firstListed);
    this.firstListed += 1;
    if (!left) return;
    if (left.discontinuity) {
      this.discontinuitySequence += 1;
      this.listedDiscontinuities -= 1;
    }
    this.#ticks.listed -= completeTicks(left);
    if (left.state === 'closed') this.#rates.drop(this.#rated(left));
  }

  /** The oldest segment is held no longer. */
  evictFirst(): LiveSegment | undefined {
    if (this.segments[0]?.number === this.memoryFrom) this.passMemory();
    const evicted = this.segments.shift();
    this.#ticks.held -= completeTicks(evicted);
    const { number } = evicted ?? { number: 0 };
    while ((this.dependent[0] ?? Infinity) <= number) this.dependent.shift();
    return evicted;
  }

  /** Takes back the segments from `number` on, which nobody has seen and which have no media. */
  truncate(number: number): void {
    while ((this.segments.at(-1)?.number ?? 0) >= number) {
      const taken = this.segments.pop();
      if (!taken) return;
      const ticks = completeTicks(taken);
      this.#ticks.held -= ticks;
      this.#ticks.memory -= ticks;
      if (!this.#isListed(taken)) continue;
      this.#ticks.listed -= ticks;
      if (taken.discontinuity) this.listedDiscontinuities -= 1;
    }
  }

  /** Begins a new list at `firstNumber`: what was listed, and a discontinuity behind it, is left behind. */
  clear(firstNumber: number): void {
    this.discontinuitySequence += this.listedDiscontinuities + 1;
    this.listedDiscontinuities = 0;
    this.segments.length = 0;
    this.dependent.length = 0;
    this.firstListed = firstNumber;
    this.#memoryFrom = undefined;
    this.#rates = new ListedRates(this.#rateRunSeconds);
    Object.assign(this.#ticks, { held: 0, listed: 0, memory: 0 } satisfies Totals);
  }

  /**
   * Restates all segments in another timescale (an encoder came back with another sample rate). Only the model changes;
   * durations stay the same seconds and may become fractional ticks.
   */
  changeTimescale(timescale: number): void {
    const from = this.timescale;
    for (const segment of this.segments) {
      segment.startTicks = rescaleTicks(segment.startTicks, from, timescale);
      segment.durationTicks = (segment.durationTicks * timescale) / from;
      segment.parts.forEach((part, index) => {
        segment.parts[index] = { ...part, durationTicks: (part.durationTicks * timescale) / from };
      });
    }
    for (const total of ['held', 'listed', 'memory'] as const)
      this.#ticks[total] = (this.#ticks[total] * timescale) / from;
    this.timescale = timescale;
  }

  #isListed({ number }: LiveSegment): boolean {
    return number >= this.firstListed;
  }

  #rated({ number, sizeBytes, durationTicks }: LiveSegment): Parameters<ListedRates['add']>[0] {
    return { number, sizeBytes, seconds: durationTicks / this.timescale };
  }
}

function completeTicks(segment: LiveSegment | undefined): number {
  return segment && segment.state !== 'open' ? segment.durationTicks : 0;
}
