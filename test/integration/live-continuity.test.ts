import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { sourceArgs } from '../support/ffmpeg.ts';
import { get, getText, listMedia, sha256, statusOf, type ListedMedia } from '../support/live-client.ts';
import { startServer, type TestServer, type TestServerOptions } from '../support/server.ts';
import { until } from '../support/until.ts';

const cleanUp: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step();
});

async function serve(options: TestServerOptions = {}): Promise<TestServer> {
  const server = await startServer(options);
  cleanUp.push(() => server.close());
  return server;
}

/** A broadcaster that goes on until it is stopped. */
function broadcast(url: string): ChildProcess {
  const args = [
    '-hide_banner',
    '-loglevel',
    'error',
    '-nostdin',
    '-re',
    ...sourceArgs({ seconds: 600, gop: 30 }),
  ];
  const child = spawn('ffmpeg', [...args, '-tune', 'zerolatency', '-f', 'flv', url], { stdio: 'ignore' });
  cleanUp.push(() => stop(child));
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'close');
}

async function playlist(server: TestServer, stream: string, rendition = 'video'): Promise<ListedMedia> {
  return listMedia(await getText(`${server.mediaUrl}/live/${stream}/${rendition}.m3u8`));
}

async function whenPlayable(server: TestServer, stream: string): Promise<ListedMedia> {
  await until(
    async () => (await statusOf(`${server.mediaUrl}/live/${stream}/index.m3u8`)) === 200,
    `${stream} playable`,
  );
  return playlist(server, stream);
}

describe('a publisher that goes away', () => {
  it('goes on in the same playlist when it returns within the grace time', async () => {
    const server = await serve();
    const url = await server.publishUrl('show');
    const first = broadcast(url);
    const before = await whenPlayable(server, 'show');
    const base = `${server.mediaUrl}/live/show/`;
    const [oldest = ''] = before.segments;
    const hash = sha256(await get(base + oldest));
    await stop(first);

    await until(async () => (await playlist(server, 'show')).gaps > 0, 'a gap segment while away');
    expect((await playlist(server, 'show')).ended).toBe(false);

    broadcast(url);
    const after = await until(async () => {
      const now = await playlist(server, 'show');
      return now.discontinuities > 0 && now.segments.length > before.segments.length + 2 ? now : undefined;
    }, 'media after the return');
    expect(after.discontinuities).toBe(1);
    expect(after.ended).toBe(false);
    expect(after.mediaSequence).toBe(before.mediaSequence);
    expect(after.segments.slice(0, before.segments.length)).toEqual(before.segments);
    expect(sha256(await get(base + oldest))).toBe(hash);
    const audio = await playlist(server, 'show', 'audio');
    expect(audio.mediaSequence).toBe(after.mediaSequence);
    expect(audio.discontinuities).toBe(1);
    const mpd = await getText(`${base}index.mpd`);
    expect(mpd.match(/<Period /g)).toHaveLength(2);
  });

  it('ends the stream after the grace time, and numbers go on at the next publish', async () => {
    const server = await serve({ set: ['live.graceMs=500'] });
    const url = await server.publishUrl('show');
    const first = broadcast(url);
    const before = await whenPlayable(server, 'show');
    await stop(first);
    const ended = await until(async () => {
      const now = await playlist(server, 'show');
      return now.ended ? now : undefined;
    }, 'ENDLIST');

    broadcast(url);
    const again = await until(async () => {
      const now = await playlist(server, 'show').catch(() => undefined);
      return now && !now.ended ? now : undefined;
    }, 'playable again');
    expect(again.mediaSequence).toBeGreaterThan(before.mediaSequence + ended.segments.length - 1);
    expect(again.segments[0]).not.toBe(before.segments[0]);
  });

  it('finds its numbers again after a restart of the server', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'headwater-restart-'));
    cleanUp.push(() => rm(dataDir, { recursive: true, force: true }));
    const first = await serve({ dataDir });
    const url = await first.publishUrl('show');
    const publisher = broadcast(url);
    const before = await whenPlayable(first, 'show');
    const text = await getText(`${first.mediaUrl}/live/show/video.m3u8`);
    await first.close();
    await stop(publisher);
    expect(text).not.toContain('ENDLIST');

    const second = await serve({ dataDir });
    const port = /:(\d+)\//.exec((await second.publishUrl('other')).slice('rtmp://'.length))?.[1] ?? '';
    broadcast(url.replace(/:\d+\//, `:${port}/`));
    const after = await whenPlayable(second, 'show');
    expect(after.mediaSequence).toBeGreaterThanOrEqual(before.mediaSequence + before.segments.length);
    const restarted = await getText(`${second.mediaUrl}/live/show/video.m3u8`);
    expect(Number(/DISCONTINUITY-SEQUENCE:(\d+)/.exec(restarted)?.[1])).toBeGreaterThan(0);
  });
});

describe('one segment', () => {
  it('is the same bytes as parts, as HLS segment, as DASH body in progress and afterwards', async () => {
    const server = await serve();
    broadcast(await server.publishUrl('show'));
    const { segments, mediaSequence } = await whenPlayable(server, 'show');
    const [newest = ''] = segments.slice(-1);
    const number = mediaSequence + segments.length;
    const uri = newest.replace(/\d+\.m4s$/, `${number}.m4s`);
    const base = '/live/show/';
    // The open segment, joined at once on one listener and, two parts later, on the other.
    const growing = get(server.mediaUrl + base + uri);
    await getText(`${server.mediaUrl}${base}video.m3u8?_HLS_msn=${number}&_HLS_part=1`);
    const joined = get(server.controlUrl + base + uri);
    const [first, second] = [await growing, await joined];
    const listed = listMedia(await getText(`${server.mediaUrl}${base}video.m3u8?_HLS_msn=${number}`));
    const parts = await Promise.all(
      (listed.parts.get(number) ?? []).map((part) => get(server.mediaUrl + base + part)),
    );
    expect(parts.length).toBeGreaterThan(2);
    const hashes = [
      sha256(first),
      sha256(second),
      sha256(...parts),
      sha256(await get(server.mediaUrl + base + uri)),
    ];
    expect(new Set(hashes).size).toBe(1);
  });
});

describe('the publish key', () => {
  it('is in no answer, no metric, no log line and no file', async () => {
    const server = await serve();
    const url = await server.publishUrl('show');
    const key = url.slice(url.lastIndexOf('/') + 1);
    const refused = `${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`;
    await once(broadcast(url.replace(key, refused)), 'close');
    broadcast(url);
    await whenPlayable(server, 'show');

    const media = ['', 'index.m3u8', 'video.m3u8', 'audio.m3u8', 'index.mpd'];
    const told = await Promise.all([
      ...media.map((path) => getText(`${server.mediaUrl}/live/show/${path}`)),
      getText(`${server.mediaUrl}/`),
      getText(`${server.mediaUrl}/live/streams.json`),
      getText(`${server.metricsUrl}/metrics`),
      getText(`${server.controlUrl}/readyz`),
    ]);
    const files = await readdir(server.dataDir, { recursive: true, withFileTypes: true });
    const stored = await Promise.all(
      files
        .filter((file) => file.isFile())
        .map((file) => readFile(join(file.parentPath, file.name), 'latin1')),
    );
    const everything = [...told, ...stored, JSON.stringify(server.log)].join('\n');
    expect(everything).toContain('show');
    expect(everything).not.toContain(key);
    expect(everything).not.toContain(refused);
  });
});
