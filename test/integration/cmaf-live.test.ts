import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ffmpeg, frameHashes, sourceArgs } from '../support/ffmpeg.ts';
import { get, getText, listMedia } from '../support/live-client.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';

let server: TestServer;
let folder: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-cmaf-'));
  server = await startServer({ set: ['live.graceMs=60000'] });
});

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Where an encoder that has the key as userinfo in its URL pushes. */
function target(stream: string, key: string, file: string): string {
  return `${server.controlUrl.replace('://', `://publisher:${key}@`)}/ingest/${stream}/${file}`;
}

async function download(stream: string, rendition: string): Promise<Buffer[]> {
  const base = `${server.mediaUrl}/live/${stream}/`;
  const listed = listMedia(await getText(`${base}${rendition}.m3u8`));
  return Promise.all([...listed.maps, ...listed.segments].map((uri) => get(base + uri)));
}

describe('CMAF ingest of the whole server', () => {
  it.each([
    ['one body', 'all', ['-f', 'mp4', '-movflags', 'cmaf+frag_every_frame'], 'all.mp4'],
    [
      'the DASH muxer',
      'dash',
      ['-f', 'dash', '-seg_duration', '1', '-ldash', '1', '-streaming', '1'],
      'live.mpd',
    ],
  ])('gives viewers every frame of %s', async (_what, stream, muxer, name) => {
    const file = join(folder, `${stream}.mp4`);
    await ffmpeg([...sourceArgs({ seconds: 7, rate: '30', gop: 30 }), file]);
    const key = await server.app.publishKeys.create(stream);
    await ffmpeg(['-re', '-i', file, '-c', 'copy', ...muxer, '-method', 'PUT', target(stream, key, name)]);
    const sent = await frameHashes(file, '0:v');
    // The last segment is complete when the publisher has left or the next would begin.
    const whole = Math.floor(sent.hashes.length / 60) * 60;
    const shown = await until(async () => {
      const { hashes } = await frameHashes(await download(stream, 'video'), '0:v');
      return hashes.length >= whole ? hashes : undefined;
    }, 'all whole segments');
    expect(shown).toEqual(sent.hashes.slice(0, shown.length));
    const sound = await frameHashes(await download(stream, 'audio'), '0:a');
    expect(sound.hashes.length).toBeGreaterThan(200);
    expect(sound.stderr).toBe('');
    expect(JSON.stringify(server.log)).not.toContain(key);
  });

  it('cuts the publisher when its key is replaced', async () => {
    const key = await server.app.publishKeys.create('rotated');
    const args = ['-re', ...sourceArgs({ seconds: 60, rate: '30', gop: 30 })];
    const mux = ['-f', 'mp4', '-movflags', 'cmaf+frag_every_frame', '-method', 'PUT'];
    const child = spawn(
      'ffmpeg',
      ['-loglevel', 'error', ...args, ...mux, target('rotated', key, 'all.mp4')],
      {
        stdio: 'ignore',
      },
    );
    children.push(child);
    const sessions = (message: string): number =>
      server.log.filter((line) => line.message === message && line.fields['stream'] === 'rotated').length;
    await until(async () => {
      const metrics = await getText(`${server.metricsUrl}/metrics`);
      return /headwater_ingest_cmaf_sessions 1/.test(metrics) && sessions('CMAF session started') === 1;
    }, 'the session');
    await until(
      () =>
        server.log.some(({ message, fields }) => /publish/i.test(message) && fields['stream'] === 'rotated'),
      'the publisher',
    );
    await server.app.publishKeys.rotate('rotated');
    await until(() => sessions('CMAF session ended') === 1, 'the end', 6000);
    await until(() => child.exitCode !== null, 'the encoder to notice', 5000);
    expect(child.exitCode).not.toBe(0);
  });
});
