import type { Logger } from '../base/log.ts';
import { ChannelListeners } from './channel-listeners.ts';
import type { PubSub, Subscription } from './pub-sub.ts';
import { assertChannel, assertMessage, pubSubClosed } from './pub-sub-rules.ts';
import type { StateMetrics } from './state-metrics.ts';

export interface EmbeddedPubSubDeps {
  readonly log: Logger;
  readonly metrics: StateMetrics;
}

/** Messages within one process. Nothing is ever missed, so there is never a gap. The caller closes it. */
export class EmbeddedPubSub implements PubSub {
  readonly #listeners: ChannelListeners;
  readonly #metrics: StateMetrics;
  #closed = false;

  constructor({ log, metrics }: EmbeddedPubSubDeps) {
    this.#listeners = new ChannelListeners(log);
    this.#metrics = metrics;
  }

  async publish(channel: string, message: string): Promise<void> {
    assertChannel(channel);
    assertMessage(message);
    if (this.#closed) throw pubSubClosed();
    // Not within the caller's turn, as it would not be through a network.
    await Promise.resolve();
    this.#listeners.deliver(channel, message);
  }

  async subscribe(channel: string, listener: (message: string) => void): Promise<Subscription> {
    assertChannel(channel);
    if (this.#closed) throw pubSubClosed();
    const remove = this.#listeners.add(channel, listener);
    this.#metrics.pubSubChannels.set(this.#listeners.size);
    return {
      close: () => {
        remove();
        this.#metrics.pubSubChannels.set(this.#listeners.size);
      },
    };
  }

  onGap(): () => void {
    return () => undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#listeners.clear();
    this.#metrics.pubSubChannels.set(0);
  }
}
