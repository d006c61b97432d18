import type { Cluster, ClusterOptions, Redis, RedisOptions as ClientOptions } from 'ioredis';
import { type Clock, every, type Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { RedisSettings } from './redis-settings.ts';
import type { StateMetrics } from './state-metrics.ts';

/** Lua by name; the first argument of a call is the number of keys. */
export type RedisScripts = Readonly<Record<string, { readonly lua: string }>>;

export interface RedisDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: StateMetrics;
  /** 0 to 1: reconnects of many servers are not to come at one moment. */
  readonly random: () => number;
}

/** What the connection is for: a label. */
export type RedisUse = 'requests' | 'messages';

/** A command is given up after it: within what the stores promise. */
const COMMAND_TIMEOUT_MS = 250;
/** No answer at all for so long: the connection is dead, and another is made. */
const SILENCE_TIMEOUT_MS = 1000;
const CONNECT_TIMEOUT_MS = 1000;
/** So often it is seen whether Redis is there, also when nobody asks it for anything. */
const PING_INTERVAL_MS = 1000;
const MIN_RETRY_MS = 50;
/** Small, as who waits for Redis to come back waits for this. */
const MAX_RETRY_MS = 500;
/** Opening waits so long for Redis; after it the server starts without. */
const OPENING_MS = 2000;

type Argument = string | number;

/**
 * One connection to Redis (or to a Cluster), kept up by itself. Nothing ever waits for it: a command fails at once while
 * it is down, after {@link COMMAND_TIMEOUT_MS} when there is no answer, and is never sent twice.
 */
export class RedisConnection {
  readonly #client: Redis | Cluster;
  readonly #use: RedisUse;
  readonly #deps: RedisDeps;
  readonly #pinging: Timer;
  readonly #readyListeners = new Set<() => void>();
  #isReady = false;
  #hasComplained = false;
  #closed = false;

  constructor(client: Redis | Cluster, use: RedisUse, deps: RedisDeps) {
    this.#client = client;
    this.#use = use;
    this.#deps = deps;
    deps.metrics.redisErrors.inc({ use }, 0);
    deps.metrics.redisConnected.set({ use }, 0);
    client.on('ready', () => this.#setReady(true));
    client.on('close', () => this.#setReady(false));
    client.on('end', () => this.#setReady(false));
    client.on('error', (error: unknown) => this.#fault(error));
    this.#pinging = every(deps.clock, PING_INTERVAL_MS, () => {
      // One that is stalled is found by its silence.
      if (this.#isReady) this.call('ping').catch((error: unknown) => this.#fault(error));
    });
  }

  /** Whether commands can be sent now. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** The client library's own, for what only it can do. */
  get client(): Redis | Cluster {
    return this.#client;
  }

  /** Runs one command. Rejects with the client library's error. */
  call(command: string, ...args: Argument[]): Promise<unknown> {
    return this.#client.call(command, ...args);
  }

  /** Runs one of the scripts that the connection was opened with. All keys must be in one slot of a Cluster. */
  run(script: string, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    const scripts = this.#client as unknown as Record<string, (...all: Argument[]) => Promise<unknown>>;
    const call = scripts[script];
    if (call === undefined) throw new RangeError(`no script ${script}`);
    return call.call(this.#client, keys.length, ...keys, ...args);
  }

  /** Calls back each time that the connection is there: the first time, and again after it was lost. Returns the function that ends it. */
  onReady(listener: () => void): () => void {
    this.#readyListeners.add(listener);
    return () => void this.#readyListeners.delete(listener);
  }

  /** Resolves when the connection is there, or after {@link OPENING_MS}. */
  async open(): Promise<void> {
    this.#client.connect().catch(() => undefined);
    await new Promise<void>((resolve) => {
      const timer = this.#deps.clock.after(OPENING_MS, resolve);
      const stop = this.onReady(() => {
        timer.cancel();
        stop();
        resolve();
      });
    });
    if (!this.#isReady) this.#complain('Redis cannot be reached; the server starts without it');
  }

  /** Idempotent. What is under way fails. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#pinging.cancel();
    this.#readyListeners.clear();
    this.#client.disconnect();
    this.#deps.metrics.redisConnected.set({ use: this.#use }, 0);
  }

  #setReady(isReady: boolean): void {
    if (this.#closed || this.#isReady === isReady) return;
    this.#isReady = isReady;
    this.#deps.metrics.redisConnected.set({ use: this.#use }, isReady ? 1 : 0);
    if (!isReady) {
      this.#deps.metrics.redisErrors.inc({ use: this.#use });
      this.#complain('the connection to Redis is lost; it is being made anew');
      return;
    }
    if (this.#hasComplained) this.#deps.log.info({ use: this.#use }, 'Redis is there again');
    this.#hasComplained = false;
    for (const listener of [...this.#readyListeners]) listener();
  }

  /** The library's errors carry the command that failed, the one with the password too: only the words are used. */
  #fault(error: unknown): void {
    if (this.#closed) return;
    this.#deps.metrics.redisErrors.inc({ use: this.#use });
    this.#complain('Redis failed', error instanceof Error ? error.message : undefined);
  }

  /** Once until it is there again. */
  #complain(message: string, reason?: string): void {
    if (this.#hasComplained || this.#closed) return;
    this.#hasComplained = true;
    this.#deps.log.error({ use: this.#use, reason }, message);
  }
}

/** Opens a connection for requests, to all nodes of a Cluster. The caller closes it. */
export async function openRedis(
  settings: RedisSettings,
  scripts: RedisScripts,
  deps: RedisDeps,
): Promise<RedisConnection> {
  const { Cluster, Redis } = await import('ioredis');
  const client = settings.isCluster
    ? new Cluster([...settings.nodes], clusterOptions(settings, scripts, deps))
    : new Redis({ ...clientOptions(settings, deps), ...settings.nodes[0], scripts: { ...scripts } });
  const connection = new RedisConnection(client, 'requests', deps);
  await connection.open();
  return connection;
}

/**
 * Opens a connection that listens. Of a Cluster it is to one node, another one at each try: messages reach all of them.
 * The caller closes it.
 */
export async function openRedisSubscriber(
  settings: RedisSettings,
  deps: RedisDeps,
): Promise<RedisConnection> {
  const { Redis } = await import('ioredis');
  const client = new Redis({
    ...clientOptions(settings, deps),
    ...settings.nodes[0],
    autoResubscribe: false,
  });
  let turn = 0;
  client.on('reconnecting', () => {
    turn += 1;
    Object.assign(client.options, settings.nodes[turn % settings.nodes.length]);
  });
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
    redisOptions,
    scripts: { ...scripts },
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: (turn: number) => retryDelayMs(turn, deps.random),
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    slotsRefreshInterval: 10 * SILENCE_TIMEOUT_MS,
  } satisfies ClusterOptions;
}

/** Doubles from turn to turn up to {@link MAX_RETRY_MS}, and somewhere between half of that and all of it. */
function retryDelayMs(turn: number, random: () => number): number {
  const fullMs = Math.min(MAX_RETRY_MS, MIN_RETRY_MS * 2 ** Math.min(turn, 10));
  return Math.ceil(fullMs * (0.5 + random() / 2));
}
