import type { Clock, Timer } from '../base/clock.ts';
import { sharedBytes } from '../http/shared-bytes.ts';
import type { BodyStream, SharedBytes } from '../http/types.ts';
import type { Chunk, Segment } from '../stream/live-window.ts';
import { flushIntervalMs } from './flush-policy.ts';
import type { Releaser } from './releaser.ts';

/** Counts readers of growing segments over the whole process: the flush interval depends on all of them. */
export interface ReaderCount {
  readers: number;
}

interface StreamerDeps {
  readonly clock: Clock;
  readonly releaser: Releaser;
  readonly count: ReaderCount;
}

/** One client that reads the segment while it grows. */
interface Reader {
  readonly body: BodyStream;
  /** How many flushes it has been given, the ones before it joined included. */
  flushes: number;
}

/**
 * Sends one open segment to everyone who asked for it before it was complete. Chunks are flushed whole, framed once
 * for all readers; who comes late first gets all that was flushed before, so that every body has the same bytes.
 * With many readers several chunks share a flush (see flush-policy.ts).
 */
export class SegmentStreamer {
  readonly #segment: Segment;
  readonly #deps: StreamerDeps;
  readonly #readers = new Set<Reader>();
  readonly #flushes: SharedBytes[] = [];
  #flushedChunks = 0;
  #lastFlushMs = Number.NEGATIVE_INFINITY;
  #catchUp: SharedBytes | undefined;
  #timer: Timer | undefined;

  constructor(segment: Segment, deps: StreamerDeps) {
    this.#segment = segment;
    this.#deps = deps;
    this.#flush();
  }

  /** True when the segment is complete and every reader has all of it: nothing is left to do. */
  get finished(): boolean {
    return this.#complete && this.#readers.size === 0;
  }

  /** Adds a reader. Returns what to call when it goes away by itself. */
  join(body: BodyStream): () => void {
    const reader: Reader = { body, flushes: this.#flushes.length };
    this.#readers.add(reader);
    this.#deps.count.readers += 1;
    const catchUp = this.#flushedBytes();
    if (catchUp) body.write(catchUp);
    this.#endIfDone(reader);
    return () => this.#leave(reader);
  }

  /** To be called when the segment has a new chunk or was closed. */
  changed(): void {
    const pending = this.#segment.chunks.length > this.#flushedChunks;
    if (this.#segment.state !== 'open') this.#flushNow();
    else if (pending && !this.#timer) this.#flushWhenDue();
  }

  /** Forgets the readers without ending their bodies: a body cut short must not look complete. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const reader of this.#readers) this.#leave(reader);
  }

  get #complete(): boolean {
    return this.#segment.state !== 'open' && this.#flushedChunks === this.#segment.chunks.length;
  }

  #flushWhenDue(): void {
    const { clock, count } = this.#deps;
    const waitMs = this.#lastFlushMs + flushIntervalMs(count.readers) - clock.monotonicMs();
    if (waitMs <= 0) this.#flushNow();
    else this.#timer = clock.after(waitMs, () => this.#flushNow());
  }

  #flushNow(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#flush();
    this.#deps.releaser.run(this.#readers, (reader) => this.#send(reader));
  }

  #flush(): void {
    const { chunks } = this.#segment;
    if (chunks.length === this.#flushedChunks) return;
    this.#flushes.push(joined(chunks, this.#flushedChunks, chunks.length));
    this.#flushedChunks = chunks.length;
    this.#lastFlushMs = this.#deps.clock.monotonicMs();
    this.#catchUp = undefined;
  }

  #send(reader: Reader): void {
    for (let next = this.#flushes[reader.flushes]; next; next = this.#flushes[reader.flushes]) {
      reader.flushes += 1;
      reader.body.write(next);
    }
    this.#endIfDone(reader);
  }

  #endIfDone(reader: Reader): void {
    if (!this.#complete || reader.flushes !== this.#flushes.length || !this.#leave(reader)) return;
    reader.body.end();
  }

  /** All that was flushed so far as one buffer, made once for everybody who joins between two flushes. */
  #flushedBytes(): SharedBytes | undefined {
    if (this.#flushes.length < 2) return this.#flushes[0];
    this.#catchUp ??= joined(this.#segment.chunks, 0, this.#flushedChunks);
    return this.#catchUp;
  }

  #leave(reader: Reader): boolean {
    if (!this.#readers.delete(reader)) return false;
    this.#deps.count.readers -= 1;
    return true;
  }
}

function joined(chunks: readonly Chunk[], from: number, to: number): SharedBytes {
  const only = chunks[from];
  if (only && to - from === 1) return sharedBytes(only.bytes);
  return sharedBytes(Buffer.concat(chunks.slice(from, to).map((chunk) => chunk.bytes)));
}
