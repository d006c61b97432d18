import type { RedisConnection } from './redis-connection.ts';

/** What listens to channels of Redis. */
export interface RedisListener {
  /** Asks for messages of channels. Resolves with those that come from now on. */
  join(channels: readonly string[]): Promise<ReadonlySet<string>>;
  leave(channel: string): Promise<void>;
  /** One for all channels. */
  onMessage(listener: (channel: string, message: string) => void): void;
  /**
   * Calls back when all channels are to be joined again, as messages may have been missed: the first time that Redis is
   * there, after a connection was lost, when channels have moved. Returns the function that ends it.
   */
  onReady(listener: () => void): () => void;
  /** Joining after `onReady` failed: that comes again. */
  reset(): void;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Listens through one connection, which is taken over. */
export class RedisChannels implements RedisListener {
  readonly #connection: RedisConnection;

  constructor(connection: RedisConnection) {
    this.#connection = connection;
  }

  async join(channels: readonly string[]): Promise<ReadonlySet<string>> {
    await this.#connection.client.subscribe(...channels);
    return new Set(channels);
  }

  async leave(channel: string): Promise<void> {
    await this.#connection.client.unsubscribe(channel);
  }

  onMessage(listener: (channel: string, message: string) => void): void {
    this.#connection.client.on('message', listener);
  }

  onReady(listener: () => void): () => void {
    return this.#connection.onReady(listener);
  }

  reset(): void {
    // The next connection makes up for it.
    this.#connection.client.disconnect(true);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}
