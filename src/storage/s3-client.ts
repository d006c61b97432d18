import { setMaxListeners } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { MessageChannel } from 'node:worker_threads';
import type { Clock } from '../base/clock.ts';
import { AppError, type ErrorCode } from '../base/errors.ts';
import type { S3CredentialSource, S3Credentials } from './s3-credentials.ts';
import { planRetry, type RetryPolicy, type RetryReason, retryReasonOf } from './s3-retry.ts';
import { MAX_ERROR_BYTES, parseErrorCode } from './s3-texts.ts';
import type { S3AnswerBody } from './s3-answer-body.ts';
import { S3Failure, type S3FailureKind } from './s3-failure.ts';
import type { S3Lane, S3Request, S3Transport } from './s3-transport.ts';

/** A whole answer that is worth no further try. */
export interface S3Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  /** The store's name of an error; '' when there is none. */
  readonly code: string;
  /** A try before it got no answer: what was asked may have been done already. */
  readonly repeated: boolean;
}

/** An answer whose body is still to come. */
export interface S3Stream {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** To be read to its end, or returned from. */
  readonly pieces: S3AnswerBody;
}

/** Why a request was made again. */
export type S3RetryReason = RetryReason | Exclude<S3FailureKind, 'closed'> | 'credentials';

export interface S3ClientDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly credentials: S3CredentialSource;
  readonly transport: S3Transport;
  readonly retry: RetryPolicy;
  readonly onRetry: (reason: S3RetryReason) => void;
}

export interface S3CallOptions {
  /** Of a good answer. */
  readonly maxBytes?: number;
  /** Aborts when nobody wants the answer any more. */
  readonly signal?: AbortSignal;
  readonly retry?: RetryPolicy;
  /** Goes out also when the client was stopped. */
  readonly isCleaning?: boolean;
}

/** Header of a PUT that copies what is in the bucket already. */
export const COPY_SOURCE = 'x-amz-copy-source';

/** Longest answer that nobody gave a limit for. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/** Error names that newer credentials may help against. */
const CREDENTIAL_CODES = new Set([
  'ExpiredToken',
  'InvalidAccessKeyId',
  'InvalidToken',
  'SignatureDoesNotMatch',
  'TokenRefreshRequired',
]);

/** How a single try went. */
type Try<T> =
  | { readonly kind: 'done'; readonly value: T }
  | {
      readonly kind: 'again';
      readonly reason: S3RetryReason;
      /** Said to the caller when there is no further try. */
      readonly because: string;
      readonly retryAfterMs?: number | undefined;
      readonly stale?: boolean;
      readonly unanswered?: boolean;
      readonly cause?: unknown;
      /** The answer to go by when newer credentials have not helped. */
      readonly orElse?: T;
    };

/**
 * Asks a store again as long as that is worth it. Every request may be carried out twice: what that means to conditions
 * is for the caller to see (`repeated`). Rejects with AppError STORAGE_UNAVAILABLE.
 */
export class S3Client {
  readonly #deps: S3ClientDeps;
  readonly #stopping = new AbortController();
  #credentials: Promise<S3Credentials> | undefined;

  constructor(deps: S3ClientDeps) {
    this.#deps = deps;
    // One listener for each request under way.
    setMaxListeners(0, this.#stopping.signal);
  }

  /** The whole answer. @throws AppError STORAGE_UNAVAILABLE; STORAGE_TOO_LARGE past `maxBytes` */
  call(request: S3Request, options: S3CallOptions = {}): Promise<S3Answer> {
    const { maxBytes = MAX_ANSWER_BYTES } = options;
    return this.#repeat(request, 'calls', options, async (message, repeated) => {
      const bytes = await this.#readAll(message, isGood(message.statusCode) ? maxBytes : MAX_ERROR_BYTES);
      return this.#judge(request, message, bytes, repeated);
    });
  }

  /** The head of an answer whose body may be long; of one that is an error the body is read for its name. */
  stream(request: S3Request): Promise<S3Stream | S3Answer> {
    return this.#repeat<S3Stream | S3Answer>(request, 'bodies', {}, async (message, repeated) => {
      const { statusCode: status = 0, headers } = message;
      if (isGood(status)) {
        return { kind: 'done', value: { status, headers, pieces: this.#deps.transport.read(message) } };
      }
      return this.#judge(request, message, await this.#readAll(message, MAX_ERROR_BYTES), repeated);
    });
  }

  /** Gives up what is under way, and makes no further request but for cleaning up. Idempotent. */
  stop(): void {
    this.#stopping.abort();
  }

  async #repeat<T>(
    request: S3Request,
    lane: S3Lane,
    { signal, retry = this.#deps.retry, isCleaning = false }: S3CallOptions,
    read: (message: IncomingMessage, repeated: boolean) => Promise<Try<T>>,
  ): Promise<T> {
    const { clock, random, onRetry } = this.#deps;
    const signals = [...(signal ? [signal] : []), ...(isCleaning ? [] : [this.#stopping.signal])];
    const [only = new AbortController().signal] = signals;
    const stop = signals.length > 1 ? AbortSignal.any(signals) : only;
    const beganMs = clock.monotonicMs();
    let unanswered = false;
    let renewed = false;
    for (let tries = 1; ; tries++) {
      const patienceMs = beganMs + retry.deadlineMs - clock.monotonicMs();
      const outcome = await this.#try(request, lane, Math.max(0, patienceMs), stop, (message) =>
        read(message, unanswered),
      );
      if (outcome.kind === 'done') return outcome.value;
      unanswered ||= outcome.unanswered ?? false;
      const waitMs = planRetry(retry, {
        tries,
        elapsedMs: clock.monotonicMs() - beganMs,
        retryAfterMs: outcome.retryAfterMs,
        stale: outcome.stale ?? false,
        random: random(),
      });
      if (renewed && outcome.orElse !== undefined) return outcome.orElse;
      if (waitMs === undefined || stop.aborted) {
        throw new AppError('STORAGE_UNAVAILABLE', outcome.because, { cause: outcome.cause });
      }
      if (outcome.reason === 'credentials') {
        this.#credentials = undefined;
        renewed = true;
      }
      onRetry(outcome.reason);
      await wait(clock, waitMs, stop);
    }
  }

  async #try<T>(
    request: S3Request,
    lane: S3Lane,
    patienceMs: number,
    stop: AbortSignal,
    read: (message: IncomingMessage) => Promise<Try<T>>,
  ): Promise<Try<T>> {
    if (stop.aborted) throw closed();
    const credentials = await this.#loadCredentials();
    try {
      const message = await this.#deps.transport.send(request, credentials, lane, patienceMs, stop);
      return await read(message);
    } catch (error) {
      if (!(error instanceof S3Failure)) throw error;
      if (error.kind === 'closed') throw closed(error);
      const { kind: reason, message, stale, cause } = error;
      return { kind: 'again', reason, because: message, stale, unanswered: true, cause };
    }
  }

  #loadCredentials(): Promise<S3Credentials> {
    if (!this.#credentials) {
      const loading = this.#deps.credentials.load();
      this.#credentials = loading;
      loading.catch(() => {
        if (this.#credentials === loading) this.#credentials = undefined;
      });
    }
    return this.#credentials;
  }

  #judge(request: S3Request, message: IncomingMessage, bytes: Buffer, repeated: boolean): Try<S3Answer> {
    const { statusCode: given = 0, headers } = message;
    // The answer to a POST, and to a copy, may begin before its outcome is known.
    const mayBeginEarly = request.method === 'POST' || request.headers?.[COPY_SOURCE] !== undefined;
    const mayFail = !isGood(given) || mayBeginEarly;
    const code = mayFail && bytes.length > 0 ? parseErrorCode(bytes.toString('utf8')) : '';
    const status = isGood(given) && code !== '' ? (LATE_STATUS[code] ?? 500) : given;
    const because = `the store answered ${describe(status, code)}`;
    const reason = retryReasonOf(status, code);
    if (reason) {
      // A gateway's 502 or 504, and a 500 too, leave open whether it was done.
      const unanswered = reason === 'server_error';
      return { kind: 'again', reason, because, unanswered, retryAfterMs: secondsMs(headers['retry-after']) };
    }
    const value = { status, headers, bytes, code, repeated };
    if (!CREDENTIAL_CODES.has(code)) return { kind: 'done', value };
    return { kind: 'again', reason: 'credentials', because, orElse: value };
  }

  async #readAll(message: IncomingMessage, maxBytes: number): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    let size = 0;
    for await (const piece of this.#deps.transport.read(message)) {
      size += piece.length;
      if (size > maxBytes)
        throw new AppError('STORAGE_TOO_LARGE', `an answer of more than ${maxBytes} bytes`);
      pieces.push(piece);
    }
    return Buffer.concat(pieces, size);
  }
}

function isGood(status: number | undefined): boolean {
  return status === 200 || status === 206;
}

/** Errors that came under status 200, with the status they come under else. */
const LATE_STATUS: Readonly<Record<string, number>> = {
  NoSuchKey: 404,
  NoSuchUpload: 404,
  PreconditionFailed: 412,
};

function closed(cause?: unknown): AppError {
  return new AppError('STORAGE_UNAVAILABLE', 'the store is closed', { cause });
}

function describe(status: number, code: string): string {
  return code === '' ? String(status) : `${status} ${code}`;
}

function secondsMs(retryAfter: string | undefined): number | undefined {
  return retryAfter !== undefined && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) * 1000 : undefined;
}

/** Error names that are not "try again later". */
const CODES: Readonly<Record<string, ErrorCode>> = {
  EntityTooLarge: 'STORAGE_TOO_LARGE',
  InsufficientStorage: 'STORAGE_FULL',
  KeyTooLongError: 'STORAGE_KEY_INVALID',
  QuotaExceeded: 'STORAGE_FULL',
  XMinioAdminBucketQuotaExceeded: 'STORAGE_FULL',
  XMinioStorageFull: 'STORAGE_FULL',
};

/** An answer that is not what was asked for, as error: its status and the store's name of it, nothing else. */
export function refused({ status, code }: S3Answer): AppError {
  const full = status === 507 ? 'STORAGE_FULL' : undefined;
  const known = CODES[code] ?? full ?? 'STORAGE_UNAVAILABLE';
  return new AppError(known, `the store answered ${describe(status, code)}`);
}

/**
 * Resolves after `ms`, or at once when `signal` aborts. Keeps the process alive meanwhile, which the clock's timers do not:
 * a command that stores something may have nothing else that is open.
 */
function wait(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const { port1: held } = new MessageChannel();
    held.ref();
    const done = (): void => {
      timer.cancel();
      held.close();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.after(ms, done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
