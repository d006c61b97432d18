import type { Clock, Timer } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { InProcessWorker } from './in-process-worker.ts';
import type { JobStanding } from './job-index.ts';
import { clampShare, type JobQueueOptions } from './job-limits.ts';
import type { JobMetrics } from './job-metrics.ts';
import { type JobOutcome, retryDelay, runHandler } from './job-outcome.ts';
import type { JobEvent, JobHandler, JobWorker, Json, RunningJob, WorkerOptions } from './job-queue.ts';
import type { LmdbJobDisk } from './lmdb-job-disk.ts';
import type { Flow, LmdbJobFlows, Run } from './lmdb-job-flows.ts';
import type { LmdbJobRows } from './lmdb-job-rows.ts';

export interface LmdbRunnerDeps {
  readonly clock: Clock;
  readonly metrics: JobMetrics;
  /** 0 to 1. */
  readonly random: () => number;
  readonly options: Required<JobQueueOptions>;
}

/** The workers of this process: gives them jobs in the order of the contract, and takes what they answer. */
export class LmdbJobRunner {
  readonly #flows: LmdbJobFlows;
  readonly #disk: LmdbJobDisk;
  readonly #rows: LmdbJobRows;
  readonly #clock: Clock;
  readonly #metrics: JobMetrics;
  readonly #random: () => number;
  readonly #options: Required<JobQueueOptions>;
  readonly #workers = new Set<InProcessWorker>();
  #retryTimer: Timer | undefined;
  #isClosing = false;

  constructor(flows: LmdbJobFlows, disk: LmdbJobDisk, { clock, metrics, random, options }: LmdbRunnerDeps) {
    this.#flows = flows;
    this.#disk = disk;
    this.#rows = disk.rows;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#random = random;
    this.#options = options;
  }

  work(options: WorkerOptions, handler: JobHandler): JobWorker {
    const worker = new InProcessWorker(options, handler, {
      pump: () => this.pump(),
      close: (closing) => this.#closeWorker(closing),
    });
    this.#workers.add(worker);
    if (this.#isClosing) void worker.close();
    this.pump();
    return worker;
  }

  async #closeWorker(worker: InProcessWorker): Promise<void> {
    this.#workers.delete(worker);
    for (const flow of this.#flows.all.values()) {
      const mine = [...flow.runs.values()].filter((run) => run.worker === worker);
      if (mine.length === 0) continue;
      const events = mine.map((run) => this.#giveBack(run));
      const standings = mine.map(({ index }) => ({ index, standing: flow.index?.standing(index) }));
      this.#flows.tidy(flow);
      void this.#flows
        .commit(() => {
          for (const { index, standing } of standings) {
            if (standing) this.#rows.putStanding(flow.row.seq, index, standing);
          }
        }, events)
        .catch(() => undefined);
    }
    this.pump();
    await this.#disk.settled().catch(() => undefined);
    await worker.idle();
  }

  /** It does not count as an attempt. */
  #giveBack(run: Run): JobEvent {
    const { flow, index } = run;
    const standing = flow.index?.standing(index);
    this.letGo(run, new AppError('JOB_QUEUE_CLOSING'), 'given_back');
    if (standing) flow.index?.set(index, { ...standing, state: 'waiting', forgiven: standing.forgiven + 1 });
    return this.#flows.jobEvent(flow, index, { job: run.job, error: run.lastError });
  }

  /** Takes all that runs from its workers; the rows are written as well. */
  takeBack(flow: Flow, reason: AppError, end: 'cancelled'): JobEvent[] {
    const taken = [...flow.runs.values()];
    for (const run of taken) {
      const standing = flow.index?.standing(run.index);
      this.letGo(run, reason, end);
      if (standing) flow.index?.set(run.index, { ...standing, state: 'waiting' });
    }
    const standings = taken.map(({ index }) => ({ index, standing: flow.index?.standing(index) }));
    void this.#disk
      .write(() => {
        for (const { index, standing } of standings) {
          if (standing) this.#rows.putStanding(flow.row.seq, index, standing);
        }
      })
      .catch(() => undefined);
    return taken.map((run) => this.#flows.jobEvent(flow, run.index, { job: run.job, error: run.lastError }));
  }

  /** From here on what its worker answers counts for nothing. */
  letGo(run: Run, reason: AppError, end: 'cancelled' | 'given_back'): void {
    run.flow.runs.delete(run.index);
    this.#metrics.ended.inc({ end });
    this.#metrics.running.dec();
    run.controller.abort(reason);
  }

  pump(): void {
    if (this.#disk.isBroken || this.#isClosing) return;
    for (const worker of this.#workers) {
      while (worker.hasRoom && this.#beginNext(worker));
    }
    this.#updateGauges();
    this.#armRetry();
  }

  #beginNext(worker: InProcessWorker): boolean {
    const nowMs = this.#clock.monotonicMs();
    for (const flow of this.#flows.running) {
      const index = flow.index?.next(worker.kinds, nowMs);
      if (index === undefined) continue;
      this.#begin(worker, flow, index);
      return true;
    }
    return false;
  }

  #begin(worker: InProcessWorker, flow: Flow, index: number): void {
    const { seq } = flow.row;
    const before = flow.index?.standing(index);
    const attempt = (before?.attempt ?? 0) + 1;
    const standing: JobStanding = { state: 'active', attempt, forgiven: before?.forgiven ?? 0 };
    flow.index?.set(index, standing);
    const run: Run = {
      flow,
      index,
      job: this.#rows.job(seq, index),
      attempt,
      worker,
      controller: new AbortController(),
      beganMs: this.#clock.monotonicMs(),
      progress: 0,
      toldMs: Number.NEGATIVE_INFINITY,
      lastError: attempt === 1 ? undefined : this.#rows.error(seq, index),
    };
    flow.runs.set(index, run);
    this.#metrics.begun.inc();
    this.#metrics.running.inc();
    const event = this.#flows.jobEvent(flow, index, { job: run.job, error: run.lastError });
    const begun = this.#flows.commit(() => this.#rows.putStanding(seq, index, standing), [event]);
    worker.hold(this.#run(run, begun));
  }

  async #run(run: Run, begun: Promise<void>): Promise<void> {
    try {
      await begun;
    } catch {
      // The queue broke and let go of it.
      return;
    }
    const outcome = run.controller.signal.aborted
      ? undefined
      : await runHandler(run.worker.handler, this.#runningJob(run));
    const isOurs = run.flow.runs.get(run.index) === run;
    if (outcome && isOurs) this.#finish(run, outcome);
    else if (outcome?.kind === 'done') this.#metrics.ended.inc({ end: 'refused' });
  }

  #runningJob(run: Run): RunningJob {
    const { flow, index, job, attempt, controller } = run;
    flow.data ??= this.#rows.flowData(flow.row.seq);
    return {
      flow: flow.id,
      id: job.id,
      kind: job.kind,
      data: this.#rows.jobData(flow.row.seq, index),
      flowData: flow.data,
      attempt,
      signal: controller.signal,
      progress: (share) => this.#onProgress(run, share),
    };
  }

  #onProgress(run: Run, share: number): void {
    const clamped = clampShare(share);
    if (clamped === undefined || run.flow.runs.get(run.index) !== run) return;
    run.progress = clamped;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - run.toldMs < this.#options.progressIntervalMs) return;
    run.toldMs = nowMs;
    const event = this.#flows.jobEvent(run.flow, run.index, { job: run.job, error: run.lastError });
    this.#flows.deliver(Promise.resolve(), [event]);
  }

  #finish(run: Run, outcome: JobOutcome): void {
    const { flow, index } = run;
    flow.runs.delete(index);
    this.#metrics.running.dec();
    this.#metrics.seconds.observe((this.#clock.monotonicMs() - run.beganMs) / 1000);
    const written = outcome.kind === 'done' ? this.#succeed(run, outcome.result) : this.#fail(run, outcome);
    // Said of already: the queue broke.
    written.catch(() => undefined);
    this.#flows.tidy(flow);
  }

  #succeed({ flow, index, attempt, job }: Run, result: string): Promise<void> {
    const { seq } = flow.row;
    const standing: JobStanding = { state: 'done', attempt, forgiven: 0 };
    flow.index?.set(index, standing);
    this.#metrics.ended.inc({ end: 'done' });
    const change = (): void => {
      this.#rows.putStanding(seq, index, standing);
      this.#rows.putResult(seq, index, result);
    };
    const event = this.#flows.jobEvent(flow, index, { job, result: JSON.parse(result) as Json });
    const isLast = flow.index?.count('done') === flow.index?.size;
    return isLast ? this.#flows.end(flow, 'done', [event], change) : this.#flows.commit(change, [event]);
  }

  #fail(
    { flow, index, attempt, job }: Run,
    { error, permanent }: JobOutcome & { kind: 'failed' },
  ): Promise<void> {
    const { seq, attempts } = flow.row;
    const forgiven = flow.index?.standing(index).forgiven ?? 0;
    const isFinal = permanent || attempt - forgiven >= attempts;
    // Of a flow that ended meanwhile it is not begun again; whether it would have been shows when the flow is tried again.
    const standing: JobStanding = { state: isFinal ? 'failed' : 'waiting', attempt, forgiven };
    const delayMs = retryDelay(Math.max(1, attempt - forgiven), this.#options, this.#random());
    flow.index?.set(index, standing, this.#clock.monotonicMs() + delayMs);
    this.#metrics.ended.inc({ end: isFinal ? 'failed' : 'retried' });
    const change = (): void => {
      this.#rows.putStanding(seq, index, standing);
      this.#rows.putError(seq, index, error);
    };
    const event = this.#flows.jobEvent(flow, index, { job, error });
    const ends = isFinal && flow.row.state === 'running';
    return ends ? this.#flows.end(flow, 'failed', [event], change) : this.#flows.commit(change, [event]);
  }

  #armRetry(): void {
    this.#retryTimer?.cancel();
    this.#retryTimer = undefined;
    if (![...this.#workers].some(({ hasRoom }) => hasRoom)) return;
    const dues = this.#flows.running.map(({ index }) => index?.nextDueMs() ?? Number.POSITIVE_INFINITY);
    const dueMs = dues.reduce((first, due) => Math.min(first, due), Number.POSITIVE_INFINITY);
    if (dueMs === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.max(1, dueMs - this.#clock.monotonicMs());
    this.#retryTimer = this.#clock.after(delayMs, () => this.pump());
  }

  #updateGauges(): void {
    this.#metrics.flows.set(this.#flows.all.size);
    this.#metrics.waiting.set(
      this.#flows.running.reduce((sum, { index }) => sum + (index?.count('waiting') ?? 0), 0),
    );
  }

  /** Nothing is begun any more; resolves when no handler runs. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#retryTimer?.cancel();
    await Promise.all([...this.#workers].map((worker) => worker.close()));
  }
}
