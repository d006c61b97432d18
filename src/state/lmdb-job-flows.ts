import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { InProcessWorker } from './in-process-worker.ts';
import type { JobSubscribers } from './job-events.ts';
import { JobIndex, type JobStanding } from './job-index.ts';
import type { JobMetrics } from './job-metrics.ts';
import { WORKER_LOST } from './job-outcome.ts';
import type { FlowState, JobError, JobEvent, JobStatus, Json } from './job-queue.ts';
import type { LmdbJobDisk } from './lmdb-job-disk.ts';
import type { FlowRow, JobRow, LmdbJobRows } from './lmdb-job-rows.ts';

/** A flow that is kept. Those that ended have no index, but while jobs of theirs still run. */
export interface Flow {
  readonly id: string;
  row: FlowRow;
  index: JobIndex | undefined;
  /** Parsed once for all jobs that run. */
  data: Json | undefined;
  readonly runs: Map<number, Run>;
}

/** An attempt under way here. */
export interface Run {
  readonly flow: Flow;
  readonly index: number;
  readonly job: JobRow;
  readonly attempt: number;
  readonly worker: InProcessWorker;
  readonly controller: AbortController;
  readonly beganMs: number;
  progress: number;
  toldMs: number;
  readonly lastError: JobError | undefined;
}

export interface LmdbFlowsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: JobMetrics;
  readonly subscribers: JobSubscribers;
}

/** The flows in memory, and how they come there and go. What is changed here is to be written in the same turn. */
export class LmdbJobFlows {
  readonly all = new Map<string, Flow>();
  /** Those of which jobs may be begun, in that order. */
  running: readonly Flow[] = [];
  nextSeq = 1;
  readonly #disk: LmdbJobDisk;
  readonly #rows: LmdbJobRows;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: JobMetrics;
  readonly #subscribers: JobSubscribers;
  #delivered: Promise<void> = Promise.resolve();

  constructor(disk: LmdbJobDisk, { clock, log, metrics, subscribers }: LmdbFlowsDeps) {
    this.#disk = disk;
    this.#rows = disk.rows;
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
    this.#subscribers = subscribers;
  }

  /** Resolves when all events of what was written are delivered. */
  get delivered(): Promise<void> {
    return this.#delivered;
  }

  /** A flow may be begun: it was added, or tried again. */
  start(flow: Flow): void {
    this.running = [...this.running, flow].sort(
      (a, b) => a.row.priority - b.row.priority || a.row.seq - b.row.seq,
    );
  }

  /** What else is to be written comes with it, so that no crash parts them. */
  end(flow: Flow, state: FlowState, events: readonly JobEvent[], change?: () => void): Promise<void> {
    flow.row = { ...flow.row, state, endedMs: this.#clock.wallMs() };
    this.running = this.running.filter((other) => other !== flow);
    this.tidy(flow);
    return this.commit(() => {
      change?.();
      this.#rows.putFlow(flow.id, flow.row);
    }, [...events, { kind: 'flow', flow: flow.id, state }]);
  }

  /** A flow that ended keeps nothing in memory once nothing of it runs. */
  tidy(flow: Flow): void {
    if (flow.runs.size > 0) return;
    flow.data = undefined;
    if (flow.row.state !== 'running') flow.index = undefined;
  }

  async forget({ id, row }: Flow): Promise<void> {
    this.all.delete(id);
    await this.commit(() => {
      this.#rows.removeFlow(id);
      this.#rows.putLitter(row.seq, row.jobs);
    }, []);
    this.#disk.clear(row.seq, row.jobs);
  }

  /** Takes over what is on the disk. What is active there lost its worker. */
  load(): void {
    const kept = this.#rows.flows().sort((a, b) => a.row.seq - b.row.seq);
    const litter = this.#rows.litter().filter(({ seq }) => seq > 0);
    const seqs = [...kept.map(({ row }) => row.seq), ...litter.map(({ seq }) => seq)];
    this.nextSeq = seqs.reduce((next, seq) => Math.max(next, seq + 1), this.nextSeq);
    const bySeq = new Map<number, Flow>();
    for (const { id, row } of kept) {
      const index = row.state === 'running' ? this.readIndex(row.seq) : undefined;
      const flow: Flow = { id, row, index, data: undefined, runs: new Map() };
      this.all.set(id, flow);
      bySeq.set(row.seq, flow);
    }
    for (const { seq, index } of this.#rows.active()) {
      const flow = bySeq.get(seq);
      if (flow) this.#recover(flow, index);
    }
    for (const flow of this.all.values()) if (flow.row.state === 'running') this.start(flow);
    for (const { seq, jobs } of litter) this.#disk.clear(seq, jobs);
  }

  readIndex(seq: number): JobIndex {
    const index = new JobIndex(this.#rows.kinds(seq));
    for (const { index: at, standing } of this.#rows.standings(seq)) index.set(at, standing);
    return index;
  }

  #recover(flow: Flow, index: number): void {
    const { seq, attempts } = flow.row;
    const { attempt, forgiven } = this.#rows.standing(seq, index);
    const isFinal = flow.row.state === 'running' && attempt - forgiven >= attempts;
    const standing: JobStanding = { state: isFinal ? 'failed' : 'waiting', attempt, forgiven };
    flow.index?.set(index, standing);
    this.#metrics.lost.inc();
    this.#log.warn({ flow: flow.id, attempt }, 'a job lost its worker');
    const change = (): void => {
      this.#rows.putStanding(seq, index, standing);
      this.#rows.putError(seq, index, WORKER_LOST);
    };
    const written = isFinal ? this.end(flow, 'failed', [], change) : this.commit(change, []);
    written.catch(() => undefined);
  }

  jobEvent(
    flow: Flow,
    index: number,
    { job, result, error }: { job?: JobRow; result?: Json; error?: JobError | undefined },
  ): JobEvent {
    const { state, attempt } = flow.index?.standing(index) ?? { state: 'waiting', attempt: 0 };
    const progress = state === 'done' ? 1 : (flow.runs.get(index)?.progress ?? 0);
    const { id, kind } = job ?? this.#rows.job(flow.row.seq, index);
    const status: JobStatus = { id, kind, state, attempt, progress, result, error };
    return { kind: 'job', flow: flow.id, job: status };
  }

  deliver(after: Promise<void>, events: readonly JobEvent[]): void {
    if (events.length === 0 || this.#subscribers.isEmpty) return;
    this.#delivered = this.#deliverAll(this.#delivered, after, events);
  }

  async #deliverAll(before: Promise<void>, after: Promise<void>, events: readonly JobEvent[]): Promise<void> {
    await before;
    try {
      await after;
    } catch {
      // It did not happen; the gap is told when the queue can be used again.
      return;
    }
    for (const event of events) this.#subscribers.emit(event);
  }

  /** Writes, and tells of it when it is on the disk. */
  commit(change: () => void, events: readonly JobEvent[]): Promise<void> {
    const written = this.#disk.write(change);
    this.deliver(written, events);
    return written;
  }

  /** Of the queue that broke: the disk has what counts. */
  clear(): void {
    this.all.clear();
    this.running = [];
  }
}
