import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Redis } from './redis.ts';

/**
 * A way to a Redis on which it seems, when asked, to hold back what it has answered: as one with `appendfsync everysec` does
 * while the disk is slow, for as long as a test wants it.
 */
export class RedisHoldingBack {
  readonly host = '127.0.0.1';
  readonly #server = createServer((socket) => this.#join(socket));
  readonly #sockets = new Set<Socket>();
  readonly #redis: Redis;
  isHolding = false;

  private constructor(redis: Redis) {
    this.#redis = redis;
  }

  static async open(redis: Redis): Promise<RedisHoldingBack> {
    const made = new RedisHoldingBack(redis);
    made.#server.listen(0, made.host);
    await once(made.#server, 'listening');
    return made;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(near: Socket): void {
    const far = connect(this.#redis.port, this.#redis.host);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => other.destroy());
    }
    near.on('data', (data) => far.write(data));
    far.on('data', (data) => near.write(this.isHolding ? pretend(data) : data));
  }
}

/** Nothing is in the file, something waits. As long as it was, so that the framing holds. */
function pretend(answer: Buffer): Buffer {
  const text = answer.toString('latin1');
  const nothing = text.replace(/(?<=aof_current_size:)\d+/, (size) => '0'.repeat(size.length));
  return Buffer.from(nothing.replace('aof_buffer_length:0', 'aof_buffer_length:9'), 'latin1');
}
