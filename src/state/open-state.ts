import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { Closer } from '../base/closer.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { DynamoResumeStore } from './dynamo-resume-store.ts';
import { type DynamoStateOptions, readDynamoSettings } from './dynamo-settings.ts';
import { openEmbeddedLeaseStore } from './embedded-lease-store.ts';
import { EmbeddedPubSub } from './embedded-pub-sub.ts';
import { EmbeddedRegistry } from './embedded-registry.ts';
import type { LeaseStore } from './lease-store.ts';
import { openLmdbResumeStore } from './lmdb-resume-store.ts';
import { openLmdbSessionStore } from './lmdb-session-store.ts';
import type { PubSub } from './pub-sub.ts';
import { openRedisConnections } from './open-redis.ts';
import { RedisLeaseStore } from './redis-lease-store.ts';
import { RedisPubSub } from './redis-pub-sub.ts';
import { RedisRegistry } from './redis-registry.ts';
import { RedisResumeStore } from './redis-resume-store.ts';
import { REDIS_SCRIPTS } from './redis-scripts.ts';
import { RedisSessionStore } from './redis-session-store.ts';
import { type RedisOptions, readRedisSettings } from './redis-settings.ts';
import type { Registry } from './registry.ts';
import type { ResumeStore } from './resume-store.ts';
import type { ReplayCache, SessionStore } from './session-store.ts';
import { StateMetrics } from './state-metrics.ts';

export interface StateOptions {
  readonly driver: 'embedded' | 'redis';
  /** Of the server; what is embedded is in its folder `state`. */
  readonly dataDir: string;
  /** Where resume positions are: with the rest, or in DynamoDB. */
  readonly resumeDriver: 'same' | 'dynamodb';
  /** Only looked at with that driver, as the next. */
  readonly redis: RedisOptions;
  readonly dynamodb: DynamoStateOptions;
}

export interface StateDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** 0 to 1. */
  readonly random: () => number;
}

/** All state that outlives a request, kept by one driver. */
export interface State {
  readonly resume: ResumeStore;
  readonly sessions: SessionStore;
  readonly replay: ReplayCache;
  readonly pubSub: PubSub;
  readonly leases: LeaseStore;
  readonly registry: Registry;
  /** Closes all of it. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens the state of a server; one for a process, as it registers its metrics. With Redis it also opens while Redis is
 * away: calls fail until it is there. The caller closes it.
 * @throws AppError LICENSE_STATE_UNAVAILABLE, RESUME_UNAVAILABLE, LEASE_UNAVAILABLE, STATE_OPTIONS_UNUSABLE,
 *   SECRET_FILE_UNSAFE
 */
export async function openState(options: StateOptions, deps: StateDeps): Promise<State> {
  const closer = new Closer();
  try {
    const common = { ...deps, metrics: new StateMetrics(deps.metrics) };
    const stores = await (options.driver === 'redis'
      ? openOnRedis(options, common, closer)
      : openEmbedded(options, common, closer));
    const resume = closing(closer, await openResume(options, common, stores.openResume));
    const { openResume: _, ...others } = stores;
    return { ...others, resume, close: () => closer.close() };
  } catch (error) {
    await closer.close();
    throw error;
  }
}

/** Resume positions may be elsewhere. */
type Stores = Omit<State, 'close' | 'resume'> & { readonly openResume: () => Promise<ResumeStore> };
type CommonDeps = Omit<StateDeps, 'metrics'> & { readonly metrics: StateMetrics };

async function openEmbedded(options: StateOptions, deps: CommonDeps, closer: Closer): Promise<Stores> {
  const pathOf = (name: string): string => join(options.dataDir, 'state', name);
  const sessions = closing(closer, await openLmdbSessionStore(pathOf('sessions.lmdb'), deps));
  return {
    sessions,
    replay: sessions,
    openResume: () => openLmdbResumeStore(pathOf('resume.lmdb'), deps),
    leases: closing(closer, await openEmbeddedLeaseStore(pathOf('leases.lmdb'), deps)),
    pubSub: closing(closer, new EmbeddedPubSub(deps)),
    registry: closing(closer, new EmbeddedRegistry(deps)),
  };
}

async function openOnRedis(options: StateOptions, deps: CommonDeps, closer: Closer): Promise<Stores> {
  const settings = await readRedisSettings(options.redis);
  const { redis, listener } = await openRedisConnections(settings, REDIS_SCRIPTS, deps);
  closing(closer, redis);
  const { prefix, isCluster } = settings;
  const pubSub = closing(closer, new RedisPubSub({ ...deps, redis, listener, prefix, isCluster }));
  const sessions = closing(closer, new RedisSessionStore({ ...deps, redis, prefix }));
  return {
    sessions,
    replay: sessions,
    openResume: async () => new RedisResumeStore({ ...deps, redis, prefix }),
    leases: closing(closer, new RedisLeaseStore({ ...deps, redis, pubSub, prefix })),
    pubSub,
    registry: closing(closer, new RedisRegistry({ ...deps, redis, prefix })),
  };
}

async function openResume(
  options: StateOptions,
  deps: CommonDeps,
  openSame: () => Promise<ResumeStore>,
): Promise<ResumeStore> {
  if (options.resumeDriver === 'same') return openSame();
  return new DynamoResumeStore(await readDynamoSettings(options.dynamodb), deps);
}

function closing<T extends { close(): Promise<void> }>(closer: Closer, part: T): T {
  closer.defer(() => part.close());
  return part;
}
