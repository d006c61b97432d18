import type { ArchivedRendition, ArchivedSegment, ArchivedStretch } from '../stream/archive.ts';
import type { Period } from '../stream/live-window.ts';
import type { IndexedSegment, ListFacts, RenditionFacts } from './live-archive-records.ts';

/** More numbers without any segment in a row are no hole in a list: what is before them is another list. */
const MAX_HOLE = 10_000;

export interface ShelfRendition {
  facts: RenditionFacts;
  readonly segments: Map<number, IndexedSegment>;
  /** The highest number that there was word of. */
  announced: number;
  /** Numbers that are being stored. */
  readonly pending: Map<number, IndexedSegment>;
}

/** Called with what is stored more, or, negative, less. */
export type OnKept = (bytes: number, segments: number) => void;

/** What is known of one stream's segments, in memory. A column is the segments of one number. */
export class Shelf {
  readonly stream: string;
  readonly #periods = new Map<string, Period>();
  /** Segments of each period. */
  readonly #uses = new Map<string, number>();
  readonly #renditions = new Map<string, ShelfRendition>();
  readonly #onKept: OnKept;
  #first: number | undefined;
  #last = 0;
  facts: ListFacts = { targetDurationSeconds: 0, firstListed: 0, discontinuitySequence: 0 };

  constructor(stream: string, onKept: OnKept) {
    this.stream = stream;
    this.#onKept = onKept;
  }

  /** Of the oldest column; undefined: there is none. */
  get first(): number | undefined {
    return this.#first;
  }

  /** Of the newest column, those being stored with it. */
  get last(): number {
    return this.#last;
  }

  /** Video first, in the order in which they came. */
  get renditions(): readonly ShelfRendition[] {
    const video = (rendition: ShelfRendition): number => (rendition.facts.kind === 'video' ? 0 : 1);
    return [...this.#renditions.values()].sort(
      (one, other) => video(one) - video(other) || one.facts.order - other.facts.order,
    );
  }

  rendition(id: string): ShelfRendition | undefined {
    return this.#renditions.get(id);
  }

  get periods(): ReadonlyMap<string, Period> {
    return this.#periods;
  }

  /** Takes a rendition, or what is now said of it. */
  addRendition(facts: RenditionFacts): ShelfRendition {
    const known = this.#renditions.get(facts.id);
    if (known) {
      known.facts = facts;
      return known;
    }
    const added: ShelfRendition = { facts, segments: new Map(), announced: 0, pending: new Map() };
    this.#renditions.set(facts.id, added);
    return added;
  }

  addPeriod(period: Period): void {
    this.#periods.set(period.id, period);
  }

  /** Periods without a segment. */
  unusedPeriods(): string[] {
    return [...this.#periods.keys()].filter((id) => !this.#uses.has(id));
  }

  /** Forgets a period, unless it has segments. */
  forgetPeriod(id: string): boolean {
    return !this.#uses.has(id) && this.#periods.delete(id);
  }

  /** Takes a segment that is no longer being stored: it is, or is not. */
  add(rendition: ShelfRendition, segment: IndexedSegment): void {
    const { number } = segment;
    this.#remove(rendition, number);
    rendition.segments.set(number, segment);
    rendition.pending.delete(number);
    this.#count(segment, 1);
    this.#seen(rendition, number);
  }

  /** There is a segment, which is being stored. */
  await(rendition: ShelfRendition, segment: IndexedSegment): void {
    // A gap, as long as nobody knew of its track.
    this.#remove(rendition, segment.number);
    rendition.pending.set(segment.number, segment);
    this.#seen(rendition, segment.number);
  }

  #seen(rendition: ShelfRendition, number: number): void {
    rendition.announced = Math.max(rendition.announced, number);
    this.#last = Math.max(this.#last, number);
    this.#first = Math.min(this.#first ?? number, number);
  }

  /** The segments of a number, with their renditions; none of those being stored. */
  column(number: number): { readonly rendition: ShelfRendition; readonly segment: IndexedSegment }[] {
    return [...this.#renditions.values()].flatMap((rendition) => {
      const segment = rendition.segments.get(number);
      return segment ? [{ rendition, segment }] : [];
    });
  }

  isPending(number: number): boolean {
    return [...this.#renditions.values()].some(({ pending }) => pending.has(number));
  }

  /** Whether anything of `[from, to]` is being stored. */
  isPendingWithin(from: number, to: number): boolean {
    return [...this.#renditions.values()].some(({ pending }) =>
      [...pending.keys()].some((number) => number >= from && number <= to),
    );
  }

  /** Nothing is kept, nor is to be. */
  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  /** When a column's media is over, ms since the epoch; undefined: there is none. */
  endMsOf(number: number): number | undefined {
    const ends = this.column(number).map(({ segment }) => endMsOf(segment));
    return ends.length === 0 ? undefined : Math.max(...ends);
  }

  /** The oldest column, not below `lowest`, that ends after `fromMs`; those being stored count. Behind all: there is none. */
  firstEndingAfter(fromMs: number, lowest: number): number {
    let found = this.#last + 1;
    for (const { number, model } of this.#downFrom(this.#last, lowest)) {
      if (endMsOf(model) <= fromMs) break;
      found = number;
    }
    return found;
  }

  /** The newest column, not above `highest`, that begins before `toMs`. */
  lastStartingBefore(toMs: number, highest: number): number {
    for (const { number, model } of this.#downFrom(highest, 0)) if (startMsOf(model) < toMs) return number;
    return 0;
  }

  /** The newest column of which something is in the store, not below `lowest` nor above `highest`. */
  lastKept(
    lowest: number,
    highest: number = this.#last,
  ): { readonly lastNumber: number; readonly endMs: number } | undefined {
    for (const { number, model } of this.#downFrom(highest, lowest)) {
      const isKept = this.column(number).some(({ segment }) => segment.state === 'kept');
      if (isKept) return { lastNumber: number, endMs: this.endMsOf(number) ?? endMsOf(model) };
    }
    return undefined;
  }

  /** Columns with a segment, the newest first, as far as no hole is too long. */
  *#downFrom(highest: number, lowest: number): Iterable<{ number: number; model: IndexedSegment }> {
    const least = Math.max(lowest, this.#first ?? Infinity);
    let missing = 0;
    for (let number = Math.min(highest, this.#last); number >= least && missing <= MAX_HOLE; number--) {
      const model = this.#modelOf(number);
      missing = model ? 0 : missing + 1;
      if (model) yield { number, model };
    }
  }

  #modelOf(number: number): IndexedSegment | undefined {
    for (const { segments, pending } of this.#renditions.values()) {
      const segment = segments.get(number) ?? pending.get(number);
      if (segment) return segment;
    }
    return undefined;
  }

  /** Forgets the oldest column. Gives what was in it, and the periods that nothing is left of. */
  removeFirst(): { readonly segments: ReturnType<Shelf['column']>; readonly periods: readonly Period[] } {
    const number = this.#first;
    if (number === undefined) return { segments: [], periods: [] };
    const segments = this.column(number);
    for (const { rendition } of segments) this.#remove(rendition, number);
    this.#first = this.#nextColumn(number);
    return { segments, periods: this.#takeUnused(segments.map(({ segment }) => segment.periodId)) };
  }

  /** The one that comes after all that are kept or being stored, is still to be used. */
  #takeUnused(ids: readonly string[]): Period[] {
    const awaited = new Set(
      [...this.#renditions.values()].flatMap(({ pending }) =>
        [...pending.values()].map(({ periodId }) => periodId),
      ),
    );
    const unused = [...new Set(ids)].filter((id) => !this.#uses.has(id) && !awaited.has(id));
    const periods = unused.flatMap((id) => this.#periods.get(id) ?? []);
    for (const { id } of periods) this.#periods.delete(id);
    return periods;
  }

  #nextColumn(after: number): number | undefined {
    for (let number = after + 1; number <= Math.min(this.#last, after + MAX_HOLE); number++) {
      if (this.column(number).length > 0 || this.isPending(number)) return number;
    }
    // Behind a long hole, or there is nothing more.
    const numbers = [...this.#renditions.values()].flatMap(({ segments, pending }) => [
      ...segments.keys(),
      ...pending.keys(),
    ]);
    return numbers.length === 0 ? undefined : numbers.reduce((least, each) => Math.min(least, each));
  }

  /** Forgets renditions that nothing is left of, and gives their ids. */
  takeEmptyRenditions(): string[] {
    const empty = [...this.#renditions.values()].filter(
      ({ segments, pending }) => segments.size === 0 && pending.size === 0,
    );
    for (const { facts } of empty) this.#renditions.delete(facts.id);
    return empty.map(({ facts }) => facts.id);
  }

  #remove(rendition: ShelfRendition, number: number): void {
    const segment = rendition.segments.get(number);
    if (!segment) return;
    rendition.segments.delete(number);
    this.#count(segment, -1);
  }

  #count({ periodId, state, sizeBytes }: IndexedSegment, sign: 1 | -1): void {
    const uses = (this.#uses.get(periodId) ?? 0) + sign;
    if (uses > 0) this.#uses.set(periodId, uses);
    else this.#uses.delete(periodId);
    if (state === 'kept') this.#onKept(sign * sizeBytes, sign);
  }

  /** EXT-X-DISCONTINUITY-SEQUENCE of a list that begins with `number`. */
  discontinuitySequenceAt(number: number): number {
    const { firstListed, discontinuitySequence } = this.facts;
    const [from, to] = [Math.min(number, firstListed), Math.max(number, firstListed)];
    const between = new Set<number>();
    for (const { segments } of this.#renditions.values()) {
      for (const { number: each, discontinuity } of segments.values()) {
        if (discontinuity && each >= from && each < to) between.add(each);
      }
    }
    return Math.max(0, discontinuitySequence + (number > firstListed ? between.size : -between.size));
  }

  /**
   * The highest number up to which every rendition's fate is known: it is stored, or will never be. While the stream goes
   * on, renditions of its newest period that have not said anything of a number yet are waited for.
   */
  wholeUntil(isOpen: boolean): number {
    let until = this.#last;
    const period = this.#periods.get(this.#modelOf(this.#last)?.periodId ?? '');
    for (const { pending } of this.#renditions.values()) {
      for (const number of pending.keys()) until = Math.min(until, number - 1);
    }
    if (!isOpen) return until;
    for (const id of period?.tracks.keys() ?? []) {
      until = Math.min(until, this.#renditions.get(id)?.announced ?? 0);
    }
    return until;
  }

  /**
   * Columns `[from, to]` as others see them: contiguous, every rendition with every number. What the index has no word of,
   * though it had once, is lost. Undefined when nothing of it is kept.
   * @param withPending take what is being stored for stored
   */
  stretch(from: number, to: number, withPending = false): ArchivedStretch | undefined {
    const columns = this.#columnsOf(from, to, withPending);
    const [first] = columns;
    if (!first || !columns.some((column) => column.kept)) return undefined;
    const renditions = this.renditions.filter(({ facts }) =>
      columns.some(({ segments }) => segments.has(facts.id)),
    );
    const listed = renditions.map((rendition) => assemble(rendition.facts, columns));
    const ids = new Set(listed.flatMap(({ segments }) => segments.map(({ periodId }) => periodId)));
    return {
      stream: this.stream,
      targetDurationSeconds: this.facts.targetDurationSeconds,
      discontinuitySequence: this.discontinuitySequenceAt(first.number),
      periods: this.#sortedPeriods().filter(({ id }) => ids.has(id)),
      renditions: listed,
    };
  }

  #sortedPeriods(): Period[] {
    return [...this.#periods.values()].sort((one, other) => one.startNumber - other.startNumber);
  }

  #columnsOf(from: number, to: number, withPending: boolean): Column[] {
    const columns: Column[] = [];
    for (const column of this.#presentColumns(from, to, withPending)) {
      const last = columns.at(-1);
      if (last) columns.push(...this.#missing(last, column));
      columns.push(column);
    }
    return columns;
  }

  /** From the newest on, as far as no hole is too long; given with the oldest first. */
  #presentColumns(from: number, to: number, withPending: boolean): Column[] {
    const columns: Column[] = [];
    const lowest = Math.max(from, this.#first ?? from);
    let missing = 0;
    for (let number = Math.min(to, this.#last); number >= lowest && missing <= MAX_HOLE; number--) {
      const segments = new Map<string, IndexedSegment>();
      for (const { facts, segments: stored, pending } of this.#renditions.values()) {
        const segment = stored.get(number) ?? (withPending ? pending.get(number) : undefined);
        if (segment && this.#periods.has(segment.periodId)) segments.set(facts.id, segment);
      }
      const [model] = segments.values();
      const period = model && this.#periods.get(model.periodId);
      missing = period ? 0 : missing + 1;
      if (model && period) columns.push(columnOf(number, period, model, segments));
    }
    return columns.toReversed();
  }

  /** Columns that there is no word of at all, between two that are there: the time between is theirs. */
  #missing(before: Column, after: Column): Column[] {
    const count = after.number - before.number - 1;
    const periods = this.#sortedPeriods();
    const stepMs = Math.max(0, after.startMs - before.endMs) / Math.max(1, count);
    return Array.from({ length: count }, (_, index) => {
      const number = before.number + 1 + index;
      const period = periods.findLast(({ startNumber }) => startNumber <= number) ?? before.period;
      const startMs = before.endMs + index * stepMs;
      const discontinuity = period.startNumber === number && period.continues === undefined;
      return {
        ...{ number, period, startMs, discontinuity },
        endMs: startMs + stepMs,
        segments: new Map(),
        kept: false,
      };
    });
  }
}

interface Column {
  readonly number: number;
  readonly period: Period;
  readonly startMs: number;
  readonly endMs: number;
  readonly discontinuity: boolean;
  /** By rendition. */
  readonly segments: ReadonlyMap<string, IndexedSegment>;
  /** Some of it. */
  readonly kept: boolean;
}

function columnOf(
  number: number,
  period: Period,
  model: IndexedSegment,
  segments: ReadonlyMap<string, IndexedSegment>,
): Column {
  return {
    ...{ number, period, segments },
    startMs: startMsOf(model),
    endMs: endMsOf(model),
    discontinuity: model.discontinuity,
    kept: [...segments.values()].some(({ state }) => state === 'kept'),
  };
}

function assemble({ id, kind, timescale }: RenditionFacts, columns: readonly Column[]): ArchivedRendition {
  const segments = columns.map((column) => {
    const segment = column.segments.get(id);
    return segment ? restated(segment, timescale) : standIn(id, timescale, column);
  });
  return { id, kind, timescale, segments };
}

/** In the ticks that the rendition has now. */
function restated({ timescale: from, ...segment }: IndexedSegment, timescale: number): ArchivedSegment {
  if (from === timescale) return segment;
  const startTicks = Math.round((segment.startTicks * timescale) / from);
  return { ...segment, startTicks, durationTicks: (segment.durationTicks * timescale) / from };
}

/** For a segment of a rendition that there is no word of. */
function standIn(id: string, timescale: number, column: Column): ArchivedSegment {
  const { number, period, startMs, endMs, discontinuity } = column;
  const startTicks = Math.round((startMs * timescale) / 1000);
  return {
    ...{ number, periodId: period.id, startTicks, discontinuity },
    durationTicks: Math.max(0, Math.round((endMs * timescale) / 1000) - startTicks),
    independent: false,
    brokenOff: false,
    state: period.tracks.has(id) ? 'lost' : 'gap',
    sizeBytes: 0,
    keyFrameBytes: 0,
  };
}

/** When a segment's media begins, ms since the epoch. */
export function startMsOf({ startTicks, timescale }: IndexedSegment): number {
  return (startTicks * 1000) / timescale;
}

/** When a segment's media is over, ms since the epoch. */
export function endMsOf({ startTicks, durationTicks, timescale }: IndexedSegment): number {
  return ((startTicks + durationTicks) * 1000) / timescale;
}
