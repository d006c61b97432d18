import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Metrics } from '../base/metrics.ts';
import { headerBlock } from '../http/header-block.ts';
import { problemAnswer } from '../http/problem.ts';
import type { HttpAnswer, HttpRequest } from '../http/types.ts';
import type { AdminToken } from './admin-token.ts';
import { AttemptLimiter } from './attempt-limiter.ts';

/** Wrong admin tokens taken from one address within a minute. */
const MAX_WRONG_TOKENS = 10;
const MAX_REMEMBERED_ADDRESSES = 10_000;

/** Headers of every answer of an admin call. Without CORS: a page in a browser has no business with them. */
export const COMMON_HEADERS = [
  ['Cache-Control', 'no-store'],
  ['X-Content-Type-Options', 'nosniff'],
] as const;
const PROBLEM_HEADERS = headerBlock([['Content-Type', 'application/problem+json'], ...COMMON_HEADERS]);

/** Gives the answer that refuses a request, or undefined when it has the admin token. */
export type AdminAccess = (request: HttpRequest) => HttpAnswer | undefined;

interface AdminAccessDeps {
  readonly token: AdminToken;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

type Outcome = 'ok' | 'missing' | 'wrong' | 'limited';

/** Checks admin tokens, and does not hear for a while who has guessed too often. */
export function createAdminAccess({ token, clock, metrics }: AdminAccessDeps): AdminAccess {
  const limiter = new AttemptLimiter({
    clock,
    maxFailures: MAX_WRONG_TOKENS,
    maxAddresses: MAX_REMEMBERED_ADDRESSES,
  });
  const checks = metrics.counter('control_auth_checks_total', 'Admin token checks, by outcome.', ['outcome']);
  const judge = (request: HttpRequest): Outcome => {
    if (limiter.blockedMs(request.remoteAddress) > 0) return 'limited';
    const given = /^Bearer +(\S+) *$/i.exec(request.header('authorization'))?.[1];
    if (given === undefined) return 'missing';
    if (token.matches(given)) return 'ok';
    limiter.fail(request.remoteAddress);
    return 'wrong';
  };
  return (request) => {
    const outcome = judge(request);
    checks.inc({ outcome });
    if (outcome === 'ok') return undefined;
    if (outcome !== 'limited')
      return problem(new AppError('HTTP_UNAUTHORIZED'), [['WWW-Authenticate', 'Bearer']]);
    const seconds = Math.ceil(limiter.blockedMs(request.remoteAddress) / 1000);
    return problem(new AppError('HTTP_TOO_MANY_FAILURES'), [['Retry-After', String(Math.max(1, seconds))]]);
  };
}

/** A refusal as problem+json. */
export function problem(error: AppError, extra: HttpAnswer['extra'] = []): HttpAnswer {
  return { ...problemAnswer(error, extra), headers: PROBLEM_HEADERS };
}
