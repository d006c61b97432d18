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
   * The whole body.
   * @throws AppError HTTP_BODY_TOO_LARGE past `limitBytes` (counted, not believed), HTTP_UNSUPPORTED_ENCODING.
   */
  body(limitBytes: number): Promise<Uint8Array>;
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
  /** Runs once if the peer goes away before the answer is complete. */
  onAbort(callback: () => void): void;
  /** Sends the whole answer, now or later. */
  send(answer: HttpAnswer): void;
  /** Begins a chunked answer; headers leave at once. */
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
   * Stops accepting, lets answers in progress finish for at most `graceMs`, then cuts what is left.
   * Idempotent.
   */
  close(graceMs?: number): Promise<void>;
}

/** Limits every HTTP listener keeps; each has a metric and a line in docs/config.md. */
export interface HttpLimits {
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  readonly maxHeaderBytes: number;
  readonly headersTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** A reader this far behind is cut. */
  readonly maxBacklogBytes: number;
  /** A reader that takes no byte for this long while bytes wait is cut. */
  readonly stallTimeoutMs: number;
}
