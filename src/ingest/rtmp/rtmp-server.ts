import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { addressGroup } from '../../base/address-group.ts';
import type { Clock } from '../../base/clock.ts';
import { AppError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics.ts';
import type { ForeignAudioEncoder } from '../../stream/foreign-audio.ts';
import type { Authoriser } from '../authorise.ts';
import { AuthFailures, ConnectionCount } from './address-limits.ts';
import { RtmpMetrics } from './rtmp-metrics.ts';
import type { RtmpOptions } from './rtmp-options.ts';
import { type PublishTarget, RtmpSession, type RtmpSessionDeps } from './rtmp-session.ts';

export interface RtmpServerDeps {
  readonly hub: PublishTarget;
  readonly authoriser: Authoriser;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Unpredictable bytes: for the handshake and session ids. */
  readonly randomBytes: (size: number) => Uint8Array;
  /** Encodes audio that is not AAC; without it publishers that send such audio are turned away. */
  readonly foreignAudio?: ForeignAudioEncoder | undefined;
}

/** Listens for RTMP publishers and feeds the stream hub. */
export class RtmpServer {
  readonly #options: RtmpOptions;
  readonly #sessionDeps: RtmpSessionDeps;
  readonly #metrics: RtmpMetrics;
  readonly #log: Logger;
  readonly #server: Server;
  readonly #sessions = new Set<RtmpSession>();
  readonly #addresses = new ConnectionCount();
  #closing: Promise<void> | undefined;

  constructor(options: RtmpOptions, deps: RtmpServerDeps) {
    this.#options = options;
    this.#metrics = new RtmpMetrics(deps.metrics);
    this.#log = deps.log;
    this.#sessionDeps = {
      options,
      hub: deps.hub,
      authoriser: deps.authoriser,
      authFailures: new AuthFailures(options.maxAuthFailuresPerMinute),
      clock: deps.clock,
      log: deps.log,
      metrics: this.#metrics,
      randomBytes: deps.randomBytes,
      foreignAudio: deps.foreignAudio,
    };
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /**
   * Starts listening; gives the real port.
   * @throws AppError INGEST_LISTEN_FAILED when the address is taken or not ours.
   */
  listen(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      const onError = (cause: Error): void =>
        reject(
          new AppError('INGEST_LISTEN_FAILED', `cannot listen on ${host}:${port}: ${cause.message}`, {
            cause,
          }),
        );
      this.#server.once('error', onError);
      this.#server.listen(port, host, () => {
        this.#server.off('error', onError);
        this.#server.on('error', (error) => this.#onListenerError(error));
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Bytes held for all peers; see {@link RtmpSession.bufferedBytes}. */
  get bufferedBytes(): number {
    let sum = 0;
    for (const session of this.#sessions) sum += session.bufferedBytes;
    return sum;
  }

  /** Connections open now. */
  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Stops listening and ends every session. Idempotent; settles when all sockets are closed. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    const stopped = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await Promise.all([...this.#sessions].map((session) => session.close()));
    await stopped;
  }

  #accept(socket: Socket): void {
    const { remoteAddress: address, remotePort } = socket;
    // Gone before we looked, or more than we carry.
    if (address === undefined || remotePort === undefined || this.#closing !== undefined) {
      socket.destroy();
      return;
    }
    const group = addressGroup(address);
    const full = this.#sessions.size >= this.#options.maxConnections;
    if (full || this.#addresses.of(group) >= this.#options.maxConnectionsPerAddress) {
      socket.destroy();
      this.#metrics.closed(full ? 'connection_limit' : 'address_limit');
      return;
    }
    const remoteAddress = address.includes(':') ? `[${address}]:${remotePort}` : `${address}:${remotePort}`;
    const id = Buffer.from(this.#sessionDeps.randomBytes(6)).toString('hex');
    const session = new RtmpSession(
      socket,
      { session: id, address, remoteAddress, group },
      this.#sessionDeps,
    );
    void this.#track(session, group);
  }

  async #track(session: RtmpSession, group: string): Promise<void> {
    this.#sessions.add(session);
    this.#addresses.add(group);
    this.#metrics.sessionOpened();
    await session.closed;
    this.#sessions.delete(session);
    this.#addresses.remove(group);
    this.#metrics.sessionGone();
  }

  /** Accept failed (no file descriptor left, say): the listener stays, the next connection may succeed. */
  #onListenerError(error: Error): void {
    this.#metrics.listenerError();
    this.#log.error({ err: error }, 'RTMP listener failed to accept');
  }
}
