import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, withPage } from '../support/browser.ts';
import { whenListed } from '../support/demo-stream.ts';
import { behind, barOf, goBack, pauseFor, whenLong, whenPlayed } from '../support/live-bar.ts';
import { getText } from '../support/live-client.ts';
import { makeClip, type OddTag } from '../support/odd-media.ts';
import { Broadcast } from '../support/odd-media-broadcast.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import { glanceAtPage, PLAYERS, readPage } from '../support/watch-page.ts';

/** A stream whose past is in storage: memory holds only its last seconds. */

const WINDOW_SECONDS = 6;
const DVR_SECONDS = 120;
/** So much must be there before anybody goes back: far more than memory holds. */
const LEAST_SECONDS = 24;
const BACK_SECONDS = 18;

let browser: Browser;
let server: TestServer;
let broadcast: Broadcast;
let clip: OddTag[];
let dataDir: string;
let key: string;
/** When the first server was gone, Unix milliseconds. */
let stoppedMs = 0;

function start(): Promise<TestServer> {
  const set = [`live.windowSeconds=${WINDOW_SECONDS}`, `live.dvrSeconds=${DVR_SECONDS}`];
  return startServer({ set, dataDir });
}

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'headwater-dvr-'));
  [browser, clip] = await Promise.all([launchBrowser(), makeClip({ seconds: 10, size: '320x180' })]);
  server = await start();
  key = (await server.publishUrl('show')).split('/').at(-1) ?? '';
  broadcast = await Broadcast.start(server.ports.rtmp, key, clip);
  await whenListed(server, 'show/index');
});

afterAll(async () => {
  await broadcast?.stop();
  await server?.close();
  await browser?.close();
  await rm(dataDir, { recursive: true, force: true });
});

/** What the picture's playlist lists, oldest first. */
async function listedSegments(): Promise<readonly string[]> {
  const playlist = await getText(`${server.mediaUrl}/live/show/video.m3u8`);
  return playlist.split('\n').filter((line) => /\/\d+\.m4s$/.test(line));
}

async function answerOf(url: string) {
  const answer = await fetch(url);
  const digest = createHash('sha256').update(Buffer.from(await answer.arrayBuffer()));
  return { status: answer.status, etag: answer.headers.get('etag'), sha256: digest.digest('hex') };
}

describe('a stream of which more is kept than memory holds', () => {
  it('has the same bytes under the same URL, and the same ETag, in memory and behind it', async () => {
    const path = await until(async () => (await listedSegments()).at(-1), 'a segment');
    const url = `${server.mediaUrl}/live/show/${path}`;
    const before = await answerOf(url);
    expect(before).toMatchObject({ status: 200, etag: expect.stringMatching(/^"/) });
    await until(
      async () => {
        const listed = await listedSegments();
        return listed.indexOf(path) < listed.length - WINDOW_SECONDS;
      },
      'it to be behind what memory holds',
      60_000,
    );
    expect(await answerOf(url)).toEqual(before);
  });

  it.concurrent.each(PLAYERS)(
    'is watched from behind that, paused for longer than that, and watched live again, with %s',
    async (player) => {
      await withPage(browser, async (page) => {
        await page.goto(`${server.mediaUrl}/live/show/?player=${player}&mode=low`);
        await whenLong(page, LEAST_SECONDS);
        expect(await behind(page)).toBeLessThan(5);

        await goBack(page, BACK_SECONDS);
        await whenPlayed(page, 3, 'three seconds of the past');
        // Nothing draws it to the edge: it keeps its distance, at its own pace.
        expect(await behind(page)).toBeGreaterThan(2 * WINDOW_SECONDS);
        expect((await glanceAtPage(page)).playbackRate).toBe(1);

        expect(await pauseFor(page, WINDOW_SECONDS + 4)).toBeLessThan(4);
        await whenPlayed(page, 3, 'what was in memory when the pause began');
        expect(await behind(page)).toBeGreaterThan(BACK_SECONDS + WINDOW_SECONDS);

        await page.click('#go-live');
        await until(async () => (await behind(page)) < 3, 'live again', 30_000);
        await whenPlayed(page, 2, 'the live edge');
        const { fatalErrors, starts } = await readPage(page);
        expect([fatalErrors, starts]).toEqual([0, 1]);
      });
    },
  );
});

describe('a stream whose server was stopped and started again', () => {
  beforeAll(async () => {
    const numbers = await listedSegments();
    await broadcast.stop();
    await server.close();
    stoppedMs = Date.now();
    server = await start();
    broadcast = await Broadcast.start(server.ports.rtmp, key, clip);
    await whenListed(server, 'show/index');
    // Numbers go on behind those from before, which are all listed still.
    const now = await listedSegments();
    expect(now.slice(0, numbers.length - 1)).toEqual(numbers.slice(0, -1));
  });

  it.concurrent.each(PLAYERS)('is watched from before that, and live, with %s', async (player) => {
    await withPage(browser, async (page) => {
      await page.goto(`${server.mediaUrl}/live/show/?player=${player}&mode=low`);
      await whenLong(page, LEAST_SECONDS);
      const { min, max } = await barOf(page);
      await goBack(page, max - min - 6);
      await whenPlayed(page, 3, 'three seconds from before the stop');
      const { latencyMs } = await readPage(page);
      expect(latencyMs).toBeGreaterThan(0);
      expect(Date.now() - (latencyMs ?? 0)).toBeLessThan(stoppedMs);
      await page.click('#go-live');
      await until(async () => (await behind(page)) < 3, 'live again', 30_000);
      await whenPlayed(page, 2, 'the live edge');
      expect((await glanceAtPage(page)).state).toBe('playing');
      expect((await readPage(page)).fatalErrors).toBe(0);
    });
  });
});
