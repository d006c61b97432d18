import type { Cluster, Redis } from 'ioredis';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { ReplicaConfirmer } from './redis-replica-confirmer.ts';
import { slotOf } from './redis-slots.ts';
import { WriteConfirmer } from './redis-write-confirmer.ts';

export interface RedisNodesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** 1 while what all nodes have acknowledged outlives their processes, 0 while not. */
  readonly durable: { readonly set: (value: 0 | 1) => void };
  /** Of who waits until something is written: see {@link WriteConfirmer}. */
  readonly patienceMs?: number | undefined;
}

interface Confirmers {
  readonly writes: WriteConfirmer;
  readonly replicas: ReplicaConfirmer | undefined;
}

/** What a node answered, and when that is safe. */
export interface Sent {
  readonly answer: unknown;
  /** Resolves when all that the answer rests on is in the append-only file of the node. Rejects when that is not known in time. */
  readonly written: () => Promise<void>;
  /** The same, and it has reached as many replicas as it must. */
  readonly safe: () => Promise<void>;
}

interface Confirming extends Confirmers {
  /** Of the connection, when the call was sent. */
  readonly losses: number;
}

/** Sends something with the client it is given, to whichever node that leads to. */
export type Send = (client: Redis | Cluster) => Promise<unknown>;

/** A node says so before it has done anything: the library's Cluster client finds the one that does it. */
const ELSEWHERE = /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN) /;

/**
 * The Redis servers behind a client, one or those of a Cluster: sends a call to the one that has its key, and knows when what
 * it did is safe there.
 */
export class RedisNodes {
  readonly #client: Redis | Cluster;
  readonly #deps: RedisNodesDeps;
  readonly #minReplicas: number;
  readonly #confirmers = new Map<Redis, Confirmers>();
  readonly #notDurable = new Set<Redis>();

  constructor(client: Redis | Cluster, minReplicas: number, deps: RedisNodesDeps) {
    this.#client = client;
    this.#minReplicas = minReplicas;
    this.#deps = deps;
    deps.durable.set(0);
  }

  /** Sends it to the node that has the key. It may have been done when this rejects. */
  async send(key: string, send: Send): Promise<Sent> {
    const node = this.#nodeOf(key);
    if (node === undefined) return this.#sendSomewhere(send);
    const confirming = this.#confirmingOf(node);
    try {
      return sent(await send(node), [confirming]);
    } catch (error) {
      const isElsewhere = error instanceof Error && ELSEWHERE.test(error.message);
      if (isElsewhere && this.#client.isCluster) return this.#sendSomewhere(send);
      throw error;
    }
  }

  /** Finds out whether writes are safe, so that it is known before the first. */
  async probe(): Promise<void> {
    const nodes = this.#primaries().map((node) => this.#confirmersOf(node).writes);
    await Promise.allSettled(nodes.map((writes) => writes.confirm(writes.losses)));
  }

  /** Idempotent. Who waits is refused. */
  close(): void {
    for (const node of [...this.#confirmers.keys()]) this.#forget(node);
    this.#deps.durable.set(0);
  }

  /** While slots move only the library knows at which node it ended: all are asked. */
  async #sendSomewhere(send: Send): Promise<Sent> {
    const before = new Map(this.#primaries().map((node) => [node, this.#confirmingOf(node)]));
    const answer = await send(this.#client);
    return sent(
      answer,
      this.#primaries().map((node) => before.get(node) ?? this.#confirmingOf(node, 0)),
    );
  }

  #confirmingOf(node: Redis, losses?: number): Confirming {
    const confirmers = this.#confirmersOf(node);
    return { ...confirmers, losses: losses ?? confirmers.writes.losses };
  }

  #primaries(): Redis[] {
    return this.#client.isCluster ? (this.#client as Cluster).nodes('master') : [this.#client as Redis];
  }

  #nodeOf(key: string): Redis | undefined {
    if (!this.#client.isCluster) return this.#client as Redis;
    const { slots } = this.#client as Cluster;
    const name = slots[slotOf(key)]?.[0];
    return name === undefined ? undefined : this.#primaries().find((node) => nameOf(node) === name);
  }

  #confirmersOf(node: Redis): Confirmers {
    let confirmers = this.#confirmers.get(node);
    if (confirmers === undefined) {
      const { clock, patienceMs } = this.#deps;
      confirmers = {
        writes: new WriteConfirmer(node, {
          ...{ clock, patienceMs },
          onDurability: (isDurable, reason) => this.#setDurability(node, isDurable, reason),
        }),
        replicas: this.#minReplicas > 0 ? new ReplicaConfirmer(node, this.#minReplicas) : undefined,
      };
      this.#confirmers.set(node, confirmers);
      // Of a node of a Cluster another connection is made, with another client.
      node.once('end', () => this.#forget(node));
    }
    return confirmers;
  }

  #forget(node: Redis): void {
    const confirmers = this.#confirmers.get(node);
    this.#confirmers.delete(node);
    this.#notDurable.delete(node);
    confirmers?.writes.close();
    confirmers?.replicas?.close();
  }

  #setDurability(node: Redis, isDurable: boolean, reason: string | undefined): void {
    const wasDurable = this.#notDurable.size === 0;
    if (isDurable) this.#notDurable.delete(node);
    else this.#notDurable.add(node);
    this.#deps.durable.set(this.#notDurable.size === 0 ? 1 : 0);
    if (!isDurable && wasDurable) {
      this.#deps.log.warn({ reason }, 'what Redis acknowledges is lost when it is killed (appendonly)');
    }
  }
}

function sent(answer: unknown, all: readonly Confirming[]): Sent {
  const written = async (): Promise<void> => {
    await Promise.all(all.map(({ writes, losses }) => writes.confirm(losses)));
  };
  const safe = async (): Promise<void> => {
    await Promise.all([written(), ...all.map(({ replicas }) => replicas?.confirm())]);
  };
  return { answer, written, safe };
}

/** As the slot table has it. */
function nameOf({ options }: Redis): string {
  return `${options.host}:${options.port}`;
}
