import type { Logger } from '../base/log.ts';

export type MessageListener = (message: string) => void;

/** Who listens to which channel in this process. One listener's fault is no other's. */
export class ChannelListeners {
  readonly #channels = new Map<string, Set<{ readonly call: MessageListener }>>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Channels that are listened to. */
  get size(): number {
    return this.#channels.size;
  }

  channels(): string[] {
    return [...this.#channels.keys()];
  }

  has(channel: string): boolean {
    return this.#channels.has(channel);
  }

  /** The same function may be added often, and is called as often. Returns the function that takes it away; idempotent. */
  add(channel: string, call: MessageListener): () => void {
    const listener = { call };
    const all = this.#channels.get(channel) ?? new Set();
    this.#channels.set(channel, all.add(listener));
    return () => {
      all.delete(listener);
      if (all.size === 0 && this.#channels.get(channel) === all) this.#channels.delete(channel);
    };
  }

  deliver(channel: string, message: string): void {
    const all = this.#channels.get(channel);
    for (const listener of all ? [...all] : []) {
      // One before it may have taken it away.
      if (all?.has(listener)) this.#call(listener.call, message);
    }
  }

  clear(): void {
    for (const all of this.#channels.values()) all.clear();
    this.#channels.clear();
  }

  #call(call: MessageListener, message: string): void {
    try {
      call(message);
    } catch (error) {
      this.#log.error({ err: error }, 'a listener failed on a message');
    }
  }
}
