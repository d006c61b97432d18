import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { HttpClient } from '../../src/validate/http-client.ts';
import { validatePresentation } from '../../src/validate/validator.ts';
import { run, sourceArgs } from '../support/ffmpeg.ts';
import { get, getText, listMedia, sha256, statusOf } from '../support/live-client.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import { controlOf } from '../support/vod-client.ts';

const SETTINGS = [
  'live.windowSeconds=6',
  'live.dvrSeconds=300',
  'live.segmentMs=1000',
  'live.graceMs=1000',
  'live.record=true',
];
/** What memory keeps of it, twice over: it is in storage alone by then. */
const SEGMENTS_BEHIND = 20;

let dataDir: string;
let server: TestServer;
let broadcaster: ChildProcess | undefined;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'headwater-dvr-'));
});

afterAll(async () => {
  await leaveAir();
  await server?.close();
  await rm(dataDir, { recursive: true, force: true });
});

async function leaveAir(): Promise<void> {
  const child = broadcaster;
  broadcaster = undefined;
  if (!child || child.exitCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'close');
}

async function goOnAir(url: string): Promise<void> {
  const source = sourceArgs({ seconds: 600, gop: 30 });
  const args = ['-v', 'error', '-nostdin', '-re', ...source, '-tune', 'zerolatency', '-f', 'flv', url];
  broadcaster = spawn('ffmpeg', args, { stdio: 'ignore' });
  await until(async () => (await statusOf(`${folder()}index.m3u8`)) === 200, 'the stream');
}

function folder(): string {
  return `${server.mediaUrl}/live/show/`;
}

async function listed(): Promise<readonly string[]> {
  return listMedia(await getText(`${folder()}video.m3u8`)).segments;
}

async function errorsOf(url: string): Promise<readonly string[]> {
  const fetcher = new HttpClient(systemClock);
  try {
    const deps = { fetcher, clock: systemClock, signal: new AbortController().signal };
    const report = await validatePresentation({ url, seconds: 4 }, deps);
    // That media are late, or early, says more of a busy machine than of the list.
    return report.findings
      .filter(({ severity }) => severity === 'error')
      .map(({ rule, message }) => `${rule}: ${message}`);
  } finally {
    fetcher.close();
  }
}

describe('a stream that is kept behind its window', () => {
  const hashes = new Map<string, string>();
  let path = '';

  it('is listed and served as before when it has left the memory', async () => {
    server = await startServer({ dataDir, set: SETTINGS });
    const url = new URL(await server.publishUrl('show'));
    path = url.pathname;
    await goOnAir(url.href);
    const early = await until(async () => {
      const segments = await listed();
      return segments.length >= 3 ? segments : undefined;
    }, 'some segments');
    for (const each of early) hashes.set(each, sha256(await get(folder() + each)));
    await until(async () => (await listed()).length > early.length + SEGMENTS_BEHIND, 'a long list', 60_000);
    expect((await listed()).slice(0, early.length)).toEqual(early);
    for (const [each, hash] of hashes) expect(sha256(await get(folder() + each))).toBe(hash);
    const metrics = await getText(`${server.metricsUrl}/metrics`);
    expect(metrics).toMatch(/headwater_archive_\w+/);
  }, 120_000);

  it('goes on behind it after the server was stopped, and keeps to the specifications', async () => {
    await leaveAir();
    await server.close();
    server = await startServer({ dataDir, set: SETTINGS });
    await goOnAir(`rtmp://127.0.0.1:${server.ports.rtmp}${path}`);
    const segments = await listed();
    expect(segments).toEqual(expect.arrayContaining([...hashes.keys()]));
    for (const [each, hash] of hashes) expect(sha256(await get(folder() + each))).toBe(hash);
    const playlist = await getText(`${folder()}video.m3u8`);
    expect(playlist.match(/#EXT-X-DISCONTINUITY\n/g)).toHaveLength(1);
    expect(await Promise.all([errorsOf(`${folder()}index.m3u8`), errorsOf(`${folder()}index.mpd`)])).toEqual([
      [],
      [],
    ]);
  }, 120_000);

  it('becomes a title by command while it goes on, and by itself when it ends', async () => {
    const control = await controlOf(server);
    const { status, json } = await control('POST', '/v1/streams/show/recordings', { id: 'so-far' });
    expect([status, json['id']]).toEqual([201, 'so-far']);
    expect(json['durationMs']).toBeGreaterThan(SEGMENTS_BEHIND * 1000);
    await leaveAir();
    const title = await until(
      async () => {
        const { titles } = JSON.parse(await getText(`${server.mediaUrl}/vod/titles.json`)) as {
          titles: readonly { id: string }[];
        };
        return titles.find(({ id }) => id.startsWith('show-'))?.id;
      },
      'the broadcast as a title',
      60_000,
    );
    for (const id of ['so-far', title]) {
      const base = `${server.mediaUrl}/vod/${id}/`;
      expect(await Promise.all([errorsOf(`${base}index.m3u8`), errorsOf(`${base}index.mpd`)])).toEqual([
        [],
        [],
      ]);
      const { stdout } = await run('ffprobe', [
        ...['-v', 'error', '-select_streams', 'v', '-count_packets'],
        ...['-show_entries', 'stream=nb_read_packets', '-of', 'csv=p=0', `${base}index.m3u8`],
      ]);
      expect(Number.parseInt(stdout.toString('utf8'), 10)).toBeGreaterThan(SEGMENTS_BEHIND * 30);
    }
  }, 120_000);

  it('is deleted in its time when nothing is to be kept any more', async () => {
    await server.close();
    const off = ['live.dvrSeconds=0', 'live.record=false'];
    server = await startServer({ dataDir, set: [...SETTINGS, ...off] });
    const stored = join(dataDir, 'media', 'live');
    const kept = async (): Promise<readonly string[]> => {
      const names = await readdir(stored, { recursive: true }).catch(() => []);
      return names.filter((name) => name.endsWith('.m4s'));
    };
    await until(async () => (await kept()).length === 0, 'no live segment in the store', 90_000);
    // What became of it stays.
    expect(await statusOf(`${server.mediaUrl}/vod/so-far/index.m3u8`)).toBe(200);
  }, 120_000);
});
