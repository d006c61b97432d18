import { AppError } from '../base/errors.ts';

/** What can be written as JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** One piece of work. */
export interface JobSpec {
  /** Unique in its flow: 1 to 128 characters of A-Z a-z 0-9 . _ -. */
  readonly id: string;
  /** What kind of work it is: workers say which they do. */
  readonly kind: string;
  /** What the worker needs beyond what the flow has; at most 64 KiB as JSON. */
  readonly data: Json;
}

/** Jobs that belong together: those of one title. */
export interface FlowSpec {
  /** Unique: 1 to 128 characters of A-Z a-z 0-9 . _ -. */
  readonly id: string;
  /** What all its jobs need; at most 512 KiB as JSON. */
  readonly data: Json;
  /** Lower first, 1 to 1000; among equals the older flow first. */
  readonly priority: number;
  /**
   * Started in this order; 1 to {@link MAX_FLOW_JOBS}. One that waits to be tried again holds up no other, and may then
   * come after those of other flows of the same priority.
   */
  readonly jobs: readonly JobSpec[];
  /** How often each is begun before it has failed for good, the first time counted. A worker that died counts, too. */
  readonly attempts: number;
}

export const MAX_FLOW_JOBS = 20_000;

/** `waiting` also while it waits to be tried again. */
export type JobState = 'waiting' | 'active' | 'done' | 'failed';

export interface JobStatus {
  readonly id: string;
  readonly kind: string;
  readonly state: JobState;
  /** How often it was begun: 0 before the first time. */
  readonly attempt: number;
  /** Of an active one what its worker last said, 0 to 1; 1 of one that is done, else 0. */
  readonly progress: number;
  /** Of one that is done. */
  readonly result: Json | undefined;
  /** Why the last attempt ended. */
  readonly error: JobError | undefined;
}

export interface JobError {
  /** One of the codes in docs/errors.md. */
  readonly code: string;
  /** One line, at most 1000 characters. */
  readonly message: string;
}

/** `failed`: one of its jobs has for good, and the others are not begun any more. */
export type FlowState = 'running' | 'done' | 'failed' | 'cancelled';

export interface FlowStatus {
  readonly id: string;
  readonly state: FlowState;
  readonly data: Json;
  readonly addedMs: number;
  readonly endedMs: number | undefined;
  /** In the order in which they were given. */
  readonly jobs: readonly JobStatus[];
}

/** A job in the hands of a worker. */
export interface RunningJob {
  readonly flow: string;
  readonly id: string;
  readonly kind: string;
  readonly data: Json;
  readonly flowData: Json;
  /** Counts from 1. Greater than that of every worker that had it before: a fence. */
  readonly attempt: number;
  /**
   * Fires when the job is not this worker's any more: cancelled, given to another, or the worker closes. Whatever it
   * answers then counts for nothing.
   */
  readonly signal: AbortSignal;
  /** Says how far it is, 0 to 1. As often as one likes: what comes too fast for others is left out. */
  progress(share: number): void;
}

/** What a handler rejects with when to try again would end the same way: the job has failed for good, and its flow. */
export class PermanentJobError extends AppError {
  override readonly name = 'PermanentJobError';
}

/**
 * What a handler rejects with when this worker cannot do the job, for a reason that is its own and not the job's: it goes back
 * at once, without its counting as an attempt, for another worker. Whoever rejects so is to take no job for a while, or it gets the
 * same one again. Of a queue that one process has to itself it is a failure like any other.
 */
export class ElsewhereJobError extends AppError {
  override readonly name = 'ElsewhereJobError';
}

/**
 * Does one job. What it resolves to (at most 64 KiB as JSON) is the job's result. To reject fails this attempt; a
 * {@link PermanentJobError} fails the job at once. The code and message of an AppError are kept as the job's error; any
 * other error is a JOB_FAILED with its message.
 */
export type JobHandler = (job: RunningJob) => Promise<Json>;

export interface WorkerOptions {
  readonly kinds: readonly string[];
  /** Jobs at once; 0 begins none. A job that was aborted has its slot until its handler has settled. */
  readonly concurrency: number;
}

export interface JobWorker {
  /** Those that run go on; fewer are begun. */
  setConcurrency(jobs: number): void;
  /** Takes no more, aborts what runs, gives it back at once (it does not count as an attempt) and waits for it. Idempotent. */
  close(): Promise<void>;
}

export type JobEvent =
  | { readonly kind: 'job'; readonly flow: string; readonly job: JobStatus }
  | { readonly kind: 'flow'; readonly flow: string; readonly state: FlowState };

/**
 * Keeps work until it is done. Every driver passes the same contract suite. What resolved outlives a crash of any process.
 * A job is given to one worker at a time; that of one that died is given to the next, and the old one's answer, should it
 * come after all, is refused. Calls reject with AppError JOB_QUEUE_UNAVAILABLE when the queue cannot be used.
 */
export interface JobQueue {
  /**
   * All its jobs, or none. False: a flow of that id is there already. Rejects with AppError JOB_INVALID, and with JOB_LIMIT
   * when as much is kept as may be. When it rejects with JOB_QUEUE_UNAVAILABLE the flow may be there all the same.
   */
  add(flow: FlowSpec): Promise<boolean>;
  flow(id: string): Promise<FlowStatus | undefined>;
  /** Newest first, at most `limit`, without their jobs' results. */
  flows(limit: number): Promise<readonly FlowStatus[]>;
  /** Aborts what runs and begins nothing more. False: it is not running. */
  cancel(id: string): Promise<boolean>;
  /** Jobs that failed, or were not begun since the flow failed or was cancelled, may be begun again, with all their attempts. */
  retry(id: string): Promise<boolean>;
  /** Forgets a flow that does not run; false when it runs or is not there. */
  remove(id: string): Promise<boolean>;
  work(options: WorkerOptions, handler: JobHandler): JobWorker;
  /**
   * What happens from now on, in this process or another. May be missed while the queue cannot be reached: `onGap` says so
   * afterwards, and the listener is to look at the flows anew. Returns the unsubscribe function.
   */
  subscribe(listener: (event: JobEvent) => void, onGap?: () => void): () => void;
  /** Closes its workers first. Idempotent. */
  close(): Promise<void>;
}
