import { copyFile, mkdtemp, readdir, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { setup } from '../support/build.ts';
import { ffmpeg } from '../support/ffmpeg.ts';
import { seededRandom } from '../support/impair-plan.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { TitleFarm } from '../support/title-farm.ts';
import { comparable, TitleWatcher } from '../support/title-watcher.ts';
import { until } from '../support/until.ts';
import { addTitle, whenWhole } from '../support/vod-client.ts';

/** How often each is killed: workers, the server, Redis. */
const KILLS = Number(process.env['HEADWATER_TEST_KILLS'] ?? 4);
/** The time of day, so that every run tries others; in the message of a failure. */
const SEED = Number(process.env['HEADWATER_TEST_SEED'] ?? Date.now() % 1_000_000);
/** Of each kind while one title is made: a piece that is hit four times is taken for the cause. */
const KILLS_A_TITLE = 2;
const SECONDS = 30;
const WORKERS = 2;
/** Between two kills at most. Encoding all of it takes some seconds. */
const MOST_PAUSE_MS = 1500;
const WHOLE_WITHIN_MS = 150_000;

const KINDS = ['worker', 'server', 'redis'] as const;
type Kind = (typeof KINDS)[number];

let folder: string;
let redis: Redis;
let farm: TitleFarm;

beforeAll(async () => {
  setup();
  folder = await mkdtemp(join(tmpdir(), 'headwater-kills-'));
  await ffmpeg([
    ...['-f', 'lavfi', '-i', 'testsrc2=s=320x180:r=25', '-f', 'lavfi', '-i', 'sine=440:r=48000'],
    ...['-t', String(SECONDS), '-c:v', 'libx264', '-preset', 'ultrafast', '-g', '50', '-pix_fmt', 'yuv420p'],
    ...['-c:a', 'aac', join(folder, 'film.mp4')],
  ]);
  redis = await startRedis();
}, 120_000);

afterAll(async () => {
  await redis?.stop();
  await rm(folder, { recursive: true, force: true });
});

afterEach(() => farm.stop());

let farms = 0;

async function startFarm(): Promise<void> {
  farms += 1;
  farm = new TitleFarm({
    folder: join(folder, `farm-${farms}`),
    redisUrl: redis.url,
    workers: WORKERS,
    isRepeatable: true,
    set: [
      ...['vod.ladder=180p:300k,120p:150k,90p:100k', 'vod.effort=medium', 'vod.segmentMs=2000'],
      ...['vod.pieceSeconds=10', 'vod.thumbnails=false', `state.redis.prefix=kills${farms}:`],
    ],
  });
  await farm.start();
  await copyFile(join(folder, 'film.mp4'), join(farm.masters, 'film.mp4'));
}

function watcherOf(title: string): TitleWatcher {
  return new TitleWatcher(() => `${farm.mediaUrl}/vod/${title}/`);
}

/** Makes a title while `trouble` goes on; what its watcher has to say. */
async function make(
  title: string,
  trouble: (watcher: TitleWatcher) => Promise<void> = async () => undefined,
) {
  const watcher = watcherOf(title);
  watcher.start();
  const job = await addTitle(farm.control, { title, path: join(farm.masters, 'film.mp4') });
  await Promise.all([trouble(watcher), whenWhole(farm.control, job.id, title, WHOLE_WITHIN_MS)]);
  const sums = comparable(await watcher.finish());
  return { sums, faults: watcher.faults, seenGrowing: watcher.seenGrowing };
}

async function kill(kind: Kind, random: () => number): Promise<void> {
  switch (kind) {
    case 'worker':
      return farm.replaceWorker(Math.floor(random() * WORKERS));
    case 'server':
      return farm.replaceServer();
    case 'redis':
      await redis.kill('SIGKILL');
      return redis.restart();
  }
}

/** So many of each kind, in an order and at times that follow from the seed. */
async function killAll(times: number, random: () => number): Promise<void> {
  const order = KINDS.flatMap((kind) => Array.from({ length: times }, () => kind))
    .map((kind) => ({ kind, rank: random() }))
    .toSorted((one, other) => one.rank - other.rank);
  for (const { kind } of order) {
    await new Promise((resolve) => setTimeout(resolve, random() * MOST_PAUSE_MS));
    await kill(kind, random);
  }
}

it('a title comes out the same however often workers, the server and Redis are killed', {
  timeout: 120_000 + (KILLS / KILLS_A_TITLE) * WHOLE_WITHIN_MS,
}, async () => {
  await startFarm();
  const random = seededRandom(SEED);
  const undisturbed = await make('undisturbed');
  expect(undisturbed.faults).toEqual([]);
  expect(Object.keys(undisturbed.sums).sort()).toEqual(['120p', '180p', '90p', 'audio-und']);
  expect(undisturbed.sums['180p']).toHaveLength(SECONDS / 2);
  expect(undisturbed.seenGrowing).toBeGreaterThan(0);
  for (let left = KILLS, n = 1; left > 0; left -= KILLS_A_TITLE, n++) {
    const disturbed = await make(`film-${n}`, async (watcher) => {
      // Every other title is left alone until part of it can be watched; of the rest all may come at once, at the end.
      if (n % 2 === 1) await until(() => watcher.seenGrowing > 0, 'it grows');
      await killAll(Math.min(left, KILLS_A_TITLE), random);
    });
    expect(disturbed.faults, `seed ${SEED}, title ${n}`).toEqual([]);
    expect(disturbed.sums, `seed ${SEED}, title ${n}`).toEqual(undisturbed.sums);
  }
});

it('half a segment in the store, and one of another time, are noticed by who watches', {
  timeout: 120_000,
}, async () => {
  await startFarm();
  const watcher = watcherOf('film');
  const job = await addTitle(farm.control, { title: 'film', path: join(farm.masters, 'film.mp4') });
  await whenWhole(farm.control, job.id, 'film');
  await watcher.look();
  expect(watcher.faults).toEqual([]);
  const rendition = join(farm.media, 'titles', 'film', '180p');
  const [period = ''] = await readdir(rendition);
  const segment = (number: number): string => join(rendition, period, `${number}.m4s`);
  await copyFile(segment(2), segment(3));
  await truncate(segment(5), 1000);
  // What the server holds in memory is as it was.
  await farm.replaceServer();
  await until(() => watcher.look(), 'it is looked at again');
  const told = watcher.faults.join('\n');
  expect(told).toMatch(/3\.m4s is not what it was/);
  expect(told).toMatch(/5\.m4s/);
});
