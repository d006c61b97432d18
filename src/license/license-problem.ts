import { AppError, ERRORS, errorCode } from '../base/errors.ts';
import { CORS_ENTRIES } from '../http/cors.ts';
import { headerBlock } from '../http/header-block.ts';
import type { HeaderBlock, HttpAnswer } from '../http/types.ts';

type Entry = readonly [name: string, value: string];

/** Request headers that a page may send along. */
export const PLAYER_REQUEST_HEADERS: readonly string[] = [
  'Content-Type',
  'Authorization',
  'DPoP',
  'SOAPAction',
  'Last-Event-ID',
];

/** What a page may read of an answer. */
const EXPOSED = 'Date, Content-Length, X-License-Expires, DPoP-Nonce, WWW-Authenticate, Retry-After';

/**
 * Headers of every answer of this room: for any page, without its cookies, since what lets in is a header that the page
 * itself must know; never kept by a cache.
 */
export function licenseHeaders(contentType: string | undefined): HeaderBlock {
  const cors = CORS_ENTRIES.map(
    ([name, value]): Entry => [name, name === 'Access-Control-Expose-Headers' ? EXPOSED : value],
  );
  return headerBlock([
    ...cors,
    ...(contentType === undefined ? [] : [['Content-Type', contentType] as const]),
    ['Cache-Control', 'no-store'],
    ['X-Content-Type-Options', 'nosniff'],
  ]);
}

const PROBLEM_HEADERS = licenseHeaders('application/problem+json');
const JSON_HEADERS = licenseHeaders('application/json');
const EMPTY_HEADERS = licenseHeaders(undefined);

/** What DASH-IF calls a licence server's refusal (Content Protection guidelines, problem types). */
const INSUFFICIENT_PROOF = 'https://dashif.org/drm-problems/insufficient-proof-of-authorization';

/** The problem+json answer (RFC 9457) for a refusal. `more` are members of its own. */
export function licenseProblem(
  error: unknown,
  extra: NonNullable<HttpAnswer['extra']> = [],
  more: object = {},
): HttpAnswer {
  const code = errorCode(error);
  const { status, meaning } = ERRORS[code];
  const type = status === 403 ? INSUFFICIENT_PROOF : `urn:headwater:error:${code}`;
  const ownSentence = error instanceof AppError && status < 500 && error.message !== meaning;
  const problem = {
    type,
    title: meaning,
    status,
    code,
    ...(ownSentence && { detail: error.message }),
    ...more,
  };
  return { status, headers: PROBLEM_HEADERS, body: Buffer.from(JSON.stringify(problem)), extra };
}

/** A JSON answer. */
export function jsonAnswer(
  status: number,
  json: object,
  extra: NonNullable<HttpAnswer['extra']> = [],
): HttpAnswer {
  return { status, headers: JSON_HEADERS, body: Buffer.from(JSON.stringify(json)), extra };
}

/** 204. */
export function emptyAnswer(): HttpAnswer {
  return { status: 204, headers: EMPTY_HEADERS };
}

/** A time for people and programs: RFC 3339, in UTC. */
export function timeText(ms: number): string {
  // oxlint-disable-next-line no-restricted-globals -- text of a given time, not the time
  return new Date(ms).toISOString();
}
