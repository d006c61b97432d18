import type { Clock, Timer } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Attempt, BegunJob, JobPlace, RedisJobStore } from './bullmq-job-store.ts';
import type { HeldTicket, JobTickets } from './bullmq-job-tickets.ts';
import { clampShare, type JobQueueOptions } from './job-limits.ts';
import type { JobMetrics } from './job-metrics.ts';
import { type JobOutcome, retryDelay, runHandler } from './job-outcome.ts';
import type { JobError, JobHandler, JobWorker, Json, RunningJob, WorkerOptions } from './job-queue.ts';

export interface BullWorkerDeps {
  readonly store: RedisJobStore;
  readonly tickets: JobTickets;
  readonly options: Required<JobQueueOptions>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: JobMetrics;
  readonly random: () => number;
  /** Data of a flow, as few times from Redis as can be. */
  readonly flow: (seq: number) => Promise<{ readonly id: string; readonly data: Json }>;
  /** A flow failed by what happened here: its other tickets are of no use. */
  readonly onFlowEnded: (seq: number) => void;
  readonly onClosed: (worker: BullWorker) => void;
}

/** An attempt under way here. */
interface Run {
  readonly at: Attempt;
  readonly ticket: HeldTicket;
  readonly controller: AbortController;
  readonly beganMs: number;
  /** Its answer counts for nothing any more. */
  isOver: boolean;
  progress: number;
  toldMs: number;
  telling: Timer | undefined;
}

/** Something may be there that nobody told of: what was delayed or left behind. */
const POLL_INTERVAL_MS = 1000;
/** How often what could not be told to Redis is told again. */
const RETRY_INTERVAL_MS = 500;

/** A handler and its slots: takes tickets while there is room, and tells the store how their jobs went. */
export class BullWorker implements JobWorker {
  readonly kinds: readonly string[];
  readonly #handler: JobHandler;
  readonly #deps: BullWorkerDeps;
  readonly #runs = new Set<Run>();
  readonly #held = new Set<Promise<void>>();
  #concurrency: number;
  /** More may be there than when the last look began. */
  #isStirred = false;
  #taking: Promise<void> | undefined;
  #poll: Timer | undefined;
  /** Of jobs that are to be tried again. */
  readonly #delays = new Set<Timer>();
  #closing: Promise<void> | undefined;

  constructor({ kinds, concurrency }: WorkerOptions, handler: JobHandler, deps: BullWorkerDeps) {
    this.kinds = [...new Set(kinds)];
    this.#handler = handler;
    this.#deps = deps;
    this.#concurrency = concurrency;
    deps.tickets.watch(this.kinds);
    this.wake();
  }

  setConcurrency(jobs: number): void {
    this.#concurrency = jobs;
    this.wake();
  }

  /** There may be something to take. */
  wake(): void {
    this.#isStirred = true;
    if (this.#closing || this.#taking) return;
    this.#taking = this.#take().finally(() => {
      this.#taking = undefined;
      if (this.#isStirred) this.wake();
    });
  }

  /** Tickets in our hands, of which the locks are to be renewed. */
  get tickets(): HeldTicket[] {
    return [...this.#runs].map(({ ticket }) => ticket);
  }

  /** Aborts what a message says is not ours any more. */
  abort(isMeant: (run: Attempt & { readonly round: number }) => boolean, reason: AppError): void {
    for (const run of this.#runs) {
      if (!isMeant({ ...run.at, round: run.ticket.round })) continue;
      this.#end(run, reason.code === 'JOB_CANCELLED' ? 'cancelled' : 'refused', reason);
    }
  }

  /** Asks of some jobs, or of all, whether they are still ours. */
  async review(tickets?: readonly HeldTicket[]): Promise<void> {
    for (const run of this.#runs) {
      if (tickets && !tickets.includes(run.ticket)) continue;
      if (!run.isOver && !(await this.#deps.store.hold(run.at))) {
        this.#end(run, 'refused', new AppError('JOB_WORKER_LOST'));
      }
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.resolve();
    await this.#taking;
    this.#poll?.cancel();
    for (const timer of this.#delays) timer.cancel();
    await Promise.all([...this.#runs].map((run) => this.#giveBack(run)));
    while (this.#held.size > 0) await Promise.all(this.#held);
    this.#deps.onClosed(this);
  }

  async #giveBack(run: Run): Promise<void> {
    if (run.isOver) return;
    this.#end(run, 'given_back', new AppError('JOB_QUEUE_CLOSING'));
    try {
      await this.#deps.store.giveBack(run.at);
      await this.#deps.tickets.putBack(run.ticket);
    } catch {
      // Its lock runs out, and then it is another's; only that it counts as an attempt.
    }
  }

  // ---------------------------------------------------------------- taking

  async #take(): Promise<void> {
    this.#poll?.cancel();
    try {
      while (this.#isStirred) {
        this.#isStirred = false;
        while (this.#hasRoom && (await this.#takeOne()));
      }
    } catch (error) {
      this.#deps.log.debug({ err: error }, 'jobs cannot be taken');
    }
    if (!this.#closing) this.#poll = this.#deps.clock.after(POLL_INTERVAL_MS, () => this.wake());
  }

  get #hasRoom(): boolean {
    return this.#closing === undefined && this.#held.size < this.#concurrency;
  }

  /** False: nothing is there. */
  async #takeOne(): Promise<boolean> {
    const ticket = await this.#deps.tickets.next(this.kinds);
    if (ticket === undefined) return false;
    const run = this.#begin(ticket).catch((error: unknown) => {
      this.#deps.log.error({ err: error }, 'a job could not be begun');
    });
    const held = run.finally(() => {
      this.#held.delete(held);
      this.wake();
    });
    this.#held.add(held);
    return true;
  }

  async #begin(ticket: HeldTicket): Promise<void> {
    const { store, tickets, clock, metrics } = this.#deps;
    const { place, round, token } = ticket;
    const begun = await this.#persist(() => store.begin(place, round, token, clock.wallMs()));
    if (begun === undefined) return;
    if (begun === 'void' || begun === 'failed') {
      if (begun === 'failed') {
        metrics.lost.inc();
        this.#deps.onFlowEnded(place.seq);
      }
      await this.#persist(() => tickets.drop(ticket));
      return;
    }
    if (begun.wasLost) metrics.lost.inc();
    await this.#run(ticket, place, begun);
  }

  async #run(ticket: HeldTicket, place: JobPlace, begun: BegunJob): Promise<void> {
    const { metrics, clock } = this.#deps;
    const run: Run = {
      at: { ...place, attempt: begun.attempt },
      ticket,
      controller: new AbortController(),
      beganMs: clock.monotonicMs(),
      isOver: false,
      progress: 0,
      toldMs: Number.NEGATIVE_INFINITY,
      telling: undefined,
    };
    this.#runs.add(run);
    metrics.begun.inc();
    metrics.running.inc();
    if (this.#closing) {
      await this.#giveBack(run);
      return;
    }
    const flow = await this.#persist(() => this.#deps.flow(place.seq));
    if (flow === undefined || run.isOver) return;
    const outcome = await runHandler(this.#handler, this.#runningJob(run, begun, flow));
    if (run.isOver) {
      if (outcome.kind === 'done') metrics.ended.inc({ end: 'refused' });
    } else {
      metrics.seconds.observe((clock.monotonicMs() - run.beganMs) / 1000);
      await this.#finish(run, outcome);
    }
  }

  #runningJob(
    run: Run,
    { id, kind, data, attempt }: BegunJob,
    flow: { readonly id: string; readonly data: Json },
  ): RunningJob {
    return {
      flow: flow.id,
      id,
      kind,
      data,
      flowData: flow.data,
      attempt,
      signal: run.controller.signal,
      progress: (share) => this.#onProgress(run, share),
    };
  }

  // ---------------------------------------------------------------- ending

  async #finish(run: Run, outcome: JobOutcome): Promise<void> {
    const { store, tickets, clock, options, random } = this.#deps;
    const { ticket } = run;
    if (outcome.kind === 'failed' && outcome.elsewhere) return this.#passOn(run, outcome.error);
    const answer = await this.#persist(() => store.finish(run.at, outcome, clock.wallMs()));
    if (answer === undefined) return;
    if (!run.isOver) this.#end(run, answer.kind === 'waiting' ? 'retried' : answer.kind);
    if (answer.kind === 'failed' && answer.endedFlow) this.#deps.onFlowEnded(run.at.seq);
    // Whatever goes wrong from here on, the ticket is taken for left behind, and its next holder finds the truth.
    if (answer.kind === 'refused') await this.#tryOnce(() => tickets.putBack(ticket));
    else if (answer.kind !== 'waiting') await this.#tryOnce(() => tickets.drop(ticket));
    else {
      const delayMs = retryDelay(answer.failures, options, random());
      await this.#tryOnce(() => tickets.delay(ticket, delayMs));
      this.#wakeAfter(delayMs + 1);
    }
  }

  /** To another worker. */
  async #passOn(run: Run, error: JobError): Promise<void> {
    const { store, tickets } = this.#deps;
    if ((await this.#persist(() => store.giveBack(run.at, error))) === undefined) return;
    if (!run.isOver) this.#end(run, 'given_back');
    await this.#tryOnce(() => tickets.putBack(run.ticket));
  }

  #wakeAfter(delayMs: number): void {
    if (this.#closing) return;
    const timer = this.#deps.clock.after(delayMs, () => {
      this.#delays.delete(timer);
      this.wake();
    });
    this.#delays.add(timer);
  }

  /** What the handler answers after it counts for nothing. */
  #end(
    run: Run,
    end: 'done' | 'failed' | 'retried' | 'given_back' | 'cancelled' | 'refused',
    reason?: AppError,
  ): void {
    run.isOver = true;
    run.telling?.cancel();
    this.#runs.delete(run);
    this.#deps.metrics.running.dec();
    this.#deps.metrics.ended.inc({ end });
    if (reason) run.controller.abort(reason);
  }

  #onProgress(run: Run, share: number): void {
    const clamped = clampShare(share);
    if (clamped === undefined || run.isOver) return;
    run.progress = clamped;
    if (run.telling) return;
    const { clock, options } = this.#deps;
    const delayMs = Math.max(0, run.toldMs + options.progressIntervalMs - clock.monotonicMs());
    run.telling = clock.after(delayMs, () => void this.#tellProgress(run));
  }

  async #tellProgress(run: Run): Promise<void> {
    run.telling = undefined;
    run.toldMs = this.#deps.clock.monotonicMs();
    try {
      const isOurs = await this.#deps.store.hold(run.at, run.progress);
      if (!isOurs && !run.isOver) this.#end(run, 'refused', new AppError('JOB_WORKER_LOST'));
    } catch {
      // The next one, or the end, tells more.
    }
  }

  /** Tells Redis until it knows. Undefined: the worker closes, and Redis cannot be reached. */
  async #persist<T>(call: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        const canWait = error instanceof AppError && error.code === 'JOB_QUEUE_UNAVAILABLE';
        if (!canWait) throw error;
        if (this.#closing) return undefined;
        await new Promise<void>((resolve) => this.#deps.clock.after(RETRY_INTERVAL_MS, resolve));
      }
    }
  }

  async #tryOnce(call: () => Promise<void>): Promise<void> {
    try {
      await call();
    } catch (error) {
      this.#deps.log.debug({ err: error }, 'a ticket is left behind');
    }
  }
}
