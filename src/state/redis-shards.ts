import type { Cluster } from 'ioredis';
import { type Clock, every, type Timer } from '../base/clock.ts';
import type { RedisConnection } from './redis-connection.ts';
import type { RedisListener } from './redis-listener.ts';
import { slotOf } from './redis-slots.ts';

export interface RedisShardsDeps {
  readonly clock: Clock;
  /** Knows which node has which slot; stays with the caller. */
  readonly cluster: Cluster;
  /** Opens a connection that listens at one node, and takes care of itself. */
  readonly openAt: (host: string, port: number) => Promise<RedisConnection>;
}

/** So often it is seen whether channels have moved, and those that could not be joined are tried again. */
const CHECK_MS = 250;

/**
 * Listens to the channels of a Cluster, each at the node that has its slot (SSUBSCRIBE, Redis 7): a message goes to the servers
 * that listen, and not through every node.
 */
export class RedisShards implements RedisListener {
  readonly #deps: RedisShardsDeps;
  readonly #shards = new Map<string, Promise<RedisConnection>>();
  readonly #messageListeners = new Set<(channel: string, message: string) => void>();
  readonly #readyListeners = new Set<() => void>();
  /** At which node each channel is listened to; undefined: at none now. */
  readonly #wanted = new Map<string, string | undefined>();
  readonly #checking: Timer;
  #isChecking = false;
  #closed = false;

  constructor(deps: RedisShardsDeps) {
    this.#deps = deps;
    this.#checking = every(deps.clock, CHECK_MS, () => void this.#check());
  }

  /** Channels of a node that is not there are left out, and joined as soon as it is. */
  async join(channels: readonly string[]): Promise<ReadonlySet<string>> {
    for (const channel of channels) if (!this.#wanted.has(channel)) this.#wanted.set(channel, undefined);
    const joined = await this.#joinWhereTheyAre(channels);
    const missing = channels.filter((channel) => !joined.has(channel));
    if (missing.length === 0) return joined;
    // They may have moved since we last looked.
    await this.#refresh();
    return new Set([...joined, ...(await this.#joinWhereTheyAre(missing))]);
  }

  async leave(channel: string): Promise<void> {
    const node = this.#wanted.get(channel);
    this.#wanted.delete(channel);
    const shard = node === undefined ? undefined : await this.#shards.get(node);
    await shard?.client.sunsubscribe(channel);
  }

  onMessage(listener: (channel: string, message: string) => void): void {
    this.#messageListeners.add(listener);
  }

  onReady(listener: () => void): () => void {
    this.#readyListeners.add(listener);
    return () => void this.#readyListeners.delete(listener);
  }

  reset(): void {
    for (const channel of this.#wanted.keys()) this.#wanted.set(channel, undefined);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#checking.cancel();
    this.#readyListeners.clear();
    this.#messageListeners.clear();
    const shards = [...this.#shards.keys()];
    await Promise.all(shards.map((node) => this.#closeShard(node)));
  }

  async #check(): Promise<void> {
    if (this.#isChecking || this.#closed) return;
    this.#isChecking = true;
    const owners = new Set(this.#deps.cluster.slots.flatMap(([owner]) => owner ?? []));
    const gone = owners.size === 0 ? [] : [...this.#shards.keys()].filter((node) => !owners.has(node));
    await Promise.all(gone.map((node) => this.#closeShard(node)));
    const elsewhere = [...this.#wanted].filter(([channel, node]) => node !== this.#ownerOf(channel));
    const joined = await this.#joinWhereTheyAre(elsewhere.map(([channel]) => channel));
    this.#isChecking = false;
    if (joined.size > 0) this.#tellReady();
  }

  async #joinWhereTheyAre(channels: readonly string[]): Promise<Set<string>> {
    const bySlot = new Map<number, string[]>();
    for (const channel of channels) {
      const slot = slotOf(channel);
      const some = bySlot.get(slot);
      if (some) some.push(channel);
      else bySlot.set(slot, [channel]);
    }
    const results = await Promise.all([...bySlot.values()].map((some) => this.#joinSlot(some)));
    return new Set(results.flat());
  }

  /** Channels of one slot, with one command. */
  async #joinSlot(channels: readonly string[]): Promise<readonly string[]> {
    const node = this.#ownerOf(channels[0] ?? '');
    if (node === undefined || this.#closed) return [];
    const shard = await this.#shardAt(node);
    if (!shard.isReady) return [];
    try {
      await shard.client.ssubscribe(...channels);
    } catch {
      return [];
    }
    // Some may have been left meanwhile.
    const joined = channels.filter((channel) => this.#wanted.has(channel));
    for (const channel of joined) this.#wanted.set(channel, node);
    const left = channels.filter((channel) => !this.#wanted.has(channel));
    if (left.length > 0) shard.client.sunsubscribe(...left).catch(() => undefined);
    return joined;
  }

  #ownerOf(channel: string): string | undefined {
    return this.#deps.cluster.slots[slotOf(channel)]?.[0];
  }

  #shardAt(node: string): Promise<RedisConnection> {
    const known = this.#shards.get(node);
    if (known) return known;
    const colon = node.lastIndexOf(':');
    const opening = this.#openShard(node.slice(0, colon), Number(node.slice(colon + 1)));
    this.#shards.set(node, opening);
    return opening;
  }

  async #openShard(host: string, port: number): Promise<RedisConnection> {
    const shard = await this.#deps.openAt(host, port);
    const node = `${host}:${port}`;
    shard.client.on('smessage', (channel: string, message: string) => {
      for (const listener of this.#messageListeners) listener(channel, message);
    });
    // Redis ends subscriptions to what it does not have any more.
    shard.client.on('moved', () => {
      this.#lose(node);
      void this.#refresh().then(() => this.#check());
    });
    shard.client.on('close', () => this.#lose(node));
    return shard;
  }

  #lose(node: string): void {
    for (const [channel, at] of this.#wanted) if (at === node) this.#wanted.set(channel, undefined);
  }

  async #closeShard(node: string): Promise<void> {
    const shard = await this.#shards.get(node);
    this.#shards.delete(node);
    this.#lose(node);
    await shard?.close();
  }

  #refresh(): Promise<void> {
    return new Promise((resolve) => this.#deps.cluster.refreshSlotsCache(() => resolve()));
  }

  #tellReady(): void {
    for (const listener of [...this.#readyListeners]) listener();
  }
}
