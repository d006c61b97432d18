import { AppError } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import { CallGate } from './call-gate.ts';
import type { Json } from './job-queue.ts';
import type { RedisConnection } from './redis-connection.ts';
import {
  assertHeartbeat,
  assertNode,
  MAX_NODES,
  REGISTRY_DEADLINE_MS,
  type RegisteredNode,
  type Registry,
} from './registry.ts';
import type { StateMetrics } from './state-metrics.ts';

export interface RedisRegistryDeps {
  readonly clock: Clock;
  readonly metrics: StateMetrics;
  /** Stays with the caller. Opened with REGISTRY_SCRIPTS. */
  readonly redis: RedisConnection;
  readonly prefix: string;
}

/** KEYS of all: until when each node counts, what it says of itself. The time is that of Redis. */
const FORGET = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)
for _, node in ipairs(gone) do
  redis.call('ZREM', KEYS[1], node)
  redis.call('HDEL', KEYS[2], node)
end
`;
/** ARGV: node, info, time. */
const HEARTBEAT = `${FORGET}
if redis.call('ZCARD', KEYS[1]) >= ${MAX_NODES} and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[3])), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
`;
/** ARGV: node. */
const LEAVE = `
redis.call('HDEL', KEYS[2], ARGV[1])
return redis.call('ZREM', KEYS[1], ARGV[1])
`;
const NODES = `${FORGET} return redis.call('HGETALL', KEYS[2])`;

export const REGISTRY_SCRIPTS = {
  registryHeartbeat: { lua: HEARTBEAT },
  registryLeave: { lua: LEAVE },
  registryNodes: { lua: NODES },
} as const;

/** The nodes in Redis: two keys in one slot of a Cluster. */
export class RedisRegistry implements Registry {
  readonly #redis: RedisConnection;
  readonly #keys: readonly string[];
  readonly #gate: CallGate;

  constructor({ clock, metrics, redis, prefix }: RedisRegistryDeps) {
    this.#redis = redis;
    this.#keys = [`${prefix}nodes:{nodes}:until`, `${prefix}nodes:{nodes}:info`];
    const options = {
      part: 'registry',
      code: 'REGISTRY_UNAVAILABLE',
      deadlineMs: REGISTRY_DEADLINE_MS,
    } as const;
    this.#gate = new CallGate(options, { clock, metrics });
  }

  heartbeat(node: string, info: Json, ttlMs: number): Promise<void> {
    return this.#gate.run(async () => {
      const text = assertHeartbeat(node, info, ttlMs);
      const isTaken = await this.#redis.run('registryHeartbeat', this.#keys, [node, text, ttlMs]);
      if (isTaken === 0) throw new AppError('REGISTRY_UNAVAILABLE', 'there are as many servers as may be');
    });
  }

  leave(node: string): Promise<void> {
    return this.#gate.run(async () => {
      assertNode(node);
      await this.#redis.run('registryLeave', this.#keys, [node]);
    });
  }

  nodes(): Promise<readonly RegisteredNode[]> {
    return this.#gate.run(async () => {
      const flat = (await this.#redis.run('registryNodes', this.#keys, [])) as string[];
      const nodes: RegisteredNode[] = [];
      for (let i = 0; i + 1 < flat.length; i += 2) {
        const [node = '', text = 'null'] = flat.slice(i, i + 2);
        nodes.push({ node, info: JSON.parse(text) as Json });
      }
      return nodes.toSorted((a, b) => (a.node < b.node ? -1 : 1));
    });
  }

  close(): Promise<void> {
    return this.#gate.close();
  }
}
