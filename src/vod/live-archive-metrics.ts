import type { Metrics } from '../base/metrics.ts';

/** What became of a segment that was to be stored. `lost`: it left the memory, or could not be stored at all. */
export type ArchiveOutcome = 'stored' | 'lost';

/** Why stored segments were deleted. `expired`: no player may ask for them any more. */
export type ArchiveDeletion = 'expired' | 'disk_full' | 'orphan';

const SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** What is counted of the archive of live streams. */
export class LiveArchiveMetrics {
  readonly #pendingBytes;
  readonly #pendingSegments;
  readonly #segments;
  readonly #bytes;
  readonly #failedPuts;
  readonly #seconds;
  readonly #failingStreams;
  readonly #keptSegments;
  readonly #keptBytes;
  readonly #deleted;
  readonly #failedDeletes;
  readonly #damagedRecords;
  readonly #failedWrites;
  readonly #wrongReads;
  readonly #unfinished;

  constructor(metrics: Metrics) {
    this.#pendingBytes = metrics.gauge(
      'archive_pending_bytes',
      'Bytes of live segments in memory that are to be stored.',
    );
    this.#pendingSegments = metrics.gauge(
      'archive_pending_segments',
      'Live segments in memory that are to be stored.',
    );
    this.#segments = metrics.counter(
      'archive_segments_total',
      'Live segments that were to be stored, by what became of them: stored, or lost (left the memory before).',
      ['outcome'],
    );
    this.#bytes = metrics.counter('archive_bytes_total', 'Bytes of those segments.', ['outcome']);
    this.#failedPuts = metrics.counter(
      'archive_failed_puts_total',
      'Tries to store a live segment that failed; most are tried again.',
    );
    this.#seconds = metrics.histogram(
      'archive_store_seconds',
      'Time from the end of a live segment until it was stored and indexed.',
      SECONDS,
    );
    this.#failingStreams = metrics.gauge(
      'archive_failing_streams',
      'Streams whose segments cannot be stored at the moment.',
    );
    this.#keptSegments = metrics.gauge('archive_kept_segments', 'Live segments in the store.');
    this.#keptBytes = metrics.gauge('archive_kept_bytes', 'Bytes of live segments in the store.');
    this.#deleted = metrics.counter(
      'archive_deleted_segments_total',
      'Live segments deleted from the store: expired, as the disk was nearly full, or not in the index.',
      ['reason'],
    );
    this.#failedDeletes = metrics.counter(
      'archive_failed_deletes_total',
      'Live segments that could not be deleted from the store; it is tried again.',
    );
    this.#damagedRecords = metrics.counter(
      'archive_damaged_records_total',
      'Records of the index of live segments that could not be read and were left out.',
    );
    this.#failedWrites = metrics.counter(
      'archive_failed_index_writes_total',
      'Writes of the index of live segments that failed; they are tried again.',
    );
    this.#wrongReads = metrics.counter(
      'archive_wrong_reads_total',
      'Segments that the index has and the store has not, or not whole.',
    );
    this.#unfinished = metrics.gauge(
      'archive_unfinished_broadcasts',
      'Broadcasts whose segments are kept until they are recorded.',
    );
  }

  pending(bytes: number, segments: number): void {
    this.#pendingBytes.inc(bytes);
    this.#pendingSegments.inc(segments);
  }

  settled(outcome: ArchiveOutcome, bytes: number): void {
    this.#segments.inc({ outcome });
    this.#bytes.inc({ outcome }, bytes);
  }

  stored(seconds: number): void {
    this.#seconds.observe(seconds);
  }

  putFailed(): void {
    this.#failedPuts.inc();
  }

  failing(streams: number): void {
    this.#failingStreams.set(streams);
  }

  kept(bytes: number, segments: number): void {
    this.#keptBytes.inc(bytes);
    this.#keptSegments.inc(segments);
  }

  deleted(reason: ArchiveDeletion): void {
    this.#deleted.inc({ reason });
  }

  deleteFailed(): void {
    this.#failedDeletes.inc();
  }

  damaged(): void {
    this.#damagedRecords.inc();
  }

  indexFailed(): void {
    this.#failedWrites.inc();
  }

  wrongRead(): void {
    this.#wrongReads.inc();
  }

  broadcasts(unfinished: number): void {
    this.#unfinished.set(unfinished);
  }
}
