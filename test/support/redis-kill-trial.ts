import { setTimeout as delay } from 'node:timers/promises';
import type { RedisConnection } from '../../src/state/redis-connection.ts';
import { RedisResumeStore } from '../../src/state/redis-resume-store.ts';
import type { ResumeStore } from '../../src/state/resume-store.ts';
import { type Redis, startRedis } from './redis.ts';
import { openRedisClient } from './redis-clients.ts';
import { aReport } from './resume-store-contract.ts';
import { until } from './until.ts';

export interface KillTrialOptions {
  /** Ms of load before Redis is killed. */
  readonly loadMs: number;
  /** Between the connection and the store. */
  readonly wrap?: (redis: RedisConnection) => RedisConnection;
}

export interface KillTrialResult {
  /** Reports that were answered as stored. */
  readonly acknowledged: number;
  /** Writers whose last acknowledged report is not there after the restart. */
  readonly lost: number;
}

const WRITERS = 48;
/** As much of other data keeps the disk busy, and with it the fsync of Redis. */
const BALLAST_BYTES = 48 * 1024 ** 2;

/** Kills a Redis with `appendfsync everysec` under load, in the middle of an fsync, and looks what is there when it is back. */
export async function killTrial({
  loadMs,
  wrap = (same) => same,
}: KillTrialOptions): Promise<KillTrialResult> {
  const server = await startRedis();
  const client = await openRedisClient(server.url);
  const store = new RedisResumeStore({ ...client, redis: wrap(client.redis) });
  try {
    const writers = await Promise.all(Array.from({ length: WRITERS }, (_, i) => Writer.begin(store, i)));
    const working = Promise.all(writers.map((writer) => writer.work()));
    await delay(loadMs);
    await untilFsyncIsSlow(server);
    await server.kill('SIGKILL');
    for (const writer of writers) writer.stop();
    await working;
    await server.restart();
    const lost = await Promise.all(writers.map((writer) => writer.hasLost()));
    return {
      acknowledged: writers.reduce((sum, writer) => sum + writer.acknowledged, 0),
      lost: lost.filter(Boolean).length,
    };
  } finally {
    await client.close();
    await server.stop();
  }
}

/** Makes Redis sync much at once, and waits until it holds back what it has answered; goes on without after a while. */
async function untilFsyncIsSlow(server: Redis): Promise<void> {
  const admin = await openRedisClient(server.url);
  try {
    const ballast = 'x'.repeat(BALLAST_BYTES);
    await admin.redis.call('set', 'ballast', ballast).catch(() => undefined);
    const deadlineMs = performance.now() + 2500;
    while (performance.now() < deadlineMs) {
      const info = await admin.redis.call('info', 'persistence').catch(() => '');
      const [, pending = '0'] = /aof_pending_bio_fsync:(\d+)/.exec(String(info)) ?? [];
      if (pending !== '0') return;
      await delay(1);
    }
  } finally {
    await admin.close();
  }
}

/** One device that reports as fast as it is answered. */
class Writer {
  readonly #store: ResumeStore;
  readonly #key: { readonly viewer: string; readonly profile: string };
  readonly #epoch: number;
  #isWorking = true;
  #seq = 0;
  #lastSeq = 0;

  private constructor(store: ResumeStore, viewer: string, epoch: number) {
    this.#store = store;
    this.#key = { viewer, profile: 'main' };
    this.#epoch = epoch;
  }

  static async begin(store: ResumeStore, i: number): Promise<Writer> {
    const viewer = `viewer-${i}`;
    const { epoch } = await store.claim({ viewer, profile: 'main' }, 'film');
    return new Writer(store, viewer, epoch);
  }

  acknowledged = 0;

  async work(): Promise<void> {
    while (this.#isWorking) {
      this.#seq += 1;
      const report = aReport({ title: 'film', epoch: this.#epoch, seq: this.#seq });
      const outcome = await this.#store.put(this.#key, report, { offline: false }).catch(() => undefined);
      if (outcome?.kind === 'stored') {
        this.#lastSeq = this.#seq;
        this.acknowledged += 1;
      } else {
        await delay(5);
      }
    }
  }

  stop(): void {
    this.#isWorking = false;
  }

  async hasLost(): Promise<boolean> {
    const found = await until(
      () =>
        this.#store.find(this.#key, 'film').then(
          (record) => ({ record }),
          () => undefined,
        ),
      'Redis is back',
    );
    return (found.record?.seq ?? 0) < this.#lastSeq;
  }
}
