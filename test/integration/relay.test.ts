import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { callControl } from '../support/control-client.ts';
import { ffmpeg, sourceArgs } from '../support/ffmpeg.ts';
import { getText, listMedia } from '../support/live-client.ts';
import { NodeMediaServer } from '../support/node-media-server.ts';
import { downloadRendition, payloadHashes } from '../support/passed-through.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';

/** Another server between the encoder and ours, as people have who send one programme to several places. */

let server: TestServer;
let relay: NodeMediaServer;
let folder: string;
const closers: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-relay-'));
  server = await startServer();
  relay = await NodeMediaServer.start();
});

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  await relay?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Pushes a file again and again, in its own time. */
function publish(file: string, url: string): ChildProcess {
  const loop = ['-v', 'error', '-re', '-stream_loop', '-1', '-i', file, '-c', 'copy', '-f', 'flv', url];
  const child = spawn('ffmpeg', loop, { stdio: 'ignore' });
  const ended = once(child, 'close');
  closers.push(() => {
    child.kill('SIGKILL');
    return ended;
  });
  return child;
}

async function segments(): Promise<number> {
  const text = await getText(`${server.mediaUrl}/live/show/video.m3u8`).catch(() => '');
  return listMedia(text).segments.length;
}

describe("node-media-server's relay", () => {
  it('pushes a stream to us, every byte of both tracks, and comes back when it was cut', async () => {
    const file = join(folder, 'source.mp4');
    await ffmpeg([...sourceArgs({ seconds: 60, bFrames: 2, gop: 30 }), file]);
    publish(file, relay.publishUrl('camera'));
    await until(() => relay.has('camera'), 'the stream at the relay');
    await relay.push('camera', await server.publishUrl('show'));
    await until(async () => (await segments()) >= 2, 'two segments');
    await expectPassedThrough(file);

    await callControl(server, 'DELETE', '/v1/streams/show/publisher');
    const before = await segments();
    await until(async () => (await segments()) >= before + 2, 'media after the cut');
    await expectPassedThrough(file);
  });

  /** What is there is one run of the file's packets, or one before and one after the cut. */
  async function expectPassedThrough(file: string): Promise<void> {
    for (const [rendition, track] of [
      ['video', 'v:0'],
      ['audio', 'a:0'],
    ] as const) {
      const sent = await payloadHashes(file, track);
      const places = (
        await payloadHashes(await downloadRendition(server.mediaUrl, 'show', rendition), track)
      ).map((hash) => sent.indexOf(hash));
      expect(places.length).toBeGreaterThan(50);
      expect(Math.min(...places)).toBeGreaterThanOrEqual(0);
      const jumps = places.filter((place, i) => i > 0 && place !== (places[i - 1] ?? 0) + 1);
      expect(jumps.length).toBeLessThanOrEqual(1);
    }
  }
});
