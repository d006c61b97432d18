import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Clock } from './clock.ts';

/** One request to a back end that the operator named. */
export interface OutgoingCall {
  readonly method: 'GET' | 'POST';
  /** `http:` or `https:`. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Text goes out as UTF-8. */
  readonly body?: string | Uint8Array;
}

export interface OutgoingLimits {
  /** For the whole: waiting for a turn, connecting, and the last byte of the answer. */
  readonly timeoutMs: number;
  readonly maxAnswerBytes: number;
  /** Calls under way at once. */
  readonly maxConcurrent: number;
  /** Calls that may wait for their turn; one more fails at once. */
  readonly maxWaiting: number;
  /** Idle connections kept to each back end for the next call; without it every call opens one. */
  readonly maxIdleConnections?: number;
}

export type CallFailure = 'timeout' | 'aborted' | 'busy' | 'unreachable' | 'answer_too_large';

export type CallOutcome =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly location: string | undefined;
      /** As sent, with its parameters; '' when there is none. */
      readonly contentType: string;
      readonly bytes: Uint8Array;
      /** The same as text, taken for UTF-8. */
      readonly body: string;
    }
  | { readonly kind: 'failed'; readonly reason: CallFailure };

/** Longest head of an answer. */
const MAX_HEADER_BYTES = 16 * 1024;

/**
 * Asks back ends over HTTP and never waits or holds more than it was told. Follows no redirect, takes no cookie, and
 * keeps no connection unless told. Never throws: what goes wrong is an outcome. Whoever makes one closes it.
 */
export class OutgoingHttp {
  readonly #clock: Clock;
  readonly #limits: OutgoingLimits;
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;
  readonly #waiting: (() => void)[] = [];
  readonly #closing = new AbortController();
  #underWay = 0;

  constructor(limits: OutgoingLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    const { maxIdleConnections = 0 } = limits;
    const kept = { keepAlive: maxIdleConnections > 0, maxFreeSockets: maxIdleConnections };
    this.#http = new HttpAgent(kept);
    this.#https = new HttpsAgent(kept);
  }

  /** Calls under way now. */
  get underWay(): number {
    return this.#underWay;
  }

  /** `signal` aborts when nobody wants the answer any more. */
  async call(call: OutgoingCall, signal?: AbortSignal): Promise<CallOutcome> {
    const timeout = new AbortController();
    const timer = this.#clock.after(this.#limits.timeoutMs, () => timeout.abort());
    const signals = [timeout.signal, this.#closing.signal, ...(signal ? [signal] : [])];
    const stop = AbortSignal.any(signals);
    try {
      const turn = await this.#turn(stop);
      if (turn === 'full') return failed('busy');
      if (turn === 'stopped') return failed(timeout.signal.aborted ? 'timeout' : 'aborted');
      try {
        return await this.#tryTwice(call, stop);
      } catch (error) {
        if (error instanceof AnswerTooLarge) return failed('answer_too_large');
        if (timeout.signal.aborted) return failed('timeout');
        return failed(stop.aborted ? 'aborted' : 'unreachable');
      } finally {
        this.#release();
      }
    } finally {
      timer.cancel();
    }
  }

  /** Ends what is under way; later calls end as aborted. Idempotent. */
  close(): void {
    this.#closing.abort();
    this.#http.destroy();
    this.#https.destroy();
  }

  async #turn(stop: AbortSignal): Promise<'go' | 'full' | 'stopped'> {
    if (stop.aborted) return 'stopped';
    if (this.#underWay < this.#limits.maxConcurrent) {
      this.#underWay += 1;
      return 'go';
    }
    if (this.#waiting.length >= this.#limits.maxWaiting) return 'full';
    return new Promise((resolve) => {
      const go = (): void => {
        stop.removeEventListener('abort', leave);
        this.#underWay += 1;
        resolve('go');
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        resolve('stopped');
      };
      this.#waiting.push(go);
      stop.addEventListener('abort', leave, { once: true });
    });
  }

  #release(): void {
    this.#underWay -= 1;
    this.#waiting.shift()?.();
  }

  /** A kept connection may have been closed at the other end just as it was taken: that call is made once more. */
  async #tryTwice(call: OutgoingCall, signal: AbortSignal): Promise<CallOutcome> {
    try {
      return await this.#exchange(call, signal);
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error;
      return this.#exchange(call, signal, 'fresh');
    }
  }

  #exchange(
    { method, url, headers, body = '' }: OutgoingCall,
    signal: AbortSignal,
    connection: 'any' | 'fresh' = 'any',
  ): Promise<CallOutcome> {
    return new Promise((resolve, reject) => {
      const secure = url.startsWith('https:');
      const request = (secure ? httpsRequest : httpRequest)(url, {
        method,
        signal,
        agent: connection === 'any' && (secure ? this.#https : this.#http),
        maxHeaderSize: MAX_HEADER_BYTES,
        headers: {
          'User-Agent': 'headwater',
          'Accept-Encoding': 'identity',
          ...headers,
          ...(method === 'POST' && { 'Content-Length': String(byteLength(body)) }),
        },
      });
      let answered = false;
      request.on('error', (error) => {
        const stale = request.reusedSocket && !answered && !signal.aborted;
        reject(stale ? new StaleConnection() : error);
      });
      // An upgrade nobody asked for, say, ends without an error.
      request.once('close', () => {
        if (!answered) reject(new Error('closed without an answer'));
      });
      request.once('response', (message) => {
        answered = true;
        readAnswer(message, this.#limits.maxAnswerBytes).then(resolve, reject);
      });
      request.end(body);
    });
  }
}

class AnswerTooLarge extends Error {}

class StaleConnection extends Error {}

function byteLength(body: string | Uint8Array): number {
  return typeof body === 'string' ? Buffer.byteLength(body) : body.length;
}

function failed(reason: CallFailure): CallOutcome {
  return { kind: 'failed', reason };
}

async function readAnswer(message: IncomingMessage, maxBytes: number): Promise<CallOutcome> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of message as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > maxBytes) {
      message.destroy();
      throw new AnswerTooLarge();
    }
    pieces.push(piece);
  }
  const { statusCode: status = 0, headers } = message;
  const bytes = Buffer.concat(pieces);
  return {
    kind: 'answer',
    status,
    location: headers.location,
    contentType: headers['content-type'] ?? '',
    bytes,
    body: bytes.toString('utf8'),
  };
}
