import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import type { Clock, Timer } from '../../base/clock.ts';
import type { CloseReason } from './close-reason.ts';
import type { TlsCertificate } from './tls-certificate.ts';

export interface TlsListenerDeps {
  readonly clock: Clock;
  readonly handshakeTimeoutMs: number;
  /** A connection came; false: there is no room for it. Its end is the caller's to watch. */
  readonly admit: (socket: Socket) => boolean;
  /** Its TLS handshake is done. */
  readonly secured: (socket: TLSSocket) => void;
  /** Its TLS handshake failed, and it is closed. */
  readonly failed: (reason: Extract<CloseReason, 'tls_failed' | 'handshake_timeout' | 'shutdown'>) => void;
  readonly onError: (error: Error) => void;
}

/** A connection between accept and the end of its TLS handshake. */
interface Handshaking {
  readonly socket: Socket;
  readonly timer: Timer;
}

/** Older versions have known holes; every encoder of today has 1.2. */
const MIN_VERSION = 'TLSv1.2';

/**
 * Accepts TCP connections and makes TLS of them. It counts and times a connection from its first byte on, not from the
 * end of a handshake that may never come.
 */
export class TlsListener {
  readonly #deps: TlsListenerDeps;
  readonly #tcp: Server;
  /** Never listens: it is given the connections that were admitted. */
  readonly #tls: TlsServer;
  readonly #handshaking = new Map<string, Handshaking>();

  constructor(certificate: TlsCertificate, deps: TlsListenerDeps) {
    this.#deps = deps;
    const { cert, key } = certificate;
    this.#tls = createTlsServer({ cert, key, minVersion: MIN_VERSION });
    this.#tls.on('secureConnection', (socket) => this.#onSecure(socket));
    this.#tcp = createServer((socket) => this.#accept(socket));
  }

  /** Starts listening; gives the real port. Rejects with what the system says. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#tcp.once('error', reject);
      this.#tcp.listen(port, host, () => {
        this.#tcp.off('error', reject);
        this.#tcp.on('error', this.#deps.onError);
        resolve((this.#tcp.address() as AddressInfo).port);
      });
    });
  }

  /** Connections from now on get this certificate; those that are there go on with theirs. */
  use({ cert, key }: TlsCertificate): void {
    this.#tls.setSecureContext({ cert, key, minVersion: MIN_VERSION });
  }

  /** Stops listening and ends the handshakes; settles when no connection is left, secured ones too. */
  async close(): Promise<void> {
    const stopped = new Promise<void>((resolve) => this.#tcp.close(() => resolve()));
    for (const [id, { socket }] of this.#handshaking) {
      this.#end(id, 'shutdown');
      socket.destroy();
    }
    await stopped;
  }

  #accept(socket: Socket): void {
    const id = peerOf(socket);
    if (id === undefined || !this.#deps.admit(socket)) {
      socket.destroy();
      return;
    }
    const timer = this.#deps.clock.after(this.#deps.handshakeTimeoutMs, () => {
      this.#end(id, 'handshake_timeout');
      socket.destroy();
    });
    this.#handshaking.set(id, { socket, timer });
    socket.once('close', () => this.#end(id, 'tls_failed'));
    this.#tls.emit('connection', socket);
  }

  #onSecure(socket: TLSSocket): void {
    const id = peerOf(socket);
    const handshaking = id === undefined ? undefined : this.#handshaking.get(id);
    // It ended in the same moment.
    if (id === undefined || handshaking === undefined) {
      socket.destroy();
      return;
    }
    handshaking.timer.cancel();
    this.#handshaking.delete(id);
    this.#deps.secured(socket);
  }

  /** Nothing when it is not in its handshake any more. */
  #end(id: string, reason: 'tls_failed' | 'handshake_timeout' | 'shutdown'): void {
    const handshaking = this.#handshaking.get(id);
    if (handshaking === undefined) return;
    handshaking.timer.cancel();
    this.#handshaking.delete(id);
    this.#deps.failed(reason);
  }
}

/** Names a connection of this listener as long as it is open. Undefined when the peer is gone already. */
function peerOf({ remoteAddress, remotePort }: Socket): string | undefined {
  return remoteAddress === undefined ? undefined : `${remoteAddress} ${remotePort}`;
}
