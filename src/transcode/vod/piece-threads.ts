import type { PlannedVideo } from './title-plan.ts';

export interface ThreadBudget {
  /** Of a decoder and of each encoder while as many jobs run as there are slots. */
  readonly threads: number;
  readonly cores: number;
}

/** More do not make a piece any sooner. */
export const MAX_PIECE_THREADS = 8;
/** What encoders take for themselves: frames wait for each other, so that as many threads as cores leave some of them idle. */
const THREADS_A_CORE = 1.5;

/**
 * Threads of the decoder, and of each encoder, of one piece. The first piece is waited for, and behind the last ones there is
 * nothing to do for the other slots: those have more, so that no core is idle. It only depends on the plan and the machine:
 * another attempt encodes the same way.
 */
export function pieceThreads(
  video: Pick<PlannedVideo, 'pieces' | 'groups'>,
  rungs: readonly string[],
  index: number,
  { threads, cores }: ThreadBudget,
): number {
  const [id = ''] = rungs;
  if (isAwaited(video, rungs, index)) return allThreads({ threads, cores });
  const group = video.groups.findIndex((ids) => ids.includes(id));
  const groupsBehind = group < 0 ? 0 : video.groups.length - 1 - group;
  const left = video.pieces - index + groupsBehind * video.pieces;
  const atOnce = Math.min(left, Math.ceil(cores / threads));
  if (atOnce === 1) return allThreads({ threads, cores });
  return Math.max(threads, Math.min(MAX_PIECE_THREADS, Math.ceil(cores / atOnce)));
}

/** Whether a piece is what a title can first be played with. */
export function isAwaited(
  video: Pick<PlannedVideo, 'groups'>,
  [id = '']: readonly string[],
  index: number,
): boolean {
  return index === 0 && video.groups[0]?.includes(id) === true;
}

/** Of work that has the machine to itself. */
export function allThreads({ threads, cores }: ThreadBudget): number {
  if (cores === 1) return threads;
  return Math.max(threads, Math.min(MAX_PIECE_THREADS, Math.ceil(cores * THREADS_A_CORE)));
}
