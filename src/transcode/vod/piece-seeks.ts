import type { PlannedVideo, TitleWork } from './title-plan.ts';

/** Where reading begins. */
export type PieceSeek =
  | { readonly kind: 'beginning' }
  /** So long before the piece, at what the demuxer takes for a key frame. */
  | { readonly kind: 'before'; readonly marginMs: number };

/** Demuxers without an index find some place before the time asked for, and the next key frame is who knows where. */
const MARGINS_MS: Readonly<Record<string, readonly number[]>> = {
  mpegts: [3000, 12_000, 40_000],
  mxf: [1000, 12_000, 40_000],
};
const INDEXED_MARGINS_MS = [1000, 15_000];

/** The ways to read a piece, to be tried one after the other until all its frames come. */
export function pieceSeeks(
  demuxer: string,
  start: number,
  video: Pick<PlannedVideo, 'frameRate'>,
): PieceSeek[] {
  const startMs = (start * 1000 * video.frameRate.denominator) / video.frameRate.numerator;
  const margins = MARGINS_MS[demuxer] ?? INDEXED_MARGINS_MS;
  const seeks = margins.filter((marginMs) => marginMs < startMs);
  return [...seeks.map((marginMs): PieceSeek => ({ kind: 'before', marginMs })), { kind: 'beginning' }];
}

/** Titles whose margins are remembered; the oldest is forgotten first. */
const MAX_TITLES = 100;

/** From how far ahead the pieces of a title had to be read, so that the next ones are not read in vain first. */
export class SeekMemory {
  readonly #margins = new Map<string, number>();

  /** Those of the ways that are worth trying: at least one. */
  worthTrying(work: Pick<TitleWork, 'title' | 'generation'>, seeks: readonly PieceSeek[]): PieceSeek[] {
    const leastMs = this.#margins.get(nameOf(work)) ?? 0;
    return seeks.filter((seek) => seek.kind === 'beginning' || seek.marginMs >= leastMs);
  }

  /** This way all frames came. */
  worked(work: Pick<TitleWork, 'title' | 'generation'>, seek: PieceSeek): void {
    // That one had to be read from the beginning says nothing of the others.
    if (seek.kind === 'beginning') return;
    const name = nameOf(work);
    const marginMs = Math.max(seek.marginMs, this.#margins.get(name) ?? 0);
    this.#margins.delete(name);
    this.#margins.set(name, marginMs);
    const [oldest] = this.#margins.keys();
    if (this.#margins.size > MAX_TITLES && oldest !== undefined) this.#margins.delete(oldest);
  }
}

function nameOf({ title, generation }: Pick<TitleWork, 'title' | 'generation'>): string {
  return `${title}/${generation}`;
}
