import type { SessionConflict } from './session-types.ts';

/** A call was refused, or not answered. The message is for the viewer. */
export class ApiError extends Error {
  /** HTTP status; 0: no answer came. */
  readonly status: number;
  /** The server's stable code, `TOKEN_EXPIRED`; of no answer `NETWORK`. */
  readonly code: string;
  /** The rest of what the answer said (RFC 9457). */
  readonly problem: Readonly<Record<string, unknown>>;
  /** How long the server wants to be left alone. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, problem: Readonly<Record<string, unknown>>, retryAfterMs?: number) {
    const { code, detail, title } = problem;
    super(textOf(detail) ?? textOf(title) ?? (status === 0 ? 'no answer' : `the server answered ${status}`));
    this.status = status;
    this.code = textOf(code) ?? (status === 0 ? 'NETWORK' : `HTTP_${status}`);
    this.problem = problem;
    this.retryAfterMs = retryAfterMs;
  }

  /** It may go well another time: no answer, too many requests, or the server's own fault. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** The viewer plays as many things as it may. Start again with `replaces` one of these to take its place. */
export class SessionLimitError extends ApiError {
  readonly sessions: readonly SessionConflict[];

  constructor(error: ApiError) {
    super(error.status, error.problem, error.retryAfterMs);
    const { sessions } = error.problem;
    this.sessions = Array.isArray(sessions) ? (sessions as SessionConflict[]) : [];
  }
}

/** Whether an error is a refusal that another attempt will not change. */
export function isRefusal(error: unknown): error is ApiError {
  return error instanceof ApiError && !error.isPassing;
}

/** What an answer that is not a 2xx says. */
export async function errorOf(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => '');
  return new ApiError(
    response.status,
    parseProblem(text),
    parseRetryAfter(response.headers.get('Retry-After')),
  );
}

/** Retry-After in seconds, as our server writes it. */
function parseRetryAfter(header: string | null): number | undefined {
  const seconds = header === null ? Number.NaN : Number(header);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

function parseProblem(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
