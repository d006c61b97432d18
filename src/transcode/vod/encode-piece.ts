import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '../../base/errors.ts';
import { PermanentJobError } from '../../state/job-queue.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { ToneMapper } from '../tone-map.ts';
import { pieceArguments } from './piece-arguments.ts';
import { PieceCheck, type PieceFound } from './piece-check.ts';
import { pieceTimescale } from './piece-encoders.ts';
import { type PieceSeek, pieceSeeks, type SeekMemory } from './piece-seeks.ts';
import { isAwaited, MAX_PIECE_THREADS, pieceThreads } from './piece-threads.ts';
import type { FrameRange } from './piece-filters.ts';
import {
  type MasterVideo,
  type PieceResult,
  pieceRange,
  type PlannedRung,
  type PlannedVideo,
  type TitleWork,
  workPrefix,
} from './title-plan.ts';
import { failureOf } from './work-failures.ts';
import type { WorkMetrics } from './work-metrics.ts';
import { ProgressReader } from './work-progress.ts';
import { endedWell, WorkRun, type WorkRunDeps } from './work-run.ts';
import type { Scratch } from './work-scratch.ts';

/** What all work on titles is done with. */
export interface WorkDeps extends WorkRunDeps {
  readonly store: BlobStore;
  readonly scratch: Scratch;
  readonly seekMemory: SeekMemory;
  readonly metrics: WorkMetrics;
  /** Of a decoder, and of each encoder, while all slots have work; see {@link pieceThreads}. */
  readonly threads: number;
  readonly cores: number;
  readonly toneMapper: ToneMapper;
  readonly ladders: RungFitting;
}

/** Tells what rungs are encoded with where that follows from the pictures. */
export interface RungFitting {
  /** The same rungs, as they are to be encoded. @throws AppError VOD_COMPLEXITY_FAILED and those of the store */
  rungsOf(
    work: TitleWork,
    rungs: readonly PlannedRung[],
    attempt: Attempt,
    deps: WorkDeps,
  ): Promise<readonly PlannedRung[]>;
}

/** One attempt at a job, as those who do it see it. */
export interface Attempt {
  readonly number: number;
  readonly signal: AbortSignal;
  /** How far it is, 0 to 1. */
  readonly progress: (share: number) => void;
}

export interface PieceTask {
  readonly work: TitleWork;
  readonly index: number;
  readonly rungs: readonly string[];
}

/** Where a piece is put. */
export function pieceKey(
  work: Pick<TitleWork, 'title' | 'generation'>,
  rung: string,
  index: number,
  attempt: number,
): string {
  return `${workPrefix(work)}${rung}/${index}-${attempt}.mp4`;
}

/** What is known of a piece before it is made. */
interface Piece {
  readonly work: TitleWork;
  readonly index: number;
  readonly master: MasterVideo;
  readonly video: PlannedVideo;
  readonly rungs: readonly PlannedRung[];
  readonly isLast: boolean;
  readonly start: number;
  /** As planned. */
  readonly frames: number;
  /** So many more a last piece may have. */
  readonly tolerance: number;
  readonly range: FrameRange;
}

/**
 * Encodes one piece of some rungs and stores it. It has the frames that were planned, the last one those that there are.
 * A last piece of no frames has no outputs.
 * @throws AppError VOD_PIECE_FAILED and those of the store; PermanentJobError when the master is at fault
 */
export async function encodePiece(task: PieceTask, attempt: Attempt, deps: WorkDeps): Promise<PieceResult> {
  const asPlanned = planned(task);
  const rungs = await deps.ladders.rungsOf(task.work, asPlanned.rungs, attempt, deps);
  const piece = { ...asPlanned, rungs };
  return await deps.scratch.use(async (folder) => {
    const paths = piece.rungs.map((_, index) => join(folder, `${index}.mp4`));
    const frames = await encodeWhole(piece, paths, attempt, deps);
    if (frames === 0) return { frames, outputs: [] };
    deps.metrics.frames.inc(frames * paths.length);
    const outputs = [];
    for (const [index, rung] of piece.rungs.entries()) {
      const key = pieceKey(task.work, rung.id, task.index, attempt.number);
      attempt.signal.throwIfAborted();
      const { sizeBytes } = await deps.store.putFile(key, paths[index] ?? '', { contentType: 'video/mp4' });
      outputs.push({ rung: rung.id, key, sizeBytes });
    }
    return { frames, outputs };
  });
}

function planned({ work, index, rungs: ids }: PieceTask): Piece {
  const { video } = work.plan;
  const master = work.master.video;
  const rungs = ids.flatMap((id) => video?.rungs.find((rung) => rung.id === id) ?? []);
  if (!video || !master || rungs.length !== ids.length || rungs.length === 0 || index >= video.pieces) {
    throw new PermanentJobError('VOD_PIECE_FAILED', 'The plan of the title has no such piece.');
  }
  const { start, end } = pieceRange(video, index);
  const isLast = index === video.pieces - 1;
  const tolerance = isLast ? video.pieceFrames : 0;
  // One frame more than allowed tells that there are too many.
  const range = { start, end: isLast ? end + tolerance + 1 : end };
  const frames = end - start;
  return { work, index, master, video, rungs, isLast, start, frames, tolerance, range };
}

/** Reads from further and further ahead until no frame is missing. */
async function encodeWhole(
  piece: Piece,
  paths: readonly string[],
  attempt: Attempt,
  deps: WorkDeps,
): Promise<number> {
  const { work } = piece;
  const ways = pieceSeeks(work.master.demuxer, piece.start, piece.video, piece.master);
  const seeks = deps.seekMemory.worthTrying(work, ways);
  let frames = 0;
  for (const [index, seek] of seeks.entries()) {
    if (index > 0) {
      deps.metrics.rereads.inc();
      deps.log.info(
        { title: work.title, piece: piece.index, frames, planned: piece.frames },
        'piece read again',
      );
    }
    const found = await encodeOnce(piece, seek, paths, attempt, deps);
    frames = found.frames;
    if (frames > piece.frames + piece.tolerance) break;
    if (!isWhole(piece, found, seek)) continue;
    // Only what was tried in vain is worth remembering.
    if (index > 0) deps.seekMemory.worked(work, seek);
    return frames;
  }
  throw new PermanentJobError(
    'VOD_PIECE_FAILED',
    frames > piece.frames
      ? `The master goes on for more than ${piece.tolerance} frames after what it says is its end.`
      : `The master has ${frames} of the ${piece.frames} frames from frame ${piece.start} on.`,
  );
}

function isWhole(piece: Piece, { frames, firstFrame }: PieceFound, seek: PieceSeek): boolean {
  if (firstFrame !== 0) return false;
  if (!piece.isLast) return frames === piece.frames;
  // None at all: there are none, or the reading began behind the last key frame.
  return frames > 0 || seek.kind === 'beginning';
}

async function encodeOnce(
  piece: Piece,
  seek: PieceSeek,
  paths: readonly string[],
  attempt: Attempt,
  deps: WorkDeps,
): Promise<PieceFound> {
  const { work, master, video, rungs, range } = piece;
  const { toneMapper } = deps;
  const ids = rungs.map(({ id }) => id);
  const threads = pieceThreads(video, ids, piece.index, deps);
  const isFirst = isAwaited(video, ids, piece.index);
  if (!isFirst) await letAwaitedGoFirst(attempt, deps);
  const { masterPath } = work;
  const { demuxer } = work.master;
  const args = pieceArguments({
    ...{ masterPath, demuxer, master, video, rungs, range, seek, paths, threads, toneMapper },
    isAwaited: isFirst,
  });
  const reader = new ProgressReader((frames) => {
    run.alive();
    attempt.progress(Math.min(1, frames / Math.max(1, piece.frames)));
  });
  const run = new WorkRun(args, (bytes) => reader.push(bytes), attempt.signal, deps, isFirst);
  const end = await run.ended;
  if (!endedWell(end)) throw failureOf(end, 'VOD_PIECE_FAILED', masterPath);
  return await checkAll(piece, paths);
}

/** Beside a piece that somebody waits for nothing goes on that would only make it later, where that has all cores. */
export async function letAwaitedGoFirst({ signal }: Attempt, { cores, processes }: WorkDeps): Promise<void> {
  if (cores <= MAX_PIECE_THREADS) await processes.untilNoneAwaited(signal);
}

/** All rungs have the same frames: they come from one decoder. */
async function checkAll(piece: Piece, paths: readonly string[]): Promise<PieceFound> {
  const { frameRate, gopFrames } = piece.video;
  const shape = { ...pieceTimescale(frameRate), gopFrames };
  let first: PieceFound | undefined;
  for (const [index, path] of paths.entries()) {
    const check = new PieceCheck(shape);
    for await (const bytes of createReadStream(path)) check.push(bytes as Buffer);
    const found = check.end();
    // An encoder that was given no frame leaves a file that says nothing of what it would have been.
    if (found.frames === 0) return { frames: 0, firstFrame: 0, fault: undefined };
    const isSame = first === undefined || first.frames === found.frames;
    const fault = found.fault ?? (isSame ? undefined : 'it has other frames than the rung before');
    if (fault !== undefined) {
      const rung = piece.rungs[index]?.id ?? '';
      throw new AppError('VOD_PIECE_FAILED', `What ffmpeg made of ${rung} is not usable: ${fault}.`);
    }
    first ??= found;
  }
  return first ?? { frames: 0, firstFrame: 0, fault: undefined };
}
