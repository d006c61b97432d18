import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collectFaults, launchBrowser, withPage } from '../support/browser.ts';
import { broadcastFiles } from '../support/codec-broadcast.ts';
import { type CodecFile, type CodecFileName, makeCodecFile } from '../support/codec-files.ts';
import { whenListed } from '../support/demo-stream.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import { type PlayerName, readPage, recordFrames, takeFrames } from '../support/watch-page.ts';

/** Long enough for a player to start and play on. */
const SECONDS = 40;
/** Media that must be played, seconds, and pictures that must be shown meanwhile at 30 a second. */
const PLAYED_SECONDS = 6;
const SHOWN_FRAMES = 100;

let folder: string;
let server: TestServer;
let browser: Browser;
/** Made once: two streams may be of the same. */
const files = new Map<CodecFileName, CodecFile>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'codecs-'));
  await Promise.all(
    [...new Set(CASES.flatMap(([, video, audio]) => [video, audio]))].map(async (name) => {
      files.set(name, await makeCodecFile(folder, name, SECONDS));
    }),
  );
  server = await startServer();
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

// Debian's Chromium has no decoder for HEVC, AC-3 and E-AC-3.
const CASES: [stream: string, CodecFileName, CodecFileName, PlayerName][] = [
  ['first', 'av1', 'opus', 'hls'],
  ['second', 'vp9', 'flac', 'dash'],
  ['third', 'av1', 'opus', 'shaka'],
];

describe('a browser', () => {
  it.concurrent.each(CASES)('plays stream %s of %s and %s with %s', async (stream, video, audio, player) => {
    const [pictures, sound] = [files.get(video), files.get(audio)];
    if (!pictures || !sound) throw new Error('not made');
    const broadcast = await broadcastFiles(await server.publishUrl(stream), pictures, sound);
    try {
      await whenListed(server, `${stream}/index`);
      await withPage(browser, async (page) => {
        const faults = collectFaults(page);
        await page.goto(`${server.mediaUrl}/live/${stream}/?player=${player}`);
        const before = await until(
          async () => {
            const reading = await readPage(page);
            return reading.state === 'playing' ? reading : undefined;
          },
          'playing',
          40_000,
        );
        await recordFrames(page);
        await until(
          async () => {
            const reading = await readPage(page);
            return reading.currentTime > before.currentTime + PLAYED_SECONDS;
          },
          'some seconds of media played',
          40_000,
        );
        expect((await takeFrames(page)).length).toBeGreaterThan(SHOWN_FRAMES);
        expect(await heardSomething(page)).toBe(true);
        expect((await readPage(page)).fatalErrors).toBe(0);
        expect(faults.filter((fault) => !fault.includes('favicon'))).toEqual([]);
      });
    } finally {
      await broadcast.close();
    }
  });
});

/** The browser has decoded sound, too: Chromium counts its bytes. */
function heardSomething(page: Page): Promise<boolean> {
  return page.evaluate(() => {
    const video: object = document.querySelector('video') ?? {};
    return 'webkitAudioDecodedByteCount' in video && Number(video.webkitAudioDecodedByteCount) > 0;
  });
}
