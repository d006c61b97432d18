import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ffmpeg, frameHashes } from '../support/ffmpeg.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import { addTitle, controlOf, whenWhole } from '../support/vod-client.ts';

const FPS = 25;
const SECONDS = 30;

let folder: string;
let redis: Redis;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-vod-shared-'));
  await ffmpeg([
    ...['-f', 'lavfi', '-i', `testsrc2=s=426x240:r=${FPS}`, '-f', 'lavfi', '-i', 'sine=440:r=48000'],
    ...['-t', String(SECONDS), '-c:v', 'libx264', '-preset', 'ultrafast', '-g', '50'],
    ...['-c:a', 'aac', join(folder, 'film.mp4')],
  ]);
  redis = await startRedis();
}, 60_000);

afterAll(async () => {
  await redis?.stop();
  await rm(folder, { recursive: true, force: true });
});

function start(name: string): Promise<TestServer> {
  return startServer({
    dataDir: join(folder, name),
    set: [
      ...['vod.ladder=240p:300k', 'vod.effort=low', 'vod.segmentMs=2000', `vod.roots=${folder}`],
      ...['state.driver=redis', `state.redis.url=${redis.url}`, 'vod.queue=redis', 'vod.slots=1'],
      ...[`storage.path=${join(folder, 'media')}`, `vod.uploadsPath=${join(folder, 'uploads')}`],
    ],
  });
}

it('two servers make a title together, and one goes on alone when the other is gone', {
  timeout: 180_000,
}, async () => {
  const first = await start('first');
  // Whoever shares viewers has the same secrets.
  await cp(join(first.dataDir, 'secrets'), join(folder, 'second', 'secrets'), { recursive: true });
  const second = await start('second');
  const open = [first, second];
  try {
    const control = await controlOf(first);
    const job = await addTitle(control, { title: 'film', path: join(folder, 'film.mp4') });
    const other = await controlOf(second);
    await until(
      async () => (await other('GET', '/v1/assets/film')).status === 200,
      'the other server has its beginning, too',
      90_000,
    );
    open.shift();
    await first.close();
    await whenWhole(other, job.id, 'film', 120_000);
    const { hashes, stderr } = await frameHashes(`${second.mediaUrl}/vod/film/240p.m3u8`, '0:v');
    expect([hashes.length, stderr]).toEqual([FPS * SECONDS, '']);
  } finally {
    for (const server of open) await server.close();
  }
});
