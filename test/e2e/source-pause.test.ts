import process from 'node:process';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { forEachOf, launchBrowser, withPages } from '../support/browser.ts';
import { getText } from '../support/live-client.ts';
import { whenListed } from '../support/demo-stream.ts';
import { makeClip, type OddTag } from '../support/odd-media.ts';
import { Broadcast } from '../support/odd-media-broadcast.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import {
  PLAYERS,
  readPage,
  recordFrames,
  resetPage,
  type ShownFrame,
  takeFrames,
} from '../support/watch-page.ts';

/** `SABOTAGE=stay-silent`: the source never goes on. */
const SABOTAGE = process.env['SABOTAGE'] ?? '';
const PAUSE_MS = 2000;
/** More than a player holds: what is shown after that comes from behind the hole. */
const BUFFERED_SECONDS = 10;
/** Frames further apart than this are a jump of the player, not pictures shown. */
const LONGEST_FRAME_SECONDS = 0.5;

let browser: Browser;
let clip: OddTag[];
let server: TestServer | undefined;
let broadcast: Broadcast | undefined;

beforeAll(async () => {
  [browser, clip] = await Promise.all([launchBrowser(), makeClip({ seconds: 10, size: '320x180' })]);
});

afterEach(async () => {
  await broadcast?.stop();
  await server?.close();
});

afterAll(async () => {
  await browser?.close();
});

/** How much media was shown, frame after frame. */
function secondsShown(frames: readonly ShownFrame[]): number {
  return frames.slice(1).reduce((sum, frame, n) => {
    const step = frame.mediaSeconds - (frames[n]?.mediaSeconds ?? 0);
    return sum + (step > 0 && step < LONGEST_FRAME_SECONDS ? step : 0);
  }, 0);
}

describe('a source that sends nothing for two seconds but stays', () => {
  it('is watched on by starting the player at most once more, with any player', async () => {
    const running = await startServer();
    server = running;
    const key = (await running.publishUrl('show')).split('/').at(-1) ?? '';
    const source = await Broadcast.start(running.ports.rtmp, key, clip);
    broadcast = source;
    await whenListed(running, 'show/index');
    const playlist = (): Promise<string> => getText(`${running.mediaUrl}/live/show/video.m3u8`);
    await withPages(browser, PLAYERS, async (pageOf) => {
      await forEachOf(PLAYERS, async (player) => {
        const page = pageOf(player);
        await page.goto(`${running.mediaUrl}/live/show/?player=${player}&mode=stock`);
        await until(async () => (await readPage(page)).currentTime > 2, 'the picture to move', 40_000);
        await page.evaluate(() => Object.assign(globalThis, { stayed: true }));
      });
      await forEachOf(PLAYERS, (player) => resetPage(pageOf(player)));
      source.silent = true;
      const silentFrom = performance.now();
      await until(() => performance.now() - silentFrom >= PAUSE_MS, 'the pause to be over');
      source.silent = SABOTAGE === 'stay-silent';
      await until(
        async () => (await playlist()).includes('#EXT-X-DISCONTINUITY\n'),
        'a discontinuity in the playlist',
        30_000,
      );
      await forEachOf(PLAYERS, async (player) => {
        const page = pageOf(player);
        await expectToGoOn(page);
        const holes = (await playlist()).split('\n').filter((line) => line === '#EXT-X-DISCONTINUITY').length;
        // A player that is started in the hole stands there until it is given up and another one is started. On a
        // machine that has no time the source may pause more than once.
        expect((await readPage(page)).starts).toBeLessThanOrEqual(holes);
        expect(await page.evaluate(() => 'stayed' in globalThis)).toBe(true);
      });
    });
  });
});

async function expectToGoOn(page: Page): Promise<void> {
  await recordFrames(page);
  const shown: ShownFrame[] = [];
  await until(
    async () => {
      shown.push(...(await takeFrames(page)));
      return secondsShown(shown) > BUFFERED_SECONDS;
    },
    'pictures from behind the hole',
    90_000,
  );
  const { state, fatalErrors } = await readPage(page);
  expect([state, fatalErrors]).toEqual(['playing', 0]);
}
