import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DemoBroadcast } from '../../src/cli/demo-broadcast.ts';
import { forEachOf, launchBrowser, withPage, withPages } from '../support/browser.ts';
import { broadcastSmallDemo, whenListed } from '../support/demo-stream.ts';
import { getText, listMedia } from '../support/live-client.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import { PLAYERS, type PlayerName, readPage, resetPage, whenPlaying } from '../support/watch-page.ts';

let browser: Browser;
let server: TestServer | undefined;
let broadcast: DemoBroadcast | undefined;

beforeAll(async () => {
  browser = await launchBrowser();
});

afterEach(async () => {
  await broadcast?.close();
  await server?.close();
});

afterAll(async () => {
  await browser?.close();
});

/** Puts a stream on the air; returns how to put the same one on again. */
async function onAir(graceMs: number): Promise<() => void> {
  const running = await startServer({ set: [`live.graceMs=${graceMs}`] });
  server = running;
  const url = await running.publishUrl('show');
  const start = (): void => {
    broadcast = broadcastSmallDemo(url);
  };
  start();
  await whenListed(running, 'show/index');
  return start;
}

function pageUrl(player: PlayerName): string {
  return `${server?.mediaUrl}/live/show/?player=${player}&mode=stock`;
}

describe('a viewer', () => {
  it('goes on without a reload when the broadcaster drops and returns, with any player', async () => {
    const start = await onAir(60_000);
    await withPages(browser, PLAYERS, async (pageOf) => {
      await forEachOf(PLAYERS, async (player) => {
        await pageOf(player).goto(pageUrl(player));
        await whenPlaying(pageOf(player));
      });
      await broadcast?.close();
      const gap = await until(async () => {
        const listed = listMedia(await getText(`${server?.mediaUrl}/live/show/video.m3u8`));
        return listed.gaps > 0 ? listed : undefined;
      }, 'a gap in the playlist');
      expect(gap.ended).toBe(false);
      await forEachOf(PLAYERS, (player) =>
        until(async () => (await readPage(pageOf(player))).state !== 'playing', 'the picture to stand still'),
      );
      start();
      await forEachOf(PLAYERS, async (player) => {
        const page = pageOf(player);
        await resetPage(page);
        const back = await until(
          async () => {
            const reading = await readPage(page);
            return reading.state === 'playing' && reading.glassSamples.length > 60 ? reading : undefined;
          },
          'playing again',
          90_000,
        );
        expect(back.fatalErrors).toBe(0);
        expect(back.glassToGlassMs).toBeLessThan(8000);
      });
    });
  });

  it('is told that the stream has ended, and sees it again when it is back', async () => {
    const start = await onAir(500);
    await withPage(browser, async (page) => {
      await page.goto(pageUrl('hls'));
      await whenPlaying(page);
      await broadcast?.close();
      await until(
        async () => (await readPage(page)).state === 'ended',
        'the page to say that it ended',
        40_000,
      );
      start();
      await whenPlaying(page);
    });
  });
});
