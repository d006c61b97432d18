import type { Cluster, Redis } from 'ioredis';
import { type Clock, every, type Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { RedisNodes, type Send, type Sent } from './redis-nodes.ts';
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

/** So often it is seen whether Redis is there, also when nobody asks it for anything. */
const PING_INTERVAL_MS = 1000;
/** Opening waits so long for Redis; after it the server starts without. */
const OPENING_MS = 2000;

type Argument = string | number;

/**
 * One connection to Redis (or to a Cluster), kept up by itself. Nothing ever waits for it: a command fails at once while
 * it is down, soon when there is no answer, and is never sent twice.
 */
export class RedisConnection {
  readonly #client: Redis | Cluster;
  readonly #use: RedisUse;
  readonly #deps: RedisDeps;
  readonly #pinging: Timer;
  readonly #readyListeners = new Set<() => void>();
  readonly #nodes: RedisNodes | undefined;
  #isReady = false;
  #hasComplained = false;
  #closed = false;

  /** `minReplicas`: how many must have what {@link runSafely} has done; undefined: it is only for listening. */
  constructor(client: Redis | Cluster, use: RedisUse, deps: RedisDeps, minReplicas?: number) {
    this.#client = client;
    const { clock, log, metrics } = deps;
    if (minReplicas !== undefined) {
      this.#nodes = new RedisNodes(client, minReplicas, { clock, log, durable: metrics.redisDurable });
    }
    this.#use = use;
    this.#deps = deps;
    deps.metrics.redisErrors.inc({ use }, 0);
    deps.metrics.redisConnected.inc({ use }, 0);
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
  async call(command: string, ...args: Argument[]): Promise<unknown> {
    this.#assertThere();
    return this.#client.call(command, ...args);
  }

  /** Runs one of the scripts that the connection was opened with. All keys must be in one slot of a Cluster. */
  async run(script: string, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    this.#assertThere();
    return runScript(this.#client, script, keys, args);
  }

  /**
   * The same, and what it did is safe when it resolves: it outlives the process of Redis, where that keeps an append-only
   * file, and enough replicas have it. When it rejects it may have been done all the same.
   */
  async runSafely(script: string, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    const { answer, safe } = await this.runSending(script, keys, args);
    await safe();
    return answer;
  }

  /** The same, for who has more to do before all of it must be safe. */
  runSending(script: string, keys: readonly string[], args: readonly Argument[]): Promise<Sent> {
    return this.#send(keys[0] ?? '', (client) => runScript(client, script, keys, args));
  }

  /** {@link call} as {@link runSafely} does it; the key is the command's first argument. */
  async callSafely(command: string, key: string, ...args: Argument[]): Promise<unknown> {
    const { answer, safe } = await this.#send(key, (client) => client.call(command, key, ...args));
    await safe();
    return answer;
  }

  /** {@link run} for what only reads: nothing is shown that the process of Redis could take along when it is killed. */
  async readByScript(script: string, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    const { answer, written } = await this.runSending(script, keys, args);
    await written();
    return answer;
  }

  /** {@link call}, the same way. */
  async read(command: string, key: string, ...args: Argument[]): Promise<unknown> {
    const { answer, written } = await this.#send(key, (client) => client.call(command, key, ...args));
    await written();
    return answer;
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
    this.#nodes?.close();
    this.#client.disconnect();
    if (this.#isReady) this.#deps.metrics.redisConnected.dec({ use: this.#use });
    this.#isReady = false;
  }

  async #send(key: string, send: Send): Promise<Sent> {
    this.#assertThere();
    if (this.#nodes === undefined) throw new RangeError('the connection is only for listening');
    return this.#nodes.send(key, send);
  }

  /** Nothing is kept until Redis is back: whoever asked is gone by then. */
  #assertThere(): void {
    if (this.#client.status !== 'ready') throw new Error('Redis is not there');
  }

  #setReady(isReady: boolean): void {
    if (this.#closed || this.#isReady === isReady) return;
    this.#isReady = isReady;
    this.#deps.metrics.redisConnected.inc({ use: this.#use }, isReady ? 1 : -1);
    if (!isReady) {
      this.#deps.metrics.redisErrors.inc({ use: this.#use });
      this.#complain('the connection to Redis is lost; it is being made anew');
      return;
    }
    if (this.#hasComplained) this.#deps.log.info({ use: this.#use }, 'Redis is there again');
    this.#hasComplained = false;
    void this.#nodes?.probe();
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

function runScript(
  client: Redis | Cluster,
  script: string,
  keys: readonly string[],
  args: readonly Argument[],
): Promise<unknown> {
  const scripts = client as unknown as Record<string, (...all: Argument[]) => Promise<unknown>>;
  const call = scripts[script];
  if (call === undefined) throw new RangeError(`no script ${script}`);
  return call.call(client, keys.length, ...keys, ...args);
}
