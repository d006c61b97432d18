import { offGrid } from './master-key-frames.ts';
import type { MasterVideo, PlannedVideo, TitleWork } from './title-plan.ts';

/** Where reading begins. */
export type PieceSeek =
  | { readonly kind: 'beginning' }
  /** So long before the piece, at what the demuxer takes for a key frame; below 0: behind its first frame, which is one. */
  | { readonly kind: 'before'; readonly marginMs: number };

/** Demuxers without an index find some place before the time asked for, and the next key frame is who knows where. */
const MARGINS_MS: Readonly<Record<string, readonly number[]>> = {
  mpegts: [3000, 12_000, 40_000],
  mxf: [1000, 12_000, 40_000],
};
const INDEXED_MARGINS_MS = [1000, 15_000];

/** What ffmpeg goes back by itself where pictures are decoded in another order than shown, for all demuxers but these. */
const REORDER_MS: Readonly<Record<string, number>> = { mov: 0, matroska: 131 };
/** The clocks of containers are rounded. */
const ROUNDING_MS = 1;

/** The ways to read a piece, to be tried one after the other until all its frames come. */
export function pieceSeeks(
  demuxer: string,
  start: number,
  video: Pick<PlannedVideo, 'frameRate' | 'isInterlaced'>,
  master: Pick<MasterVideo, 'keyFrames' | 'isVariableRate'>,
): PieceSeek[] {
  const frameMs = (1000 * video.frameRate.denominator) / video.frameRate.numerator;
  const startMs = start * frameMs;
  const exact = exactMargin(demuxer, startMs, frameMs, master);
  const margins = [
    ...(exact === undefined || video.isInterlaced ? [] : [exact]),
    ...(MARGINS_MS[demuxer] ?? INDEXED_MARGINS_MS),
  ];
  const seeks = margins.filter((marginMs) => marginMs < startMs);
  return [...seeks.map((marginMs): PieceSeek => ({ kind: 'before', marginMs })), { kind: 'beginning' }];
}

/**
 * Where the piece begins with a key frame of the master nothing before it need be decoded. Asked for is a time a little behind
 * it, so that no rounding leads to the key frame before. Undefined: it does not, or nobody knows.
 */
function exactMargin(
  demuxer: string,
  startMs: number,
  frameMs: number,
  { keyFrames, isVariableRate }: Pick<MasterVideo, 'keyFrames' | 'isVariableRate'>,
): number | undefined {
  const reorderMs = REORDER_MS[demuxer];
  const evenMs = keyFrames?.evenMs;
  if (reorderMs === undefined || evenMs === undefined || isVariableRate || startMs === 0) return undefined;
  const behindMs = frameMs / 2 + reorderMs;
  const isSure = evenMs > 2 * behindMs && offGrid(startMs, evenMs) <= ROUNDING_MS;
  return isSure ? -behindMs : undefined;
}

/** Titles whose margins are remembered; the oldest is forgotten first. */
const MAX_TITLES = 100;

/** From how far ahead the pieces of a title had to be read, so that the next ones are not read in vain first. */
export class SeekMemory {
  readonly #margins = new Map<string, number>();

  /** Those of the ways that are worth trying: at least one. */
  worthTrying(work: Pick<TitleWork, 'title' | 'generation'>, seeks: readonly PieceSeek[]): PieceSeek[] {
    const leastMs = this.#margins.get(nameOf(work)) ?? Number.NEGATIVE_INFINITY;
    return seeks.filter((seek) => seek.kind === 'beginning' || seek.marginMs >= leastMs);
  }

  /** This way all frames came. */
  worked(work: Pick<TitleWork, 'title' | 'generation'>, seek: PieceSeek): void {
    // That one had to be read from the beginning says nothing of the others.
    if (seek.kind === 'beginning') return;
    const name = nameOf(work);
    const marginMs = Math.max(seek.marginMs, this.#margins.get(name) ?? seek.marginMs);
    this.#margins.delete(name);
    this.#margins.set(name, marginMs);
    const [oldest] = this.#margins.keys();
    if (this.#margins.size > MAX_TITLES && oldest !== undefined) this.#margins.delete(oldest);
  }
}

function nameOf({ title, generation }: Pick<TitleWork, 'title' | 'generation'>): string {
  return `${title}/${generation}`;
}
