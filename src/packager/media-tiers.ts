import type { StreamArchive } from '../stream/archive.ts';
import type { LiveRendition, LiveSegment } from './live-rendition.ts';
import type { PackagerMetrics } from './packager-metrics.ts';

/** What lies behind the memory of one stream's window. */
export interface BehindMemory {
  readonly archive: StreamArchive;
  /** How much of the newest media the memory holds in any case, seconds, while there is room. */
  readonly memorySeconds: number;
}

/**
 * Where the media of one window is. Without an archive all of it is in memory. With one each complete segment is given to
 * it; when its turn to leave the memory has come it does so as soon as it is stored. One that is not stays, until its room
 * is needed: then it is lost.
 */
export class MediaTiers {
  readonly #maxBytes: number;
  readonly #behind: BehindMemory | undefined;
  readonly #metrics: PackagerMetrics;
  #totalBytes = 0;
  /** Complete segments that the archive has not been given yet. */
  #complete: { readonly rendition: LiveRendition; readonly segment: LiveSegment }[] = [];
  /** Those that should have left the memory but are not stored, oldest first. */
  readonly #overdue = new Map<LiveSegment, LiveRendition>();
  #closed = false;

  constructor(maxBytes: number, behind: BehindMemory | undefined, metrics: PackagerMetrics) {
    this.#maxBytes = maxBytes;
    this.#behind = behind;
    this.#metrics = metrics;
  }

  get hasArchive(): boolean {
    return this.#behind !== undefined;
  }

  /** Media bytes held. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  get isFull(): boolean {
    return this.#totalBytes > this.#maxBytes;
  }

  addBytes(count: number): void {
    this.#totalBytes += count;
    this.#metrics.windowBytes.add(count);
  }

  /** A segment of the rendition has become complete. */
  completed(rendition: LiveRendition, segment: LiveSegment): void {
    if (this.#behind) this.#complete.push({ rendition, segment });
  }

  /**
   * Gives what is complete to the archive. Not before the window is shown: until then rungs come and go, and are still let
   * into periods.
   */
  handOver(): void {
    const given = this.#complete;
    this.#complete = [];
    for (const { rendition, segment } of given) {
      if (segment.isHeld) segment.keeping = 'pending';
      this.#behind?.archive.keep(rendition, segment, (isKept) => this.#settle(segment, isKept));
    }
  }

  /** Takes back what was not given to the archive yet, of a rendition from `number` on. */
  takeBack(rendition: LiveRendition, number: number): void {
    this.#complete = this.#complete.filter(
      (entry) => entry.rendition !== rendition || entry.segment.number < number,
    );
  }

  /** Lets go of what the memory need not hold any more. All renditions go together. */
  release(renditions: readonly LiveRendition[]): void {
    const seconds = this.#behind?.memorySeconds ?? Infinity;
    while (renditions.length > 0 && renditions.every((rendition) => rendition.secondsInMemory >= seconds))
      this.#releaseOldest(renditions);
  }

  /**
   * Makes room by letting go of the oldest media, stored or not. False when only the last complete segment and the open
   * one are left. Tells by `isLost` whether something is lost by it.
   */
  makeRoom(renditions: readonly LiveRendition[]): { readonly isLost: boolean } | undefined {
    for (const [segment, rendition] of this.#overdue) {
      this.#lose(rendition, segment);
      return { isLost: true };
    }
    if (renditions.some(({ completeInMemory }) => completeInMemory <= 1)) return undefined;
    this.#releaseOldest(renditions);
    return { isLost: false };
  }

  /** The archive has not said yet what becomes of it: it is not to be forgotten. */
  isAwaited(segment: LiveSegment | undefined): boolean {
    return segment?.keeping === 'pending' && this.#overdue.has(segment);
  }

  /** A segment is held no longer, wherever it was. */
  forget(segment: LiveSegment | undefined): void {
    if (!segment) return;
    this.#overdue.delete(segment);
    if (segment.isHeld) this.addBytes(-segment.sizeBytes);
  }

  /** Lets go of all media. */
  close(): void {
    this.#closed = true;
    this.addBytes(-this.#totalBytes);
    this.#overdue.clear();
    this.#complete = [];
  }

  #releaseOldest(renditions: readonly LiveRendition[]): void {
    for (const rendition of renditions) {
      const segment = rendition.passMemory();
      if (!segment?.isHeld) continue;
      if (segment.keeping === 'kept') this.#leave(segment, 'archive');
      else this.#overdue.set(segment, rendition);
    }
  }

  #settle(segment: LiveSegment, isKept: boolean): void {
    if (this.#closed || segment.keeping !== 'pending') return;
    segment.keeping = isKept ? 'kept' : 'failed';
    if (isKept && this.#overdue.delete(segment)) this.#leave(segment, 'archive');
  }

  #lose(rendition: LiveRendition, segment: LiveSegment): void {
    const wasGiven = segment.keeping !== undefined;
    this.#overdue.delete(segment);
    segment.keeping = 'failed';
    this.#leave(segment, 'lost');
    this.#metrics.lostSegments.inc({ rendition: rendition.origin });
    // What was not given yet will be, as it is now.
    if (wasGiven) this.#behind?.archive.keep(rendition, segment, () => {});
  }

  #leave(segment: LiveSegment, place: 'archive' | 'lost'): void {
    this.addBytes(-segment.sizeBytes);
    segment.leaveMemory(place);
  }
}
