/** What the table says of one error: the HTTP status it maps to and the sentence for docs/errors.md. */
interface ErrorEntry {
  readonly status: number;
  readonly meaning: string;
}

/**
 * Every error Headwater reports to the outside. Codes are stable: a retired one is never reused.
 * docs/errors.md is generated from this table.
 */
export const ERRORS = {
  INTERNAL: { status: 500, meaning: 'A fault of ours. The log line with the same code has the cause.' },
  CONFIG_INVALID: { status: 500, meaning: 'A configuration key is unknown, has the wrong type or a value out of range.' },
  TOOL_MISSING: { status: 500, meaning: 'A program Headwater needs is not installed and may not be installed here.' },

  HTTP_NOT_FOUND: { status: 404, meaning: 'Nothing lives at this URL.' },
  HTTP_BAD_REQUEST: { status: 400, meaning: 'The request is malformed.' },
  HTTP_METHOD_NOT_ALLOWED: { status: 405, meaning: 'The URL exists but not for this method.' },
  HTTP_BODY_TOO_LARGE: { status: 413, meaning: 'The request body is over the limit of this endpoint.' },
  HTTP_UNSUPPORTED_ENCODING: { status: 415, meaning: 'Request bodies must not be compressed.' },
  HTTP_UNAUTHORIZED: { status: 401, meaning: 'The admin token is missing or wrong.' },

  STREAM_NAME_INVALID: { status: 400, meaning: 'A stream name must match ^[A-Za-z0-9_-]{1,64}$.' },
  STREAM_NOT_FOUND: { status: 404, meaning: 'No stream of this name is known.' },
  STREAM_OFFLINE: { status: 404, meaning: 'The stream is known but nobody is publishing it.' },
  STREAM_BUSY: { status: 409, meaning: 'Somebody is already publishing this stream.' },
  STREAM_LIMIT: { status: 503, meaning: 'The server already carries as many publishers as it may.' },
} as const satisfies Record<string, ErrorEntry>;

/** A stable, documented error code. */
export type ErrorCode = keyof typeof ERRORS;

/** The one error class that crosses folder borders: a stable code, a sentence, and the cause kept. */
export class AppError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string = ERRORS[code].meaning, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'AppError';
    this.code = code;
  }

  /** The HTTP status this error maps to. */
  get status(): number {
    return ERRORS[this.code].status;
  }
}

/** The code of any thrown value: its own when it is an {@link AppError}, else INTERNAL. */
export function errorCode(error: unknown): ErrorCode {
  return error instanceof AppError ? error.code : 'INTERNAL';
}
