import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { error, type FakeAnswer, FakeBucket } from './fake-s3-bucket.ts';
import { type KnownCredentials, signatureProblem } from './fake-s3-signature.ts';

/** What one request was, for tests to look at and for faults to choose by. */
export interface SeenRequest {
  readonly method: string;
  /** Object name in the bucket, not escaped; '' for the bucket itself. */
  readonly name: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
}

/** What goes wrong. `done` says whether the store carries the request out all the same. */
export type FaultKind =
  | { readonly kind: 'status'; readonly status: number; readonly code: string; readonly done?: boolean }
  /** A good status, and the error in the body. */
  | { readonly kind: 'late_error'; readonly code: string }
  /** The connection is cut before an answer. */
  | { readonly kind: 'cut'; readonly done?: boolean }
  /** The connection is cut, or nothing more comes, after so many bytes of the body. */
  | { readonly kind: 'cut_body' | 'stall_body'; readonly afterBytes: number }
  /** No answer ever. */
  | { readonly kind: 'silent' }
  /** A good answer with that body. */
  | { readonly kind: 'nonsense'; readonly body: string }
  /** The body of the request is not read. */
  | { readonly kind: 'deaf' }
  /** The body comes in pieces of so many bytes. */
  | { readonly kind: 'trickle'; readonly pieceBytes: number };

export interface Fault {
  readonly when: (request: SeenRequest) => boolean;
  /** How often; then the fault is gone. */
  times: number;
  readonly fault: FaultKind;
}

export interface FakeS3Options {
  readonly conditions?: { readonly put: boolean; readonly complete: boolean };
  /** Those habits of radosgw 16 that have tripped others up; see {@link FakeBucket}. */
  readonly isLikeRadosgw?: boolean;
  readonly ranges?: boolean;
  readonly pageKeys?: number;
  readonly credentials?: KnownCredentials;
}

const REGION = 'eu-test-1';
const BUCKET = 'titles';

/**
 * A small S3 of our own: checks every signature, knows conditions, ranges, multipart uploads and ListObjectsV2, refuses
 * bodies of unknown length (411) as strict stores do, and fails on demand.
 */
export class FakeS3 {
  readonly bucket: FakeBucket;
  readonly seen: SeenRequest[] = [];
  readonly faults: Fault[] = [];
  /** What is taken now; change it to rotate. */
  credentials: KnownCredentials;
  /** Most uploads of parts that were in progress at once. */
  peakParts = 0;
  #parts = 0;
  readonly #server: Server;

  private constructor(options: FakeS3Options) {
    this.credentials = options.credentials ?? {
      accessKeyId: 'AKIDTEST',
      secretAccessKey: 'secret/of+tests=',
    };
    this.bucket = new FakeBucket({
      bucket: BUCKET,
      conditions: options.conditions ?? { put: true, complete: true },
      bareIfMatch: options.isLikeRadosgw ?? false,
      namesEtag: !options.isLikeRadosgw,
      ranges: options.ranges ?? true,
      pageKeys: options.pageKeys ?? 1000,
      nowMs: () => Date.now(),
    });
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((problem: unknown) => response.destroy(problem as Error));
    });
  }

  static async start(options: FakeS3Options = {}): Promise<FakeS3> {
    const fake = new FakeS3(options);
    // Connections that a client forgets about are to be seen.
    fake.#server.keepAliveTimeout = 600_000;
    fake.#server.listen(0, '127.0.0.1');
    await once(fake.#server, 'listening');
    return fake;
  }

  /** Where it is, for the options of a store. */
  get location() {
    return {
      endpoint: `http://127.0.0.1:${this.port}`,
      region: REGION,
      bucket: BUCKET,
      addressing: 'path' as const,
      prefix: 'media',
    };
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are open now. */
  connections(): Promise<number> {
    return new Promise((resolve, reject) =>
      this.#server.getConnections((problem, count) => (problem ? reject(problem) : resolve(count))),
    );
  }

  /** Lets the next requests of that kind fail. */
  fail(when: Fault['when'], fault: FaultKind, times = 1): void {
    this.faults.push({ when, fault, times });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = request.url ?? '';
    const url = new URL(target, 'http://fake');
    const virtual = request.headers.host?.startsWith(`${BUCKET}.`) ?? false;
    const path = decodeURIComponent(url.pathname);
    const [bucket, name] = virtual ? [BUCKET, path.slice(1)] : split(path);
    const { method = '', headers } = request;
    const seen = { method, name, query: url.searchParams, headers };
    const fault = this.#nextFault(seen);
    if (fault?.kind === 'deaf') return;
    const isPart = url.searchParams.has('partNumber');
    if (isPart) this.peakParts = Math.max(this.peakParts, (this.#parts += 1));
    const body = await readBody(request).finally(() => (this.#parts -= isPart ? 1 : 0));
    this.seen.push(seen);
    if (fault?.kind === 'silent') return;
    if (fault?.kind === 'cut' && !fault.done) return void response.destroy();

    const problem = signatureProblem({ method, target, headers, body }, this.credentials, REGION, Date.now());
    const unsized = (method === 'PUT' || method === 'POST') && headers['content-length'] === undefined;
    if (problem !== undefined) return send(response, method, error(403, problem));
    if (unsized) return send(response, method, error(411, 'MissingContentLength'));
    if (bucket !== BUCKET) return send(response, method, error(404, 'NoSuchBucket'));
    if (fault?.kind === 'nonsense') {
      return send(response, method, { status: 200, body: Buffer.from(fault.body) });
    }
    if (fault?.kind === 'late_error') return send(response, method, { ...error(200, fault.code) });
    if (fault?.kind === 'status' && !fault.done)
      return send(response, method, error(fault.status, fault.code));

    const answer = this.bucket.answer({ ...seen, body });
    if (fault?.kind === 'cut') return void response.destroy();
    if (fault?.kind === 'status') return send(response, method, error(fault.status, fault.code));
    send(response, method, answer, fault);
  }

  #nextFault(request: SeenRequest): FaultKind | undefined {
    const found = this.faults.find(({ times, when }) => times > 0 && when(request));
    if (found) found.times -= 1;
    return found?.fault;
  }
}

function split(path: string): [string, string] {
  const [, bucket = '', ...rest] = path.split('/');
  return [bucket, rest.join('/')];
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces);
}

function send(response: ServerResponse, method: string, answer: FakeAnswer, fault?: FaultKind): void {
  const { status, headers = {}, body = Buffer.alloc(0) } = answer;
  response.writeHead(status, { ...headers, 'content-length': String(body.length) });
  if (method === 'HEAD') return void response.end();
  if (fault?.kind === 'cut_body') {
    return void response.write(body.subarray(0, fault.afterBytes), () => response.destroy());
  }
  if (fault?.kind === 'stall_body') return void response.write(body.subarray(0, fault.afterBytes));
  if (fault?.kind === 'trickle') return trickle(response, body, fault.pieceBytes);
  response.end(body);
}

function trickle(response: ServerResponse, body: Buffer, pieceBytes: number): void {
  if (body.length <= pieceBytes) return void response.end(body);
  response.write(body.subarray(0, pieceBytes), () =>
    setImmediate(() => trickle(response, body.subarray(pieceBytes), pieceBytes)),
  );
}
