import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { JOB_SCRIPTS } from './bullmq-job-scripts.ts';
import { RedisNodes, type RedisNodesDeps } from './redis-nodes.ts';
import type { RedisSettings } from './redis-settings.ts';

export interface JobConnectionDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** 0 to 1. */
  readonly random: () => number;
  readonly durable: RedisNodesDeps['durable'];
}

type Argument = string | number;

/** A call fails after it; a part of a large flow is written well within. */
const COMMAND_TIMEOUT_MS = 3000;
/** What the client library says then. */
const TIMED_OUT = 'Command timed out';
/** Redis may hold back for two seconds what it has answered, and nobody watches a job begin. */
const WRITTEN_WITHIN_MS = 2500;
const CONNECT_TIMEOUT_MS = 2000;
const MIN_RETRY_MS = 50;
const MAX_RETRY_MS = 500;
/** Opening waits so long for Redis; after it the queue is there, and cannot be used yet. */
const OPENING_MS = 3000;

/**
 * Two connections: one for calls, which BullMQ uses too, and one that listens. While Redis cannot be reached a call fails at
 * once; none is kept for later or sent twice.
 */
export class JobConnection {
  /** For BullMQ, which never closes what it was given. */
  readonly client: Redis | Cluster;
  /** Begins the name of every key; has a hash tag, so that all share one slot of a Cluster. */
  readonly prefix: string;
  readonly #nodes: RedisNodes;
  readonly #subscriber: Redis | Cluster;
  readonly #channel: string;
  readonly #deps: JobConnectionDeps;
  readonly #onMessage: (message: string) => void;
  readonly #onSubscribed: () => void;
  readonly #listening = deferred();
  #hasComplained = false;
  #closed = false;

  constructor(
    settings: RedisSettings,
    deps: JobConnectionDeps,
    /** `onSubscribed`: messages come from now on, and calls can be made; messages since the last time are missing. */
    events: { readonly onMessage: (message: string) => void; readonly onSubscribed: () => void },
  ) {
    this.prefix = `{${settings.prefix}jobs}`;
    this.#channel = `${this.base}:events`;
    this.#deps = deps;
    this.#onMessage = events.onMessage;
    this.#onSubscribed = events.onSubscribed;
    this.client = createClient(settings, deps);
    const { clock, log, durable } = deps;
    this.#nodes = new RedisNodes(this.client, settings.minReplicas, {
      ...{ clock, log, durable },
      patienceMs: WRITTEN_WITHIN_MS,
    });
    this.#subscriber = createClient(settings, deps);
    for (const client of [this.client, this.#subscriber]) {
      client.on('error', (error: unknown) => this.#complain(error));
      client.on('close', () => this.#complain(undefined));
    }
    this.client.on('ready', () => this.#onReady());
    this.#subscriber.on('ready', () => void this.#listen());
    this.#subscriber.on('message', (_: string, message: string) => this.#onMessage(message));
  }

  /** What the keys of the scripts are below. No kind of job is called `~`, so BullMQ has none of them. */
  get base(): string {
    return `${this.prefix}:~`;
  }

  get isReady(): boolean {
    return this.client.status === 'ready' && !this.#closed;
  }

  /** Resolves when both are there, or after {@link OPENING_MS}. */
  async open(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#deps.clock.after(OPENING_MS, resolve);
      const opening = Promise.all([
        this.client.connect(),
        this.#subscriber.connect(),
        this.#listening.promise,
      ]);
      opening
        .then(() => {
          timer.cancel();
          return resolve();
        })
        .catch(() => undefined);
    });
  }

  /** Runs a script. Rejects with AppError JOB_QUEUE_UNAVAILABLE. */
  run(script: string, ...args: readonly Argument[]): Promise<unknown> {
    return this.guard(() => this.#call(this.client, script, args));
  }

  /**
   * The same, and resolves only when all that was done here so far outlives the process of Redis, and is at as many replicas
   * as it must be. It may have been done when this rejects.
   */
  runSafely(script: string, ...args: readonly Argument[]): Promise<unknown> {
    return this.guard(async () => {
      const { answer, safe } = await this.#nodes.send(this.base, (client) =>
        this.#call(client, script, args),
      );
      await safe();
      return answer;
    });
  }

  #call(client: Redis | Cluster, script: string, args: readonly Argument[]): Promise<unknown> {
    const scripts = client as unknown as Record<string, (...all: Argument[]) => Promise<unknown>>;
    const call = scripts[script];
    if (call === undefined) throw new RangeError(`no script ${script}`);
    return call.call(client, this.base, ...args);
  }

  /** Runs what uses the connection. Rejects with AppError JOB_QUEUE_UNAVAILABLE, at once when it is not there. */
  async guard<T>(use: () => Promise<T>): Promise<T> {
    if (!this.isReady) throw new AppError('JOB_QUEUE_UNAVAILABLE');
    try {
      return await use();
    } catch (cause) {
      if (cause instanceof AppError || cause instanceof RangeError) throw cause;
      // The library's errors carry the command that failed, with what was in it: only the words are kept.
      const reason = cause instanceof Error ? cause.message : 'unknown';
      // A connection whose other end is gone without a word is found by this only.
      if (reason === TIMED_OUT) this.client.disconnect(true);
      throw new AppError('JOB_QUEUE_UNAVAILABLE', undefined, { cause: new Error(reason) });
    }
  }

  /** Finds out whether the connection that listens still does; makes another when not. */
  async checkListening(): Promise<void> {
    if (this.#subscriber.status !== 'ready') return;
    try {
      await this.#subscriber.ping();
    } catch (error) {
      this.#complain(error);
      if (!this.#closed) this.#subscriber.disconnect(true);
    }
  }

  /** Idempotent. What is under way fails. */
  close(): void {
    this.#closed = true;
    this.#nodes.close();
    this.client.disconnect();
    this.#subscriber.disconnect();
  }

  async #listen(): Promise<void> {
    try {
      await this.#subscriber.subscribe(this.#channel);
      this.#listening.resolve();
      // Who is told of a gap asks for what was missed.
      if (this.isReady) this.#onSubscribed();
      else this.client.once('ready', () => this.#onSubscribed());
    } catch (error) {
      // It is tried again with the next connection.
      this.#complain(error);
      if (!this.#closed) this.#subscriber.disconnect(true);
    }
  }

  #onReady(): void {
    if (this.#hasComplained) this.#deps.log.info({}, 'Redis of the job queue is there again');
    this.#hasComplained = false;
    void this.#nodes.probe();
  }

  /** Once until it is there again. */
  #complain(error: unknown): void {
    if (this.#hasComplained || this.#closed) return;
    this.#hasComplained = true;
    const reason = error instanceof Error ? error.message : undefined;
    this.#deps.log.error({ reason }, 'Redis of the job queue cannot be reached; trying again until it can');
  }
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

function createClient(settings: RedisSettings, deps: JobConnectionDeps): Redis | Cluster {
  const { username, password, tls, db } = settings;
  const options = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
  } satisfies RedisOptions;
  const shared = { lazyConnect: true, enableOfflineQueue: false, scripts: JOB_SCRIPTS };
  const retryDelayMs = (turn: number): number =>
    Math.ceil(Math.min(MAX_RETRY_MS, MIN_RETRY_MS * 2 ** Math.min(turn, 10)) * (0.5 + deps.random() / 2));
  if (settings.isCluster) {
    return new Cluster([...settings.nodes], {
      ...shared,
      // Scripts are also sent to single nodes.
      redisOptions: { ...options, scripts: JOB_SCRIPTS },
      clusterRetryStrategy: retryDelayMs,
    } satisfies ClusterOptions);
  }
  return new Redis({ ...options, ...shared, ...settings.nodes[0], db, retryStrategy: retryDelayMs });
}
