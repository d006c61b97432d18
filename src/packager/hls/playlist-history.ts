import type { TrackProtection } from '../../media/protection.ts';
import type { LiveWindow, Rendition } from '../../stream/live-window.ts';

/** Segments whose text is kept together: those from a multiple of it on. */
export const HISTORY_BLOCK = 64;

/** What the tags so far say of the segments that follow. */
export interface InForce {
  readonly map: string | undefined;
  readonly protection: TrackProtection | undefined;
}

/** The text of a block of segments that cannot change any more: they have left the memory, or are gaps. */
export interface HistoryBlock {
  readonly text: string;
  /** What is in force before it, which its text goes on from, and after it. */
  readonly before: InForce;
  readonly after: InForce;
  /** Gaps of a period without the track stand under the MAP of another, which is held no longer than the list. */
  readonly borrows: boolean;
}

/** The oldest part of one media playlist, which is the same in every rendering: a list may be a day long. */
export class PlaylistHistory {
  readonly #blocks = new Map<number, HistoryBlock>();
  #oldestPeriod: string | undefined;
  #basis = '';

  /** Forgets what has left the list, and what would be said in another way now. */
  keep({ firstListed, timescale }: Rendition, { periods }: LiveWindow, dateBiasMs: number): void {
    const basis = `${timescale} ${dateBiasMs}`;
    if (basis !== this.#basis) this.#blocks.clear();
    this.#basis = basis;
    const oldest = periods[0]?.id;
    if (oldest !== this.#oldestPeriod) {
      for (const [number, { borrows }] of this.#blocks) if (borrows) this.#blocks.delete(number);
      this.#oldestPeriod = oldest;
    }
    // In the order in which they were rendered, which is that of the list.
    for (const number of this.#blocks.keys()) {
      if (number >= firstListed) break;
      this.#blocks.delete(number);
    }
  }

  /** The block that begins with segment `number`; `render` gives undefined while some of it may still change. */
  block(number: number, before: InForce, render: () => HistoryBlock | undefined): HistoryBlock | undefined {
    const known = this.#blocks.get(number);
    if (known && known.before.map === before.map && sameKey(known.before.protection, before.protection))
      return known;
    const block = render();
    if (block) this.#blocks.set(number, block);
    return block;
  }
}

export function sameKey(one: TrackProtection | undefined, other: TrackProtection | undefined): boolean {
  return (
    one === other || (one !== undefined && other !== undefined && Buffer.compare(one.kid, other.kid) === 0)
  );
}
