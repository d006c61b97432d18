import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { RedisConnection } from '../../src/state/redis-connection.ts';
import type { ResumeStore } from '../../src/state/resume-store.ts';
import { RedisResumeStore } from '../../src/state/redis-resume-store.ts';
import { setup } from '../support/build.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { openRedisClient, takenAtItsWord } from '../support/redis-clients.ts';
import { type DevicesOptions, runDevices } from '../support/resume-devices.ts';
import { checkHistory } from '../support/resume-history.ts';
import { ResumeProcess } from '../support/resume-process.ts';
import { until } from '../support/until.ts';

/** The time of day, so that CI tries others; in the message of a failure. */
const SEED = Number(process.env['RESUME_SEED'] ?? Date.now() % 1_000_000);
const RUN = { seed: SEED, devices: 12, profiles: 3, calls: 150, crashes: 4 } as const;
/** What loses data is found out soon. */
const SHORT_RUN = { ...RUN, calls: 60, crashes: 2 } as const;

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** What the checker has to say of a run. */
async function judge(
  run: Omit<DevicesOptions, 'stores' | 'crash'>,
  options: Pick<DevicesOptions, 'stores' | 'crash'>,
): Promise<string[]> {
  const events = await runDevices({ ...run, ...options });
  const stored = events.filter(({ answer }) => answer.kind === 'put' && answer.outcome.kind === 'stored');
  expect(stored.length, 'enough came through to judge by').toBeGreaterThan(run.calls / 3);
  return checkHistory(events);
}

describe('what devices saw of the embedded store', () => {
  beforeAll(setup);

  async function startTwo(path: string): Promise<ResumeProcess[]> {
    const processes = [new ResumeProcess(path), new ResumeProcess(path)];
    for (const each of processes) {
      cleanups.push(() => each.kill());
      await each.start();
    }
    return processes;
  }

  async function aFolder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'headwater-history-'));
    cleanups.push(() => rm(folder, { recursive: true, force: true }));
    return folder;
  }

  it('holds to its model while its processes are killed, one or both', async () => {
    const processes = await startTwo(join(await aFolder(), 'resume.lmdb'));
    let turn = 0;
    const crash = async (): Promise<void> => {
      turn += 1;
      const victims = turn % 2 === 0 ? processes : processes.slice(0, 1);
      await Promise.all(victims.map((victim) => victim.kill()));
      for (const victim of victims) await victim.start();
    };
    expect(await judge(RUN, { stores: () => processes, crash }), `seed ${SEED}`).toEqual([]);
  });

  it('does not when the file is lost, and that is noticed', async () => {
    const folder = await aFolder();
    const path = join(folder, 'resume.lmdb');
    const processes = await startTwo(path);
    const crash = async (): Promise<void> => {
      await Promise.all(processes.map((each) => each.kill()));
      await rm(path);
      await rm(`${path}-lock`);
      for (const each of processes) await each.start();
    };
    expect(await judge(SHORT_RUN, { stores: () => processes, crash })).not.toEqual([]);
  });
});

describe('what devices saw of the store on Redis', () => {
  async function start(
    args: readonly string[],
    wrap: (redis: RedisConnection) => RedisConnection = (same) => same,
  ): Promise<{ redis: Redis; stores: ResumeStore[] }> {
    const redis = await startRedis({ args });
    cleanups.push(() => redis.stop());
    const stores: ResumeStore[] = [];
    for (let i = 0; i < 2; i++) {
      const client = await openRedisClient(redis.url);
      cleanups.push(() => client.close());
      stores.push(new RedisResumeStore({ ...client, redis: wrap(client.redis) }));
    }
    return { redis, stores };
  }

  /** Redis answers, does not get it into its file, and is killed. */
  async function killBeforeItHasWritten(redis: Redis): Promise<void> {
    await redis.failWrites();
    await until(async () => (await redis.tell('INFO persistence')).includes('write_status:err'), 'a failure');
    await redis.kill('SIGKILL');
    await redis.restart();
  }

  it('holds to its model while Redis is killed and stands still, with an fsync only every second', async () => {
    const { redis, stores } = await start(['--appendfsync', 'everysec']);
    let turn = 0;
    const crash = async (): Promise<void> => {
      turn += 1;
      if (turn % 2 === 0) {
        await redis.kill('SIGSTOP');
        await new Promise((resolve) => setTimeout(resolve, 400));
        await redis.kill('SIGCONT');
      } else {
        await killBeforeItHasWritten(redis);
      }
    };
    expect(await judge(RUN, { stores: () => stores, crash }), `seed ${SEED}`).toEqual([]);
  });

  it('does not when Redis is taken at its word, and that is noticed', async () => {
    const { redis, stores } = await start(['--appendfsync', 'everysec'], takenAtItsWord);
    const crash = (): Promise<void> => killBeforeItHasWritten(redis);
    const run = { ...SHORT_RUN, crashes: 5 };
    expect(await judge(run, { stores: () => stores, crash })).not.toEqual([]);
  });

  it('does not when Redis keeps nothing, and that is noticed', async () => {
    const { redis, stores } = await start(['--appendonly', 'no']);
    const crash = async (): Promise<void> => {
      await redis.kill('SIGKILL');
      await redis.restart();
    };
    expect(await judge(SHORT_RUN, { stores: () => stores, crash })).not.toEqual([]);
  });
});
