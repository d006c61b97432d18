import { ChunkedCounter } from './chunked-counter.ts';
import type { ChunkPlace } from './cmaf-chunks.ts';
import type { RawConnection } from './raw-connection.ts';

/** When a reader had how many bytes of the body. */
interface Progress {
  readonly counter: ChunkedCounter;
  readonly atMs: number[];
  readonly bytes: number[];
}

const PATIENCE_MS = 15_000;

/** Readers of one growing body, one on each connection. */
export class GrowingReaders {
  readonly #progress: readonly Progress[];

  constructor(connections: readonly RawConnection[]) {
    this.#progress = connections.map((connection) => {
      const progress: Progress = { counter: new ChunkedCounter(), atMs: [], bytes: [] };
      connection.onBytes = (bytes) => {
        progress.counter.take(bytes);
        progress.atMs.push(performance.now());
        progress.bytes.push(progress.counter.bodyBytes);
      };
      return progress;
    });
  }

  async ended(): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!this.#progress.every(({ counter }) => counter.ended)) {
      if (performance.now() > deadline) throw new Error('not every reader got the end of the segment');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Of each chunk, the time at which the first and the last reader had all of it, ms of `performance.now()`. */
  arrivals(places: readonly ChunkPlace[]): { readonly firstMs: number; readonly lastMs: number }[] {
    const ends = places.map(({ endByte }) => endByte);
    const total = ends.at(-1);
    const first = ends.map(() => Number.POSITIVE_INFINITY);
    const last = ends.map(() => Number.NEGATIVE_INFINITY);
    for (const { counter, atMs, bytes } of this.#progress) {
      if (counter.bodyBytes !== total) throw new Error(`a reader got ${counter.bodyBytes} bytes of ${total}`);
      let chunk = 0;
      for (const [i, at] of atMs.entries()) {
        for (; chunk < ends.length && (ends[chunk] ?? 0) <= (bytes[i] ?? 0); chunk++) {
          first[chunk] = Math.min(first[chunk] ?? 0, at);
          last[chunk] = Math.max(last[chunk] ?? 0, at);
        }
      }
    }
    return ends.map((_, i) => ({ firstMs: first[i] ?? 0, lastMs: last[i] ?? 0 }));
  }
}
