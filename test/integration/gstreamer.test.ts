import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gstreamerPublish } from '../support/gstreamer.ts';
import {
  aacHashes,
  downloadRendition,
  missingAtEnds,
  payloadHashes,
  sliceHashes,
} from '../support/passed-through.ts';
import { startServer, type TestServer } from '../support/server.ts';

/** GStreamer's own protocol code and encoders against the whole server: what it wrote to a file as well is the model. */

const SECONDS = 7;
const FRAMES = SECONDS * 30;

let server: TestServer;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-gstreamer-'));
  server = await startServer({ set: ['live.graceMs=60000'] });
});

afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

describe.concurrent('GStreamer', () => {
  it.each(['rtmp2sink', 'rtmpsink'])(
    'publishes over RTMP with %s, every byte of both tracks',
    async (sink) => {
      const copyPath = join(folder, `${sink}.flv`);
      const location = await server.publishUrl(sink);
      const { code, stderr } = await gstreamerPublish({
        ...{ seconds: SECONDS, mux: 'flvmux streamable=true', copyPath },
        sink: `${sink} location=${location}`,
      });
      expect(code, stderr).toBe(0);
      const [video, audio] = await Promise.all(
        ['video', 'audio'].map((rendition) => downloadRendition(server.mediaUrl, sink, rendition)),
      );
      const sent = await payloadHashes(copyPath, 'v:0');
      expect(sent).toHaveLength(FRAMES);
      expect(await payloadHashes(video ?? [], 'v:0')).toEqual(sent);
      const ends = missingAtEnds(await aacHashes(audio ?? []), await aacHashes(copyPath));
      expect(ends.head).toBeLessThanOrEqual(HEAD_FRAMES);
      expect(ends.tail).toBe(0);
    },
  );

  it('publishes over encrypted SRT with srtsink, every slice and every frame of sound', async () => {
    await server.app.publishKeys.create('srtsink');
    const passphrase = (await server.app.publishKeys.srtPassphrase('srtsink')) ?? '';
    const copyPath = join(folder, 'srtsink.ts');
    const uri = `srt://127.0.0.1:${server.ports.srt ?? 0}?mode=caller&streamid=publish:srtsink`;
    const { code, stderr } = await gstreamerPublish({
      ...{ seconds: SECONDS, mux: 'mpegtsmux alignment=7', copyPath },
      sink: `srtsink uri=${uri} passphrase=${passphrase} pbkeylen=32 latency=200`,
    });
    expect(code, stderr).toBe(0);
    const [video, audio] = await Promise.all(
      ['video', 'audio'].map((rendition) => downloadRendition(server.mediaUrl, 'srtsink', rendition)),
    );
    const pictures = missingAtEnds(await sliceHashes(video ?? []), await sliceHashes(copyPath));
    expect(pictures.head).toBe(0);
    expect(pictures.tail).toBeLessThanOrEqual(SRT_TAIL_FRAMES);
    const sound = missingAtEnds(await aacHashes(audio ?? []), await aacHashes(copyPath));
    expect(sound.head).toBeLessThanOrEqual(HEAD_FRAMES);
    expect(sound.tail).toBeLessThanOrEqual(SRT_TAIL_FRAMES);
  });
});

/** Sound that was sent before the first picture has no place on the time line; GStreamer starts both as it can. */
const HEAD_FRAMES = 40;
/** What libsrt had not sent when its sender ended is lost with it. */
const SRT_TAIL_FRAMES = 15;
