import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { type AddressInfo, type Socket, Server as NetServer } from 'node:net';
import { type Clock, every, type Timer } from '../base/clock.ts';
import { AppError, type ErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { normalAddress } from './address.ts';
import { ConnectionLimiter } from './connection-limiter.ts';
import { HandlerRunner } from './handler-runner.ts';
import type { HttpMetrics, MalformedReason } from './http-metrics.ts';
import { LAME_DUCK_IDLE_MS, stallCheckMs, waitFor } from './lame-duck.ts';
import { listenFailed } from './listen-failed.ts';
import { announcesBody } from './node-body.ts';
import { NodeConnection } from './node-connections.ts';
import { NodeRequest, NodeResponse } from './node-exchange.ts';
import { problemAnswer } from './problem.ts';
import { splitTarget } from './request-target.ts';
import { resetSocket } from './reset-socket.ts';
import {
  type HttpHandler,
  type HttpLimits,
  type HttpListenOptions,
  type HttpServer,
  MAX_HEADER_LINES,
} from './types.ts';

/** Requests a peer may have open on one connection at a time; the connection is cut at the next. */
const MAX_PIPELINED_REQUESTS = 16;
/** How often node:http looks for requests past their time. */
const TIMEOUT_CHECK_MS = 1000;

/** What a driver is given beside its options. */
export interface DriverDeps {
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: HttpMetrics;
}

/**
 * Listens with node:http.
 * @throws AppError HTTP_LISTEN_FAILED.
 */
export async function listenWithNode(
  options: HttpListenOptions & { readonly limits: HttpLimits },
  deps: DriverDeps,
  handler: HttpHandler,
): Promise<HttpServer> {
  const server = new NodeHttpServer(options.limits, deps, handler);
  await server.listen(options);
  return server;
}

class NodeHttpServer implements HttpServer {
  readonly driver = 'node';
  readonly #server: Server;
  readonly #limits: HttpLimits;
  readonly #deps: DriverDeps;
  readonly #runner: HandlerRunner;
  readonly #limiter: ConnectionLimiter;
  readonly #connections = new Map<Socket, NodeConnection>();
  #stallCheck: Timer | undefined;
  #port = 0;
  #closing: Promise<void> | undefined;

  constructor(limits: HttpLimits, deps: DriverDeps, handler: HttpHandler) {
    this.#limits = limits;
    this.#deps = deps;
    this.#runner = new HandlerRunner(handler, deps);
    this.#limiter = new ConnectionLimiter(limits);
    this.#server = createServer({
      maxHeaderSize: limits.maxHeaderBytes,
      // Headers are part of the request: node:http refuses to start when they may take longer than all of it.
      headersTimeout: Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs || limits.headersTimeoutMs),
      // Its limit on the whole request knows no exceptions; see #bodyDeadline.
      requestTimeout: 0,
      connectionsCheckingInterval: Math.min(TIMEOUT_CHECK_MS, limits.headersTimeoutMs),
      keepAliveTimeout: limits.idleTimeoutMs,
      noDelay: true,
      requireHostHeader: true,
    });
    // By default node:http drops further header lines in silence; here they are counted and refused instead.
    this.#server.maxHeadersCount = 0;
    this.#server.on('connection', (socket) => this.#connected(socket));
    this.#server.on('request', (message, res) => this.#requested(message, res, false));
    this.#server.on('checkContinue', (message, res) => this.#requested(message, res, true));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) =>
      this.#malformed(error, socket as Socket),
    );
  }

  get port(): number {
    return this.#port;
  }

  async listen({ host, port }: HttpListenOptions): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenFailed(host, port, error)));
      this.#server.listen({ host, port, exclusive: true }, resolve);
    });
    this.#server.removeAllListeners('error');
    this.#server.on('error', (error) => this.#deps.log.warn({ reason: error.message }, 'HTTP accept failed'));
    this.#port = (this.#server.address() as AddressInfo).port;
    const { clock } = this.#deps;
    this.#stallCheck = every(clock, stallCheckMs(this.#limits), () => this.#cutStalled(clock.monotonicMs()));
  }

  close(graceMs = 0): Promise<void> {
    this.#closing ??= this.#shutDown(graceMs);
    return this.#closing;
  }

  #connected(socket: Socket): void {
    const address = normalAddress(socket.remoteAddress);
    const refusal = this.#limiter.admit(address);
    if (refusal) {
      this.#deps.metrics.refused(refusal);
      resetSocket(socket);
      return;
    }
    const connection = new NodeConnection(socket, address, {
      clock: this.#deps.clock,
      metrics: this.#deps.metrics,
      reportFault: this.#runner.reportFault,
      maxBacklogBytes: this.#limits.maxBacklogBytes,
      isClosing: () => this.#closing !== undefined,
      onReleased: (response) => void connection.exchanges.delete(response),
    });
    this.#connections.set(socket, connection);
    this.#deps.metrics.connectionOpened();
    socket.once('close', () => {
      this.#connections.delete(socket);
      this.#limiter.release(address);
      this.#deps.metrics.connectionClosed();
      for (const exchange of connection.exchanges) exchange.lost();
    });
  }

  #requested(message: IncomingMessage, res: ServerResponse, expectsContinue: boolean): void {
    const connection = this.#connections.get(message.socket);
    if (!connection) return void message.socket.destroy();
    if (connection.exchanges.size >= MAX_PIPELINED_REQUESTS) {
      this.#deps.metrics.refused('pipelining');
      return resetSocket(message.socket);
    }
    const response = new NodeResponse(message, res, connection.answering);
    connection.exchanges.add(response);
    const fault = headerFault(message);
    const target = splitTarget(message.url ?? '');
    if (fault || !target) {
      response.closeAfter = true;
      connection.refused = true;
      this.#deps.metrics.malformed(fault?.reason ?? 'syntax');
      return response.send(problemAnswer(new AppError(fault?.code ?? 'HTTP_BAD_REQUEST')));
    }
    const deadline = announcesBody(message) ? this.#bodyDeadline(message) : undefined;
    const request = new NodeRequest(message, target, connection.address, {
      beforeBody: () => {
        if (expectsContinue) res.writeContinue();
      },
      liftDeadline: () => deadline?.cancel(),
    });
    this.#runner.run(request, response);
    request.expire();
  }

  /** Ends the connection of a body that takes too long, whether it is being read or not. */
  #bodyDeadline(message: IncomingMessage): Timer | undefined {
    if (this.#limits.requestTimeoutMs === 0) return undefined;
    const { socket } = message;
    const timer = this.#deps.clock.after(this.#limits.requestTimeoutMs, () => {
      if (message.complete || socket.destroyed) return;
      this.#deps.metrics.malformed('timeout');
      resetSocket(socket);
    });
    message.once('close', () => timer.cancel());
    return timer;
  }

  /** What node:http's parser or clock refused. An answer in progress on the connection must not be broken into. */
  #malformed(error: NodeJS.ErrnoException, socket: Socket): void {
    const { code, reason } = refusalOf(error);
    const connection = this.#connections.get(socket);
    if (error.code === 'ECONNRESET' || !socket.writable || !connection) return void socket.destroy();
    if (connection.refused) return socket.destroySoon();
    this.#deps.metrics.malformed(reason);
    if (connection.exchanges.size > 0) return resetSocket(socket);
    socket.end(rawProblem(code));
    socket.destroySoon();
  }

  #cutStalled(nowMs: number): void {
    for (const connection of this.#connections.values()) {
      if (connection.stalledForMs(nowMs) >= this.#limits.stallTimeoutMs) connection.cutStalled();
    }
  }

  /** Not node:http's own, which also closes a connection whose ended answer is still leaving. */
  #closeIdle(): void {
    for (const { socket, exchanges } of this.#connections.values()) {
      if (exchanges.size === 0) socket.destroy();
    }
  }

  async #shutDown(graceMs: number): Promise<void> {
    const { clock } = this.#deps;
    // The close of node:net only stops accepting; that of node:http also closes idle connections on the spot, and
    // a request that is on its way to one of them would be lost.
    const closed = new Promise<void>((resolve) => {
      NetServer.prototype.close.call(this.#server, () => resolve());
    });
    const startMs = clock.monotonicMs();
    if (graceMs > 0) {
      await waitFor(clock, graceMs, () => {
        if (clock.monotonicMs() - startMs >= LAME_DUCK_IDLE_MS) this.#closeIdle();
        return this.#connections.size === 0;
      });
    }
    for (const { socket, exchanges } of this.#connections.values()) {
      for (const exchange of exchanges) exchange.lost();
      resetSocket(socket);
    }
    this.#stallCheck?.cancel();
    // Stops node:http's own check for timeouts; there is nothing left to close.
    this.#server.close(() => undefined);
    await closed;
  }
}

/** What node:http lets through and we do not. */
function headerFault(message: IncomingMessage): { code: ErrorCode; reason: MalformedReason } | undefined {
  const { rawHeaders } = message;
  // A request line without a version (HTTP/0.9) gets through the parser.
  if (message.httpVersionMajor !== 1) return { code: 'HTTP_BAD_REQUEST', reason: 'syntax' };
  if (rawHeaders.length > 2 * MAX_HEADER_LINES)
    return { code: 'HTTP_HEADERS_TOO_LARGE', reason: 'too_large' };
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.length === 4 && rawHeaders[i]?.toLowerCase() === 'host') hosts++;
  }
  if (hosts > 1) return { code: 'HTTP_BAD_REQUEST', reason: 'host' };
  const coding = message.headers['transfer-encoding'];
  const framed = coding === undefined || coding.toLowerCase() === 'chunked';
  return framed ? undefined : { code: 'HTTP_BAD_REQUEST', reason: 'framing' };
}

function refusalOf(error: NodeJS.ErrnoException): { code: ErrorCode; reason: MalformedReason } {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return { code: 'HTTP_HEADERS_TOO_LARGE', reason: 'too_large' };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { code: 'HTTP_BODY_TOO_LARGE', reason: 'too_large' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { code: 'HTTP_REQUEST_TIMEOUT', reason: 'timeout' };
    default:
      return { code: 'HTTP_BAD_REQUEST', reason: 'syntax' };
  }
}

/** A problem answer as bytes, for a peer that node:http has no response for. */
function rawProblem(code: ErrorCode): Buffer {
  const { status, headers, body } = problemAnswer(new AppError(code));
  const payload = body instanceof Uint8Array ? body : new Uint8Array(0);
  const lines = headers.entries.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines}Content-Length: ${payload.length}\r\nConnection: close\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), payload]);
}
