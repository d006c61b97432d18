import { AppError } from '../base/errors.ts';
import type { JobConnection } from './bullmq-job-connection.ts';
import { type JobOutcome, WORKER_LOST } from './job-outcome.ts';
import type {
  FlowSpec,
  FlowState,
  FlowStatus,
  JobError,
  JobEvent,
  JobSpec,
  JobState,
  JobStatus,
  Json,
} from './job-queue.ts';

/** One job; its flow by its number, as an id may be used again. */
export interface JobPlace {
  readonly seq: number;
  readonly index: number;
}

/** An attempt of a job. */
export interface Attempt extends JobPlace {
  readonly attempt: number;
}

export interface BegunJob {
  readonly attempt: number;
  readonly id: string;
  readonly kind: string;
  readonly data: Json;
  /** The worker that had it before was not heard of any more. */
  readonly wasLost: boolean;
}

export type FinishAnswer =
  | { readonly kind: 'done' | 'refused' }
  /** `endedFlow`: the flow failed by it. */
  | { readonly kind: 'failed'; readonly endedFlow: boolean }
  /** To be tried again; `failures` so far. */
  | { readonly kind: 'waiting'; readonly failures: number };

/** A job that is to have a ticket, and which one of those it had counts. */
export interface JobTicket extends JobPlace {
  readonly kind: string;
  readonly round: number;
  readonly priority: number;
}

/** What every process hears of. */
export type JobMessage =
  | { readonly kind: 'job'; readonly at: Attempt; readonly event: JobEvent & { kind: 'job' } }
  | {
      readonly kind: 'flow';
      readonly seq: number;
      readonly round: number;
      readonly event: JobEvent & { kind: 'flow' };
    }
  | { readonly kind: 'gone'; readonly seq: number };

interface FlowPart {
  readonly seq: number;
  readonly state: FlowState;
  readonly data: string;
  readonly addedMs: number;
  readonly endedMs: number | undefined;
  readonly size: number;
  readonly round: number;
  readonly priority: number;
  readonly rows: readonly JobRow[];
}

type JobRow = readonly [job: string, standing: string, result: string, error: string, progress: string];

/** Jobs that one call reads or writes: others want their turn of Redis, too. */
const ROWS_PER_CALL = 500;
/** A flow that was not added after this time never will be; its rows are thrown away. */
const LITTER_MS = 3_600_000;
/** When not all tickets of a flow were issued in this time, whoever began to is gone. */
const UNISSUED_MS = 15_000;

/** The jobs as Redis keeps them. Each call is one step that happens as a whole or not at all. */
export class RedisJobStore {
  readonly #connection: JobConnection;

  constructor(connection: JobConnection) {
    this.#connection = connection;
  }

  // ---------------------------------------------------------------- flows

  /**
   * Its tickets are to be issued then.
   * @param jobData of a job, as JSON; when it throws nothing is added
   * @returns the number of the flow; undefined when one of its id is there
   * @throws AppError JOB_LIMIT, whose cause is which limit: flows or jobs
   */
  async add(
    spec: FlowSpec,
    data: string,
    jobData: (job: JobSpec) => string,
    nowMs: number,
    limits: { readonly maxFlows: number; readonly maxJobs: number },
  ): Promise<number | undefined> {
    const { id, priority, attempts, jobs } = spec;
    const seq = await this.#use((client) => client.incr(this.#key('seq')));
    await this.#use((client) => client.zadd(this.#key('litter'), nowMs, String(seq)));
    try {
      await this.#writeRows(seq, spec, jobData);
      const { maxFlows, maxJobs } = limits;
      const args = [seq, id, data, priority, attempts, jobs.length, nowMs, maxFlows, maxJobs];
      const answer = await this.#connection.runSafely('jobCommit', ...args);
      if (answer === 'added') return seq;
      if (answer === 'exists') return undefined;
      if (answer === 'late') throw new AppError('JOB_QUEUE_UNAVAILABLE');
      throw new AppError('JOB_LIMIT', undefined, { cause: answer });
    } finally {
      // Of one that was added there is nothing to drop.
      await this.#connection.run('jobDrop', seq).catch(() => undefined);
    }
  }

  async #writeRows(seq: number, { jobs }: FlowSpec, jobData: (job: JobSpec) => string): Promise<void> {
    for (let start = 0; start < jobs.length; start += ROWS_PER_CALL) {
      const part = jobs.slice(start, start + ROWS_PER_CALL);
      const rows = part.flatMap(({ id, kind }, at) => [String(start + at), JSON.stringify([id, kind])]);
      const data = part.flatMap((job, at) => [String(start + at), jobData(job)]);
      await this.#use((client) => client.hset(this.#key(`j:${seq}`), ...rows));
      await this.#use((client) => client.hset(this.#key(`d:${seq}`), ...data));
    }
  }

  /** @returns the number of the flow; undefined when it does not run */
  async cancel(id: string, nowMs: number): Promise<number | undefined> {
    return toNumber(await this.#connection.runSafely('jobCancel', id, nowMs));
  }

  /**
   * Its tickets are to be issued then.
   * @returns the number of the flow; undefined when it neither failed nor was cancelled
   */
  async retry(id: string, nowMs: number): Promise<number | undefined> {
    return toNumber(await this.#connection.runSafely('jobRetry', id, nowMs));
  }

  async remove(id: string): Promise<boolean> {
    return (await this.#connection.run('jobRemove', id)) === 1;
  }

  async status(id: string, withResults: boolean): Promise<FlowStatus | undefined> {
    const jobs: JobStatus[] = [];
    let first: FlowPart | undefined;
    for await (const part of this.#parts(id, withResults)) {
      first ??= part;
      for (const row of part.rows) jobs.push(toStatus(row));
    }
    if (first === undefined || jobs.length < first.size) return undefined;
    const { state, data, addedMs, endedMs } = first;
    return { id, state, data: JSON.parse(data) as Json, addedMs, endedMs, jobs };
  }

  /** Newest first. */
  async ids(limit: number): Promise<string[]> {
    if (limit < 1) return [];
    return this.#use((client) => client.zrevrange(this.#key('flows'), 0, limit - 1));
  }

  /** Of flows that ended before a time. */
  async endedBefore(timeMs: number, limit: number): Promise<string[]> {
    return this.#use((client) => client.zrangebyscore(this.#key('ended'), '-inf', timeMs, 'LIMIT', 0, limit));
  }

  /** Flows kept, and jobs that are not done of those that run. */
  async counts(): Promise<{ readonly flows: number; readonly jobs: number }> {
    const flows = await this.#use((client) => client.hlen(this.#key('ids')));
    const jobs = await this.#use((client) => client.get(this.#key('open')));
    return { flows, jobs: Number(jobs ?? 0) };
  }

  /** What the jobs of a flow that are not done and not under way have as tickets, those of a flow that ended, too. */
  async tickets(seq: number): Promise<JobTicket[]> {
    const id = await this.#use((client) => client.hget(this.#key(`f:${seq}`), 'id'));
    const found: JobTicket[] = [];
    if (id === null) return found;
    let index = 0;
    for await (const { seq: read, rows, round, priority } of this.#parts(id, false)) {
      if (read !== seq) return [];
      for (const [job, standing] of rows) {
        const [state, , , own] = standing.split(' ');
        const kind = (JSON.parse(job) as [string, string])[1];
        if (standing === '' || state === 'waiting' || state === 'failed') {
          found.push({ seq, index, kind, priority, round: own === undefined ? round : Number(own) });
        }
        index++;
      }
    }
    return found;
  }

  async flowHead(seq: number): Promise<{ readonly id: string; readonly data: Json }> {
    const [id, data] = await this.#use((client) => client.hmget(this.#key(`f:${seq}`), 'id', 'data'));
    return { id: id ?? '', data: JSON.parse(data ?? 'null') as Json };
  }

  /** A part after the other; ends early when the flow was removed meanwhile. */
  async *#parts(id: string, withResults: boolean): AsyncGenerator<FlowPart> {
    let known: number | '' = '';
    for (let start = 0; ; start += ROWS_PER_CALL) {
      const args = [id, known, start, ROWS_PER_CALL, withResults ? 1 : 0];
      const part = toPart(await this.#connection.run('jobRead', ...args));
      if (part === undefined) return;
      yield part;
      if (start + ROWS_PER_CALL >= part.size) return;
      known = part.seq;
    }
  }

  // ---------------------------------------------------------------- jobs

  /** Whoever has a ticket may begin its job, unless this gives something else. The same token may ask again. */
  async begin(
    { seq, index }: JobPlace,
    round: number,
    token: string,
    nowMs: number,
  ): Promise<BegunJob | 'void' | 'failed'> {
    const lost = JSON.stringify(WORKER_LOST);
    const answer = await this.#connection.runSafely('jobBegin', seq, index, round, token, nowMs, lost);
    if (!Array.isArray(answer)) return 'void';
    const [how, attempt, job, data] = answer as [string, number, string, string];
    if (how === 'failed') return 'failed';
    const [id, kind] = JSON.parse(job) as [string, string];
    return { attempt, id, kind, data: JSON.parse(data) as Json, wasLost: how === 'lost' };
  }

  async finish(attempt: Attempt, outcome: JobOutcome, nowMs: number): Promise<FinishAnswer> {
    const how = outcome.kind === 'done' ? 'done' : outcome.permanent ? 'failed' : 'retry';
    const text = outcome.kind === 'done' ? outcome.result : JSON.stringify(outcome.error);
    const args = [attempt.seq, attempt.index, attempt.attempt, how, text, nowMs];
    const answer = await this.#connection.run('jobFinish', ...args);
    const [kind, count] = answer as [FinishAnswer['kind'], number];
    if (kind === 'failed') return { kind, endedFlow: count === 1 };
    return kind === 'waiting' ? { kind, failures: count } : { kind };
  }

  /** It does not count as an attempt. `error`: why, for people. False: it was not this worker's any more. */
  async giveBack({ seq, index, attempt }: Attempt, error?: JobError): Promise<boolean> {
    const why = error === undefined ? '' : JSON.stringify(error);
    return (await this.#connection.run('jobGiveBack', seq, index, attempt, why)) === 1;
  }

  /** Whether an attempt still counts; tells others of its progress. */
  async hold({ seq, index, attempt }: Attempt, progress?: number): Promise<boolean> {
    return (await this.#connection.run('jobHold', seq, index, attempt, progress ?? '')) === 1;
  }

  // ---------------------------------------------------------------- what a process that died left behind

  async issued(seq: number): Promise<void> {
    await this.#use((client) => client.zrem(this.#key('unissued'), String(seq)));
  }

  async unissued(nowMs: number): Promise<number[]> {
    const before = nowMs - UNISSUED_MS;
    const found = await this.#use((client) => client.zrangebyscore(this.#key('unissued'), '-inf', before));
    return found.map(Number);
  }

  async dropLitter(nowMs: number): Promise<void> {
    const before = nowMs - LITTER_MS;
    const found = await this.#use((client) => client.zrangebyscore(this.#key('litter'), '-inf', before));
    for (const seq of found) await this.#connection.run('jobDrop', seq);
  }

  #key(name: string): string {
    return `${this.#connection.base}:${name}`;
  }

  #use<T>(command: (client: JobConnection['client']) => Promise<T>): Promise<T> {
    return this.#connection.guard(() => command(this.#connection.client));
  }
}

/** What the scripts tell; fields of the others are missing. */
interface Told {
  readonly k: 'job' | 'flow' | 'gone';
  readonly n: number;
  /** Flow: its id and round. */
  readonly f: string;
  readonly c: number;
  /** State of the flow, or of the job. */
  readonly s: string;
  /** Job: place, id, kind, attempt, progress, result, error. */
  readonly x: number;
  readonly i: string;
  readonly d: string;
  readonly a: number;
  readonly p?: string | false;
  readonly r?: string | false;
  readonly e?: string | false;
}

export function parseMessage(text: string): JobMessage {
  const told = JSON.parse(text) as Told;
  const { n: seq, f: flow, s: state } = told;
  if (told.k === 'gone') return { kind: 'gone', seq };
  if (told.k === 'flow') {
    return { kind: 'flow', seq, round: told.c, event: { kind: 'flow', flow, state: state as FlowState } };
  }
  const { x: index, i: id, d: kind, a: attempt, p: progress, r: result, e: error } = told;
  const job = jobStatus([id, kind], state as JobState, attempt, progress || '', result || '', error || '');
  return { kind: 'job', at: { seq, index, attempt }, event: { kind: 'job', flow, job } };
}

function toStatus([job, standing, result, error, progress]: JobRow): JobStatus {
  const [state = 'waiting', attempt = '0'] = standing === '' ? [] : standing.split(' ');
  const names = JSON.parse(job) as [string, string];
  return jobStatus(names, state as JobState, Number(attempt), progress, result, error);
}

function jobStatus(
  [id, kind]: readonly [string, string],
  state: JobState,
  attempt: number,
  progress: string,
  result: string,
  error: string,
): JobStatus {
  return {
    id,
    kind,
    state,
    attempt,
    progress: state === 'done' ? 1 : state === 'active' ? Number(progress) : 0,
    result: result === '' ? undefined : (JSON.parse(result) as Json),
    error: error === '' ? undefined : (JSON.parse(error) as JobError),
  };
}

function toPart(answer: unknown): FlowPart | undefined {
  if (!Array.isArray(answer)) return undefined;
  const [seq, state, data, addedMs, endedMs, size, round, priority, rows] = answer as string[];
  return {
    seq: Number(seq),
    state: state as FlowState,
    data: data ?? '',
    addedMs: Number(addedMs),
    endedMs: endedMs === '' ? undefined : Number(endedMs),
    size: Number(size),
    round: Number(round),
    priority: Number(priority),
    rows: rows as unknown as readonly JobRow[],
  };
}

function toNumber(answer: unknown): number | undefined {
  return typeof answer === 'string' || typeof answer === 'number' ? Number(answer) : undefined;
}
