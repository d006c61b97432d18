import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { addressGroup } from '../../base/address-group.ts';
import type { Clock } from '../../base/clock.ts';
import { AppError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics.ts';
import type { ForeignAudioEncoder } from '../../stream/foreign-audio.ts';
import type { Authoriser } from '../authorise.ts';
import type { PublishTarget } from '../publish-target.ts';
import { AuthFailures, ConnectionCount } from '../address-limits.ts';
import { CertificateWatch } from './certificate-watch.ts';
import { RtmpMetrics } from './rtmp-metrics.ts';
import type { RtmpOptions, RtmpsOptions } from './rtmp-options.ts';
import { type RtmpPeer, RtmpSession, type RtmpSessionDeps } from './rtmp-session.ts';
import { TlsListener } from './tls-listener.ts';

export interface RtmpServerDeps {
  readonly hub: PublishTarget;
  readonly authoriser: Authoriser;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Unpredictable bytes: for the handshake and session ids. */
  readonly randomBytes: (size: number) => Uint8Array;
  /** Encodes audio that CMAF cannot carry; without it publishers that send such audio are turned away. */
  readonly foreignAudio?: ForeignAudioEncoder | undefined;
}

/** The part of TLS, once it listens. */
interface TlsSide {
  readonly listener: TlsListener;
  readonly certificate: CertificateWatch;
}

/** Listens for RTMP publishers, plain and over TLS under one set of limits, and feeds the stream hub. */
export class RtmpServer {
  readonly #options: RtmpOptions;
  readonly #sessionDeps: RtmpSessionDeps;
  readonly #metrics: RtmpMetrics;
  readonly #log: Logger;
  readonly #server: Server;
  readonly #sessions = new Set<RtmpSession>();
  readonly #addresses = new ConnectionCount();
  /** Connections open now, in whatever state: each settles when it is closed. */
  readonly #connections = new Set<Promise<void>>();
  #tls: TlsSide | undefined;
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
    this.#server = createServer((socket) => {
      if (this.#admit(socket)) this.#serve(socket, 'rtmp');
      else socket.destroy();
    });
  }

  /**
   * Starts listening; gives the real port.
   * @throws AppError INGEST_LISTEN_FAILED when the address is taken or not ours.
   */
  listen(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      const onError = (cause: Error): void => reject(listenFailed(host, port, cause));
      this.#server.once('error', onError);
      this.#server.listen(port, host, () => {
        this.#server.off('error', onError);
        this.#server.on('error', (error) => this.#onListenerError(error));
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /**
   * Starts listening for RTMP over TLS beside it, once; gives the real port. The certificate is read again when its
   * files change.
   * @throws AppError INGEST_CERTIFICATE_UNUSABLE, INGEST_LISTEN_FAILED
   */
  async listenTls({ host, port, certPath, keyPath }: RtmpsOptions): Promise<number> {
    const { clock } = this.#sessionDeps;
    const certificate = new CertificateWatch(
      { certPath, keyPath },
      { clock, log: this.#log, metrics: this.#metrics, onChange: (changed) => listener.use(changed) },
    );
    const listener = new TlsListener(await certificate.open(), {
      clock,
      handshakeTimeoutMs: this.#options.handshakeTimeoutMs,
      admit: (socket) => this.#admit(socket),
      secured: (socket) => this.#serve(socket, 'rtmps'),
      failed: (reason) => this.#metrics.closed(reason),
      onError: (error) => this.#onListenerError(error),
    });
    this.#tls = { listener, certificate };
    try {
      return await listener.listen(host, port);
    } catch (cause) {
      await certificate.close();
      throw listenFailed(host, port, cause);
    }
  }

  /** Bytes held for all peers; see {@link RtmpSession.bufferedBytes}. */
  get bufferedBytes(): number {
    let sum = 0;
    for (const session of this.#sessions) sum += session.bufferedBytes;
    return sum;
  }

  /** Sessions open now; a TLS connection is one when its handshake is done. */
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
    const tlsStopped = Promise.all([this.#tls?.listener.close(), this.#tls?.certificate.close()]);
    await Promise.all([...this.#sessions].map((session) => session.close()));
    await Promise.all([stopped, tlsStopped, ...this.#connections]);
  }

  /** Counts a connection from here to its end; false when there is no room for it, or it is gone already. */
  #admit(socket: Socket): boolean {
    const { remoteAddress: address } = socket;
    if (address === undefined || this.#closing !== undefined) return false;
    const { maxConnections, maxConnectionsPerAddress } = this.#options;
    const group = addressGroup(address);
    const full = this.#connections.size >= maxConnections;
    const crowded = maxConnectionsPerAddress > 0 && this.#addresses.of(group) >= maxConnectionsPerAddress;
    if (full || crowded) {
      this.#metrics.closed(full ? 'connection_limit' : 'address_limit');
      return false;
    }
    void this.#count(socket, group);
    return true;
  }

  async #count(socket: Socket, group: string): Promise<void> {
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    this.#connections.add(closed);
    this.#addresses.add(group);
    this.#metrics.connectionOpened();
    await closed;
    this.#connections.delete(closed);
    this.#addresses.remove(group);
    this.#metrics.connectionGone();
  }

  #serve(socket: Socket, protocol: RtmpPeer['protocol']): void {
    const { remoteAddress: address, remotePort: port } = socket;
    if (address === undefined || port === undefined || this.#closing !== undefined) {
      socket.destroy();
      return;
    }
    const peer: RtmpPeer = {
      protocol,
      session: Buffer.from(this.#sessionDeps.randomBytes(6)).toString('hex'),
      address,
      remoteAddress: address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`,
      group: addressGroup(address),
    };
    void this.#track(new RtmpSession(socket, peer, this.#sessionDeps));
  }

  async #track(session: RtmpSession): Promise<void> {
    this.#sessions.add(session);
    await session.closed;
    this.#sessions.delete(session);
  }

  /** Accept failed (no file descriptor left, say): the listener stays, the next connection may succeed. */
  #onListenerError(error: Error): void {
    this.#metrics.listenerError();
    this.#log.error({ err: error }, 'RTMP listener failed to accept');
  }
}

function listenFailed(host: string, port: number, cause: unknown): AppError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AppError('INGEST_LISTEN_FAILED', `cannot listen on ${host}:${port}: ${why}`, { cause });
}
