import type { FlowState, FlowStatus, JobError, JobStatus } from '../state/job-queue.ts';
import { jobIds, parsePieceId } from './title-jobs.ts';
import { type ComplexityResult, pieceRange, type TitleWork } from '../transcode/vod/title-plan.ts';

/** How far the making of a title is, for people. */
export interface MakingView {
  /** Of the flow. */
  readonly id: string;
  readonly title: string;
  readonly name: string;
  readonly state: FlowState;
  /** 0 to 1. */
  readonly progress: number;
  readonly rungs: readonly { readonly id: string; readonly progress: number }[];
  /** Media time a second of encoding, of all rungs together; undefined while there is too little to tell. */
  readonly speed: number | undefined;
  readonly etaSeconds: number | undefined;
  readonly addedMs: number;
  readonly endedMs: number | undefined;
  readonly error: JobError | undefined;
  /** What a person should know of it: tracks left out, how its ladder was fitted; a sentence each. */
  readonly notes: readonly string[];
}

/** Before this share is done nothing can be said of the rest. */
const ENOUGH = 0.02;
/** What a track of sound costs beside a frame of pictures of one pixel, for its whole length. */
const SOUND_SHARE = 0.02;

/** `failure`: of the assembly, which the queue does not know of. */
export function viewMaking(
  status: FlowStatus,
  work: TitleWork,
  nowMs: number,
  failure: JobError | undefined,
): MakingView {
  const { video, audios, durationMs } = work.plan;
  const pixels = new Map((video?.rungs ?? []).map(({ id, width, height }) => [id, width * height]));
  const frames = video?.frames ?? 0;
  const total = [...pixels.values()].reduce((sum, area) => sum + area * frames, 0);
  const sound = audios.length > 0 ? Math.max(1, total * SOUND_SHARE) / audios.length : 0;
  const rungs = new Map([...pixels.keys()].map((id) => [id, 0]));
  let done = 0;
  for (const job of status.jobs) {
    const share = shareDone(job);
    if (job.kind === 'audio') done += sound * share;
    const place = parsePieceId(job.id);
    if (!place || !video) continue;
    const { start, end } = pieceRange(video, place.index);
    for (const rung of video.groups[place.group] ?? []) {
      done += (end - start) * (pixels.get(rung) ?? 0) * share;
      rungs.set(rung, (rungs.get(rung) ?? 0) + ((end - start) / frames) * share);
    }
  }
  const all = total + sound * audios.length;
  const progress = status.state === 'done' ? 1 : Math.min(1, all > 0 ? done / all : 0);
  const spentSeconds = Math.max(0.001, ((status.endedMs ?? nowMs) - status.addedMs) / 1000);
  const known = progress >= ENOUGH;
  return {
    id: status.id,
    title: work.title,
    name: work.name,
    state: failure ? 'failed' : status.state,
    progress,
    rungs: [...rungs].map(([id, share]) => ({ id, progress: Math.min(1, share) })),
    speed: known ? (progress * durationMs) / 1000 / spentSeconds : undefined,
    etaSeconds:
      known && status.state === 'running'
        ? Math.round((spentSeconds * (1 - progress)) / progress)
        : undefined,
    addedMs: status.addedMs,
    endedMs: status.endedMs,
    notes: [...(work.plan.notes ?? []), ...fittingNotes(status)],
    error: failure ?? status.jobs.find(({ state }) => state === 'failed')?.error,
  };
}

function fittingNotes({ jobs }: FlowStatus): readonly string[] {
  const job = jobs.find(({ id }) => id === jobIds.complexity);
  const result = job?.result as unknown as Partial<ComplexityResult> | undefined;
  return result?.notes ?? [];
}

function shareDone({ state, progress }: JobStatus): number {
  return state === 'done' ? 1 : progress;
}
