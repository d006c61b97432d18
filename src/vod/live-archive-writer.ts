import type { Clock, Timer } from '../base/clock.ts';
import { type ErrorCode, errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { LiveArchiveMetrics } from './live-archive-metrics.ts';

export interface ArchiveWriterLimits {
  /** Segments on their way at once, of all streams and of one. */
  readonly parallel: number;
  readonly parallelPerStream: number;
  /** Their bytes, of all streams; one segment always may be. */
  readonly parallelBytes: number;
  /** Segments that wait, those on their way with them; the one that comes beyond is lost. */
  readonly maxPendingSegments: number;
  /** Their bytes, which the windows of their streams hold, too, as long as those are not over. */
  readonly maxPendingBytes: number;
}

export interface ArchiveWriterDeps {
  readonly store: BlobStore;
  readonly clock: Clock;
  /** 0 up to 1. */
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: LiveArchiveMetrics;
}

/** A segment that is to be stored. */
export interface PutJob {
  readonly stream: string;
  readonly key: string;
  readonly contentType: string;
  readonly chunks: readonly Uint8Array[];
  readonly sizeBytes: number;
  /** Before the put: what must be on disk for the blob not to be an orphan. Rejects as the index does. */
  readonly prepare: () => Promise<void>;
  /** Behind the put: makes it known. Rejects as the index does. */
  readonly publish: () => Promise<void>;
  /** Called once, with whether it is stored. */
  readonly settled: (isKept: boolean) => void;
}

interface Pending {
  readonly job: PutJob;
  readonly sinceMs: number;
  /** It is in the store, but not in the index. */
  isPut: boolean;
  /** It is being written into the index. */
  isPublishing: boolean;
  /** Nobody wants it any more. */
  isDropped: boolean;
}

/** What is to be stored of one stream, the oldest first. */
interface Lane {
  readonly stream: string;
  readonly waiting: Pending[];
  active: number;
  /** Tries that failed since the stream was last well. */
  failures: number;
  /** Segments that failed and are to be tried again: the stream is well when there are none. */
  readonly failed: Set<Pending>;
  retry: Timer | undefined;
}

const NEW = { isPut: false, isPublishing: false, isDropped: false };

const BACKOFF_MS = { base: 500, max: 15_000 } as const;
/** Failures that pass: the segment is tried again as long as somebody has its bytes. */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'STORAGE_UNAVAILABLE',
  'STORAGE_FULL',
  'STATE_SEGMENTS_UNAVAILABLE',
]);

/**
 * Stores segments in the background: streams take turns, a few segments of each on their way at once, and a stream whose
 * puts fail waits, ever longer, by itself. Never throws at who gives it segments.
 */
export class ArchiveWriter {
  readonly #limits: ArchiveWriterLimits;
  readonly #deps: ArchiveWriterDeps;
  /** The one whose turn was last is the last. */
  readonly #lanes = new Map<string, Lane>();
  readonly #pending = new Map<string, Pending>();
  readonly #running = new Set<Promise<void>>();
  #pendingBytes = 0;
  #activeBytes = 0;
  #failingStreams = 0;
  /** It was said that segments cannot be stored. */
  #isAway = false;
  #closed = false;

  constructor(limits: ArchiveWriterLimits, deps: ArchiveWriterDeps) {
    this.#limits = limits;
    this.#deps = deps;
  }

  /** False: as much waits as may, and the segment is not taken. */
  add(job: PutJob): boolean {
    const { maxPendingSegments, maxPendingBytes } = this.#limits;
    const isOver =
      this.#pending.size >= maxPendingSegments || this.#pendingBytes + job.sizeBytes > maxPendingBytes;
    if (this.#closed || (isOver && this.#pending.size > 0)) return false;
    this.drop(job.key);
    const pending = { job, sinceMs: this.#deps.clock.monotonicMs(), ...NEW };
    this.#pending.set(job.key, pending);
    this.#count(job.sizeBytes, 1);
    this.#laneOf(job.stream).waiting.push(pending);
    this.#next();
    return true;
  }

  /**
   * Its bytes are gone, or nobody wants it: it is not stored any more, and `settled` is not called. False: it is too late,
   * and it is as good as stored.
   */
  drop(key: string): boolean {
    const pending = this.#pending.get(key);
    if (!pending) return true;
    if (pending.isPublishing) return false;
    pending.isDropped = true;
    this.#forget(pending);
    const lane = this.#lanes.get(pending.job.stream);
    const index = lane?.waiting.indexOf(pending) ?? -1;
    if (index >= 0) lane?.waiting.splice(index, 1);
    lane?.failed.delete(pending);
    if (pending.isPut) this.#unput(pending);
    this.#tidy(lane);
    return true;
  }

  /** Bytes of a segment that is not stored yet; undefined: it is, or was never given. */
  read(key: string): Uint8Array | undefined {
    const pending = this.#pending.get(key);
    return pending && joined(pending.job);
  }

  /** Those of a stream that were given before `beforeMs` (monotonic). */
  olderThan(stream: string, beforeMs: number): string[] {
    return [...this.#pending.values()]
      .filter(({ job, sinceMs }) => job.stream === stream && sinceMs < beforeMs)
      .map(({ job }) => job.key);
  }

  has(key: string): boolean {
    return this.#pending.has(key);
  }

  /** Everything is stored, or cannot be at the moment. */
  get isIdle(): boolean {
    return [...this.#lanes.values()].every(({ failures, active }) => failures > 0 && active === 0);
  }

  /** Waits for what can be stored, `patienceMs` at most; of the rest nothing is begun. Idempotent. */
  async close(patienceMs: number): Promise<void> {
    const late = new AbortController();
    const wait = new Promise<void>((resolve) => {
      late.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    const timer = this.#deps.clock.after(patienceMs, () => late.abort());
    while (!this.#closed && !this.isIdle && !late.signal.aborted)
      await Promise.race([wait, ...this.#running]);
    timer.cancel();
    this.#closed = true;
    for (const lane of [...this.#lanes.values()]) {
      lane.retry?.cancel();
      for (const { job } of [...lane.waiting]) this.drop(job.key);
    }
  }

  /** Waits for what is on its way, which ends when the store is closed. */
  async ended(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }

  #laneOf(stream: string): Lane {
    const known = this.#lanes.get(stream);
    if (known) return known;
    const lane: Lane = { stream, waiting: [], active: 0, failures: 0, failed: new Set(), retry: undefined };
    this.#lanes.set(stream, lane);
    return lane;
  }

  /** Begins what may begin: streams take turns. */
  #next(): void {
    for (;;) {
      const lane = [...this.#lanes.values()].find((each) => this.#mayBegin(each));
      const pending = lane?.waiting.shift();
      if (!lane || !pending) return;
      this.#lanes.delete(lane.stream);
      this.#lanes.set(lane.stream, lane);
      this.#begin(lane, pending);
    }
  }

  #mayBegin({ waiting, active, failures, retry }: Lane): boolean {
    const [pending] = waiting;
    const { parallel, parallelPerStream, parallelBytes } = this.#limits;
    if (!pending || retry || this.#closed || this.#running.size >= parallel) return false;
    // One try is enough to see whether the store is back.
    if (active >= (failures > 0 ? 1 : parallelPerStream)) return false;
    return this.#activeBytes === 0 || this.#activeBytes + pending.job.sizeBytes <= parallelBytes;
  }

  #begin(lane: Lane, pending: Pending): void {
    const { sizeBytes } = pending.job;
    lane.active += 1;
    this.#activeBytes += sizeBytes;
    const running = this.#run(lane, pending).finally(() => {
      this.#running.delete(running);
      lane.active -= 1;
      this.#activeBytes -= sizeBytes;
      this.#tidy(lane);
      this.#next();
    });
    this.#running.add(running);
  }

  async #run(lane: Lane, pending: Pending): Promise<void> {
    const { job } = pending;
    try {
      await this.#store(pending);
      if (pending.isDropped) return;
      this.#forget(pending);
      lane.failed.delete(pending);
      const { clock, metrics } = this.#deps;
      metrics.settled('stored', job.sizeBytes);
      metrics.stored((clock.monotonicMs() - pending.sinceMs) / 1000);
      this.#succeeded(lane);
      job.settled(true);
    } catch (error) {
      this.#deps.metrics.putFailed();
      if (!pending.isDropped) this.#failed(lane, pending, error);
    }
  }

  async #store(pending: Pending): Promise<void> {
    const { job } = pending;
    await job.prepare();
    if (!pending.isPut && !pending.isDropped) {
      await this.#deps.store.put(job.key, joined(job), { contentType: job.contentType });
      pending.isPut = true;
    }
    if (pending.isDropped) return this.#unput(pending);
    pending.isPublishing = true;
    try {
      await job.publish();
    } finally {
      pending.isPublishing = false;
    }
  }

  /** What is stored of a segment that nobody wants; should that fail, it is found at the next start. */
  #unput({ job }: Pending): void {
    const deleting = this.#deps.store.delete(job.key).catch(() => this.#deps.metrics.deleteFailed());
    this.#running.add(deleting);
    void deleting.finally(() => this.#running.delete(deleting));
  }

  #failed(lane: Lane, pending: Pending, error: unknown): void {
    const { clock, random, log } = this.#deps;
    const { job } = pending;
    if (!PASSING.has(errorCode(error))) {
      log.error({ stream: job.stream, code: errorCode(error), error }, 'a live segment cannot be stored');
      this.#forget(pending);
      lane.failed.delete(pending);
      job.settled(false);
      return;
    }
    lane.failed.add(pending);
    this.#setFailures(lane, lane.failures + 1, error);
    insert(lane.waiting, pending);
    if (lane.retry || this.#closed) return;
    const longestMs = Math.min(BACKOFF_MS.max, BACKOFF_MS.base * 2 ** Math.min(lane.failures - 1, 16));
    lane.retry = clock.after(longestMs * (0.5 + random() / 2), () => {
      lane.retry = undefined;
      this.#tidy(lane);
      this.#next();
    });
  }

  #succeeded(lane: Lane): void {
    // What is small may fit where what is large does not.
    if (lane.failed.size > 0) return;
    lane.retry?.cancel();
    lane.retry = undefined;
    this.#setFailures(lane, 0, undefined);
    if (!this.#isAway || this.#failingStreams > 0) return;
    this.#isAway = false;
    this.#deps.log.info({}, 'live segments are stored again');
  }

  #setFailures(lane: Lane, failures: number, error: unknown): void {
    const { log, metrics } = this.#deps;
    this.#failingStreams += Number(failures > 0) - Number(lane.failures > 0);
    lane.failures = failures;
    metrics.failing(this.#failingStreams);
    if (failures === 0 || this.#isAway) return;
    this.#isAway = true;
    const fields = { stream: lane.stream, code: errorCode(error), error };
    log.error(fields, 'live segments cannot be stored; live goes on from memory');
  }

  /** Forgets a stream that nothing is to be stored of. */
  #tidy(lane: Lane | undefined): void {
    if (!lane || lane.active > 0 || lane.waiting.length > 0) return;
    lane.retry?.cancel();
    lane.retry = undefined;
    this.#setFailures(lane, 0, undefined);
    this.#lanes.delete(lane.stream);
  }

  #forget({ job }: Pending): void {
    this.#pending.delete(job.key);
    this.#count(-job.sizeBytes, -1);
  }

  #count(bytes: number, segments: number): void {
    this.#pendingBytes += bytes;
    this.#deps.metrics.pending(bytes, segments);
  }
}

/** Back in its place: the oldest goes first. */
function insert(waiting: Pending[], pending: Pending): void {
  const index = waiting.findIndex(({ sinceMs }) => sinceMs > pending.sinceMs);
  if (index < 0) waiting.push(pending);
  else waiting.splice(index, 0, pending);
}

function joined({ chunks, sizeBytes }: PutJob): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  let position = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, position);
    position += chunk.length;
  }
  return bytes;
}
