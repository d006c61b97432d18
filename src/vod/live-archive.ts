import type { Clock } from '../base/clock.ts';
import { Closer } from '../base/closer.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { openSegmentIndex, type SegmentIndex } from '../state/lmdb-segment-index.ts';
import type { ProcessTable } from '../state/process-identity.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { DiskUse } from '../storage/disk-use.ts';
import type { ArchivedStretch, ArchiveReader, LiveArchive, StreamArchive } from '../stream/archive.ts';
import type { Rendition, Segment } from '../stream/live-window.ts';
import type { Broadcast, RecordingSource, StretchOf } from './broadcast.ts';
import { BroadcastBook } from './live-archive-broadcasts.ts';
import { ArchiveDeleter } from './live-archive-deleter.ts';
import { asLost, indexedSegment } from './live-archive-entry.ts';
import { livePeriodPrefix, liveSegmentKey, type LiveKeyParts, parseLiveKey } from './live-archive-key.ts';
import { loadShelves } from './live-archive-load.ts';
import { LiveArchiveMetrics } from './live-archive-metrics.ts';
import {
  broadcastKeyOf,
  broadcastRow,
  type IndexedSegment,
  listRow,
  periodRow,
  renditionRow,
  segmentRow,
} from './live-archive-records.ts';
import { ArchiveRetention } from './live-archive-retention.ts';
import { ArchiveRows } from './live-archive-rows.ts';
import { endMsOf, Shelf, type ShelfRendition, startMsOf } from './live-archive-shelf.ts';
import { ArchiveSession } from './live-archive-session.ts';
import { ArchiveSweep } from './live-archive-sweep.ts';
import { ArchiveWriter, type ArchiveWriterLimits } from './live-archive-writer.ts';

export interface LiveArchiveOptions {
  /** The file of the index. */
  readonly indexPath: string;
  /** What of a stream is in memory, and, where that is longer, how far back its playlists reach. */
  readonly windowSeconds: number;
  readonly dvrSeconds: number;
  /** Every broadcast is to be recorded: its segments stay until it is. */
  readonly record: boolean;
  /** A publisher that is gone for longer has ended its broadcast. */
  readonly graceMs: number;
  /** Other servers keep live segments in the same store: what is not in our index may be theirs. */
  readonly isShared: boolean;
  /** How full the disk may be, 0 to 1, before the oldest segments go early; 0.9 unless given. */
  readonly maxDiskShare?: number | undefined;
  readonly limits?: Partial<ArchiveWriterLimits> | undefined;
}

export interface LiveArchiveDeps {
  /** Not closed here. */
  readonly store: BlobStore;
  /** Reads a blob, through a cache. */
  readonly read: (key: string) => Promise<Uint8Array | undefined>;
  /** How full the disk of the store is; undefined: it has none, or does not tell. */
  readonly diskUse?: (() => Promise<DiskUse | undefined>) | undefined;
  readonly clock: Clock;
  /** 0 up to 1. */
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly processes?: ProcessTable | undefined;
}

const MAX_DISK_SHARE = 0.9;

const MIB = 1024 * 1024;
const WRITER_LIMITS: ArchiveWriterLimits = {
  parallel: 32,
  parallelPerStream: 4,
  parallelBytes: 128 * MIB,
  maxPendingSegments: 20_000,
  maxPendingBytes: 1024 * MIB,
};

/** What a stream that is over has in memory is stored for so long; then it is lost. */
const STORE_AFTER_CLOSE_MS = 60_000;
/** An index of which no write failed for so long can be written again. */
const INDEX_WELL_MS = 5000;
/** What is in memory when the server ends is stored for so long. */
const CLOSE_PATIENCE_MS = 5000;
/** A server that was killed had so many segments, in target durations, in the making or not stored yet. */
const UNSTORED_TARGETS = 4;

/**
 * Opens the archive of live streams, with what is in it from before. Whoever opens it closes it, before the store.
 * @throws AppError STATE_SEGMENTS_UNAVAILABLE, STATE_SEGMENTS_IN_USE
 */
export async function openLiveArchive(
  options: LiveArchiveOptions,
  deps: LiveArchiveDeps,
): Promise<LiveArchiveStore> {
  const index = await openSegmentIndex(options.indexPath, deps);
  try {
    const archive = new LiveArchiveStore(options, deps, index);
    await archive.load();
    return archive;
  } catch (error) {
    await index.close();
    throw error;
  }
}

/** Live segments in the store, and what is known of them in memory and on disk. */
export class LiveArchiveStore implements LiveArchive, ArchiveReader, RecordingSource {
  readonly #options: LiveArchiveOptions;
  readonly #deps: LiveArchiveDeps;
  readonly #index: SegmentIndex;
  readonly #log: Logger;
  readonly #metrics: LiveArchiveMetrics;
  readonly #rows: ArchiveRows;
  readonly #writer: ArchiveWriter;
  readonly #deleter: ArchiveDeleter;
  readonly #retention: ArchiveRetention;
  readonly #book: BroadcastBook;
  readonly #shelves = new Map<string, Shelf>();
  readonly #sessions = new Map<string, ArchiveSession>();
  /** Since when a stream has no packager any more (monotonic). */
  readonly #closedMs = new Map<string, number>();
  readonly #holds = new Map<string, Set<{ readonly fromMs: number }>>();
  readonly #listeners = new Set<() => void>();
  readonly #closer = new Closer();
  /** Since when the index cannot be written, and when that was last seen (monotonic). */
  #indexFailedMs: number | undefined;

  constructor(options: LiveArchiveOptions, deps: LiveArchiveDeps, index: SegmentIndex) {
    const { clock, random, store, metrics } = deps;
    this.#options = options;
    this.#deps = deps;
    this.#index = index;
    const log = deps.log.child({ area: 'archive' });
    this.#log = log;
    this.#metrics = new LiveArchiveMetrics(metrics);
    this.#rows = new ArchiveRows({
      index,
      clock,
      onFailed: (error) => this.#indexFailed(error),
      onWritten: () => this.#indexWritten(),
    });
    this.#writer = new ArchiveWriter(
      { ...WRITER_LIMITS, ...options.limits },
      { store, clock, random, log, metrics: this.#metrics },
    );
    this.#deleter = new ArchiveDeleter(store, this.#metrics);
    this.#retention = new ArchiveRetention(
      {
        listSeconds: this.#listSeconds,
        windowSeconds: options.windowSeconds,
        maxDiskShare: options.maxDiskShare ?? MAX_DISK_SHARE,
      },
      {
        ...{ store, clock, log, rows: this.#rows, deleter: this.#deleter },
        shelves: () => this.#shelves.values(),
        isNeeded: (shelf, number, endMs) => this.#isNeeded(shelf.stream, number, endMs),
        isOpen: (stream) => this.#sessions.has(stream),
        isKnown: (key) => this.#isKnown(key),
        isInUse: (stream, periodId) => this.#shelves.get(stream)?.periods.has(periodId) ?? false,
        onRound: () => this.#tidy(),
        shortened: (stream, number) => this.#sessions.get(stream)?.shortened(number),
        diskUse: () => deps.diskUse?.() ?? Promise.resolve(undefined),
      },
    );
    this.#book = new BroadcastBook({
      clock,
      graceMs: options.graceMs,
      save: (stream, facts) => this.#rows.set(broadcastRow(stream, facts)),
      forget: (stream, facts) => this.#rows.remove(broadcastKeyOf(stream, facts)),
      hasKept: ({ stream, firstNumber, lastNumber }) =>
        (this.#shelves.get(stream)?.lastKept(firstNumber, lastNumber) ?? undefined) !== undefined,
      isWhole: ({ stream, firstNumber, lastNumber }) =>
        !this.#shelves.get(stream)?.isPendingWithin(firstNumber, lastNumber),
      onEnded: () => this.#tellEnded(),
    });
  }

  /** Takes what the index has, and begins to tidy. To be called once, first. */
  async load(): Promise<void> {
    const loaded = await loadShelves(this.#index, (stream) => this.#shelfOf(stream));
    for (let count = 0; count < loaded.damaged; count++) this.#metrics.damaged();
    this.#rows.remove(...loaded.removable);
    for (const { stream, facts } of loaded.broadcasts) {
      const shelf = this.#shelfOf(stream);
      const slackMs = UNSTORED_TARGETS * shelf.facts.targetDurationSeconds * 1000;
      if (!this.#options.record) this.#rows.remove(broadcastKeyOf(stream, facts));
      else this.#book.restore(stream, facts, shelf.lastKept(facts.firstNumber), slackMs);
    }
    for (const stream of this.#shelves.keys()) this.#book.check(stream);
    this.#closer.defer(() => this.#index.close());
    this.#closer.defer(() => this.#rows.close());
    const sweep = this.#createSweep();
    sweep.start();
    this.#retention.start();
    this.#closer.defer(() => this.#book.close());
    this.#closer.defer(() => sweep.close());
    this.#closer.defer(() => this.#retention.close());
    this.#closer.defer(() => this.#deleter.stop());
    this.#closer.defer(() => this.#writer.close(CLOSE_PATIENCE_MS));
  }

  open(stream: string): StreamArchive {
    this.#sessions.get(stream)?.close();
    const session = new ArchiveSession(stream, {
      past: () => this.#past(this.#shelfOf(stream)),
      describe: (targetDurationSeconds) => this.#setList(stream, { targetDurationSeconds }),
      keep: (...kept) => this.#keep(this.#shelfOf(stream), ...kept),
      listedFrom: (firstListed, discontinuitySequence) =>
        this.#setList(stream, { firstListed, discontinuitySequence }),
      end: () => this.#book.end(stream),
      close: () => this.#closeSession(stream),
    });
    this.#sessions.set(stream, session);
    this.#closedMs.delete(stream);
    if (this.#options.record) this.#book.opened(stream);
    return session;
  }

  async read(stream: string, rendition: string, segment: Segment): Promise<Uint8Array | undefined> {
    const { number, period, sizeBytes } = segment;
    const key = this.segmentKey(stream, rendition, period.id, number);
    const pending = this.#writer.read(key);
    if (pending) return pending;
    const bytes = await this.#deps.read(key);
    if (bytes?.length === sizeBytes) return bytes;
    // Deleted meanwhile, or the machine went down before the disk had it.
    if (this.#shelves.get(stream)?.rendition(rendition)?.segments.has(number)) this.#metrics.wrongRead();
    return undefined;
  }

  stretch({ stream, fromMs, toMs }: StretchOf): ArchivedStretch | undefined {
    const shelf = this.#shelves.get(stream);
    if (!shelf) return undefined;
    const whole = shelf.wholeUntil(this.#sessions.has(stream));
    const from = shelf.firstEndingAfter(fromMs, 0);
    const to = shelf.lastStartingBefore(toMs, whole);
    return from <= to ? shelf.stretch(from, to) : undefined;
  }

  segmentKey(stream: string, rendition: string, periodId: string, number: number): string {
    return liveSegmentKey({ stream, rendition, periodId, number });
  }

  hold(stream: string, fromMs: number): () => void {
    const hold = { fromMs };
    const holds = this.#holds.get(stream) ?? new Set();
    this.#holds.set(stream, holds.add(hold));
    return () => {
      holds.delete(hold);
      if (holds.size === 0 && this.#holds.get(stream) === holds) this.#holds.delete(stream);
    };
  }

  ended(): readonly Broadcast[] {
    return this.#book.ended();
  }

  onEnded(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Also resolves when the index cannot be written now: it will be, unless the process ends before. */
  async finished(broadcast: Broadcast): Promise<void> {
    if (!this.#book.finish(broadcast)) return;
    this.#rows.remove(broadcastKeyOf(broadcast.stream, broadcast));
    await this.#rows.flush().catch(() => undefined);
  }

  /** Stores what can be stored at once, and lets go of everything. Idempotent. */
  close(): Promise<void> {
    for (const session of [...this.#sessions.values()]) session.close();
    return this.#closer.close();
  }

  get #listSeconds(): number {
    return Math.max(this.#options.windowSeconds, this.#options.dvrSeconds);
  }

  #shelfOf(stream: string): Shelf {
    const known = this.#shelves.get(stream);
    if (known) return known;
    const shelf = new Shelf(stream, (bytes, segments) => this.#metrics.kept(bytes, segments));
    this.#shelves.set(stream, shelf);
    return shelf;
  }

  #setList(stream: string, facts: Partial<Shelf['facts']>): void {
    const shelf = this.#shelfOf(stream);
    shelf.facts = { ...shelf.facts, ...facts };
    if (shelf.facts.targetDurationSeconds > 0) this.#rows.set(listRow(stream, shelf.facts));
  }

  #past(shelf: Shelf): ArchivedStretch | undefined {
    const fromMs = this.#deps.clock.wallMs() - this.#listSeconds * 1000;
    const first = shelf.firstEndingAfter(fromMs, shelf.facts.firstListed);
    const past = shelf.stretch(first, shelf.last, true);
    const firstListed = past?.renditions[0]?.segments[0]?.number ?? shelf.last + 1;
    const discontinuitySequence = past?.discontinuitySequence ?? shelf.facts.discontinuitySequence;
    if (!shelf.isEmpty) this.#setList(shelf.stream, { firstListed, discontinuitySequence });
    return past;
  }

  #keep(shelf: Shelf, rendition: Rendition, segment: Segment, settled: (isKept: boolean) => void): void {
    if (segment.state === 'open' || segment.place === 'archive') return;
    const own = this.#meet(shelf, rendition, segment);
    if (segment.place === 'lost') return this.#lose(shelf, own, indexedSegment(rendition, segment));
    const entry = indexedSegment(rendition, segment);
    if (segment.state === 'gap') return this.#settle(shelf, own, entry);
    if (this.#options.record) {
      this.#book.media(shelf.stream, entry.number, startMsOf(entry), endMsOf(entry));
    }
    const isTaken = this.#store(shelf, own, entry, segment, settled);
    if (isTaken) shelf.await(own, entry);
    else {
      this.#lose(shelf, own, entry);
      settled(false);
    }
  }

  #store(
    shelf: Shelf,
    rendition: ShelfRendition,
    entry: IndexedSegment,
    segment: Segment,
    settled: (isKept: boolean) => void,
  ): boolean {
    const { stream } = shelf;
    const { id, kind } = rendition.facts;
    return this.#writer.add({
      stream,
      key: this.segmentKey(stream, id, entry.periodId, entry.number),
      contentType: `${kind}/mp4`,
      // The window lets go of its list of chunks, not of what is in it.
      chunks: segment.chunks.map(({ bytes }) => bytes),
      sizeBytes: entry.sizeBytes,
      prepare: () => this.#rows.flush(),
      publish: () => this.#rows.commit([segmentRow(stream, id, entry)]),
      settled: (isKept) => {
        if (isKept) shelf.add(rendition, entry);
        else this.#lose(shelf, rendition, entry);
        this.#book.check(stream);
        settled(isKept);
      },
    });
  }

  /** Notes the rendition and the period of a segment, where they are new. */
  #meet(shelf: Shelf, { id, kind, timescale }: Rendition, { period }: Segment): ShelfRendition {
    const { stream } = shelf;
    const known = shelf.rendition(id);
    const order = known?.facts.order ?? shelf.renditions.length;
    if (known?.facts.timescale !== timescale || known.facts.kind !== kind) {
      this.#rows.set(renditionRow(stream, { id, kind, timescale, order }));
    }
    const before = shelf.periods.get(period.id);
    // As long as nobody has seen it, renditions may be let into a period.
    if (before?.tracks !== period.tracks || this.#sizes.get(before) !== period.tracks.size) {
      this.#rows.set(periodRow(stream, period));
      this.#sizes.set(period, period.tracks.size);
      shelf.addPeriod(period);
    }
    return shelf.addRendition({ id, kind, timescale, order });
  }

  /** How many tracks a period had when it was written. */
  readonly #sizes = new WeakMap<object, number>();

  #settle(shelf: Shelf, rendition: ShelfRendition, entry: IndexedSegment): void {
    shelf.add(rendition, entry);
    this.#rows.set(segmentRow(shelf.stream, rendition.facts.id, entry));
  }

  #lose(shelf: Shelf, rendition: ShelfRendition, entry: IndexedSegment): void {
    const { stream } = shelf;
    const { number, periodId } = entry;
    const { id } = rendition.facts;
    if (rendition.segments.has(number)) return;
    if (!this.#writer.drop(this.segmentKey(stream, id, periodId, number))) return;
    this.#metrics.settled('lost', rendition.pending.get(number)?.sizeBytes ?? entry.sizeBytes);
    this.#settle(shelf, rendition, asLost(entry));
    this.#book.check(stream);
  }

  #closeSession(stream: string): void {
    this.#sessions.delete(stream);
    this.#closedMs.set(stream, this.#deps.clock.monotonicMs());
    if (this.#options.record) this.#book.closed(stream);
  }

  #isNeeded(stream: string, number: number, endMs: number): boolean {
    if (number >= this.#book.protectedFrom(stream)) return true;
    return [...(this.#holds.get(stream) ?? [])].some(({ fromMs }) => endMs > fromMs);
  }

  #isKnown(key: string): boolean {
    if (this.#writer.has(key)) return true;
    const parts = parseLiveKey(key);
    const segment =
      parts && this.#shelves.get(parts.stream)?.rendition(parts.rendition)?.segments.get(parts.number);
    return segment?.state === 'kept' && segment.periodId === parts?.periodId;
  }

  /** Gives up what streams that are over could not store for long, and forgets streams of which nothing is left. */
  #tidy(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const [stream, sinceMs] of this.#closedMs) {
      if (nowMs - sinceMs < STORE_AFTER_CLOSE_MS) continue;
      this.#closedMs.delete(stream);
      const shelf = this.#shelves.get(stream);
      for (const rendition of shelf?.renditions ?? []) {
        for (const entry of [...rendition.pending.values()]) if (shelf) this.#lose(shelf, rendition, entry);
      }
    }
    for (const [stream, shelf] of this.#shelves) {
      if (shelf.isEmpty && !this.#sessions.has(stream)) this.#shelves.delete(stream);
      this.#book.tidy(stream);
    }
    this.#metrics.broadcasts(this.#book.count);
  }

  #createSweep(): ArchiveSweep {
    const { store, clock } = this.#deps;
    const unused = [...this.#shelves.values()].flatMap((shelf) =>
      shelf.unusedPeriods().map((id) => ({ stream: shelf.stream, id })),
    );
    return new ArchiveSweep({
      ...{ store, clock, log: this.#log, deleter: this.#deleter },
      isKnown: (key) => this.#isKnown(key),
      isOurs: (parts) => this.#isOurs(parts),
      indexed: this.#indexedNumbers(),
      onMissing: (prefix, number) => this.#lostBlob(`${prefix}${number}.m4s`),
      onDone: () => {
        for (const { stream, id } of unused) {
          if (this.#shelves.get(stream)?.forgetPeriod(id)) this.#rows.remove(['period', stream, id]);
        }
      },
    });
  }

  #isOurs(parts: LiveKeyParts | undefined): boolean {
    if (!this.#options.isShared) return true;
    return parts !== undefined && (this.#shelves.get(parts.stream)?.periods.has(parts.periodId) ?? false);
  }

  #indexedNumbers(): Map<string, Set<number>> {
    const indexed = new Map<string, Set<number>>();
    for (const { stream, renditions } of this.#shelves.values()) {
      for (const { facts, segments } of renditions) {
        for (const { number, periodId, state } of segments.values()) {
          if (state !== 'kept') continue;
          const prefix = livePeriodPrefix(stream, facts.id, periodId);
          const numbers = indexed.get(prefix) ?? new Set();
          indexed.set(prefix, numbers.add(number));
        }
      }
    }
    return indexed;
  }

  /** A segment that is not where the index says. */
  #lostBlob(key: string): void {
    const parts = parseLiveKey(key);
    const shelf = parts && this.#shelves.get(parts.stream);
    const rendition = parts && shelf?.rendition(parts.rendition);
    const entry = parts && rendition?.segments.get(parts.number);
    if (!shelf || !rendition || entry?.state !== 'kept' || entry.periodId !== parts.periodId) return;
    this.#metrics.wrongRead();
    this.#settle(shelf, rendition, asLost(entry));
  }

  #tellEnded(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #indexFailed(error: unknown): void {
    this.#metrics.indexFailed();
    const isKnown = this.#indexFailedMs !== undefined;
    this.#indexFailedMs = this.#deps.clock.monotonicMs();
    if (isKnown) return;
    this.#log.error({ error }, 'the index of live segments cannot be written; live goes on from memory');
  }

  #indexWritten(): void {
    const failedMs = this.#indexFailedMs;
    // On a disk that is just full, some writes find room and others do not.
    if (failedMs === undefined || this.#deps.clock.monotonicMs() - failedMs < INDEX_WELL_MS) return;
    this.#indexFailedMs = undefined;
    this.#log.info({}, 'the index of live segments can be written again');
  }
}
