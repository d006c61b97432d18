import { gunzipSync } from 'node:zlib';
import type {
  BodyStream,
  HeaderBlock,
  HttpAnswer,
  HttpHandler,
  HttpRequest,
  HttpResponse,
  PiecedAnswer,
  SharedBytes,
} from '../../src/http/types.ts';

/** A request as a test states it; `url` may carry a query. */
export interface FakeRequestInit {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly remoteAddress?: string;
  readonly body?: Uint8Array;
}

/** An {@link HttpRequest} whose fields may be read only until the handler has returned, as the drivers' are. */
export class FakeRequest implements HttpRequest {
  readonly #path: string;
  readonly #query: string;
  readonly #init: FakeRequestInit;
  #readable = true;

  constructor(url: string, init: FakeRequestInit = {}) {
    // As sent: nothing is decoded or normalised.
    const mark = url.indexOf('?');
    this.#path = mark < 0 ? url : url.slice(0, mark);
    this.#query = mark < 0 ? '' : url.slice(mark + 1);
    this.#init = init;
  }

  /** From here on reading is a fault. */
  expire(): void {
    this.#readable = false;
  }

  get method(): string {
    return this.#read(this.#init.method ?? 'GET');
  }

  get path(): string {
    return this.#read(this.#path);
  }

  get query(): string {
    return this.#read(this.#query);
  }

  get remoteAddress(): string {
    return this.#read(this.#init.remoteAddress ?? '127.0.0.1');
  }

  header(name: string): string {
    return this.#read(this.#init.headers?.[name] ?? '');
  }

  body(): Promise<Uint8Array> {
    return Promise.resolve(this.#init.body ?? new Uint8Array());
  }

  async *bodyPieces(): AsyncGenerator<Uint8Array> {
    if (this.#init.body) yield this.#init.body;
  }

  #read(value: string): string {
    if (!this.#readable) throw new Error('the request was read after its handler had returned');
    return value;
  }
}

/** A {@link BodyStream} that remembers every write. */
class FakeBody implements BodyStream {
  readonly writes: Uint8Array[] = [];
  readonly shared: SharedBytes[] = [];
  ended = false;
  backlogBytes = 0;

  constructor(readonly response: FakeResponse) {}

  write(data: SharedBytes): void {
    if (this.response.aborted) return;
    if (this.ended) throw new Error('write after end');
    this.writes.push(data.data);
    this.shared.push(data);
  }

  end(): void {
    this.ended = true;
  }
}

/** An {@link HttpResponse} that remembers what it was told. */
export class FakeResponse implements HttpResponse {
  aborted = false;
  answer: HttpAnswer | undefined;
  body: FakeBody | undefined;
  #status: number | undefined;
  #headers: HeaderBlock | undefined;
  readonly #onAbort: (() => void)[] = [];

  onAbort(callback: () => void): void {
    this.#onAbort.push(callback);
  }

  send(answer: HttpAnswer): void {
    if (this.aborted) return;
    if (this.#status !== undefined) throw new Error('answered twice');
    this.answer = answer;
    this.#status = answer.status;
    this.#headers = answer.headers;
  }

  async sendPieces({ sizeBytes, pieces, ...answer }: PiecedAnswer): Promise<void> {
    const body: Uint8Array[] = [];
    for await (const piece of pieces) body.push(piece);
    const madeBytes = body.reduce((sum, piece) => sum + piece.length, 0);
    if (madeBytes !== sizeBytes) throw new Error(`a body of ${madeBytes} bytes instead of ${sizeBytes}`);
    this.send({ ...answer, body });
  }

  open(status: number, headers: HeaderBlock): BodyStream {
    if (this.#status !== undefined) throw new Error('answered twice');
    this.#status = status;
    this.#headers = headers;
    this.body = new FakeBody(this);
    return this.body;
  }

  /** The client goes away. */
  abort(): void {
    if (this.aborted || this.finished) return;
    this.aborted = true;
    for (const callback of this.#onAbort) callback();
  }

  /** Answered whole, or the chunked body ended. */
  get finished(): boolean {
    return this.answer !== undefined || this.body?.ended === true;
  }

  get begun(): boolean {
    return this.#status !== undefined;
  }

  get status(): number {
    if (this.#status === undefined) throw new Error('not answered yet');
    return this.#status;
  }

  /** Value of a header, by lower-case name; undefined when absent. */
  header(name: string): string | undefined {
    const all = [...(this.#headers?.entries ?? []), ...(this.answer?.extra ?? [])];
    return all.find(([entry]) => entry.toLowerCase() === name)?.[1];
  }

  /** The body so far. */
  bytes(): Buffer {
    if (this.body) return Buffer.concat(this.body.writes);
    const body = this.answer?.body ?? [];
    return body instanceof Uint8Array ? Buffer.from(body) : Buffer.concat(body);
  }

  /** The body as text, unpacked. */
  text(): string {
    const bytes = this.bytes();
    return (this.header('content-encoding') === 'gzip' ? gunzipSync(bytes) : bytes).toString();
  }
}

/** Puts one request to a handler, the way a driver does, and returns the response to watch. */
export function exchange(handler: HttpHandler, url: string, init: FakeRequestInit = {}): FakeResponse {
  const request = new FakeRequest(url, init);
  const response = new FakeResponse();
  void handler(request, response);
  request.expire();
  return response;
}
