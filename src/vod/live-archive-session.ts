import type { ArchivedStretch, StreamArchive } from '../stream/archive.ts';
import type { Rendition, Segment } from '../stream/live-window.ts';

/** What stands behind it. */
export interface SessionCalls {
  readonly past: () => ArchivedStretch | undefined;
  readonly describe: (targetDurationSeconds: number) => void;
  readonly keep: StreamArchive['keep'];
  readonly listedFrom: StreamArchive['listedFrom'];
  readonly end: () => void;
  readonly close: () => void;
}

/** What one packager has of the archive, until it closes it. */
export class ArchiveSession implements StreamArchive {
  readonly stream: string;
  readonly #calls: SessionCalls;
  #onShortened: ((number: number) => void) | undefined;
  #closed = false;

  constructor(stream: string, calls: SessionCalls) {
    this.stream = stream;
    this.#calls = calls;
  }

  past(): ArchivedStretch | undefined {
    return this.#closed ? undefined : this.#calls.past();
  }

  describe({ targetDurationSeconds }: { readonly targetDurationSeconds: number }): void {
    if (!this.#closed) this.#calls.describe(targetDurationSeconds);
  }

  keep(rendition: Rendition, segment: Segment, settled: (isKept: boolean) => void): void {
    if (!this.#closed) this.#calls.keep(rendition, segment, settled);
  }

  listedFrom(number: number, discontinuitySequence: number): void {
    if (!this.#closed) this.#calls.listedFrom(number, discontinuitySequence);
  }

  onShortened(listener: (number: number) => void): void {
    this.#onShortened = listener;
  }

  shortened(number: number): void {
    this.#onShortened?.(number);
  }

  end(): void {
    if (!this.#closed) this.#calls.end();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#calls.close();
  }
}
