import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, withPage } from '../support/browser.ts';
import { whenListed } from '../support/demo-stream.ts';
import { makeClip } from '../support/odd-media.ts';
import { Broadcast } from '../support/odd-media-broadcast.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import { glanceAtPage, PLAYERS, readPage } from '../support/watch-page.ts';

/** So much must be there before anybody goes back. */
const LEAST_SECONDS = 14;
const BACK_SECONDS = 10;

let browser: Browser;
let server: TestServer;
let broadcast: Broadcast;

beforeAll(async () => {
  const [opened, clip] = await Promise.all([launchBrowser(), makeClip({ seconds: 10, size: '320x180' })]);
  browser = opened;
  server = await startServer({ set: ['live.windowSeconds=120'] });
  const key = (await server.publishUrl('show')).split('/').at(-1) ?? '';
  broadcast = await Broadcast.start(server.ports.rtmp, key, clip);
  await whenListed(server, 'show/index');
});

afterAll(async () => {
  await broadcast?.stop();
  await server?.close();
  await browser?.close();
});

/** The seek bar as the viewer sees it, seconds. */
function barOf(page: Page): Promise<{ readonly min: number; readonly max: number; readonly value: number }> {
  return page.evaluate(() => {
    const bar = document.querySelector<HTMLInputElement>('#seek');
    if (!bar || bar.disabled) return { min: 0, max: 0, value: 0 };
    return { min: Number(bar.min), max: Number(bar.max), value: bar.valueAsNumber };
  });
}

async function behind(page: Page): Promise<number> {
  const { max } = await barOf(page);
  return max - (await glanceAtPage(page)).currentTime;
}

/** Waits until `seconds` more of media have been played. */
async function whenPlayed(page: Page, seconds: number, what: string): Promise<void> {
  const from = (await glanceAtPage(page)).currentTime;
  await until(
    async () => {
      const { currentTime, state } = await glanceAtPage(page);
      return state === 'playing' && currentTime > from + seconds;
    },
    what,
    60_000,
  );
}

describe.each(PLAYERS)('a stream of which more is kept than a moment, with %s', (player) => {
  it('is watched from earlier on, paused and watched on from there, and watched live again', async () => {
    await withPage(browser, async (page) => {
      await page.goto(`${server.mediaUrl}/live/show/?player=${player}&mode=low`);
      const isLong = async (): Promise<boolean> => {
        const { min, max } = await barOf(page);
        return max - min > LEAST_SECONDS && (await glanceAtPage(page)).state === 'playing';
      };
      await until(isLong, 'enough to go back in', 60_000);
      expect(await behind(page)).toBeLessThan(5);

      await page.evaluate((seconds) => {
        const bar = document.querySelector<HTMLInputElement>('#seek');
        if (!bar) return;
        bar.valueAsNumber = Number(bar.max) - seconds;
        bar.dispatchEvent(new Event('change'));
      }, BACK_SECONDS);
      await whenPlayed(page, 3, 'three seconds of the past');
      // Nothing draws it to the edge: it keeps its distance, at its own pace.
      expect(await behind(page)).toBeGreaterThan(BACK_SECONDS - 3);
      expect((await glanceAtPage(page)).playbackRate).toBe(1);

      await page.click('#play');
      await until(async () => (await glanceAtPage(page)).state === 'paused', 'a pause');
      const { currentTime } = await glanceAtPage(page);
      const left = (await barOf(page)).max;
      await until(
        async () => (await barOf(page)).max > left + 4,
        'the stream to go on without the viewer',
        60_000,
      );
      await page.click('#play');
      await whenPlayed(page, 1, 'to go on');
      expect((await glanceAtPage(page)).currentTime - currentTime).toBeLessThan(4);
      expect(await behind(page)).toBeGreaterThan(BACK_SECONDS);

      await page.click('#go-live');
      await until(async () => (await behind(page)) < 3, 'live again', 30_000);
      await whenPlayed(page, 2, 'the live edge');
      expect((await readPage(page)).fatalErrors).toBe(0);
    });
  });
});
