import { webcrypto } from 'node:crypto';
import {
  Agent as HttpAgent,
  type ClientRequest,
  type IncomingMessage,
  request as httpRequest,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { AwsV4Signer } from 'aws4fetch';
import type { Clock, Timer } from '../base/clock.ts';
import { S3AnswerBody } from './s3-answer-body.ts';
import type { S3Credentials } from './s3-credentials.ts';
import { asS3Failure, S3Failure } from './s3-failure.ts';
import { amzTime } from './s3-times.ts';

/** One request of a store, not signed yet. */
export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  readonly url: string;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Whole: its length is known before. */
  readonly body?: Uint8Array | undefined;
}

export interface S3TimeOuts {
  /** To open a connection, TLS with it. */
  readonly connectMs: number;
  /** From the last byte of the request to the head of the answer. */
  readonly headersMs: number;
  /** Without a byte going out, or coming in while we wait for one. */
  readonly idleMs: number;
}

/** Where connections come from: bodies that somebody reads slowly must not hold up other calls. */
export type S3Lane = 'calls' | 'bodies';

export interface S3TransportOptions {
  readonly region: string;
  readonly timeOuts: S3TimeOuts;
  /** Connections at once, by lane; further requests wait for one. */
  readonly maxConnections: Readonly<Record<S3Lane, number>>;
}

const MAX_HEADER_BYTES = 16 * 1024;
const WRITE_BYTES = 256 * 1024;
const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** Signs single requests, sends them, and waits for no step of them for ever. Whoever makes one closes it. */
export class S3Transport {
  readonly #options: S3TransportOptions;
  readonly #clock: Clock;
  readonly #agents: Readonly<Record<S3Lane, { readonly http: HttpAgent; readonly https: HttpsAgent }>>;
  /** aws4fetch keeps the day's signing keys in it. */
  readonly #signingKeys = new Map<string, ArrayBuffer>();

  constructor(options: S3TransportOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    const agents = (maxSockets: number) => ({
      http: new HttpAgent({ keepAlive: true, maxSockets }),
      https: new HttpsAgent({ keepAlive: true, maxSockets }),
    });
    this.#agents = {
      calls: agents(options.maxConnections.calls),
      bodies: agents(options.maxConnections.bodies),
    };
  }

  /**
   * The head of the answer; the caller reads its body, or returns from it.
   * @param patienceMs time to wait for a free connection
   * @throws S3Failure
   */
  async send(
    request: S3Request,
    credentials: S3Credentials,
    lane: S3Lane,
    patienceMs: number,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const headers = await this.#signedHeaders(request, credentials);
    return new Promise((resolve, reject) => {
      const secure = request.url.startsWith('https:');
      const agent = this.#agents[lane];
      const outgoing = (secure ? httpsRequest : httpRequest)(request.url, {
        method: request.method,
        headers,
        signal,
        agent: secure ? agent.https : agent.http,
        maxHeaderSize: MAX_HEADER_BYTES,
      });
      const watch = new Watch(outgoing, this.#clock, this.#options.timeOuts, patienceMs);
      outgoing.once('response', (message) => {
        watch.end();
        resolve(message);
      });
      // More than one may come, also behind the answer.
      outgoing.on('error', (error) => {
        watch.end();
        reject(asS3Failure(error, { reused: outgoing.reusedSocket, signal }));
      });
      outgoing.once('close', () => {
        watch.end();
        reject(new S3Failure('network', 'the connection was closed without an answer'));
      });
      sendBody(outgoing, request.body, () => watch.sending());
    });
  }

  /** The body of an answer. */
  read(message: IncomingMessage): S3AnswerBody {
    return new S3AnswerBody(message, this.#clock, this.#options.timeOuts.idleMs);
  }

  close(): void {
    for (const { http, https } of Object.values(this.#agents)) {
      http.destroy();
      https.destroy();
    }
  }

  async #signedHeaders(
    { method, url, headers = {}, body }: S3Request,
    { accessKeyId, secretAccessKey, sessionToken }: S3Credentials,
  ): Promise<Record<string, string>> {
    const signer = new AwsV4Signer({
      method,
      url,
      // The store checks the hash: what it keeps is what we sent.
      headers: { ...headers, 'x-amz-content-sha256': await sha256(body) },
      accessKeyId,
      secretAccessKey,
      ...(sessionToken !== undefined && { sessionToken }),
      service: 's3',
      region: this.#options.region,
      datetime: amzTime(this.#clock.wallMs()),
      cache: this.#signingKeys,
    });
    const signed = await signer.sign();
    const sized = method === 'PUT' || method === 'POST';
    return {
      ...Object.fromEntries(signed.headers),
      ...(sized && { 'content-length': String(body?.length ?? 0) }),
      'accept-encoding': 'identity',
      'user-agent': 'headwater',
    };
  }
}

/** Piece by piece, so that one sees it move. */
function sendBody(outgoing: ClientRequest, body: Uint8Array | undefined, onProgress: () => void): void {
  let position = 0;
  const next = (): void => {
    if (!body || position >= body.length) {
      outgoing.end();
      return;
    }
    const piece = body.subarray(position, position + WRITE_BYTES);
    position += piece.length;
    outgoing.write(piece, (error) => {
      if (error) return;
      onProgress();
      next();
    });
  };
  next();
}

/** Off the main thread: a part has megabytes. */
async function sha256(body: Uint8Array | undefined): Promise<string> {
  if (!body || body.length === 0) return EMPTY_SHA256;
  return Buffer.from(await webcrypto.subtle.digest('SHA-256', body)).toString('hex');
}

/** Follows a request until its answer begins and destroys it when a step takes too long. */
class Watch {
  readonly #request: ClientRequest;
  readonly #clock: Clock;
  readonly #timeOuts: S3TimeOuts;
  #timer: Timer;
  #ended = false;

  constructor(request: ClientRequest, clock: Clock, timeOuts: S3TimeOuts, patienceMs: number) {
    this.#request = request;
    this.#clock = clock;
    this.#timeOuts = timeOuts;
    this.#timer = this.#after(patienceMs, 'no connection became free in time');
    request.once('socket', (socket) => {
      if (!socket.connecting) return this.sending();
      this.#expect(timeOuts.connectMs, 'the store did not take the connection in time');
      const { protocol } = request;
      socket.once(protocol === 'https:' ? 'secureConnect' : 'connect', () => this.sending());
    });
    request.once('finish', () => {
      this.#expect(timeOuts.headersMs, 'the store did not answer in time');
    });
  }

  end(): void {
    this.#ended = true;
    this.#timer.cancel();
  }

  /** A large body takes its time: every piece of it that goes out begins the wait anew. */
  sending(): void {
    if (!this.#request.writableFinished) {
      this.#expect(this.#timeOuts.idleMs, 'the store takes no more of a request');
    }
  }

  #expect(withinMs: number, otherwise: string): void {
    if (this.#ended) return;
    this.#timer.cancel();
    this.#timer = this.#after(withinMs, otherwise);
  }

  #after(withinMs: number, otherwise: string): Timer {
    return this.#clock.after(withinMs, () => this.#fail(otherwise));
  }

  #fail(message: string): void {
    this.end();
    this.#request.destroy(new S3Failure('time_out', message));
  }
}
