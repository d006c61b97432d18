import { type Clock, every, type Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { IndexKey } from '../state/lmdb-segment-index.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { DiskUse } from '../storage/disk-use.ts';
import type { Period } from '../stream/live-window.ts';
import { liveSegmentKey, livePeriodPrefix } from './live-archive-key.ts';
import type { ArchiveDeleter } from './live-archive-deleter.ts';
import type { ArchiveDeletion } from './live-archive-metrics.ts';
import { segmentKeyOf } from './live-archive-records.ts';
import type { ArchiveRows } from './live-archive-rows.ts';
import type { Shelf } from './live-archive-shelf.ts';

export interface RetentionOptions {
  /** How far back playlists reach, at most. */
  readonly listSeconds: number;
  /** How far back the memory of the window reaches: what is younger does not go early. */
  readonly windowSeconds: number;
  /** How full the disk may be, 0 to 1, before the oldest goes early. */
  readonly maxDiskShare: number;
}

export interface RetentionDeps {
  readonly store: BlobStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly rows: ArchiveRows;
  readonly deleter: ArchiveDeleter;
  readonly shelves: () => Iterable<Shelf>;
  /** Whether a column must stay: a recording needs it. */
  readonly isNeeded: (shelf: Shelf, number: number, endMs: number) => boolean;
  /** Whether a packager has the stream. */
  readonly isOpen: (stream: string) => boolean;
  /** Whether a blob is stored, or being stored, for good reason. */
  readonly isKnown: (key: string) => boolean;
  /** Whether segments of a period came again. */
  readonly isInUse: (stream: string, periodId: string) => boolean;
  /** A round is through. */
  readonly onRound: () => void;
  /** Segments before `number` had to go early. */
  readonly shortened: (stream: string, number: number) => void;
  /** Undefined: it cannot be told. */
  readonly diskUse: () => Promise<DiskUse | undefined>;
}

/** How often it is looked what may go. */
const INTERVAL_MS = 5000;
/** Columns deleted before it is looked anew. */
const BATCH_COLUMNS = 500;
/** Lists are at least so many target durations long (RFC 8216bis 6.2.2). */
const MIN_LIST_TARGETS = 3;
/** As the window counts: a segment's own duration twice, that of the open one, and margin. */
const KEPT_TARGETS = 4;
/** So much more than had to be freed is freed, as a share of the disk. */
const FREED_MORE = 0.02;

interface Removed {
  readonly keys: string[];
  readonly rows: IndexKey[];
  readonly periods: { readonly stream: string; readonly period: Period }[];
  bytes: number;
}

/**
 * Deletes what no player may ask for any more: a segment stays for its own duration and that of the longest list it was in
 * after it left the list (RFC 8216bis 6.2.2). On a disk that is nearly full the oldest goes early. The index forgets a
 * segment before the store does, so that it never has one that is not there.
 */
export class ArchiveRetention {
  readonly #options: RetentionOptions;
  readonly #deps: RetentionDeps;
  #timer: Timer | undefined;
  #round: Promise<void> | undefined;
  #isShort = false;
  #closed = false;

  constructor(options: RetentionOptions, deps: RetentionDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  start(): void {
    this.#timer = every(this.#deps.clock, INTERVAL_MS, () => void this.run());
    void this.run();
  }

  /** One round; resolves when it is through. */
  run(): Promise<void> {
    this.#round ??= this.#runAll().finally(() => (this.#round = undefined));
    return this.#round;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#round;
  }

  async #runAll(): Promise<void> {
    try {
      await this.#expire();
      await this.#makeRoom();
      this.#deps.onRound();
    } catch (error) {
      this.#deps.log.error({ error }, 'live segments that are over cannot be deleted');
    }
  }

  async #expire(): Promise<void> {
    for (;;) {
      const removed = nothing();
      let columns = 0;
      for (const shelf of this.#deps.shelves()) {
        while (columns < BATCH_COLUMNS && this.#isOver(shelf)) {
          this.#take(shelf, removed);
          columns += 1;
        }
      }
      await this.#delete(removed, 'expired');
      if (columns < BATCH_COLUMNS || this.#closed) return;
    }
  }

  #isOver(shelf: Shelf): boolean {
    const { clock, isOpen } = this.#deps;
    const { first, facts } = shelf;
    if (first === undefined || (isOpen(shelf.stream) && first >= facts.firstListed)) return false;
    return this.#mayGo(shelf, first, clock.wallMs() - keptMs(this.#options.listSeconds, shelf));
  }

  /** Whether a column that ended before `beforeMs` is all there is in the way. */
  #mayGo(shelf: Shelf, number: number, beforeMs: number): boolean {
    if (shelf.isPending(number)) return false;
    const endMs = shelf.endMsOf(number);
    return endMs === undefined || (endMs <= beforeMs && !this.#deps.isNeeded(shelf, number, endMs));
  }

  async #makeRoom(): Promise<void> {
    const use = await this.#deps.diskUse();
    if (!use || use.totalBytes <= 0 || this.#closed) return;
    const { maxDiskShare } = this.#options;
    const share = 1 - use.availableBytes / use.totalBytes;
    if (share < maxDiskShare) {
      if (this.#isShort && share < maxDiskShare - FREED_MORE / 2) this.#isShort = false;
      return;
    }
    if (!this.#isShort) {
      this.#isShort = true;
      this.#deps.log.error(
        { availableBytes: use.availableBytes },
        'the disk of the store is nearly full: the oldest live segments are deleted early',
      );
    }
    await this.#dropOldest((share - maxDiskShare + FREED_MORE) * use.totalBytes);
  }

  async #dropOldest(bytes: number): Promise<void> {
    const removed = nothing();
    const shortened = new Set<Shelf>();
    while (removed.bytes < bytes) {
      const oldest = this.#oldestToDrop();
      if (!oldest) break;
      this.#take(oldest, removed);
      shortened.add(oldest);
    }
    for (const shelf of shortened) this.#deps.shortened(shelf.stream, shelf.first ?? shelf.last + 1);
    await this.#delete(removed, 'disk_full');
  }

  #oldestToDrop(): Shelf | undefined {
    let oldest: { readonly shelf: Shelf; readonly endMs: number } | undefined;
    for (const shelf of this.#deps.shelves()) {
      const { first } = shelf;
      if (first === undefined) continue;
      const youngMs = keptMs(this.#options.windowSeconds, shelf);
      if (!this.#mayGo(shelf, first, this.#deps.clock.wallMs() - youngMs)) continue;
      const endMs = shelf.endMsOf(first) ?? 0;
      if (!oldest || endMs < oldest.endMs) oldest = { shelf, endMs };
    }
    return oldest?.shelf;
  }

  #take(shelf: Shelf, removed: Removed): void {
    const { stream } = shelf;
    const { segments, periods } = shelf.removeFirst();
    for (const { rendition, segment } of segments) {
      const { id } = rendition.facts;
      const { number, periodId } = segment;
      removed.rows.push(segmentKeyOf(stream, id, number));
      if (segment.state !== 'kept') continue;
      removed.keys.push(liveSegmentKey({ stream, rendition: id, periodId, number }));
      removed.bytes += segment.sizeBytes;
    }
    for (const period of periods) removed.periods.push({ stream, period });
    for (const id of shelf.takeEmptyRenditions()) removed.rows.push(['rendition', stream, id]);
    if (shelf.isEmpty && !this.#deps.isOpen(stream)) removed.rows.push(['list', stream]);
  }

  async #delete({ rows, keys, periods }: Removed, reason: ArchiveDeletion): Promise<void> {
    this.#deps.rows.remove(...rows);
    // On a full disk even that may fail, and then it is the blobs that make room for it.
    await this.#deps.rows.flush().catch(() => undefined);
    await this.#deps.deleter.delete(keys, reason);
    for (const { stream, period } of periods) await this.#forgetPeriod(stream, period);
  }

  /** With what a killed process had put there without a word in the index. */
  async #forgetPeriod(stream: string, period: Period): Promise<void> {
    for (const rendition of period.tracks.keys()) {
      if (this.#closed) return;
      const page = await this.#deps.store
        .list(livePeriodPrefix(stream, rendition, period.id))
        .catch(() => undefined);
      if (!page) return;
      const orphans = page.blobs.map(({ key }) => key).filter((key) => !this.#deps.isKnown(key));
      await this.#deps.deleter.delete(orphans, 'orphan');
    }
    if (!this.#deps.isInUse(stream, period.id)) this.#deps.rows.remove(['period', stream, period.id]);
  }
}

/** How long a segment is needed that stood in a list of so many seconds. */
function keptMs(listSeconds: number, { facts: { targetDurationSeconds } }: Shelf): number {
  const list = Math.max(listSeconds, MIN_LIST_TARGETS * targetDurationSeconds);
  return (2 * list + KEPT_TARGETS * targetDurationSeconds) * 1000;
}

function nothing(): Removed {
  return { keys: [], rows: [], periods: [], bytes: 0 };
}
