import { checkHeaderEntries, type RenderedHeaders, renderedHeaders } from './header-block.ts';
import type { CutReason, HttpMetrics } from './http-metrics.ts';
import { problemAnswer } from './problem.ts';
import type { BodyStream, HeaderBlock, HttpAnswer, HttpResponse, PiecedAnswer } from './types.ts';

/** An answer after all checks, as a driver sends it. */
export interface PreparedAnswer {
  readonly status: number;
  readonly headers: RenderedHeaders;
  readonly extra: NonNullable<HttpAnswer['extra']>;
  /** Undefined when the answer carries no body bytes (HEAD, 204, 304). */
  readonly body: HttpAnswer['body'];
  /** Value of Content-Length; `undefined` when there must be none (204, 304). */
  readonly contentLength: number | undefined;
}

/** What a driver gives each answering side. */
export interface AnsweringDeps {
  readonly metrics: HttpMetrics;
  /** Takes what an onAbort callback throws: a fault of ours. */
  readonly reportFault: (error: unknown) => void;
}

/** A body of known length in progress. */
export interface SizedBody {
  /** Resolves when the peer has taken the bytes and there is room for more, or when it has gone. */
  write(piece: Uint8Array): Promise<void>;
  /** All of it was written. */
  end(): void;
}

const NO_ENTRIES: NonNullable<HttpAnswer['extra']> = [];

type State = 'waiting' | 'answering' | 'complete' | 'aborted';

/** The stream of an answer that carries no body: takes everything, keeps nothing. */
export const DISCARDING_STREAM: BodyStream = {
  write: () => undefined,
  end: () => undefined,
  backlogBytes: 0,
};

/**
 * The part of {@link HttpResponse} that is the same in both drivers: waiting → answering → complete, or aborted
 * from anywhere. A driver reports completion and loss, and does the writing.
 */
export abstract class AnsweringSide implements HttpResponse {
  protected readonly metrics: HttpMetrics;
  readonly #isHead: boolean;
  readonly #reportFault: (error: unknown) => void;
  #state: State = 'waiting';
  /** Nearly always one; ten thousand held requests would pay for an array each. */
  #onAbort: (() => void) | undefined;

  constructor(isHead: boolean, deps: AnsweringDeps) {
    this.#isHead = isHead;
    this.metrics = deps.metrics;
    this.#reportFault = deps.reportFault;
  }

  get aborted(): boolean {
    return this.#state === 'aborted';
  }

  /** Neither answered in full nor lost. */
  get pending(): boolean {
    return this.#state === 'waiting' || this.#state === 'answering';
  }

  onAbort(callback: () => void): void {
    if (this.#state === 'aborted') callback();
    else if (this.#state !== 'complete') this.#onAbort = both(this.#onAbort, callback, this.#reportFault);
  }

  send(answer: HttpAnswer): void {
    if (this.#state !== 'waiting') return;
    const prepared = this.#prepare(answer);
    this.#state = 'answering';
    this.metrics.answered(answer.status);
    this.writeWhole(prepared);
  }

  async sendPieces({ sizeBytes, pieces, ...answer }: PiecedAnswer): Promise<void> {
    if (this.#state !== 'waiting') return;
    const prepared = { ...this.#prepare(answer), contentLength: sizeBytes };
    this.#state = 'answering';
    this.metrics.answered(answer.status);
    if (this.#isHead || sizeBytes === 0) return this.writeWhole(prepared);
    try {
      await this.#pump(pieces, sizeBytes, this.beginSized(prepared));
    } catch (error) {
      this.#reportFault(error);
      if (this.pending) this.destroy();
    }
  }

  async #pump(pieces: AsyncIterable<Uint8Array>, sizeBytes: number, body: SizedBody): Promise<void> {
    let leftBytes = sizeBytes;
    for await (const piece of pieces) {
      if (!this.pending) return;
      leftBytes -= piece.length;
      if (leftBytes < 0) break;
      if (piece.length > 0) await body.write(piece);
    }
    if (!this.pending) return;
    if (leftBytes !== 0) throw new Error('a body has another length than was said');
    body.end();
  }

  open(status: number, headers: HeaderBlock): BodyStream {
    if (this.#state !== 'waiting') return DISCARDING_STREAM;
    checkStatus(status);
    const rendered = renderedHeaders(headers);
    this.#state = 'answering';
    this.metrics.answered(status);
    if (!this.#isHead && !isBodiless(status)) return this.beginStream(status, rendered);
    this.writeWhole({
      status,
      headers: rendered,
      extra: NO_ENTRIES,
      body: undefined,
      contentLength: undefined,
    });
    return DISCARDING_STREAM;
  }

  /** Answers a handler's failure; when the answer has begun, all that is left is to cut it. */
  fail(error: unknown): void {
    if (this.#state === 'waiting') this.send(problemAnswer(error));
    else if (this.#state === 'answering') this.destroy();
  }

  /** Cuts a reader that cannot keep up. */
  cut(reason: CutReason): void {
    if (!this.pending) return;
    this.metrics.cut(reason);
    this.destroy();
  }

  /** Closes the connection at once; the driver then reports {@link lost}. */
  abstract destroy(): void;

  /** For the driver: the peer has gone. */
  lost(): void {
    if (!this.pending) return;
    this.#state = 'aborted';
    this.metrics.aborted();
    const onAbort = this.#onAbort;
    this.#onAbort = undefined;
    this.released();
    runSafely(onAbort, this.#reportFault);
  }

  /** For the driver: everything was handed over well. */
  protected completed(): void {
    if (!this.pending) return;
    this.#state = 'complete';
    this.#onAbort = undefined;
    this.released();
  }

  protected abstract writeWhole(answer: PreparedAnswer): void;
  protected abstract beginStream(status: number, headers: RenderedHeaders): BodyStream;
  /** Sends the head of an answer whose body follows; `contentLength` is above 0. */
  protected abstract beginSized(answer: PreparedAnswer): SizedBody;
  /** Runs once, when the answer is complete or lost. */
  protected abstract released(): void;

  #prepare(answer: HttpAnswer): PreparedAnswer {
    checkStatus(answer.status);
    const extra = answer.extra ?? NO_ENTRIES;
    if (extra.length > 0) checkHeaderEntries(extra);
    const bodiless = isBodiless(answer.status);
    return {
      status: answer.status,
      headers: renderedHeaders(answer.headers),
      extra,
      body: this.#isHead || bodiless ? undefined : answer.body,
      contentLength: bodiless ? undefined : lengthOf(answer.body),
    };
  }
}

function lengthOf(body: HttpAnswer['body']): number {
  if (!body) return 0;
  if (body instanceof Uint8Array) return body.length;
  let length = 0;
  for (const part of body) length += part.length;
  return length;
}

function runSafely(callback: (() => void) | undefined, reportFault: (error: unknown) => void): void {
  try {
    callback?.();
  } catch (error) {
    reportFault(error);
  }
}

/** Runs one after the other; the second also when the first fails. */
function both(
  first: (() => void) | undefined,
  second: () => void,
  reportFault: (error: unknown) => void,
): () => void {
  if (!first) return second;
  return () => {
    runSafely(first, reportFault);
    second();
  };
}

/** A body as the buffers it is made of. */
export function bodyParts(body: HttpAnswer['body']): readonly Uint8Array[] {
  if (!body) return [];
  return body instanceof Uint8Array ? [body] : body;
}

function checkStatus(status: number): void {
  if (!Number.isInteger(status) || status < 200 || status > 599)
    throw new RangeError('status must be 200 to 599');
}

/** Answers that never carry a body (RFC 9110 6.4.1). */
function isBodiless(status: number): boolean {
  return status === 204 || status === 304;
}
