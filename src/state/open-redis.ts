import type { Cluster, ClusterOptions, RedisOptions as ClientOptions } from 'ioredis';
import { RedisConnection, type RedisDeps, type RedisScripts } from './redis-connection.ts';
import { RedisChannels, type RedisListener } from './redis-listener.ts';
import type { RedisNode, RedisSettings } from './redis-settings.ts';
import { RedisShards } from './redis-shards.ts';

/** A command is given up after it: within what the stores promise. */
const COMMAND_TIMEOUT_MS = 250;
/** No answer at all for so long: the connection is dead, and another is made. */
const SILENCE_TIMEOUT_MS = 1000;
const CONNECT_TIMEOUT_MS = 1000;
const MIN_RETRY_MS = 50;
/** Small, as who waits for Redis to come back waits for this. */
const MAX_RETRY_MS = 500;
/** More would not be over within what the stores promise. */
const MAX_REDIRECTIONS = 5;
/** So often a Cluster is asked who has what: after a failover nobody says so by himself. */
const SLOTS_INTERVAL_MS = 1000;

/** What the stores and the bus of messages need. */
export interface RedisConnections {
  readonly redis: RedisConnection;
  readonly listener: RedisListener;
}

/** Opens both at once, so that a server without Redis does not wait twice. The caller closes both. */
export async function openRedisConnections(
  settings: RedisSettings,
  scripts: RedisScripts,
  deps: RedisDeps,
): Promise<RedisConnections> {
  const redis = await createRedis(settings, scripts, deps);
  const [listener] = await Promise.all([openRedisListener(settings, redis, deps), redis.open()]);
  return { redis, listener };
}

/** Opens a connection for requests, to all nodes of a Cluster. The caller closes it. */
export async function openRedis(
  settings: RedisSettings,
  scripts: RedisScripts,
  deps: RedisDeps,
): Promise<RedisConnection> {
  const connection = await createRedis(settings, scripts, deps);
  await connection.open();
  return connection;
}

async function createRedis(
  settings: RedisSettings,
  scripts: RedisScripts,
  deps: RedisDeps,
): Promise<RedisConnection> {
  const { Cluster, Redis } = await import('ioredis');
  const client = settings.isCluster
    ? new Cluster([...settings.nodes], clusterOptions(settings, scripts, deps))
    : new Redis({ ...clientOptions(settings, deps), ...settings.nodes[0], scripts: { ...scripts } });
  return new RedisConnection(client, 'requests', deps, settings.minReplicas);
}

/**
 * Opens what listens: of a Cluster a connection to each node that has a channel, found by `redis`, which stays with the caller.
 * The caller closes it.
 */
export async function openRedisListener(
  settings: RedisSettings,
  redis: RedisConnection,
  deps: RedisDeps,
): Promise<RedisListener> {
  const openAt = (node: RedisNode): Promise<RedisConnection> => openListening(settings, node, deps);
  if (!settings.isCluster) return new RedisChannels(await openAt(settings.nodes[0]));
  const cluster = redis.client as Cluster;
  return new RedisShards({ clock: deps.clock, cluster, openAt: (host, port) => openAt({ host, port }) });
}

async function openListening(
  settings: RedisSettings,
  node: RedisNode,
  deps: RedisDeps,
): Promise<RedisConnection> {
  const { Redis } = await import('ioredis');
  const client = new Redis({ ...clientOptions(settings, deps), ...node, autoResubscribe: false });
  const connection = new RedisConnection(client, 'messages', deps);
  await connection.open();
  return connection;
}

function clientOptions(settings: RedisSettings, { random }: RedisDeps) {
  const { username, password, tls, db } = settings;
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
    db,
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    socketTimeout: SILENCE_TIMEOUT_MS,
    maxLoadingRetryTime: MAX_RETRY_MS,
    // By default commands wait for Redis for ever, and are sent again when it is back: whoever asked is gone by then.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (turn: number) => retryDelayMs(turn, random),
    // After a failover the old primary refuses writes: the name may lead to the new one by now.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  } satisfies ClientOptions;
}

function clusterOptions(settings: RedisSettings, scripts: RedisScripts, deps: RedisDeps) {
  const { retryStrategy: _, enableOfflineQueue: __, ...redisOptions } = clientOptions(settings, deps);
  return {
    // Scripts are also sent to single nodes.
    redisOptions: { ...redisOptions, scripts: { ...scripts } },
    scripts: { ...scripts },
    lazyConnect: true,
    // Else the first calls to each node fail, as it is only connected to then. RedisConnection asks before whether the Cluster is there.
    enableOfflineQueue: true,
    maxRedirections: MAX_REDIRECTIONS,
    clusterRetryStrategy: (turn: number) => retryDelayMs(turn, deps.random),
    // It would send again what was on its way when a connection was lost.
    retryDelayOnFailover: 0,
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    slotsRefreshInterval: SLOTS_INTERVAL_MS,
  } satisfies ClusterOptions;
}

/** Doubles from turn to turn up to {@link MAX_RETRY_MS}, and somewhere between half of that and all of it. */
function retryDelayMs(turn: number, random: () => number): number {
  const fullMs = Math.min(MAX_RETRY_MS, MIN_RETRY_MS * 2 ** Math.min(turn, 10));
  return Math.ceil(fullMs * (0.5 + random() / 2));
}
