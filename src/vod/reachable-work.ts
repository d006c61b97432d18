import { access, constants } from 'node:fs/promises';
import { type Clock, every, type Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import {
  ElsewhereJobError,
  type JobHandler,
  type JobQueue,
  type JobWorker,
  type RunningJob,
} from '../state/job-queue.ts';
import type { TitleJob, TitleWork } from '../transcode/vod/title-plan.ts';

export interface ReachableWorkDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Whether a file can be read here. */
  readonly canRead?: (path: string) => Promise<boolean>;
}

/** How often it is seen whether what could not be read can be now. */
const LOOK_MS = 5000;

/**
 * Work that several machines share: one that cannot read a title's master (its folder is not mounted, say) gives the job back
 * for another, says so once, and takes no job until it can read the master, or the title is not being made any more. A
 * master that nobody can read is the business of whoever puts the title together.
 */
export function reachableWork(
  queue: Pick<JobQueue, 'work' | 'flow'>,
  deps: ReachableWorkDeps,
): Pick<JobQueue, 'work'> {
  return {
    work(options, handler) {
      return new ReachableWorker(queue, options, handler, deps);
    },
  };
}

/** A worker that has no slots while it lacks a master. */
class ReachableWorker implements JobWorker {
  readonly #queue: Pick<JobQueue, 'flow'>;
  readonly #deps: ReachableWorkDeps;
  readonly #canRead: (path: string) => Promise<boolean>;
  readonly #worker: JobWorker;
  readonly #lacking: { set(value: number): void };
  /** By flow. */
  readonly #missing = new Map<string, string>();
  #concurrency: number;
  #look: Timer | undefined;

  constructor(
    queue: Pick<JobQueue, 'work' | 'flow'>,
    options: Parameters<JobQueue['work']>[0],
    handler: JobHandler,
    deps: ReachableWorkDeps,
  ) {
    this.#queue = queue;
    this.#deps = deps;
    this.#canRead = deps.canRead ?? canRead;
    this.#concurrency = options.concurrency;
    this.#lacking = deps.metrics.gauge(
      'vod_unreachable_masters',
      'Titles whose master this process cannot read: while there is one it takes no work on titles.',
    );
    this.#worker = queue.work(options, async (job) => {
      await this.#require(job);
      return handler(job);
    });
  }

  setConcurrency(jobs: number): void {
    this.#concurrency = jobs;
    if (this.#missing.size === 0) this.#worker.setConcurrency(jobs);
  }

  async close(): Promise<void> {
    await this.#worker.close();
    this.#look?.cancel();
  }

  /** @throws ElsewhereJobError VOD_MASTER_UNREACHABLE */
  async #require(job: RunningJob): Promise<void> {
    const { flow } = job;
    const path = fileOf(job);
    if (path === undefined || (await this.#canRead(path))) return;
    // Before the job goes back: it would come to us again.
    this.#worker.setConcurrency(0);
    if (!this.#missing.has(flow)) {
      this.#deps.log.error(
        { code: 'VOD_MASTER_UNREACHABLE', flow, path },
        'a master cannot be read on this machine: no work on titles is taken until it can',
      );
    }
    this.#missing.set(flow, path);
    this.#lacking.set(this.#missing.size);
    this.#look ??= every(this.#deps.clock, LOOK_MS, () => void this.#lookAgain());
    throw new ElsewhereJobError('VOD_MASTER_UNREACHABLE');
  }

  async #lookAgain(): Promise<void> {
    for (const [flow, path] of this.#missing) {
      const isNeeded = async (): Promise<boolean> =>
        (await this.#queue.flow(flow).catch(() => undefined))?.state === 'running';
      if ((await this.#canRead(path)) || !(await isNeeded())) this.#missing.delete(flow);
    }
    this.#lacking.set(this.#missing.size);
    if (this.#missing.size > 0 || !this.#look) return;
    this.#look.cancel();
    this.#look = undefined;
    this.#deps.log.info({}, 'work on titles is taken again');
    this.#worker.setConcurrency(this.#concurrency);
  }
}

/** What a job reads; undefined: it is none of a title, and its handler says so. */
function fileOf({ flowData, data }: RunningJob): string | undefined {
  const work = flowData as unknown as Partial<TitleWork> | null;
  const job = data as unknown as Partial<TitleJob> | null;
  const texts = job?.kind === 'text' ? (work?.plan?.texts ?? []) : [];
  const beside = texts.find(({ id }) => job?.kind === 'text' && id === job.id)?.path;
  return beside ?? work?.masterPath;
}

/** Whether a file can be read on this machine. */
export async function canRead(path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}
