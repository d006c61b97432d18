import { AppError } from '../base/errors.ts';
import { encodeJson, MAX_JOB_RESULT_BYTES } from './job-limits.ts';
import {
  ElsewhereJobError,
  type JobError,
  type JobHandler,
  PermanentJobError,
  type RunningJob,
} from './job-queue.ts';

/** How an attempt ended. */
export type JobOutcome =
  /** The result as JSON. */
  | { readonly kind: 'done'; readonly result: string }
  /** `permanent`: to try again would end the same way. `elsewhere`: not of another worker. */
  | {
      readonly kind: 'failed';
      readonly error: JobError;
      readonly permanent: boolean;
      readonly elsewhere?: boolean;
    };

const MAX_MESSAGE_LENGTH = 1000;

/** Runs a handler; never rejects. */
export async function runHandler(handler: JobHandler, job: RunningJob): Promise<JobOutcome> {
  try {
    const result = encodeJson(await handler(job), MAX_JOB_RESULT_BYTES);
    if (result !== undefined) return { kind: 'done', result };
    const message = `the result is not JSON, or larger than ${MAX_JOB_RESULT_BYTES} bytes`;
    return { kind: 'failed', error: { code: 'JOB_FAILED', message }, permanent: true };
  } catch (error) {
    return {
      kind: 'failed',
      error: toJobError(error),
      permanent: error instanceof PermanentJobError,
      ...(error instanceof ElsewhereJobError && { elsewhere: true }),
    };
  }
}

/** The code of an AppError, else JOB_FAILED; one line of its message. */
export function toJobError(error: unknown): JobError {
  const code = error instanceof AppError ? error.code : 'JOB_FAILED';
  const message = error instanceof Error ? error.message : String(error);
  const line = message.replace(/\s*[\r\n]+\s*/g, ' ').trim();
  return { code, message: line.slice(0, MAX_MESSAGE_LENGTH) };
}

/** Of a job whose worker died or froze as often as it may be begun. */
export const WORKER_LOST: JobError = {
  code: 'JOB_WORKER_LOST',
  message: 'Its worker died or was not heard of, as often as it may be begun.',
};

export interface RetryDelays {
  readonly retryDelayMs: number;
  readonly maxRetryDelayMs: number;
}

/**
 * Wait before the next attempt: doubled for each that failed, and shortened by up to a half by chance, so that jobs that
 * failed together do not come back together.
 * @param failures that came before, at least 1
 * @param random 0 to 1
 */
export function retryDelay(
  failures: number,
  { retryDelayMs, maxRetryDelayMs }: RetryDelays,
  random: number,
): number {
  const full = Math.min(maxRetryDelayMs, retryDelayMs * 2 ** Math.min(failures - 1, 30));
  return full * (1 - random / 2);
}
