import { chmod, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { type Clock, every, type Timer } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { JobSubscribers } from './job-events.ts';
import { JobIndex, type JobStanding } from './job-index.ts';
import { checkFlow, checkJob, JOB_QUEUE_DEFAULTS, type JobQueueOptions } from './job-limits.ts';
import { JobMetrics } from './job-metrics.ts';
import type {
  FlowSpec,
  FlowStatus,
  JobEvent,
  JobHandler,
  JobQueue,
  JobWorker,
  WorkerOptions,
} from './job-queue.ts';
import { LmdbJobDisk } from './lmdb-job-disk.ts';
import { type Flow, LmdbJobFlows } from './lmdb-job-flows.ts';
import { type FlowRow, JOB_DATABASES, type LmdbJobRows, ROWS_PER_TURN } from './lmdb-job-rows.ts';
import { LmdbJobRunner } from './lmdb-job-runner.ts';
import { LmdbOwner } from './lmdb-owner.ts';
import { type ProcessTable, systemProcesses } from './process-identity.ts';

export interface LmdbJobQueueDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** 0 to 1. */
  readonly random: () => number;
  /** Of the machine, unless a test says otherwise. */
  readonly processes?: ProcessTable;
}

/** Largest that the file may grow; the address space is reserved, not the disk. */
const MAP_BYTES = 16 * 1024 ** 3;
const SWEEP_INTERVAL_MS = 60_000;
/** Flows that one sweep throws away at most. */
const SWEEP_BATCH = 100;

/**
 * Opens the embedded queue: one file that belongs to one process at a time, whose handlers run in that process. What was
 * active when its last owner ended is given back. The caller closes it.
 * @throws AppError JOB_QUEUE_IN_USE when another process has it open, JOB_QUEUE_UNAVAILABLE when the file cannot be opened
 */
export async function openLmdbJobQueue(
  path: string,
  options: JobQueueOptions,
  deps: LmdbJobQueueDeps,
): Promise<JobQueue> {
  let root: RootDatabase | undefined;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    root = open({
      path,
      noSubdir: true,
      maxDbs: JOB_DATABASES,
      mapSize: MAP_BYTES,
      commitDelay: 0,
    });
    await Promise.all([path, `${path}-lock`].map((file) => chmod(file, 0o600)));
    const owner = await LmdbOwner.claim(root, deps.clock, deps.processes ?? systemProcesses());
    return new LmdbJobQueue(root, owner, { ...JOB_QUEUE_DEFAULTS, ...options }, deps);
  } catch (cause) {
    await root?.close();
    if (cause instanceof AppError) throw cause;
    throw new AppError('JOB_QUEUE_UNAVAILABLE', `The job queue ${path} cannot be opened.`, { cause });
  }
}

/**
 * Everything is decided here, in memory, and written behind: one process owns the file. What a caller is told, by a
 * resolved promise or an event, is on the disk by then; a job is begun when its attempt is. When a write fails, memory is
 * thrown away and read anew from the disk as soon as that can be written again.
 */
class LmdbJobQueue implements JobQueue {
  readonly #disk: LmdbJobDisk;
  readonly #rows: LmdbJobRows;
  readonly #options: Required<JobQueueOptions>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: JobMetrics;
  readonly #subscribers: JobSubscribers;
  readonly #sweeper: Timer;
  readonly #flows: LmdbJobFlows;
  readonly #runner: LmdbJobRunner;
  readonly #adding = new Map<string, Promise<boolean>>();
  /** Jobs of flows that are being added. */
  #jobsAdding = 0;
  #sweeping: Promise<void> = Promise.resolve();
  #isClosing = false;
  #closed: Promise<void> | undefined;

  constructor(
    root: RootDatabase,
    owner: LmdbOwner,
    options: Required<JobQueueOptions>,
    { clock, log, metrics, random }: LmdbJobQueueDeps,
  ) {
    this.#disk = new LmdbJobDisk(
      root,
      owner,
      { clock, log },
      { onBroken: (error) => this.#onBroken(error), onMended: () => this.#onMended() },
    );
    this.#rows = this.#disk.rows;
    this.#options = options;
    this.#clock = clock;
    this.#log = log;
    this.#metrics = new JobMetrics(metrics);
    this.#metrics.durable.set(1);
    this.#subscribers = new JobSubscribers(log);
    const shared = { clock, log, metrics: this.#metrics, subscribers: this.#subscribers };
    this.#flows = new LmdbJobFlows(this.#disk, shared);
    this.#runner = new LmdbJobRunner(this.#flows, this.#disk, { ...shared, random, options });
    this.#flows.load();
    this.#sweeper = every(clock, SWEEP_INTERVAL_MS, () => {
      this.#sweeping = this.#sweeping.then(() => this.#sweep());
    });
  }

  async add(spec: FlowSpec): Promise<boolean> {
    for (;;) {
      this.#requireUsable();
      if (this.#flows.all.has(spec.id)) return false;
      const same = this.#adding.get(spec.id);
      if (same === undefined) break;
      // When that one comes to nothing it is this one's turn.
      if (await same.catch(() => false)) return false;
    }
    const data = checkFlow(spec);
    this.#requireRoom(spec.jobs.length);
    const adding = this.#add(spec, data);
    this.#adding.set(spec.id, adding);
    this.#jobsAdding += spec.jobs.length;
    try {
      return await adding;
    } finally {
      this.#adding.delete(spec.id);
      this.#jobsAdding -= spec.jobs.length;
    }
  }

  /** In pieces, as a flow may be large, and others want a turn; it counts when its own row is there. */
  async #add(spec: FlowSpec, data: string): Promise<boolean> {
    const { id, jobs, priority, attempts } = spec;
    const seq = this.#flows.nextSeq++;
    let written = 0;
    try {
      while (written < jobs.length) {
        const part = jobs.slice(written, written + ROWS_PER_TURN);
        const texts = part.map(checkJob);
        await this.#disk.write(() => {
          if (written === 0) this.#rows.putLitter(seq, jobs.length);
          for (const [at, job] of part.entries()) {
            this.#rows.putJob(seq, written + at, { id: job.id, kind: job.kind }, texts[at] ?? '');
          }
        });
        written += part.length;
      }
    } catch (error) {
      if (written > 0) this.#disk.clear(seq, jobs.length);
      throw error;
    }
    this.#requireUsable();
    const row: FlowRow = {
      seq,
      state: 'running',
      priority,
      attempts,
      addedMs: this.#clock.wallMs(),
      endedMs: undefined,
      jobs: jobs.length,
    };
    const index = new JobIndex(jobs.map(({ kind }) => kind));
    const flow: Flow = { id, row, index, data: undefined, runs: new Map() };
    this.#flows.all.set(id, flow);
    const added = this.#flows.commit(() => {
      this.#rows.putFlowData(seq, data);
      this.#rows.putFlow(id, row);
      this.#rows.removeLitter(seq);
    }, [{ kind: 'flow', flow: id, state: 'running' }]);
    // What is begun is written later than this.
    this.#flows.start(flow);
    this.#runner.pump();
    await added;
    return true;
  }

  async flow(id: string): Promise<FlowStatus | undefined> {
    this.#requireUsable();
    await this.#disk.settled();
    return this.#status(id, true);
  }

  async flows(limit: number): Promise<readonly FlowStatus[]> {
    this.#requireUsable();
    await this.#disk.settled();
    const newest = [...this.#flows.all.values()].sort((a, b) => b.row.seq - a.row.seq);
    const found: FlowStatus[] = [];
    for (const { id } of newest) {
      if (found.length >= limit) break;
      const status = await this.#status(id, false);
      if (status) found.push(status);
    }
    return found;
  }

  async #status(id: string, withResults: boolean): Promise<FlowStatus | undefined> {
    const status = await this.#rows.status(id, withResults, yieldTurn);
    const runs = this.#flows.all.get(id)?.runs;
    if (status === undefined || runs === undefined || runs.size === 0) return status;
    const jobs = status.jobs.map((job, index) => {
      const run = runs.get(index);
      return run?.attempt === job.attempt && job.state === 'active'
        ? { ...job, progress: run.progress }
        : job;
    });
    return { ...status, jobs };
  }

  async cancel(id: string): Promise<boolean> {
    this.#requireUsable();
    const flow = this.#flows.all.get(id);
    if (flow?.row.state !== 'running') return false;
    const events = this.#runner.takeBack(flow, new AppError('JOB_CANCELLED'), 'cancelled');
    await this.#flows.end(flow, 'cancelled', events);
    return true;
  }

  async retry(id: string): Promise<boolean> {
    this.#requireUsable();
    // Of a flow that ended only the disk knows the jobs.
    await this.#disk.settled();
    const flow = this.#flows.all.get(id);
    if (flow?.row.state !== 'failed' && flow?.row.state !== 'cancelled') return false;
    const { seq } = flow.row;
    const index = flow.index ?? this.#flows.readIndex(seq);
    flow.index = index;
    flow.row = { ...flow.row, state: 'running', endedMs: undefined };
    const events: JobEvent[] = [];
    const changed: { readonly at: number; readonly standing: JobStanding }[] = [];
    for (let at = 0; at < index.size; at++) {
      const { state, attempt } = index.standing(at);
      if (state !== 'failed' && (state !== 'waiting' || attempt === 0)) continue;
      const standing: JobStanding = { state: 'waiting', attempt, forgiven: attempt };
      index.set(at, standing);
      changed.push({ at, standing });
      if (state === 'failed')
        events.push(this.#flows.jobEvent(flow, at, { error: this.#rows.error(seq, at) }));
    }
    const written = this.#flows.commit(() => {
      for (const { at, standing } of changed) this.#rows.putStanding(seq, at, standing);
      this.#rows.putFlow(id, flow.row);
    }, [...events, { kind: 'flow', flow: id, state: 'running' }]);
    this.#flows.start(flow);
    this.#runner.pump();
    await written;
    return true;
  }

  async remove(id: string): Promise<boolean> {
    this.#requireUsable();
    const flow = this.#flows.all.get(id);
    if (flow === undefined || flow.row.state === 'running') return false;
    // Jobs that were under way when another one failed.
    this.#runner.takeBack(flow, new AppError('JOB_CANCELLED'), 'cancelled');
    await this.#flows.forget(flow);
    return true;
  }

  work(options: WorkerOptions, handler: JobHandler): JobWorker {
    return this.#runner.work(options, handler);
  }

  subscribe(listener: (event: JobEvent) => void, onGap?: () => void): () => void {
    return this.#subscribers.subscribe(listener, onGap);
  }

  #onBroken(error: AppError): void {
    this.#metrics.outages.inc();
    const runs = [...this.#flows.all.values()].flatMap((flow) => [...flow.runs.values()]);
    this.#flows.clear();
    for (const run of runs) this.#runner.letGo(run, error, 'cancelled');
  }

  #onMended(): void {
    this.#flows.load();
    this.#subscribers.gap();
    this.#runner.pump();
  }

  async #sweep(): Promise<void> {
    const beforeMs = this.#clock.wallMs() - this.#options.keepEndedMs;
    const over = [...this.#flows.all.values()].filter(
      ({ row, runs }) => runs.size === 0 && row.endedMs !== undefined && row.endedMs <= beforeMs,
    );
    try {
      for (const flow of over.slice(0, SWEEP_BATCH)) {
        if (this.#isClosing) return;
        await this.#flows.forget(flow);
      }
    } catch (error) {
      this.#log.warn({ err: error }, 'jobs that are over cannot be thrown away');
    }
  }

  close(): Promise<void> {
    this.#isClosing = true;
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#sweeper.cancel();
    await this.#runner.close();
    await this.#sweeping;
    await this.#disk.close();
    await this.#flows.delivered;
  }

  #requireUsable(): void {
    if (this.#isClosing || this.#disk.isBroken) throw new AppError('JOB_QUEUE_UNAVAILABLE');
  }

  #requireRoom(jobs: number): void {
    const { maxFlows, maxJobs } = this.#options;
    const kept = this.#flows.all.size + this.#adding.size;
    const unfinished = this.#flows.running.reduce(
      (sum, { index }) => sum + (index ? index.size - index.count('done') : 0),
      this.#jobsAdding,
    );
    const over = kept >= maxFlows ? 'flows' : unfinished + jobs > maxJobs ? 'jobs' : undefined;
    if (over === undefined) return;
    this.#metrics.limited.inc({ what: over });
    throw new AppError('JOB_LIMIT');
  }
}

/** Lets others have their turn of the event loop. */
function yieldTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
