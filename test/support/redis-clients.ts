import { type Clock, systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { openRedis, openRedisListener } from '../../src/state/open-redis.ts';
import type { RedisConnection } from '../../src/state/redis-connection.ts';
import type { RedisListener } from '../../src/state/redis-listener.ts';
import { REDIS_SCRIPTS } from '../../src/state/redis-scripts.ts';
import { type RedisSettings, readRedisSettings, type RedisOptions } from '../../src/state/redis-settings.ts';
import { StateMetrics } from '../../src/state/state-metrics.ts';
import { createMemoryLog } from './memory-log.ts';

/** One server's connections to a test's Redis, and what it needs besides. */
export interface RedisClient {
  readonly clock: Clock;
  readonly log: ReturnType<typeof createMemoryLog>;
  readonly metrics: StateMetrics;
  readonly registry: Metrics['registry'];
  readonly redis: RedisConnection;
  readonly settings: RedisSettings;
  readonly prefix: string;
  readonly isCluster: boolean;
  openListener(): Promise<RedisListener>;
  close(): Promise<void>;
}

export const REDIS_DEFAULTS: Omit<RedisOptions, 'url'> = {
  isCluster: false,
  username: '',
  passwordPath: '',
  password: '',
  caPath: '',
  prefix: 'test:',
};

/** Opens what one server opens. The caller closes it. */
export async function openRedisClient(
  url: string,
  { clock = systemClock, ...options }: Partial<RedisOptions> & { clock?: Clock } = {},
): Promise<RedisClient> {
  const all = new Metrics();
  // Connections live in real time, whatever the store under test believes.
  const deps = {
    clock: systemClock,
    log: createMemoryLog(),
    metrics: new StateMetrics(all),
    random: Math.random,
  };
  const settings = await readRedisSettings({ ...REDIS_DEFAULTS, url, ...options });
  const redis = await openRedis(settings, REDIS_SCRIPTS, deps);
  return {
    ...deps,
    clock,
    registry: all.registry,
    redis,
    settings,
    prefix: settings.prefix,
    isCluster: settings.isCluster,
    openListener: () => openRedisListener(settings, redis, deps),
    close: () => redis.close(),
  };
}

/** The same connection, for a store that is to take Redis at its word: to see that this is noticed. */
export function takenAtItsWord(redis: RedisConnection): RedisConnection {
  return new Proxy(redis, {
    get(target, name) {
      if (name === 'runSafely' || name === 'readByScript') return target.run.bind(target);
      if (name === 'callSafely' || name === 'read') return target.call.bind(target);
      if (name === 'runSending') {
        return async (...args: Parameters<RedisConnection['run']>) => {
          const nothing = async (): Promise<void> => undefined;
          return { answer: await target.run(...args), written: nothing, safe: nothing };
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Whether some key or value of the whole server has `text` in it. */
export async function redisHolds({ redis }: RedisClient, text: string): Promise<boolean> {
  const keys = (await redis.call('keys', '*')) as string[];
  for (const key of keys) {
    const dumped = (await redis.call('type', key)) === 'hash' ? await redis.call('hgetall', key) : '';
    if (`${key} ${JSON.stringify(dumped)}`.includes(text)) return true;
  }
  return false;
}
