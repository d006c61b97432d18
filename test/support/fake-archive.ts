import { AppError } from '../../src/base/errors.ts';
import type {
  ArchivedSegment,
  ArchivedStretch,
  ArchiveReader,
  LiveArchive,
  StreamArchive,
} from '../../src/stream/archive.ts';
import type { Period, Rendition, Segment } from '../../src/stream/live-window.ts';

interface Kept {
  readonly kind: Rendition['kind'];
  timescale: number;
  readonly segments: Map<number, ArchivedSegment & { readonly period: Period }>;
}

/** A segment on its way to the store. */
interface Pending {
  readonly name: string;
  readonly rendition: Kept;
  readonly entry: ArchivedSegment & { readonly period: Period };
  readonly bytes: Uint8Array;
  readonly settled: (isKept: boolean) => void;
}

/**
 * An archive in memory. What is given to it is stored at once, in a later turn, or when a test says so; it may fail, and it
 * may be away. It outlives packagers, as a store outlives processes.
 */
export class FakeArchive implements LiveArchive, ArchiveReader {
  /** What becomes of segments: stored with {@link settle}, or at the next {@link settle} not. */
  mode: 'store' | 'fail' = 'store';
  /** Reads find no store. */
  isAway = false;
  /** Settles by itself, in a later turn of the event loop; else when the test calls {@link settle}. */
  readonly #isPrompt: boolean;
  readonly blobs = new Map<string, Uint8Array>();
  readonly reads: string[] = [];
  /** What `listedFrom` was last told. */
  listed: { readonly number: number; readonly discontinuitySequence: number } | undefined;
  readonly described: number[] = [];
  ends = 0;
  /** Numbers given for a rendition, in their order; those said to be lost have a minus. */
  readonly given = new Map<string, number[]>();
  readonly #pending: Pending[] = [];
  readonly #renditions = new Map<string, Kept>();
  #target = 0;
  readonly #open = new Set<StreamArchive>();
  #onShortened: ((number: number) => void) | undefined;

  constructor(isPrompt = false) {
    this.#isPrompt = isPrompt;
  }

  /** How many packagers have it open. */
  get opened(): number {
    return this.#open.size;
  }

  get pending(): number {
    return this.#pending.length;
  }

  open(stream: string): StreamArchive {
    if (this.#open.size > 0) throw new Error('the packager before is not closed');
    const session: StreamArchive = {
      past: () => this.#past(stream),
      describe: ({ targetDurationSeconds }) => {
        this.#target = targetDurationSeconds;
        this.described.push(targetDurationSeconds);
      },
      keep: (rendition, segment, settled) => this.#keep(stream, rendition, segment, settled),
      listedFrom: (number, discontinuitySequence) => {
        this.listed = { number, discontinuitySequence };
      },
      onShortened: (listener) => {
        this.#onShortened = listener;
      },
      end: () => {
        this.ends += 1;
      },
      close: () => void this.#open.delete(session),
    };
    this.#open.add(session);
    return session;
  }

  /** Stores what waits, or, in the mode `fail`, does not. Up to `count` segments, oldest first. */
  settle(count = Infinity): void {
    for (let i = 0; i < count; i++) {
      const next = this.#pending.shift();
      if (!next) return;
      const isKept = this.mode === 'store';
      if (isKept) this.blobs.set(next.name, next.bytes);
      next.rendition.segments.set(
        next.entry.number,
        isKept ? next.entry : { ...next.entry, state: 'lost', sizeBytes: 0 },
      );
      next.settled(isKept);
    }
  }

  /** The process is gone, and what was on its way with it. */
  crash(): void {
    this.#pending.length = 0;
    this.#open.clear();
    this.#onShortened = undefined;
  }

  /** The store is full: what is before `number` is gone. */
  shorten(number: number): void {
    for (const { segments } of this.#renditions.values())
      for (const each of segments.keys()) if (each < number) segments.delete(each);
    this.#onShortened?.(number);
  }

  async read(stream: string, rendition: string, segment: Segment): Promise<Uint8Array | undefined> {
    const name = `${stream}/${rendition}/${segment.period.id}/${segment.number}`;
    this.reads.push(name);
    await Promise.resolve();
    if (this.isAway) throw new AppError('STORAGE_UNAVAILABLE');
    return this.blobs.get(name);
  }

  #keep(
    stream: string,
    { id, kind, timescale }: Rendition,
    segment: Segment,
    settled: (isKept: boolean) => void,
  ): void {
    const rendition = this.#renditions.get(id) ?? { kind, timescale, segments: new Map() };
    rendition.timescale = timescale;
    this.#renditions.set(id, rendition);
    const { number, period, startTicks, durationTicks, discontinuity, independent, sizeBytes } = segment;
    const isLost = segment.place === 'lost';
    this.given.set(id, [...(this.given.get(id) ?? []), isLost ? -number : number]);
    const state = segment.state === 'gap' ? 'gap' : isLost ? 'lost' : 'kept';
    const facts = {
      number,
      startTicks,
      durationTicks,
      discontinuity,
      independent,
      sizeBytes,
      state,
    } as const;
    const brokenOff = segment.brokenOff ?? false;
    const entry = { ...facts, brokenOff, period, periodId: period.id, keyFrameBytes: 0 };
    if (state !== 'kept') {
      const waiting = this.#pending.findIndex(
        (one) => one.rendition === rendition && one.entry.number === number,
      );
      if (waiting >= 0) this.#pending.splice(waiting, 1);
      rendition.segments.set(number, entry);
      return;
    }
    const bytes = Buffer.concat(segment.chunks.map((chunk) => chunk.bytes));
    const name = `${stream}/${id}/${period.id}/${number}`;
    this.#pending.push({ name, rendition, entry, bytes, settled });
    if (this.#isPrompt) setImmediate(() => this.settle());
  }

  /** What is listed and settled; a rendition has stand-ins for what it has no word of. */
  #past(stream: string): ArchivedStretch | undefined {
    const columns = new Map<
      number,
      ArchivedSegment & { readonly period: Period; readonly timescale: number }
    >();
    for (const { segments, timescale } of this.#renditions.values())
      for (const segment of segments.values())
        if (!columns.has(segment.number)) columns.set(segment.number, { ...segment, timescale });
    const known = [...columns.keys()]
      .filter((number) => number >= (this.listed?.number ?? 0))
      .toSorted((a, b) => a - b);
    // What comes behind a hole is all that can be listed in one piece.
    const from = known.findLastIndex((number, i) => i > 0 && number !== (known[i - 1] ?? 0) + 1);
    const numbers = known.slice(Math.max(0, from));
    const [first] = numbers;
    if (first === undefined) return undefined;
    const periods = new Map<string, Period>();
    for (const number of numbers) {
      const period = columns.get(number)?.period;
      if (period) periods.set(period.id, period);
    }
    const before = [...columns.values()].filter(
      ({ number, discontinuity }) => discontinuity && number < first && number >= (this.listed?.number ?? 0),
    );
    return {
      stream,
      targetDurationSeconds: this.#target,
      discontinuitySequence: (this.listed?.discontinuitySequence ?? 0) + before.length,
      periods: [...periods.values()],
      renditions: [...this.#renditions]
        .toSorted(([, one], [, other]) => Number(one.kind === 'audio') - Number(other.kind === 'audio'))
        .map(([id, { kind, timescale, segments }]) => ({
          id,
          kind,
          timescale,
          segments: numbers.flatMap((number) => {
            const own = segments.get(number);
            const model = columns.get(number);
            return own ?? (model ? standIn(id, model, timescale) : []);
          }),
        })),
    };
  }
}

function standIn(
  id: string,
  model: ArchivedSegment & { readonly period: Period; readonly timescale: number },
  timescale: number,
): ArchivedSegment {
  const ratio = timescale / model.timescale;
  return {
    ...model,
    startTicks: Math.round(model.startTicks * ratio),
    durationTicks: Math.round(model.durationTicks * ratio),
    state: model.period.tracks.has(id) ? 'lost' : 'gap',
    independent: false,
    brokenOff: false,
    sizeBytes: 0,
  };
}
