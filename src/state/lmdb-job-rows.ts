import type { Database, RootDatabase, Transaction } from 'lmdb';
import { type JobStanding, UNTOUCHED } from './job-index.ts';
import type { FlowState, FlowStatus, JobError, JobStatus, Json } from './job-queue.ts';

/** A flow as it is stored. */
export interface FlowRow {
  /** Of the order in which flows were added; its other rows are found by it, so that an id may be used again. */
  readonly seq: number;
  readonly state: FlowState;
  readonly priority: number;
  readonly attempts: number;
  readonly addedMs: number;
  readonly endedMs: number | undefined;
  readonly jobs: number;
}

/** What of a job never changes. */
export interface JobRow {
  readonly id: string;
  readonly kind: string;
}

/** Flow and place in it. */
type JobKey = [seq: number, index: number];

type StandingRow = readonly [state: JobStanding['state'], attempt: number, forgiven: number];

/** Rows that are read or written before others get a turn of the event loop. */
export const ROWS_PER_TURN = 200;

/** Databases in the file: those of {@link LmdbJobRows}, and two that tell whose it is. */
export const JOB_DATABASES = 12;

/** Where what is kept in the file. Writes are to be made inside one conditional batch; reads are synchronous. */
export class LmdbJobRows {
  readonly #flows: Database<FlowRow, string>;
  readonly #flowData: Database<string, number>;
  readonly #jobs: Database<JobRow, JobKey>;
  readonly #jobData: Database<string, JobKey>;
  /** None of a job that was never begun. */
  readonly #standings: Database<StandingRow, JobKey>;
  /** The active ones once more: they are looked for when the queue is opened. */
  readonly #active: Database<1, JobKey>;
  readonly #results: Database<string, JobKey>;
  readonly #errors: Database<JobError, JobKey>;
  /** Flows of which rows are there that do not count (added half-way or removed) → how many jobs. */
  readonly #litter: Database<number, number>;
  readonly #root: RootDatabase;

  constructor(root: RootDatabase) {
    this.#root = root;
    this.#flows = root.openDB({ name: 'flows' });
    this.#flowData = root.openDB({ name: 'flow-data', encoding: 'string' });
    this.#jobs = root.openDB({ name: 'jobs' });
    this.#jobData = root.openDB({ name: 'job-data', encoding: 'string' });
    this.#standings = root.openDB({ name: 'standings' });
    this.#active = root.openDB({ name: 'active' });
    this.#results = root.openDB({ name: 'results', encoding: 'string' });
    this.#errors = root.openDB({ name: 'errors' });
    this.#litter = root.openDB({ name: 'litter' });
  }

  flows(): { readonly id: string; readonly row: FlowRow }[] {
    return [...this.#flows.getRange()].map(({ key, value }) => ({ id: key, row: value }));
  }

  litter(): { readonly seq: number; readonly jobs: number }[] {
    return [...this.#litter.getRange()].map(({ key, value }) => ({ seq: key, jobs: value }));
  }

  active(): { readonly seq: number; readonly index: number }[] {
    return [...this.#active.getKeys()].map(([seq, index]) => ({ seq, index }));
  }

  kinds(seq: number): string[] {
    return [...this.#jobs.getRange(rangeOf(seq))].map(({ value }) => value.kind);
  }

  standing(seq: number, index: number): JobStanding {
    const row = this.#standings.get([seq, index]);
    return row ? toStanding(row) : UNTOUCHED;
  }

  /** Of those that were ever begun. */
  standings(seq: number): { readonly index: number; readonly standing: JobStanding }[] {
    return [...this.#standings.getRange(rangeOf(seq))].map(({ key, value }) => ({
      index: key[1],
      standing: toStanding(value),
    }));
  }

  flowData(seq: number): Json {
    return parse(this.#flowData.get(seq));
  }

  job(seq: number, index: number): JobRow {
    return this.#jobs.get([seq, index]) ?? { id: '', kind: '' };
  }

  jobData(seq: number, index: number): Json {
    return parse(this.#jobData.get([seq, index]));
  }

  error(seq: number, index: number): JobError | undefined {
    return this.#errors.get([seq, index]);
  }

  result(seq: number, index: number): Json | undefined {
    const text = this.#results.get([seq, index]);
    return text === undefined ? undefined : parse(text);
  }

  /** A flow as it was at one moment, whatever is written meanwhile. Gives others a turn now and then. */
  async status(
    id: string,
    withResults: boolean,
    yieldTurn: () => Promise<void>,
  ): Promise<FlowStatus | undefined> {
    const transaction = this.#root.useReadTransaction();
    try {
      const row = this.#flows.get(id, { transaction });
      if (row === undefined) return undefined;
      const jobs: JobStatus[] = [];
      while (jobs.length < row.jobs) {
        if (jobs.length > 0) await yieldTurn();
        this.#readJobs(row, jobs, withResults, transaction);
      }
      const data = parse(this.#flowData.get(row.seq, { transaction }));
      return { id, state: row.state, data, addedMs: row.addedMs, endedMs: row.endedMs, jobs };
    } finally {
      transaction.done();
    }
  }

  #readJobs(
    { seq, jobs: size }: FlowRow,
    jobs: JobStatus[],
    withResults: boolean,
    transaction: Transaction,
  ): void {
    const end = Math.min(size, jobs.length + ROWS_PER_TURN);
    for (let index = jobs.length; index < end; index++) {
      const key: JobKey = [seq, index];
      const job = this.#jobs.get(key, { transaction }) ?? { id: '', kind: '' };
      const row = this.#standings.get(key, { transaction });
      const standing = row ? toStanding(row) : UNTOUCHED;
      const result = withResults ? this.#results.get(key, { transaction }) : undefined;
      jobs.push({
        ...job,
        state: standing.state,
        attempt: standing.attempt,
        progress: standing.state === 'done' ? 1 : 0,
        result: result === undefined ? undefined : parse(result),
        error: row ? this.#errors.get(key, { transaction }) : undefined,
      });
    }
  }

  /** Writes something that means nothing. */
  touch(): void {
    void this.#litter.put(0, 0);
  }

  putFlow(id: string, row: FlowRow): void {
    void this.#flows.put(id, row);
  }

  putFlowData(seq: number, data: string): void {
    void this.#flowData.put(seq, data);
  }

  putJob(seq: number, index: number, row: JobRow, data: string): void {
    void this.#jobs.put([seq, index], row);
    void this.#jobData.put([seq, index], data);
  }

  putStanding(seq: number, index: number, { state, attempt, forgiven }: JobStanding): void {
    const key: JobKey = [seq, index];
    void this.#standings.put(key, [state, attempt, forgiven]);
    if (state === 'active') void this.#active.put(key, 1);
    else void this.#active.remove(key);
  }

  putResult(seq: number, index: number, result: string): void {
    void this.#results.put([seq, index], result);
    void this.#errors.remove([seq, index]);
  }

  putError(seq: number, index: number, error: JobError): void {
    void this.#errors.put([seq, index], error);
  }

  putLitter(seq: number, jobs: number): void {
    void this.#litter.put(seq, jobs);
  }

  removeLitter(seq: number): void {
    void this.#litter.remove(seq);
  }

  removeFlow(id: string): void {
    void this.#flows.remove(id);
  }

  /** The rows of a flow that is litter, but {@link removeLitter}. */
  removeRows(seq: number, start: number, end: number): void {
    void this.#flowData.remove(seq);
    const databases = [this.#jobs, this.#jobData, this.#standings, this.#active, this.#results, this.#errors];
    for (let index = start; index < end; index++) {
      for (const database of databases) void database.remove([seq, index]);
    }
  }
}

function rangeOf(seq: number): { start: JobKey; end: JobKey } {
  return { start: [seq, 0], end: [seq + 1, 0] };
}

function toStanding([state, attempt, forgiven]: StandingRow): JobStanding {
  return { state, attempt, forgiven };
}

function parse(text: string | undefined): Json {
  return text === undefined ? null : (JSON.parse(text) as Json);
}
