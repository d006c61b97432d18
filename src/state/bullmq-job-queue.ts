import { type Clock, every, type Timer } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { JobConnection } from './bullmq-job-connection.ts';
import { type JobMessage, parseMessage, RedisJobStore } from './bullmq-job-store.ts';
import { JobTickets, type TicketTimes } from './bullmq-job-tickets.ts';
import { BullWorker } from './bullmq-job-worker.ts';
import { JobSubscribers } from './job-events.ts';
import { checkFlow, checkJob, JOB_QUEUE_DEFAULTS, type JobQueueOptions } from './job-limits.ts';
import { JobMetrics } from './job-metrics.ts';
import type {
  FlowSpec,
  FlowStatus,
  JobEvent,
  JobHandler,
  JobQueue,
  JobWorker,
  Json,
  WorkerOptions,
} from './job-queue.ts';
import type { RedisSettings } from './redis-settings.ts';

export interface BullmqJobQueueOptions extends JobQueueOptions, Partial<TicketTimes> {}

export interface BullmqJobQueueDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** 0 to 1. */
  readonly random: () => number;
  /** Unique to this process among all that ever use this Redis. */
  readonly processId: string;
}

/** A worker that died is noticed within the sum of the first and twice the second. */
const TIMES: TicketTimes = { lockMs: 10_000, stalledMs: 5000 };
const SWEEP_INTERVAL_MS = 60_000;
/** Flows that one sweep throws away at most. */
const SWEEP_BATCH = 100;
const REPAIR_INTERVAL_MS = 10_000;
/** Flows of which the data is held for the jobs to come. */
const HELD_FLOWS = 8;

/**
 * Opens the queue that many processes share, on Redis by BullMQ. To be imported only where it is used: a server without
 * Redis never loads it. When Redis cannot be reached it opens all the same, and its calls reject until it can. The caller
 * closes it.
 */
export async function openBullmqJobQueue(
  settings: RedisSettings,
  options: BullmqJobQueueOptions,
  deps: BullmqJobQueueDeps,
): Promise<JobQueue> {
  const queue = new BullmqJobQueue(settings, { ...JOB_QUEUE_DEFAULTS, ...TIMES, ...options }, deps);
  await queue.open();
  return queue;
}

/**
 * What is known of jobs is in a store of our own in the same Redis, changed by scripts; BullMQ gives tickets for them to
 * workers (see {@link JobTickets} for what each of them does, and why).
 */
class BullmqJobQueue implements JobQueue {
  readonly #connection: JobConnection;
  readonly #store: RedisJobStore;
  readonly #tickets: JobTickets;
  readonly #options: Required<BullmqJobQueueOptions>;
  readonly #deps: BullmqJobQueueDeps;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: JobMetrics;
  readonly #subscribers: JobSubscribers;
  readonly #workers = new Set<BullWorker>();
  readonly #flowData = new Map<number, Promise<{ readonly id: string; readonly data: Json }>>();
  readonly #timers: readonly Timer[];
  /** What goes on besides, each after the other. */
  #chores: Promise<void> = Promise.resolve();
  #wasSubscribed = false;
  #isClosing = false;
  #closed: Promise<void> | undefined;

  constructor(settings: RedisSettings, options: Required<BullmqJobQueueOptions>, deps: BullmqJobQueueDeps) {
    const { clock, log, random } = deps;
    this.#options = options;
    this.#deps = deps;
    this.#clock = clock;
    this.#log = log;
    this.#metrics = new JobMetrics(deps.metrics);
    this.#subscribers = new JobSubscribers(log);
    this.#connection = new JobConnection(
      settings,
      { clock, log, random, durable: this.#metrics.durable },
      { onMessage: (text) => this.#onMessage(text), onSubscribed: () => this.#onSubscribed() },
    );
    this.#store = new RedisJobStore(this.#connection);
    this.#tickets = new JobTickets(this.#connection, clock, deps.processId, options, (error) =>
      log.debug({ err: error }, 'BullMQ reports an error'),
    );
    this.#timers = [
      every(clock, options.lockMs / 3, () => void this.#renew()),
      every(clock, SWEEP_INTERVAL_MS, () => this.#chore(() => this.#sweep())),
      every(clock, REPAIR_INTERVAL_MS, () => this.#chore(() => this.#repair())),
    ];
  }

  async open(): Promise<void> {
    await this.#connection.open();
    this.#chore(() => this.#repair());
  }

  // ---------------------------------------------------------------- flows

  async add(spec: FlowSpec): Promise<boolean> {
    const data = checkFlow(spec);
    try {
      const seq = await this.#store.add(spec, data, checkJob, this.#clock.wallMs(), this.#options);
      if (seq === undefined) return false;
      await this.#issue(seq);
      return true;
    } catch (error) {
      const limit = error instanceof AppError && error.code === 'JOB_LIMIT' ? error.cause : undefined;
      if (limit === 'flows' || limit === 'jobs') this.#metrics.limited.inc({ what: limit });
      throw error;
    }
  }

  async flow(id: string): Promise<FlowStatus | undefined> {
    return this.#store.status(id, true);
  }

  async flows(limit: number): Promise<readonly FlowStatus[]> {
    const found: FlowStatus[] = [];
    for (const id of await this.#store.ids(limit)) {
      const status = await this.#store.status(id, false);
      if (status) found.push(status);
    }
    return found;
  }

  async cancel(id: string): Promise<boolean> {
    const seq = await this.#store.cancel(id, this.#clock.wallMs());
    if (seq === undefined) return false;
    this.#withdraw(seq);
    return true;
  }

  async retry(id: string): Promise<boolean> {
    const seq = await this.#store.retry(id, this.#clock.wallMs());
    if (seq === undefined) return false;
    await this.#issue(seq);
    return true;
  }

  async remove(id: string): Promise<boolean> {
    return this.#store.remove(id);
  }

  /** Until it is known that all were issued, others try the same later. */
  async #issue(seq: number): Promise<void> {
    await this.#tickets.issue(await this.#store.tickets(seq));
    await this.#store.issued(seq);
    this.#wakeAll();
  }

  /** Of a flow that ended: nobody needs to be handed its tickets only to find that they count for nothing. */
  #withdraw(seq: number): void {
    this.#chore(async () => this.#tickets.withdraw(await this.#store.tickets(seq)));
  }

  // ---------------------------------------------------------------- workers

  work(options: WorkerOptions, handler: JobHandler): JobWorker {
    const { clock, log, random } = this.#deps;
    const worker = new BullWorker(options, handler, {
      store: this.#store,
      tickets: this.#tickets,
      options: this.#options,
      clock,
      log,
      metrics: this.#metrics,
      random,
      flow: (seq) => this.#flow(seq),
      onFlowEnded: (seq) => this.#withdraw(seq),
      onClosed: (closed) => void this.#workers.delete(closed),
    });
    this.#workers.add(worker);
    if (this.#isClosing) void worker.close();
    return worker;
  }

  #wakeAll(): void {
    for (const worker of this.#workers) worker.wake();
  }

  /** Some of those last asked for are held. */
  #flow(seq: number): Promise<{ readonly id: string; readonly data: Json }> {
    const held = this.#flowData.get(seq) ?? this.#store.flowHead(seq);
    this.#flowData.delete(seq);
    this.#flowData.set(seq, held);
    held.catch(() => this.#flowData.delete(seq));
    const [oldest] = this.#flowData.keys();
    if (this.#flowData.size > HELD_FLOWS && oldest !== undefined) this.#flowData.delete(oldest);
    return held;
  }

  async #renew(): Promise<void> {
    for (const worker of this.#workers) {
      const { tickets } = worker;
      if (tickets.length === 0) continue;
      try {
        const lost = await this.#tickets.renew(tickets);
        // Another may have it by now. While nobody has, its answer counts.
        if (lost.length > 0) await worker.review(lost);
      } catch (error) {
        this.#log.debug({ err: error }, 'locks of jobs cannot be renewed');
      }
    }
  }

  // ---------------------------------------------------------------- events

  subscribe(listener: (event: JobEvent) => void, onGap?: () => void): () => void {
    return this.#subscribers.subscribe(listener, onGap);
  }

  #onMessage(text: string): void {
    const message = parseMessage(text);
    this.#abortMeant(message);
    if (message.kind === 'gone') return;
    this.#subscribers.emit(message.event);
    const isNew =
      message.kind === 'job' ? message.event.job.state === 'waiting' : message.event.state === 'running';
    if (isNew) this.#wakeAll();
  }

  #abortMeant(message: JobMessage): void {
    if (message.kind === 'job') {
      if (message.event.job.state !== 'active') return;
      const { seq, index, attempt } = message.at;
      this.#abort(
        (run) => run.seq === seq && run.index === index && run.attempt < attempt,
        new AppError('JOB_WORKER_LOST'),
      );
    } else if (message.kind === 'gone') {
      this.#abort((run) => run.seq === message.seq, new AppError('JOB_CANCELLED'));
    } else if (message.event.state === 'cancelled') {
      // What was begun since it was tried again is of a later round.
      const { seq, round } = message;
      this.#abort((run) => run.seq === seq && run.round <= round, new AppError('JOB_CANCELLED'));
    }
  }

  #abort(isMeant: Parameters<BullWorker['abort']>[0], reason: AppError): void {
    for (const worker of this.#workers) worker.abort(isMeant, reason);
  }

  #onSubscribed(): void {
    const isAgain = this.#wasSubscribed;
    this.#wasSubscribed = true;
    if (!isAgain) return;
    this.#metrics.outages.inc();
    this.#subscribers.gap();
    for (const worker of this.#workers) this.#chore(() => worker.review());
    this.#chore(() => this.#repair());
    this.#wakeAll();
  }

  // ---------------------------------------------------------------- upkeep

  /** Never rejects, and is not begun any more once the queue closes. */
  #chore(work: () => Promise<void>): void {
    this.#chores = this.#doChore(this.#chores, work);
  }

  async #doChore(before: Promise<void>, work: () => Promise<void>): Promise<void> {
    await before;
    if (this.#isClosing) return;
    try {
      await work();
    } catch (error) {
      this.#log.debug({ err: error }, 'upkeep of the job queue is put off');
    }
  }

  async #sweep(): Promise<void> {
    const nowMs = this.#clock.wallMs();
    const over = await this.#store.endedBefore(nowMs - this.#options.keepEndedMs, SWEEP_BATCH);
    for (const id of over) await this.#store.remove(id);
    await this.#store.dropLitter(nowMs);
  }

  async #repair(): Promise<void> {
    await this.#connection.checkListening();
    for (const seq of await this.#store.unissued(this.#clock.wallMs())) await this.#issue(seq);
    const { flows, jobs } = await this.#store.counts();
    this.#metrics.flows.set(flows);
    this.#metrics.waiting.set(jobs);
  }

  close(): Promise<void> {
    this.#isClosing = true;
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    for (const timer of this.#timers) timer.cancel();
    await Promise.all([...this.#workers].map((worker) => worker.close()));
    await this.#chores;
    await this.#tickets.close();
    this.#connection.close();
  }
}
