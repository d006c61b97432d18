import type { Clock } from '../../base/clock.ts';
import { AppError, errorCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics.ts';
import { type JobQueue, type Json, PermanentJobError, type RunningJob } from '../../state/job-queue.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { SpawnEncoder } from '../encoder-process.ts';
import type { ToneMapper } from '../tone-map.ts';
import { encodeAudio } from './encode-audio.ts';
import { type Attempt, encodePiece, type WorkDeps } from './encode-piece.ts';
import { FittedLadders } from './fitted-ladders.ts';
import { SeekMemory } from './piece-seeks.ts';
import { type LiveLoad, StepBack } from './step-back.ts';
import type { StepBackLimits } from './step-back-policy.ts';
import { makeThumbnails } from './thumbnails.ts';
import type { QualityMetric, TextResult, TitleJob, TitleWork } from './title-plan.ts';
import { WorkMetrics } from './work-metrics.ts';
import { WorkProcesses } from './work-processes.ts';
import { Scratch } from './work-scratch.ts';

export interface TitleWorkerOptions {
  /** Jobs at once. */
  readonly slots: number;
  /** Cores of this machine, which the slots share. */
  readonly cores: number;
  /** ffmpeg: a name on the PATH or a path. */
  readonly ffmpeg: string;
  readonly toneMapper: ToneMapper;
  /** What pictures are compared by; asked for once, when a title is to be fitted. Undefined: structural similarity. */
  readonly qualityMetric?: () => Promise<QualityMetric>;
  /** What is made and not stored yet is here: as much as {@link slots} pieces with all their rungs. */
  readonly scratchFolder: string;
  /** How long an ffmpeg may get nowhere before it is ended, and its job begun again. */
  readonly watchdogMs?: number;
  /** When titles wait for live encoding. */
  readonly stepBack?: StepBackLimits;
}

export interface TitleWorkerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly queue: Pick<JobQueue, 'work'>;
  readonly store: BlobStore;
  readonly spawn: SpawnEncoder;
  /** Makes a track of text. */
  readonly text: (work: TitleWork, id: string, attempt: Attempt) => Promise<TextResult>;
  /** Live encoding on the same machine, which goes first; undefined: there is none. */
  readonly live?: LiveLoad | undefined;
}

export interface TitleWorker {
  /** Gives running jobs back, and waits until their encoders are gone. Idempotent. */
  close(): Promise<void>;
}

const WATCHDOG_MS = 60_000;

type Kind = TitleJob['kind'];
type JobOf<K extends Kind> = Extract<TitleJob, { readonly kind: K }>;
type Handlers = {
  readonly [K in Kind]: (job: JobOf<K>, work: TitleWork, attempt: Attempt) => Promise<object>;
};

/** Does the jobs of titles, as many at once as there are slots. */
export function createTitleWorker(options: TitleWorkerOptions, deps: TitleWorkerDeps): TitleWorker {
  const { slots, cores } = options;
  const { clock, log, store, spawn } = deps;
  const metrics = new WorkMetrics(deps.metrics);
  const processes = new WorkProcesses((running) => metrics.encoders.set(running));
  const scratch = new Scratch(options.scratchFolder);
  const seekMemory = new SeekMemory();
  const ladders = new FittedLadders(options.qualityMetric);
  const work: WorkDeps = {
    ...{ clock, log, store, spawn, metrics, processes, scratch, seekMemory },
    program: options.ffmpeg,
    watchdogMs: options.watchdogMs ?? WATCHDOG_MS,
    threads: Math.max(1, Math.ceil(cores / slots)),
    cores,
    toneMapper: options.toneMapper,
    ladders,
  };
  const handlers: Handlers = {
    complexity: (_job, title, attempt) => ladders.ladderOf(title, attempt, work),
    piece: ({ rungs, index }, title, attempt) => encodePiece({ work: title, rungs, index }, attempt, work),
    audio: ({ id }, title, attempt) => encodeAudio({ work: title, id }, attempt, work),
    text: ({ id }, title, attempt) => deps.text(title, id, attempt),
    thumbnails: (_job, title, attempt) => makeThumbnails(title, attempt, work),
  };
  const kinds = Object.keys(handlers);
  const worker = deps.queue.work({ kinds, concurrency: slots }, (job) => doJob(job, handlers, log));
  const { live } = deps;
  const limits = options.stepBack;
  const stepBack = live && new StepBack({ clock, log, metrics, live, processes, worker, slots, limits });
  const swept = scratch.sweep(clock.wallMs()).catch((error: unknown) => {
    log.warn({ code: errorCode(error) }, 'leftovers of earlier work could not be removed');
  });
  return {
    async close() {
      stepBack?.close();
      await worker.close();
      await swept;
    },
  };
}

async function doJob(running: RunningJob, handlers: Handlers, log: Logger): Promise<Json> {
  const { flow, id, attempt: number, signal } = running;
  const attempt: Attempt = { number, signal, progress: (share) => running.progress(share) };
  try {
    const result = await dispatch(jobOf(running), workOf(running), attempt, handlers);
    return result as Json;
  } catch (error) {
    if (signal.aborted) throw error;
    // What we say of ourselves needs no stack.
    const why = error instanceof AppError ? { reason: error.message } : { err: error };
    log.warn({ flow, job: id, attempt: number, code: errorCode(error), ...why }, 'job of a title failed');
    throw error;
  }
}

/** What the handlers answer is made of what can be written as JSON. */
function dispatch(job: TitleJob, work: TitleWork, attempt: Attempt, handlers: Handlers): Promise<object> {
  switch (job.kind) {
    case 'complexity':
      return handlers.complexity(job, work, attempt);
    case 'piece':
      return handlers.piece(job, work, attempt);
    case 'audio':
      return handlers.audio(job, work, attempt);
    case 'text':
      return handlers.text(job, work, attempt);
    default:
      return handlers.thumbnails(job, work, attempt);
  }
}

/** Whoever added the flow wrote it as {@link TitleWork}; another version of us may have. */
function workOf({ flowData }: RunningJob): TitleWork {
  if (
    !isObject(flowData) ||
    !['title', 'generation', 'masterPath', 'master', 'plan'].every((name) => name in flowData)
  ) {
    throw new PermanentJobError('JOB_INVALID', 'The job is of no title, or of one from another version.');
  }
  return flowData as unknown as TitleWork;
}

function jobOf({ kind, data }: RunningJob): TitleJob {
  if (!isObject(data) || data['kind'] !== kind) {
    throw new PermanentJobError('JOB_INVALID', 'The job does not say what it is.');
  }
  return data as unknown as TitleJob;
}

function isObject(value: Json): value is { readonly [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
