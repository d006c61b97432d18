import { setTimeout as delay } from 'node:timers/promises';
import { freePort, type Redis, startRedis } from './redis.ts';
import { until } from './until.ts';

/** A real Redis Cluster of a test's own. */
export interface RedisCluster {
  /** Of all nodes, for the option `url`. */
  readonly url: string;
  readonly nodes: readonly Redis[];
  /** The primary that has a slot now, as most nodes that run see it. */
  primaryOf(slot: number): Promise<Redis>;
  /** The replica of a primary; after a failover it is waited for until the primary has heard of it. */
  replicaOf(primary: Redis): Promise<Redis>;
  /** Begins to move a slot from the primary that has it to another, key by key; gives the function that ends it. */
  moveSlot(
    slot: number,
  ): Promise<{ readonly to: Redis; moveKeys(count: number): Promise<number>; finish(): Promise<void> }>;
  /** Everything in it is gone. */
  empty(): Promise<void>;
  stop(): Promise<void>;
}

export interface RedisClusterOptions {
  readonly primaries?: number;
  /** A replica for each. */
  readonly hasReplicas?: boolean;
}

const SLOTS = 16_384;
/** A primary that is silent for so long is replaced. */
const NODE_TIMEOUT_MS = 1000;

/** Starts one and waits until all slots are served. The caller stops it. */
export async function startRedisCluster({
  primaries = 3,
  hasReplicas = false,
}: RedisClusterOptions = {}): Promise<RedisCluster> {
  const count = hasReplicas ? 2 * primaries : primaries;
  const nodes = await Promise.all(Array.from({ length: count }, startNode));
  const cluster = new ClusterOfTest(nodes);
  try {
    await cluster.form(primaries);
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

async function startNode(): Promise<Redis> {
  const settings = {
    'cluster-enabled': 'yes',
    'cluster-port': String(await freePort()),
    'cluster-node-timeout': String(NODE_TIMEOUT_MS),
    'cluster-announce-ip': '127.0.0.1',
    // What is not lost is served, also while the rest waits for another primary.
    'cluster-require-full-coverage': 'no',
    // Replicas are there soon, and may always take over.
    'cluster-replica-validity-factor': '0',
    'repl-diskless-sync-delay': '0',
    'repl-ping-replica-period': '1',
  };
  return startRedis({ args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]) });
}

/** One line of CLUSTER NODES. */
interface Seen {
  readonly id: string;
  readonly port: number;
  readonly busPort: number;
  readonly flags: readonly string[];
  readonly primaryId: string;
  readonly slots: readonly string[];
}

class ClusterOfTest implements RedisCluster {
  readonly nodes: readonly Redis[];

  constructor(nodes: readonly Redis[]) {
    this.nodes = nodes;
  }

  get url(): string {
    return this.nodes.map(({ url }) => url).join(',');
  }

  async form(primaries: number): Promise<void> {
    const [first, ...others] = this.nodes;
    if (!first) throw new Error('no nodes');
    await Promise.all(this.nodes.map((node, i) => say(node, `CLUSTER SET-CONFIG-EPOCH ${i + 1}`)));
    const per = Math.ceil(SLOTS / primaries);
    const owners = this.nodes.slice(0, primaries);
    await Promise.all(
      owners.map((node, i) =>
        say(node, `CLUSTER ADDSLOTSRANGE ${i * per} ${Math.min(SLOTS, (i + 1) * per) - 1}`),
      ),
    );
    for (const node of others) {
      const [self] = (await look(node)).filter(({ flags }) => flags.includes('myself'));
      await say(first, `CLUSTER MEET 127.0.0.1 ${node.port} ${self?.busPort}`);
    }
    await this.#untilAll('know all', async (node) => (await look(node)).length === this.nodes.length);
    const ids = await Promise.all(owners.map(idOf));
    for (const [i, replica] of this.nodes.slice(primaries).entries())
      await say(replica, `CLUSTER REPLICATE ${ids[i]}`);
    await this.#untilAll('serve all slots', async (node) => {
      const info = await node.tell('CLUSTER INFO');
      return info.includes('cluster_state:ok') && info.includes(`cluster_size:${primaries}`);
    });
    await this.#untilAll('have their replicas', async (node) => {
      const replication = await node.tell('INFO replication');
      return replication.includes('role:master') || replication.includes('master_link_status:up');
    });
    const replicas = this.nodes.length - primaries;
    // Clients must not be told of a Cluster where replicas are still primaries.
    await this.#untilAll('see who is a replica', async (node) => {
      const seen = await look(node);
      return seen.filter(({ flags }) => flags.includes('slave')).length === replicas;
    });
  }

  async primaryOf(slot: number): Promise<Redis> {
    for (const node of this.nodes) {
      const seen = await look(node).catch(() => []);
      const owner = seen.find(
        ({ flags, slots }) => flags.includes('master') && !flags.includes('fail') && hasSlot(slots, slot),
      );
      const found = this.nodes.find(({ port }) => port === owner?.port);
      if (found) return found;
    }
    throw new Error(`nobody has slot ${slot}`);
  }

  replicaOf(primary: Redis): Promise<Redis> {
    return until(async () => {
      const seen = await look(primary);
      const self = seen.find(({ flags }) => flags.includes('myself'));
      const replica = seen.find(({ primaryId }) => primaryId === self?.id);
      return this.nodes.find(({ port }) => port === replica?.port);
    }, 'the primary hears of its replica');
  }

  async moveSlot(slot: number) {
    const from = await this.primaryOf(slot);
    const to = await this.primaryOf((slot + SLOTS / 2) % SLOTS);
    const [fromId, toId] = await Promise.all([idOf(from), idOf(to)]);
    await say(to, `CLUSTER SETSLOT ${slot} IMPORTING ${fromId}`);
    await say(from, `CLUSTER SETSLOT ${slot} MIGRATING ${toId}`);
    const moveKeys = async (count: number): Promise<number> => {
      const answer = await from.tell(`CLUSTER GETKEYSINSLOT ${slot} ${count}`);
      const keys = answer.split('\r\n').filter((line) => line !== '' && !/^[*$]\d+$/.test(line));
      for (const key of keys) await say(from, `MIGRATE 127.0.0.1 ${to.port} ${key} 0 5000`);
      return keys.length;
    };
    return {
      to,
      moveKeys,
      finish: async () => {
        while ((await moveKeys(100)) > 0);
        await say(to, `CLUSTER SETSLOT ${slot} NODE ${toId}`);
        await say(from, `CLUSTER SETSLOT ${slot} NODE ${toId}`);
      },
    };
  }

  async empty(): Promise<void> {
    for (const node of this.nodes) {
      const answer = await node.tell('FLUSHALL');
      if (!answer.startsWith('+OK') && !answer.startsWith('-READONLY')) throw new Error(answer);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  #untilAll(what: string, condition: (node: Redis) => Promise<boolean>): Promise<unknown> {
    return until(async () => {
      const results = await Promise.all(this.nodes.map((node) => condition(node).catch(() => false)));
      return results.every(Boolean);
    }, `the nodes of the Cluster ${what}`);
  }
}

async function look(node: Redis): Promise<readonly Seen[]> {
  const answer = await node.tell('CLUSTER NODES');
  return answer
    .split('\n')
    .map((line) =>
      /^(?<id>[0-9a-f]{40}) [^:]*:(?<port>\d+)@(?<busPort>\d+)\S* (?<flags>\S+) (?<primary>\S+) \d+ \d+ \d+ \S+ ?(?<slots>.*)$/.exec(
        line.trim(),
      ),
    )
    .flatMap((match) => {
      const { id = '', port, busPort, flags = '', primary = '', slots = '' } = match?.groups ?? {};
      if (id === '') return [];
      return [
        {
          id,
          port: Number(port),
          busPort: Number(busPort),
          flags: flags.split(','),
          primaryId: primary,
          slots: slots.split(' '),
        },
      ];
    });
}

function hasSlot(ranges: readonly string[], slot: number): boolean {
  return ranges.some((range) => {
    const [first = '', last = first] = range.split('-');
    return /^\d+$/.test(first) && Number(first) <= slot && slot <= Number(last);
  });
}

async function idOf(node: Redis): Promise<string> {
  const id = /[0-9a-f]{40}/.exec(await node.tell('CLUSTER MYID'))?.[0];
  if (id === undefined) throw new Error('a node has no id');
  return id;
}

/** A command that must succeed; a node that is still about to is asked again. */
async function say(node: Redis, command: string): Promise<void> {
  for (let turn = 0; ; turn++) {
    const answer = await node.tell(command);
    if (answer.startsWith('+')) return;
    // CLUSTER REPLICATE of a node that it has not heard of yet.
    if (turn === 100 || !answer.includes('Unknown node')) throw new Error(`${command}: ${answer}`);
    await delay(20);
  }
}
