import { AppError } from '../base/errors.ts';
import { type FlowSpec, type JobSpec, type Json, MAX_FLOW_JOBS } from './job-queue.ts';

export const MAX_JOB_DATA_BYTES = 64 * 1024;
export const MAX_JOB_RESULT_BYTES = 64 * 1024;
export const MAX_FLOW_DATA_BYTES = 512 * 1024;

const MAX_ATTEMPTS = 1000;
const MAX_PRIORITY = 1000;
const ID = /^[A-Za-z0-9._-]{1,128}$/;
const KIND = /^[A-Za-z0-9._-]{1,64}$/;

/** How much a queue holds, and how it tries again. Every field has a default: {@link JOB_QUEUE_DEFAULTS}. */
export interface JobQueueOptions {
  /** Flows kept, those that ended counted; `add` rejects with JOB_LIMIT past it. */
  readonly maxFlows?: number;
  /** Jobs that are not done, of all flows that run; `add` rejects with JOB_LIMIT past it. */
  readonly maxJobs?: number;
  /** How long a flow that ended is kept. */
  readonly keepEndedMs?: number;
  /** Wait before a job is begun a second time; doubled each time. */
  readonly retryDelayMs?: number;
  /** Longest such wait. */
  readonly maxRetryDelayMs?: number;
  /** Events of a job's progress come no closer together than this. */
  readonly progressIntervalMs?: number;
}

export const JOB_QUEUE_DEFAULTS: Required<JobQueueOptions> = {
  maxFlows: 10_000,
  maxJobs: 200_000,
  keepEndedMs: 7 * 24 * 3_600_000,
  retryDelayMs: 2000,
  maxRetryDelayMs: 60_000,
  progressIntervalMs: 500,
};

/** A value as JSON. Undefined: it has none, or is larger than `maxBytes`. */
export function encodeJson(value: Json, maxBytes: number): string | undefined {
  const text = tryStringify(value);
  return text === undefined || Buffer.byteLength(text) > maxBytes ? undefined : text;
}

/** Cycles, BigInt and what else a caller without types may hand over. */
function tryStringify(value: Json): string | undefined {
  try {
    // Of a function, and of undefined, it gives undefined.
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

/**
 * Checks all of a flow but its jobs.
 * @returns its data as JSON
 * @throws AppError JOB_INVALID
 */
export function checkFlow(spec: FlowSpec): string {
  if (!ID.test(spec.id)) throw invalid('its id is malformed');
  if (!isWhole(spec.priority, 1, MAX_PRIORITY)) throw invalid('its priority is not 1 to 1000');
  if (!isWhole(spec.attempts, 1, MAX_ATTEMPTS)) throw invalid('its attempts are not 1 to 1000');
  if (spec.jobs.length === 0) throw invalid('it has no job');
  if (spec.jobs.length > MAX_FLOW_JOBS) throw invalid(`it has more than ${MAX_FLOW_JOBS} jobs`);
  if (new Set(spec.jobs.map(({ id }) => id)).size < spec.jobs.length) throw invalid('two jobs have one id');
  const data = encodeJson(spec.data, MAX_FLOW_DATA_BYTES);
  if (data === undefined) throw invalid('its data is not JSON, or too large');
  return data;
}

/**
 * @returns the job's data as JSON
 * @throws AppError JOB_INVALID
 */
export function checkJob(spec: JobSpec): string {
  if (!ID.test(spec.id)) throw invalid('the id of a job is malformed');
  if (!KIND.test(spec.kind)) throw invalid('the kind of a job is malformed');
  const data = encodeJson(spec.data, MAX_JOB_DATA_BYTES);
  if (data === undefined) throw invalid(`the data of job ${spec.id} is not JSON, or too large`);
  return data;
}

/** What a worker says of its progress as a share of 1; undefined when it is no number. */
export function clampShare(share: number): number | undefined {
  return Number.isNaN(share) ? undefined : Math.min(1, Math.max(0, share));
}

function invalid(why: string): AppError {
  return new AppError('JOB_INVALID', `The flow cannot be added: ${why}.`);
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}
