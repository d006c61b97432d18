import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { openBullmqJobQueue } from '../../src/state/bullmq-job-queue.ts';
import type { JobQueue } from '../../src/state/job-queue.ts';
import { readRedisSettings } from '../../src/state/redis-settings.ts';
import { reachableWork } from '../../src/vod/reachable-work.ts';
import { setup } from '../support/build.ts';
import { listeningPorts, logLines, runCli } from '../support/cli.ts';
import { commandLinesBelow } from '../support/children.ts';
import { ffmpeg, frameHashes } from '../support/ffmpeg.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { end, TitleFarm } from '../support/title-farm.ts';
import { until } from '../support/until.ts';
import { addTitle, whenWhole } from '../support/vod-client.ts';

const FPS = 25;
const SECONDS = 16;
const LADDER = ['vod.ladder=180p:300k,120p:150k', 'vod.segmentMs=2000', 'vod.pieceSeconds=10'];

let folder: string;
let redis: Redis;

beforeAll(async () => {
  setup();
  folder = await mkdtemp(join(tmpdir(), 'headwater-worker-'));
  await ffmpeg([
    ...['-f', 'lavfi', '-i', `testsrc2=s=320x180:r=${FPS}`, '-f', 'lavfi', '-i', 'sine=440:r=48000'],
    ...['-t', String(SECONDS), '-c:v', 'libx264', '-preset', 'ultrafast', '-g', '50', '-pix_fmt', 'yuv420p'],
    ...['-c:a', 'aac', join(folder, 'film.mp4')],
  ]);
  redis = await startRedis();
}, 120_000);

afterAll(async () => {
  await redis?.stop();
  await rm(folder, { recursive: true, force: true });
});

const farms: TitleFarm[] = [];
afterEach(async () => {
  for (const farm of farms.splice(0)) await farm.stop();
});

let count = 0;

/** A farm whose work nobody else sees, and its master. */
async function startFarm(
  workers: number,
  set: readonly string[] = [],
): Promise<{ farm: TitleFarm; path: string }> {
  count += 1;
  const own = join(folder, `farm-${count}`);
  const prefix = `state.redis.prefix=t${count}:`;
  const farm = new TitleFarm({
    folder: own,
    redisUrl: redis.url,
    workers: 0,
    set: [...LADDER, prefix, ...set],
  });
  farms.push(farm);
  await farm.start();
  for (let n = 0; n < workers; n++) await farm.startWorker(n);
  const path = join(farm.masters, 'film.mp4');
  await ffmpeg(['-i', join(folder, 'film.mp4'), '-c', 'copy', path]);
  return { farm, path };
}

async function isWholeTitle(farm: TitleFarm): Promise<void> {
  for (const rung of ['180p', '120p']) {
    const { hashes, stderr } = await frameHashes(`${farm.mediaUrl}/vod/film/${rung}.m3u8`, '0:v');
    expect([rung, hashes.length, stderr]).toEqual([rung, FPS * SECONDS, '']);
  }
}

const encodes = (pid: number | undefined): boolean =>
  commandLinesBelow(pid ?? 0).some((line) => line.includes('ffmpeg'));

describe('a server that does no work itself, with workers', () => {
  it('gives back what it works on when it is stopped, and ends well', { timeout: 120_000 }, async () => {
    const { farm, path } = await startFarm(1, ['vod.effort=high']);
    const worker = farm.worker(0);
    const { metrics } = await listeningPorts(worker);
    const health = await fetch(`http://127.0.0.1:${metrics}/healthz`);
    expect([health.status, await health.json()]).toEqual([
      200,
      { server: 'headwater', role: 'worker', status: 'ok' },
    ]);
    const job = await addTitle(farm.control, { title: 'film', path });
    await until(() => encodes(worker.child.pid), 'it encodes');
    const numbers = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
    expect(numbers).toMatch(/^headwater_vod_\w+/m);
    expect(await end(worker, 'SIGTERM')).toBe(0);
    const { json } = await farm.control('GET', `/v1/jobs/${job.id}`);
    expect(json).toMatchObject({ state: 'running', error: null });
    // At once: had it been lost instead of given back, it would be taken for lost half a minute later.
    await farm.startWorker(1);
    await until(() => encodes(farm.worker(1).child.pid), 'the next one has its work', 8000);
    await whenWhole(farm.control, job.id, 'film', 90_000);
    await isWholeTitle(farm);
  });

  it('says that a master is gone when nobody can read it any more', { timeout: 120_000 }, async () => {
    const { farm, path } = await startFarm(1);
    const worker = farm.worker(0);
    // The server has looked at the master; before the worker does, it goes away.
    worker.child.kill('SIGSTOP');
    const job = await addTitle(farm.control, { title: 'film', path });
    await rm(path);
    worker.child.kill('SIGCONT');
    const error = await until(async () => {
      const { json } = await farm.control('GET', `/v1/jobs/${job.id}`);
      return json['error'];
    }, 'the title has failed');
    expect(error).toMatchObject({ code: 'VOD_MASTER_MISSING' });
    const complaints = () => logLines(worker.stdout).filter(({ code }) => code === 'VOD_MASTER_UNREACHABLE');
    expect(complaints()).toHaveLength(1);
    // The title is not being made any more: nothing keeps the worker from others.
    await copyFile(join(folder, 'film.mp4'), path);
    const next = await addTitle(farm.control, { title: 'next', path });
    await whenWhole(farm.control, next.id, 'next', 90_000);
  });
});

describe('a job of a title whose master some workers cannot read', () => {
  it('is done by one that can, as often as it takes, and says meanwhile what is wrong', async () => {
    const { nodes, ...rest } = await readRedisSettings({
      ...{ url: redis.url, isCluster: false, username: '', passwordPath: '', password: '', caPath: '' },
      prefix: 'reach:',
    });
    const open = (processId: string) =>
      openBullmqJobQueue(
        { nodes, ...rest },
        {},
        {
          ...{ clock: systemClock, log: createMemoryLog(), metrics: new Metrics(), random: Math.random },
          processId,
        },
      );
    const [blind, seeing] = [await open('blind'), await open('seeing')];
    const log = createMemoryLog();
    try {
      const handled: string[] = [];
      const work = (queue: JobQueue, name: string, canRead: boolean) =>
        reachableWork(queue, {
          ...{ clock: systemClock, log, metrics: new Metrics() },
          canRead: async () => canRead,
        }).work({ kinds: ['piece'], concurrency: 2 }, async ({ id, attempt }) => {
          handled.push(`${name} ${id}`);
          return attempt;
        });
      work(blind, 'blind', false);
      const jobs = Array.from({ length: 3 }, (_, n) => ({
        id: `j${n}`,
        kind: 'piece',
        data: { kind: 'piece' },
      }));
      // One attempt: had the blind one's counted, the flow would fail.
      await blind.add({ id: 'flow', data: { masterPath: '/film' }, priority: 1, attempts: 1, jobs });
      await until(async () => (await blind.flow('flow'))?.jobs.some(({ error }) => error), 'it says so');
      expect((await blind.flow('flow'))?.jobs[0]).toMatchObject({
        state: 'waiting',
        error: { code: 'VOD_MASTER_UNREACHABLE' },
      });
      work(seeing, 'seeing', true);
      await until(async () => (await seeing.flow('flow'))?.state === 'done', 'all is done');
      expect(handled.toSorted()).toEqual(['seeing j0', 'seeing j1', 'seeing j2']);
      expect((await seeing.flow('flow'))?.jobs.every(({ error }) => error === undefined)).toBe(true);
      expect(log.lines.filter(({ fields }) => fields['code'] === 'VOD_MASTER_UNREACHABLE')).toHaveLength(1);
    } finally {
      await blind.close();
      await seeing.close();
    }
  });
});

describe('the worker command', () => {
  it.each([
    ['no Redis', [], /--join is missing/],
    ['no number of slots', ['--join', 'redis://127.0.0.1:1', '--slots', 'many'], /--slots takes a number/],
    ['a storage of its own', ['--join', 'redis://127.0.0.1:1'], /storage\.path: .*storage of its servers/],
  ])('refuses %s as wrong usage', async (_what, args, words) => {
    const { code, stderr } = await runCli(['worker', ...args], { cwd: folder });
    expect([code, stderr.trim()]).toEqual([2, expect.stringMatching(words) as string]);
  });

  it('shows no password that was put into the URL', async () => {
    const secret = 'hunter2-hunter2';
    const args = [
      'worker',
      '--join',
      `redis://user:${secret}@127.0.0.1:1`,
      '--set',
      `storage.path=${folder}/x`,
    ];
    const { code, stdout, stderr } = await runCli([...args, '--set', 'metrics.port=0'], { cwd: folder });
    expect([code, stderr.trim()]).toEqual([1, expect.stringContaining('user or password in it') as string]);
    expect(stdout + stderr).not.toContain(secret);
  });
});
