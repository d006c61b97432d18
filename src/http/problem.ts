import { AppError, ERRORS, errorCode } from '../base/errors.ts';
import { corsHeaderBlock } from './cors.ts';
import type { HttpAnswer } from './types.ts';

const PROBLEM_HEADERS = corsHeaderBlock([
  ['Content-Type', 'application/problem+json'],
  ['Cache-Control', 'no-store'],
]);

/**
 * The answer for a thrown value: application/problem+json (RFC 9457) with our stable `code`. A fault of ours tells
 * nothing beyond its code; an AppError below 500 also gives its own sentence as `detail`.
 */
export function problemAnswer(error: unknown, extra: HttpAnswer['extra'] = []): HttpAnswer {
  const code = errorCode(error);
  const { status, meaning } = ERRORS[code];
  const ownSentence = error instanceof AppError && status < 500 && error.message !== meaning;
  const problem = {
    type: `urn:headwater:error:${code}`,
    title: meaning,
    status,
    code,
    ...(ownSentence ? { detail: error.message } : {}),
  };
  return { status, headers: PROBLEM_HEADERS, body: Buffer.from(JSON.stringify(problem)), extra };
}
