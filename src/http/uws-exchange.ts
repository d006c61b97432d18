import { STATUS_CODES } from 'node:http';
import type { Clock } from '../base/clock.ts';
import { addressText } from './address.ts';
import {
  AnsweringSide,
  type AnsweringDeps,
  bodyParts,
  type PreparedAnswer,
  type SizedBody,
} from './answering-side.ts';
import type { RenderedHeaders } from './header-block.ts';
import type { BodyStream, HttpAnswer, HttpLimits, HttpRequest } from './types.ts';
import { UwsBodyStream, UwsSizedBody, UwsWholeBody } from './uws-body.ts';
import type { HeaderScan } from './uws-header-scan.ts';
import { MAX_CORKED_WRITE_BYTES, type NativeRequest, type NativeResponse } from './uws-native.ts';

/** Room kept in the cork buffer for the status line and the headers that are written one by one. */
const HEAD_ROOM_BYTES = 2000;

/** After this long without progress a lost reader was closed by the library's own 10 s clock, which has 4 s steps. */
const NATIVE_STALL_MS = 7500;

const STATUS_LINES = new Map(
  Object.entries(STATUS_CODES).map(([code, text]) => [Number(code), Buffer.from(`${code} ${text}`)]),
);

/** {@link HttpRequest} over uWebSockets.js. It carries no body: the driver serves no method that has one. */
export class UwsRequest implements HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly #res: NativeResponse;
  readonly #scan: HeaderScan;
  #req: NativeRequest | undefined;
  #remoteAddress: string | undefined;

  /** `scan` is of this request for as long as the request may be read. */
  constructor(res: NativeResponse, req: NativeRequest, scan: HeaderScan) {
    this.method = req.getCaseSensitiveMethod();
    this.path = req.getUrl();
    this.query = req.getQuery() ?? '';
    this.#res = res;
    this.#req = req;
    this.#scan = scan;
  }

  get remoteAddress(): string {
    this.#remoteAddress ??= addressText(new Uint8Array(this.#live() && this.#res.getRemoteAddress()));
    return this.#remoteAddress;
  }

  header(name: string): string {
    const req = this.#live();
    return this.#scan.noted(name) ?? req.getHeader(name);
  }

  body(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(0));
  }

  async *bodyPieces(): AsyncGenerator<Uint8Array> {}

  expire(): void {
    this.#req = undefined;
  }

  #live(): NativeRequest {
    if (!this.#req) throw new Error('a request header was read after the handler had returned or awaited');
    return this.#req;
  }
}

/** What a uWebSockets.js exchange needs of its server. */
export interface UwsAnsweringDeps extends AnsweringDeps {
  readonly clock: Clock;
  readonly limits: HttpLimits;
  /** Whether every answer is now the last on its connection. */
  readonly isClosing: () => boolean;
  readonly onReleased: (response: UwsResponse) => void;
}

/** The answering side over uWebSockets.js. All knowledge of what may be called when is here and in uws-body.ts. */
export class UwsResponse extends AnsweringSide {
  readonly #res: NativeResponse;
  readonly #deps: UwsAnsweringDeps;
  /** Makes the answer the last on its connection. */
  closeAfter = false;
  /** The parser holds the cork while the route handler runs. */
  #corked = true;
  #body: UwsWholeBody | UwsSizedBody | undefined;

  /** Must be made first thing in the route handler: without an abort callback the process is aborted. */
  constructor(res: NativeResponse, isHead: boolean, deps: UwsAnsweringDeps) {
    super(isHead, deps);
    this.#res = res;
    this.#deps = deps;
    res.onAborted(() => {
      if (this.stalledForMs(deps.clock.monotonicMs()) >= NATIVE_STALL_MS) deps.metrics.cut('stalled');
      this.lost();
    });
  }

  /** How long a body of known length has waited for its reader; 0 when none waits. */
  stalledForMs(nowMs: number): number {
    return this.#body && this.pending ? nowMs - this.#body.lastProgressMs : 0;
  }

  /** To be called when the route handler has returned. */
  leaveHandler(): void {
    this.#corked = false;
  }

  cork(write: () => void): void {
    if (this.#corked) write();
    else this.#res.cork(write);
  }

  /** Ends the chunked body. Says nothing of closing: that would land in the body. */
  endStream(): void {
    this.cork(() => this.#res.end());
    this.completed();
  }

  destroy(): void {
    // Forget the body first: what comes now is our own doing, not the native clock's.
    if (this.#body instanceof UwsSizedBody) this.#body.lost();
    this.#body = undefined;
    if (this.pending) this.#res.close();
  }

  protected released(): void {
    if (this.#body instanceof UwsSizedBody) this.#body.lost();
    this.#body = undefined;
    this.#deps.onReleased(this);
  }

  protected writeWhole(answer: PreparedAnswer): void {
    if (this.#corked) this.#writeCorked(answer);
    else this.#res.cork(() => this.#writeCorked(answer));
  }

  protected beginStream(status: number, headers: RenderedHeaders): BodyStream {
    this.cork(() => {
      this.#writeHead(status, headers);
      if (this.#mustClose()) this.#res.writeHeader('Connection', 'close');
    });
    return new UwsBodyStream(this, this.#res, this.#deps.clock, this.#deps.limits);
  }

  protected beginSized({ status, headers, extra, contentLength = 0 }: PreparedAnswer): SizedBody {
    this.cork(() => {
      this.#writeHead(status, headers);
      for (const [name, value] of extra) this.#res.writeHeader(name, value);
      if (this.#mustClose()) this.#res.writeHeader('Connection', 'close');
    });
    const body = new UwsSizedBody(this, this.#res, contentLength, this.#deps.clock, () => this.completed());
    this.#body = body;
    return body;
  }

  #mustClose(): boolean {
    return this.closeAfter || this.#deps.isClosing();
  }

  #writeHead(status: number, headers: RenderedHeaders): void {
    // 200 is what the library writes by itself.
    if (status !== 200) this.#res.writeStatus(STATUS_LINES.get(status) ?? `${status} `);
    if (headers.firstName.length > 0) this.#res.writeHeader(headers.firstName, headers.firstValueAndRest);
  }

  #writeCorked({ status, headers, extra, body, contentLength }: PreparedAnswer): void {
    const res = this.#res;
    const last = this.#mustClose();
    this.#writeHead(status, headers);
    let headBytes = headers.sizeBytes;
    for (const [name, value] of extra) {
      res.writeHeader(name, value);
      headBytes += name.length + value.length + 4;
    }
    const bodyBytes = contentLength ?? 0;
    if (!body && contentLength !== 0) this.#endBodiless(contentLength, last);
    else if (headBytes + bodyBytes <= MAX_CORKED_WRITE_BYTES - HEAD_ROOM_BYTES) {
      res.end(body instanceof Uint8Array ? body : Buffer.concat(bodyParts(body), bodyBytes), last);
      this.completed();
    } else {
      if (last) res.writeHeader('Connection', 'close');
      this.#sendLarge(body, bodyBytes);
    }
  }

  #sendLarge(body: HttpAnswer['body'], bodyBytes: number): void {
    // A reader that keeps up takes a body in one piece at once, and needs nothing that remembers where it was.
    const atOnce = body instanceof Uint8Array;
    if (atOnce && this.#res.tryEnd(body, bodyBytes)[1]) return this.completed();
    const done = (): void => this.completed();
    this.#body = new UwsWholeBody(this.#res, bodyParts(body), bodyBytes, this.#deps.clock, done);
    if (atOnce) this.#body.waitForDrain();
    else this.#body.pump(0);
  }

  #endBodiless(contentLength: number | undefined, last: boolean): void {
    if (contentLength !== undefined) this.#res.writeHeader('Content-Length', String(contentLength));
    if (last) this.#res.writeHeader('Connection', 'close');
    this.#res.endWithoutBody();
    this.completed();
  }
}
