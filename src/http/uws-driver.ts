import { createServer } from 'node:net';
import { every, type Timer } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { AddressEstimate } from './address-estimate.ts';
import { addressText } from './address.ts';
import { HandlerRunner } from './handler-runner.ts';
import type { MalformedReason } from './http-metrics.ts';
import { LAME_DUCK_IDLE_MS, stallCheckMs, waitFor } from './lame-duck.ts';
import { listenFailed } from './listen-failed.ts';
import type { DriverDeps } from './node-driver.ts';
import { problemAnswer } from './problem.ts';
import { readConnectionCounts } from './tcp-table.ts';
import type { HttpHandler, HttpLimits, HttpListenOptions, HttpServer } from './types.ts';
import { type UwsAnsweringDeps, UwsRequest, UwsResponse } from './uws-exchange.ts';
import { HeaderScan } from './uws-header-scan.ts';
import type { NativeApp, NativeRequest, NativeResponse, UwsModule } from './uws-native.ts';

/** Methods without a body. Bodies are not served here: slow uploads would be reset, framing is not checked enough. */
const METHODS = ['GET', 'HEAD', 'OPTIONS'];
const METHOD_NOT_ALLOWED = problemAnswer(new AppError('HTTP_METHOD_NOT_ALLOWED'), [
  ['Allow', METHODS.join(', ')],
]);
const BAD_REQUEST = problemAnswer(new AppError('HTTP_BAD_REQUEST'));
const TOO_LARGE = problemAnswer(new AppError('HTTP_HEADERS_TOO_LARGE'));

/**
 * Listens with uWebSockets.js.
 * @throws AppError HTTP_LISTEN_FAILED.
 */
export async function listenWithUws(
  options: HttpListenOptions & { readonly limits: HttpLimits },
  deps: DriverDeps,
  handler: HttpHandler,
  module: UwsModule,
): Promise<HttpServer> {
  const server = new UwsHttpServer(module, options.limits, deps, handler);
  if (!server.listen(options)) throw await whyNot(options);
  return server;
}

class UwsHttpServer implements HttpServer {
  readonly driver = 'uws';
  readonly #module: UwsModule;
  readonly #app: NativeApp;
  readonly #limits: HttpLimits;
  readonly #deps: DriverDeps;
  readonly #runner: HandlerRunner;
  readonly #scan: HeaderScan;
  readonly #answering: UwsAnsweringDeps;
  readonly #byAddress: AddressEstimate;
  /** Those that were not answered within their handler. */
  readonly #exchanges = new Set<UwsResponse>();
  #openConnections = 0;
  #lastReleaseMs = 0;
  #listenSocket: object | undefined;
  #port = 0;
  #stallCheck: Timer | undefined;
  #closing: Promise<void> | undefined;

  constructor(module: UwsModule, limits: HttpLimits, deps: DriverDeps, handler: HttpHandler) {
    this.#module = module;
    this.#limits = limits;
    this.#deps = deps;
    this.#runner = new HandlerRunner(handler, deps);
    this.#byAddress = new AddressEstimate(limits.maxConnectionsPerAddress, deps.clock, () =>
      readConnectionCounts(this.#port),
    );
    this.#scan = new HeaderScan(limits.maxHeaderBytes);
    this.#answering = {
      clock: deps.clock,
      limits,
      metrics: deps.metrics,
      reportFault: this.#runner.reportFault,
      isClosing: () => this.#closing !== undefined,
      onReleased: (response) => this.#released(response),
    };
    this.#app = module.App();
    this.#app.filter((res, change) => this.#connectionChanged(res, change));
    this.#app.any('/*', (res, req) => this.#requested(res, req));
  }

  get port(): number {
    return this.#port;
  }

  listen({ host, port }: HttpListenOptions): boolean {
    this.#app.listen(host, port, this.#module.LIBUS_LISTEN_EXCLUSIVE_PORT, (socket) => {
      this.#listenSocket = socket || undefined;
    });
    if (!this.#listenSocket) {
      this.#app.close();
      return false;
    }
    this.#port = this.#module.us_socket_local_port(this.#listenSocket);
    const { clock } = this.#deps;
    this.#stallCheck = every(clock, stallCheckMs(this.#limits), () => this.#cutStalled(clock.monotonicMs()));
    return true;
  }

  close(graceMs = 0): Promise<void> {
    this.#closing ??= this.#shutDown(graceMs);
    return this.#closing;
  }

  #connectionChanged(res: NativeResponse, change: number): void {
    this.#openConnections += change;
    if (change < 0) {
      this.#deps.metrics.connectionClosed();
      if (this.#openConnections === 0) this.#byAddress.clear();
      return;
    }
    this.#deps.metrics.connectionOpened();
    const full = this.#openConnections > this.#limits.maxConnections;
    const address = addressText(new Uint8Array(res.getRemoteAddress()));
    if (!full && this.#byAddress.admit(address, this.#openConnections)) return;
    this.#deps.metrics.refused(full ? 'total' : 'per_address');
    res.close();
  }

  #requested(res: NativeResponse, req: NativeRequest): void {
    const request = new UwsRequest(res, req, this.#scan);
    const response = new UwsResponse(res, request.method === 'HEAD', this.#answering);
    try {
      const fault = this.#scan.faultOf(req, request.path, request.query);
      const served = !fault && METHODS.includes(request.method);
      response.closeAfter = !served;
      if (served) this.#runner.run(request, response);
      else if (fault) this.#refuse(fault, response);
      else response.send(METHOD_NOT_ALLOWED);
    } catch (error) {
      this.#runner.reportFault(error);
      response.destroy();
    }
    request.expire();
    response.leaveHandler();
    // Most are answered by now and never come in here.
    if (response.pending) this.#exchanges.add(response);
  }

  #refuse(fault: MalformedReason, response: UwsResponse): void {
    this.#deps.metrics.malformed(fault);
    // What follows on the connection could be read as a request of somebody else: nothing of it may be parsed.
    if (fault === 'framing') response.destroy();
    else response.send(fault === 'too_large' ? TOO_LARGE : BAD_REQUEST);
  }

  #released(response: UwsResponse): void {
    this.#exchanges.delete(response);
    if (this.#closing) this.#lastReleaseMs = this.#deps.clock.monotonicMs();
  }

  #cutStalled(nowMs: number): void {
    for (const exchange of this.#exchanges) {
      if (exchange.stalledForMs(nowMs) >= this.#limits.stallTimeoutMs) exchange.cut('stalled');
    }
  }

  async #shutDown(graceMs: number): Promise<void> {
    const { clock } = this.#deps;
    if (this.#listenSocket) this.#module.us_listen_socket_close(this.#listenSocket);
    this.#lastReleaseMs = clock.monotonicMs();
    if (graceMs > 0) await waitFor(clock, graceMs, () => this.#isQuiet(clock.monotonicMs()));
    this.#stallCheck?.cancel();
    this.#app.close();
  }

  /**
   * Nothing is left to send. An ended answer may still be leaving from the native buffer, and which connection is
   * idle cannot be known: so the last of them get the same moment that idle ones get.
   */
  #isQuiet(nowMs: number): boolean {
    if (this.#openConnections === 0) return true;
    return this.#exchanges.size === 0 && nowMs - this.#lastReleaseMs >= LAME_DUCK_IDLE_MS;
  }
}

/** The binary only says that listening failed. Trying the same with node:net tells why. */
async function whyNot({ host, port }: HttpListenOptions): Promise<AppError> {
  const probe = createServer();
  const cause = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    probe.once('error', resolve);
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(undefined)));
  });
  return listenFailed(host, port, cause);
}
