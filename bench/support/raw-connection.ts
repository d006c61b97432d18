import { connect, type Socket } from 'node:net';

/** Is told of what a connection receives. The bytes are only lent: the next read overwrites them. */
export type OnBytes = (bytes: Uint8Array) => void;

/** One buffer for all connections of the process: they are read one after the other. */
const READ_BUFFER_BYTES = 64 * 1024;

/** A kept HTTP/1.1 connection that costs its process as little as one can. */
export class RawConnection {
  onBytes: OnBytes = () => undefined;
  /** Why it broke, if it did. */
  failure: Error | undefined;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get(path: string, headers = ''): void {
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\n${headers}\r\n`);
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Connections opened at one time: the queue of a listener is finite. */
const BATCH = 250;

/** Opens `count` connections to the server of `url`. */
export async function openConnections(url: string, count: number): Promise<RawConnection[]> {
  const { hostname, port } = new URL(url);
  const buffer = Buffer.alloc(READ_BUFFER_BYTES);
  const connections: RawConnection[] = [];
  while (connections.length < count) {
    const batch = Array.from({ length: Math.min(BATCH, count - connections.length) }, () =>
      openConnection(hostname, Number(port), buffer),
    );
    connections.push(...(await Promise.all(batch)));
  }
  return connections;
}

function openConnection(host: string, port: number, buffer: Buffer): Promise<RawConnection> {
  return new Promise((resolve, reject) => {
    const callback = (size: number, into: Uint8Array): boolean => {
      connection.onBytes(into.subarray(0, size));
      return true;
    };
    const socket = connect({ host, port, noDelay: true, onread: { buffer, callback } });
    const connection = new RawConnection(socket);
    socket.once('connect', () => resolve(connection));
    socket.on('error', (error) => {
      connection.failure = error;
      reject(error);
    });
  });
}
