/** Where an HTTP server listens; port 0 picks a free one. */
export interface HttpListenOptions {
  readonly host: string;
  readonly port: number;
}

/** One request. Fields and `header()` may be read only until the handler first awaits or returns. */
export interface HttpRequest {
  /** Upper case. */
  readonly method: string;
  /** The path as sent: not decoded, not normalised, without the query. */
  readonly path: string;
  /** Without the `?`; '' when there is none. */
  readonly query: string;
  readonly remoteAddress: string;
  /** Value of a header (lower-case name); '' when absent. */
  header(name: string): string;
  /**
   * The whole body; may be asked for once, also after the handler has awaited something.
   * @throws AppError HTTP_BODY_TOO_LARGE past `limitBytes` (counted, not believed), HTTP_UNSUPPORTED_ENCODING.
   */
  body(limitBytes: number): Promise<Uint8Array>;
  /**
   * The body piece by piece as it comes, instead of `body()`: for bodies that grow for hours. The peer is held back while
   * a piece is being looked at; the time limit of a whole request does not apply, so the reader must watch for silence
   * and abort. Leaving the loop early leaves the rest unread: the connection ends with the answer.
   * @throws AppError HTTP_UNSUPPORTED_ENCODING, HTTP_BAD_REQUEST when the body breaks off; whatever `signal` was aborted
   *   with.
   */
  bodyPieces(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** Headers rendered once and shared by many answers. Made by `headerBlock()`; values must be clean ASCII. */
export interface HeaderBlock {
  readonly entries: readonly (readonly [name: string, value: string])[];
}

/** A whole answer. The driver adds Content-Length and Date, and leaves the body out for HEAD, 204 and 304. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: HeaderBlock;
  /** One buffer or several that are sent one after the other without being joined. */
  readonly body?: Uint8Array | readonly Uint8Array[];
  /** Extra headers of this answer only (Content-Range, ETag, …). */
  readonly extra?: readonly (readonly [name: string, value: string])[];
}

/** An answer whose body is made while it is sent: of a length that is known, and too long to be held. */
export interface PiecedAnswer extends Omit<HttpAnswer, 'body'> {
  /** Of the body: its Content-Length. */
  readonly sizeBytes: number;
  /**
   * The body. The next piece is asked for when the peer has taken the one before, so that one reader holds one piece; nothing is
   * asked for HEAD. It is returned from early when the peer goes. Should it fail, or not have as many bytes as was said, the
   * connection is cut: the peer sees that something is missing.
   */
  readonly pieces: AsyncIterable<Uint8Array>;
}

/**
 * A body in progress (chunked transfer coding). Data handed to `write` is shared by many readers and never changed.
 * A reader that falls further behind than the server's backlog limit is cut.
 */
export interface BodyStream {
  /** Queues whole CMAF chunks; each call becomes visible to the reader at once. */
  write(data: SharedBytes): void;
  /** Ends the body well. */
  end(): void;
  /** Bytes accepted from us but not yet taken by the kernel. */
  readonly backlogBytes: number;
}

/** Bytes with their HTTP/1.1 chunked framing, made once however many readers there are. See `sharedBytes()`. */
export interface SharedBytes {
  readonly data: Uint8Array;
  /** `<hex length>\r\n` data `\r\n`; made on first use. */
  framed(): Uint8Array;
}

/** The answering side of one request. All calls after an abort, or after the answer ended, do nothing. */
export interface HttpResponse {
  /** The peer has gone, or we cut it. */
  readonly aborted: boolean;
  /** Runs once if the peer goes away before the answer is complete; at once when it already has. */
  onAbort(callback: () => void): void;
  /** Sends the whole answer, now or later. */
  send(answer: HttpAnswer): void;
  /** The same with a body that comes piece by piece. Resolves when it is answered or the peer has gone; never rejects. */
  sendPieces(answer: PiecedAnswer): Promise<void>;
  /**
   * Begins a chunked answer. The `node` driver sends the headers at once and each chunk with its closing CRLF;
   * `uws` completes the headers with the first chunk and sends the CRLF of a chunk with the next one.
   */
  open(status: number, headers: HeaderBlock): BodyStream;
}

/** Answers one request, at once or later. Whatever it throws becomes a problem+json answer, never a crash. */
export type HttpHandler = (request: HttpRequest, response: HttpResponse) => void | Promise<void>;

/** A listening server. */
export interface HttpServer {
  readonly driver: 'uws' | 'node';
  /** The real port. */
  readonly port: number;
  /**
   * Lame duck: stops accepting, marks each further answer `Connection: close`, lets answers in progress finish for
   * at most `graceMs` (0, the default, cuts at once), then cuts what is left. Kept idle connections stay open for
   * a moment, so that a request already on its way still gets its answer. Idempotent.
   */
  close(graceMs?: number): Promise<void>;
}

/**
 * Limits every HTTP listener keeps; each has a metric and a line in docs/config.md.
 * The `uws` driver has its own fixed clock for headers, idle and stalled connections: 10 s in steps of 4 s. There
 * `headersTimeoutMs`, `idleTimeoutMs` and `requestTimeoutMs` are not looked at (it takes no bodies), and
 * `stallTimeoutMs` counts only where it is shorter; and a reader of a growing body that has once been behind is
 * closed when 10 s pass without a further chunk.
 */
export interface HttpLimits {
  /** Further connections are reset. Lowered where the process may not open that many files. */
  readonly maxConnections: number;
  /**
   * Further connections of one remote address are reset. 0 = no limit, for a listener behind a proxy.
   * `uws` counts from the kernel's table and so keeps it on Linux only.
   */
  readonly maxConnectionsPerAddress: number;
  /** Request line and headers; past it 431. `uws` has one value in a process: that of the first listener. */
  readonly maxHeaderBytes: number;
  /** From the opening of the connection, or the first byte of a later request, to the end of the headers. */
  readonly headersTimeoutMs: number;
  /** To the end of the body, unless it is read as it comes (`bodyPieces`); 0 = none. */
  readonly requestTimeoutMs: number;
  /** A kept connection without a request is closed. */
  readonly idleTimeoutMs: number;
  /** A reader this far behind is cut. */
  readonly maxBacklogBytes: number;
  /** A reader that takes no byte for this long while bytes wait is cut. */
  readonly stallTimeoutMs: number;
}

/** Header lines of one request that are taken; past it 431. */
export const MAX_HEADER_LINES = 64;

/** What a listener keeps unless told otherwise. */
export const DEFAULT_HTTP_LIMITS: HttpLimits = {
  maxConnections: 10_000,
  maxConnectionsPerAddress: 200,
  maxHeaderBytes: 8192,
  headersTimeoutMs: 5000,
  requestTimeoutMs: 8000,
  idleTimeoutMs: 15_000,
  maxBacklogBytes: 2 * 1024 * 1024,
  stallTimeoutMs: 10_000,
};
