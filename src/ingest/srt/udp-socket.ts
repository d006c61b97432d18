import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIP, SocketAddress } from 'node:net';
import type { SrtAddress } from './listener.ts';

export interface UdpSocketOptions {
  readonly host: string;
  readonly port: number;
  /** Asked of the kernel, which may give less. */
  readonly bufferBytes: number;
}

export interface UdpSocketEvents {
  packet(bytes: Buffer, from: SrtAddress): void;
  /** The socket failed to receive; it stays open. */
  error(error: Error): void;
  /** A packet did not go out: SRT sends again what matters. */
  sendError(): void;
}

/** A bound UDP socket. Whoever opens it closes it. */
export class UdpSocket {
  readonly #socket: Socket;
  readonly #onSent: (error: Error | null) => void;
  #closing: Promise<void> | undefined;

  private constructor(socket: Socket, events: UdpSocketEvents) {
    this.#socket = socket;
    this.#onSent = (error) => {
      if (error && !this.#closing) events.sendError();
    };
  }

  /** @throws Error of the system when the address cannot be bound or found. */
  static async open(options: UdpSocketOptions, events: UdpSocketEvents): Promise<UdpSocket> {
    const { address, family } = await resolveAddress(options.host);
    const socket = createSocket({
      type: family === 6 ? 'udp6' : 'udp4',
      // Addresses to send to are numbers always: looking them up would put every packet off to another turn.
      lookup: (host, _options, callback) => callback(null, host, family),
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(options.port, address, () => {
        socket.off('error', reject);
        resolve();
      });
    }).catch((error: unknown) => {
      socket.close();
      throw error;
    });
    askForBuffer(socket, options.bufferBytes);
    socket.on('message', (bytes, from) => events.packet(bytes, from));
    socket.on('error', (error) => events.error(error));
    return new UdpSocket(socket, events);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** The receive buffer the kernel really gives. Linux counts its own overhead in: half of it holds packets. */
  get bufferBytes(): number {
    return this.#socket.getRecvBufferSize();
  }

  send(packet: Buffer, to: SrtAddress): void {
    if (!this.#closing) this.#socket.send(packet, to.port, to.address, this.#onSent);
  }

  /** Idempotent. What was sent before goes out. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => this.#socket.close(() => resolve()));
    return this.#closing;
  }
}

/** The address of a host name; an address is its own, spelt as packets from it have it. @throws Error of the resolver. */
export async function resolveAddress(host: string): Promise<{ address: string; family: 4 | 6 }> {
  const family = isIP(host);
  if (family === 4) return { address: host, family };
  if (family === 6) return { address: new SocketAddress({ address: host, family: 'ipv6' }).address, family };
  const found = await lookup(host);
  return { address: found.address, family: found.family === 6 ? 6 : 4 };
}

/** Never fails for it: a smaller buffer is worse, not wrong. */
function askForBuffer(socket: Socket, sizeBytes: number): void {
  try {
    socket.setRecvBufferSize(sizeBytes);
  } catch {
    // The system's own size stays.
  }
}
