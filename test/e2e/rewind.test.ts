import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, withPage } from '../support/browser.ts';
import { whenListed } from '../support/demo-stream.ts';
import { behind, goBack, pauseFor, whenLong, whenPlayed } from '../support/live-bar.ts';
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

describe('a stream of which more is kept than a moment', () => {
  it.concurrent.each(PLAYERS)(
    'is watched from earlier on, paused and watched on from there, and watched live again, with %s',
    async (player) => {
      await withPage(browser, async (page) => {
        await page.goto(`${server.mediaUrl}/live/show/?player=${player}&mode=low`);
        await whenLong(page, LEAST_SECONDS);
        expect(await behind(page)).toBeLessThan(5);

        await goBack(page, BACK_SECONDS);
        await whenPlayed(page, 3, 'three seconds of the past');
        // Nothing draws it to the edge: it keeps its distance, at its own pace.
        expect(await behind(page)).toBeGreaterThan(BACK_SECONDS - 3);
        expect((await glanceAtPage(page)).playbackRate).toBe(1);

        expect(await pauseFor(page, 4)).toBeLessThan(4);
        expect(await behind(page)).toBeGreaterThan(BACK_SECONDS);

        await page.click('#go-live');
        await until(async () => (await behind(page)) < 3, 'live again', 30_000);
        await whenPlayed(page, 2, 'the live edge');
        expect((await readPage(page)).fatalErrors).toBe(0);
      });
    },
  );
});
