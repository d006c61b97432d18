import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { CallGate } from './call-gate.ts';
import { ChannelListeners } from './channel-listeners.ts';
import type { PubSub, Subscription } from './pub-sub.ts';
import { assertChannel, assertMessage } from './pub-sub-rules.ts';
import type { RedisConnection } from './redis-connection.ts';
import type { RedisListener } from './redis-listener.ts';
import type { StateMetrics } from './state-metrics.ts';

export interface RedisPubSubDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: StateMetrics;
  /** Stays with the caller. */
  readonly redis: RedisConnection;
  /** Taken over, and closed with this. */
  readonly listener: RedisListener;
  /** Messages go to the node that has the channel's slot. */
  readonly isCluster: boolean;
  /** Before every channel. */
  readonly prefix: string;
}

const DEADLINE_MS = 300;
/** Messages on their way to Redis at once; one more is refused: memory stays bounded while Redis is slow. */
const MAX_PUBLISHING = 5_000;
const MAX_PUBLISHING_BYTES = 16 * 1024 ** 2;
/** Channels asked for with one command when the connection is there again. */
const CHANNELS_AT_ONCE = 500;

/**
 * Messages through Redis, one listener for all channels of this process. When its connection was lost, the channels are
 * asked for again, and then `onGap` tells that messages may be missing.
 */
export class RedisPubSub implements PubSub {
  readonly #deps: RedisPubSubDeps;
  readonly #gate: CallGate;
  readonly #listeners: ChannelListeners;
  readonly #gapListeners = new Set<() => void>();
  readonly #stopListening: () => void;
  /** What was last asked of Redis for a channel; the next goes after it. */
  readonly #asking = new Map<string, Promise<void>>();
  /** Channels that Redis said it sends on this connection. */
  readonly #confirmed = new Set<string>();
  #publishingBytes = 0;
  #closing: Promise<void> | undefined;

  constructor(deps: RedisPubSubDeps) {
    this.#deps = deps;
    this.#listeners = new ChannelListeners(deps.log);
    this.#gate = new CallGate(
      { part: 'pub_sub', code: 'PUBSUB_UNAVAILABLE', deadlineMs: DEADLINE_MS, maxPending: MAX_PUBLISHING },
      deps,
    );
    deps.metrics.pubSubGaps.inc(0);
    deps.listener.onMessage((channel, message) => {
      this.#listeners.deliver(channel.slice(deps.prefix.length), message);
    });
    this.#stopListening = deps.listener.onReady(() => void this.#listenAgain());
  }

  publish(channel: string, message: string): Promise<void> {
    return this.#gate.run(async () => {
      assertChannel(channel);
      assertMessage(message);
      const sizeBytes = Buffer.byteLength(message);
      if (this.#publishingBytes + sizeBytes > MAX_PUBLISHING_BYTES) {
        this.#deps.metrics.pubSubDropped.inc();
        throw new AppError('PUBSUB_UNAVAILABLE', 'too much waits to be sent');
      }
      this.#publishingBytes += sizeBytes;
      try {
        const command = this.#deps.isCluster ? 'spublish' : 'publish';
        await this.#deps.redis.call(command, this.#deps.prefix + channel, message);
      } finally {
        this.#publishingBytes -= sizeBytes;
      }
    });
  }

  async subscribe(channel: string, listener: (message: string) => void): Promise<Subscription> {
    let leave = (): void => undefined;
    try {
      await this.#gate.run(async () => {
        assertChannel(channel);
        leave = this.#join(channel, listener);
        await this.#ask(channel);
      });
      return { close: () => leave() };
    } catch (error) {
      // Also when Redis answers after the deadline: nobody could leave any more.
      leave();
      throw error;
    }
  }

  onGap(listener: () => void): () => void {
    const added = (): void => listener();
    this.#gapListeners.add(added);
    return () => void this.#gapListeners.delete(added);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#stopListening();
    this.#listeners.clear();
    this.#gapListeners.clear();
    this.#countChannels();
    await this.#gate.close();
    await this.#deps.listener.close();
  }

  /** Gives the function that takes the listener away, and leaves the channel when it was the last; idempotent. */
  #join(channel: string, listener: (message: string) => void): () => void {
    const remove = this.#listeners.add(channel, listener);
    this.#countChannels();
    let hasLeft = false;
    return () => {
      if (hasLeft) return;
      hasLeft = true;
      remove();
      this.#countChannels();
      if (!this.#listeners.has(channel)) void this.#ask(channel).catch(() => undefined);
    };
  }

  /** Brings Redis to what is wanted of a channel now: one after the other, as what is wanted may change meanwhile. */
  async #ask(channel: string): Promise<void> {
    const before = this.#asking.get(channel)?.catch(() => undefined);
    const asked = Promise.resolve(before).then(() => this.#bringToWanted(channel));
    this.#asking.set(channel, asked);
    try {
      await asked;
    } finally {
      if (this.#asking.get(channel) === asked) this.#asking.delete(channel);
    }
  }

  async #bringToWanted(channel: string): Promise<void> {
    const name = this.#deps.prefix + channel;
    const { listener } = this.#deps;
    if (!this.#listeners.has(channel)) {
      this.#confirmed.delete(channel);
      await listener.leave(name);
    } else if (!this.#confirmed.has(channel)) {
      if ((await listener.join([name])).size === 0) throw new Error('the channel cannot be listened to now');
      this.#confirmed.add(channel);
    }
  }

  async #listenAgain(): Promise<void> {
    const { listener, prefix } = this.#deps;
    this.#confirmed.clear();
    try {
      const channels = this.#listeners.channels();
      for (let i = 0; i < channels.length; i += CHANNELS_AT_ONCE) {
        const some = channels.slice(i, i + CHANNELS_AT_ONCE);
        const joined = await listener.join(some.map((channel) => prefix + channel));
        for (const channel of some) {
          if (joined.has(prefix + channel) && this.#listeners.has(channel)) this.#confirmed.add(channel);
        }
      }
    } catch {
      // Lost again, or too slow.
      listener.reset();
      return;
    }
    this.#deps.metrics.pubSubGaps.inc();
    for (const onGap of [...this.#gapListeners]) this.#tell(onGap);
  }

  #tell(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.#deps.log.error({ err: error }, 'a listener failed on a gap in the messages');
    }
  }

  #countChannels(): void {
    this.#deps.metrics.pubSubChannels.set(this.#listeners.size);
  }
}
