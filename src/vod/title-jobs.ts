import type { FlowSpec, Json, JobSpec } from '../state/job-queue.ts';
import type { TitleJob, TitleWork } from '../transcode/vod/title-plan.ts';

/** Ids of a title's jobs in its flow. */
export const jobIds = {
  piece: (group: number, index: number): string => `piece-${group}-${index}`,
  audio: (id: string): string => `sound-${id}`,
  text: (id: string): string => `text-${id}`,
  complexity: 'complexity',
  thumbnails: 'thumbnails',
};

const PIECE_ID = /^piece-(\d+)-(\d+)$/;

/** Which piece of which group a job is; undefined: it is none. */
export function parsePieceId(id: string): { readonly group: number; readonly index: number } | undefined {
  const [, group, index] = PIECE_ID.exec(id) ?? [];
  return group === undefined || index === undefined
    ? undefined
    : { group: Number(group), index: Number(index) };
}

/** A worker that dies takes a piece with it so often before the piece is held to be the cause. */
const ATTEMPTS = 4;

/** Name of the flow in which a title is made. */
export function flowId({ title, generation }: Pick<TitleWork, 'title' | 'generation'>): string {
  return `${title}.${generation}`;
}

/**
 * The work on a title, in the order in which it is begun: what is needed to play its first seconds, then the rest of the first
 * group piece by piece, then what only completes it.
 */
export function titleFlow(work: TitleWork, priority: number): FlowSpec {
  const { plan } = work;
  const pieces = plan.video?.pieces ?? 0;
  const groups = plan.video?.groups ?? [];
  const piece = (group: number, index: number): JobSpec =>
    job(jobIds.piece(group, index), { kind: 'piece', rungs: groups[group] ?? [], index });
  const indices = Array.from({ length: pieces }, (_, index) => index);
  const [first = [], ...later] = groups.map((_, group) => indices.map((index) => piece(group, index)));
  return {
    id: flowId(work),
    data: work as unknown as Json,
    priority,
    attempts: ATTEMPTS,
    jobs: [
      ...(plan.contentAware ? [job(jobIds.complexity, { kind: 'complexity' })] : []),
      ...first.slice(0, 1),
      ...plan.audios.map(({ id }) => job(jobIds.audio(id), { kind: 'audio', id })),
      ...first.slice(1),
      ...plan.texts.map(({ id }) => job(jobIds.text(id), { kind: 'text', id })),
      ...(plan.thumbnails ? [job(jobIds.thumbnails, { kind: 'thumbnails' })] : []),
      ...later.flat(),
    ],
  };
}

function job(id: string, data: TitleJob): JobSpec {
  return { id, kind: data.kind, data };
}
