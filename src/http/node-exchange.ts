import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import {
  AnsweringSide,
  type AnsweringDeps,
  bodyParts,
  type PreparedAnswer,
  type SizedBody,
} from './answering-side.ts';
import type { RenderedHeaders } from './header-block.ts';
import { announcesBody, readBody, readPieces } from './node-body.ts';
import { resetSocket } from './reset-socket.ts';
import type { BodyStream, HttpRequest, SharedBytes } from './types.ts';

/** After an answer to a request whose body is still coming, this much of it is read on, so that … */
const LINGER_BYTES = 256 * 1024;
/** … or for this long, the peer can read the answer before the connection is reset under it. */
const LINGER_MS = 500;

/** What a request's body needs of its server. */
export interface NodeBodyDeps {
  /** Runs when the handler wants the body: the moment for `100 Continue`. */
  readonly beforeBody: () => void;
  /** Lifts the time limit on the whole request. */
  readonly liftDeadline: () => void;
}

/** {@link HttpRequest} over node:http. */
export class NodeRequest implements HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly remoteAddress: string;
  readonly #message: IncomingMessage;
  readonly #deps: NodeBodyDeps;
  #expired = false;
  #bodyTaken = false;

  constructor(
    message: IncomingMessage,
    target: { path: string; query: string },
    remoteAddress: string,
    deps: NodeBodyDeps,
  ) {
    this.method = message.method ?? '';
    this.path = target.path;
    this.query = target.query;
    this.remoteAddress = remoteAddress;
    this.#message = message;
    this.#deps = deps;
  }

  header(name: string): string {
    // Kept as strict as the other driver, where the bytes are gone by then.
    if (this.#expired) throw new Error('a request header was read after the handler had returned or awaited');
    const value = this.#message.headers[name];
    return typeof value === 'string' ? value : (value?.join(', ') ?? '');
  }

  async body(limitBytes: number): Promise<Uint8Array> {
    return this.#takeBody() ? readBody(this.#message, limitBytes) : new Uint8Array(0);
  }

  async *bodyPieces(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    if (!this.#takeBody()) return;
    this.#deps.liftDeadline();
    yield* readPieces(this.#message, signal);
  }

  /** Whether there is a body, which from here on is being read. */
  #takeBody(): boolean {
    if (this.#bodyTaken) throw new Error('a request body was asked for twice');
    this.#bodyTaken = true;
    if (!announcesBody(this.#message)) return false;
    this.#deps.beforeBody();
    return true;
  }

  expire(): void {
    this.#expired = true;
  }
}

/** What a node:http exchange needs of its server. */
export interface NodeAnsweringDeps extends AnsweringDeps {
  readonly clock: Clock;
  readonly maxBacklogBytes: number;
  /** Whether every answer is now the last on its connection. */
  readonly isClosing: () => boolean;
  readonly onReleased: (response: NodeResponse) => void;
}

/** The answering side over node:http. */
export class NodeResponse extends AnsweringSide {
  /** Makes the answer the last on its connection. */
  closeAfter = false;
  readonly #message: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #socket: Socket;
  readonly #deps: NodeAnsweringDeps;

  constructor(message: IncomingMessage, res: ServerResponse, deps: NodeAnsweringDeps) {
    super(message.method === 'HEAD', deps);
    this.#message = message;
    this.#res = res;
    this.#socket = message.socket;
    this.#deps = deps;
    res.on('finish', () => this.completed());
  }

  destroy(): void {
    this.lost();
    // A reset, not a FIN: a body that is delimited by the close must not look complete.
    resetSocket(this.#socket);
  }

  protected released(): void {
    this.#deps.onReleased(this);
  }

  protected writeWhole({ status, headers, extra, body, contentLength }: PreparedAnswer): void {
    const parts = bodyParts(body);
    const bodyStillComing = announcesBody(this.#message) && !this.#message.complete;
    const pairs = [...headers.pairs, ...extra.flat()];
    if (contentLength !== undefined) pairs.push('Content-Length', String(contentLength));
    if (bodyStillComing || this.#mustClose()) pairs.push('Connection', 'close');
    this.#res.writeHead(status, pairs);
    if (bodyStillComing) {
      this.#writeAndLinger(parts);
      return;
    }
    if (parts.length <= 1) {
      this.#res.end(parts[0]);
      return;
    }
    this.#res.cork();
    for (const part of parts) this.#res.write(part);
    this.#res.end();
    this.#res.uncork();
  }

  protected beginStream(status: number, headers: RenderedHeaders): BodyStream {
    const pairs = this.#mustClose() ? [...headers.pairs, 'Connection', 'close'] : [...headers.pairs];
    this.#res.writeHead(status, pairs);
    this.#res.flushHeaders();
    return new NodeBodyStream(this, this.#res, this.#deps.maxBacklogBytes);
  }

  protected beginSized({ status, headers, extra, contentLength }: PreparedAnswer): SizedBody {
    const pairs = [...headers.pairs, ...extra.flat(), 'Content-Length', String(contentLength)];
    if (this.#mustClose() || (announcesBody(this.#message) && !this.#message.complete)) {
      pairs.push('Connection', 'close');
    }
    this.#res.writeHead(status, pairs);
    return {
      write: (piece) => this.#writeTaken(piece),
      end: () => void this.#res.end(),
    };
  }

  #writeTaken(piece: Uint8Array): Promise<void> {
    const res = this.#res;
    if (res.write(piece)) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = (): void => {
        res.off('drain', settle).off('close', settle);
        resolve();
      };
      res.on('drain', settle).on('close', settle);
    });
  }

  #mustClose(): boolean {
    return this.closeAfter || this.#deps.isClosing();
  }

  /** The answer leaves in full now; only its end, and with it the close, waits for the peer to stop sending. */
  #writeAndLinger(parts: readonly Uint8Array[]): void {
    const message = this.#message;
    this.#res.flushHeaders();
    for (const part of parts) this.#res.write(part);
    let left = LINGER_BYTES;
    const finish = (): void => {
      timer.cancel();
      message.off('data', onData).off('end', finish).off('close', finish);
      message.pause();
      this.#res.end();
    };
    const onData = (chunk: Uint8Array): void => {
      left -= chunk.length;
      if (left <= 0) finish();
    };
    const timer = this.#deps.clock.after(LINGER_MS, finish);
    message.on('data', onData).on('end', finish).on('close', finish);
    message.resume();
  }
}

/**
 * A chunked body. While the response owns its socket, chunks go to the socket as they are, in their shared framing,
 * with no copy for each reader; node:http has written the head before and writes the last chunk after them. A
 * response that waits behind another one on its connection has no socket yet and lets node:http queue.
 */
class NodeBodyStream implements BodyStream {
  readonly #response: NodeResponse;
  readonly #res: ServerResponse;
  readonly #maxBacklogBytes: number;
  #ended = false;

  constructor(response: NodeResponse, res: ServerResponse, maxBacklogBytes: number) {
    this.#response = response;
    this.#res = res;
    this.#maxBacklogBytes = maxBacklogBytes;
  }

  get backlogBytes(): number {
    return this.#res.writableLength;
  }

  write(shared: SharedBytes): void {
    if (this.#ended || !this.#response.pending || shared.data.length === 0) return;
    const { socket } = this.#res;
    // A queued response, and an HTTP/1.0 peer, which gets the bytes bare up to the close.
    if (!socket || !this.#res.chunkedEncoding) this.#res.write(shared.data);
    else if (socket.writable) socket.write(shared.framed());
    if (this.#res.writableLength > this.#maxBacklogBytes) this.#response.cut('backlog');
  }

  end(): void {
    if (this.#ended || !this.#response.pending) return;
    this.#ended = true;
    this.#res.end();
  }
}
