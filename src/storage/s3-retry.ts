/** When a request is made again. */
export interface RetryPolicy {
  /** Longest wait before the second try; doubled before each further one. */
  readonly baseMs: number;
  /** Longest wait of all, also of those that the store asks for. */
  readonly maxMs: number;
  /** Since the first try: no further one begins after it. */
  readonly deadlineMs: number;
  readonly maxTries: number;
}

export const RETRY_POLICY: RetryPolicy = { baseMs: 100, maxMs: 5000, deadlineMs: 60_000, maxTries: 10 };

/** What is known when a try has failed. */
export interface FailedTry {
  /** Counted from 1. */
  readonly tries: number;
  readonly elapsedMs: number;
  /** What the store asked for; undefined: nothing. */
  readonly retryAfterMs: number | undefined;
  /** A kept connection had been closed: no reason to wait. */
  readonly stale: boolean;
  /** 0 up to 1. */
  readonly random: number;
}

/** How long to wait before the next try, anywhere up to the longest so that not all come back at once. Undefined: give up. */
export function planRetry(policy: RetryPolicy, failed: FailedTry): number | undefined {
  if (failed.tries >= policy.maxTries) return undefined;
  const longest = Math.min(policy.maxMs, policy.baseMs * 2 ** (failed.tries - 1));
  const asked = Math.min(failed.retryAfterMs ?? 0, policy.maxMs);
  const waitMs = failed.stale && failed.tries === 1 ? 0 : Math.max(asked, longest * failed.random);
  return failed.elapsedMs + waitMs > policy.deadlineMs ? undefined : waitMs;
}

/** What a status asks for besides a plain yes or no. */
export type RetryReason = 'throttled' | 'server_error' | 'clashed';

/** Why an answer is worth another try; undefined: it is not. */
export function retryReasonOf(status: number, code: string): RetryReason | undefined {
  if (status === 429 || code === 'SlowDown' || code === 'RequestLimitExceeded') return 'throttled';
  // Two conditional writers, or two operations on one object, at the same moment.
  if (status === 409 && (code === 'ConditionalRequestConflict' || code === 'OperationAborted'))
    return 'clashed';
  if (status === 400 && code === 'RequestTimeout') return 'server_error';
  // Not implemented, and full: asking again changes nothing.
  return status >= 500 && status !== 501 && status !== 507 ? 'server_error' : undefined;
}
