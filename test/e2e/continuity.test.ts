import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DemoBroadcast } from '../../src/cli/demo-broadcast.ts';
import { launchBrowser, withPage } from '../support/browser.ts';
import { broadcastDemo, whenListed } from '../support/demo-stream.ts';
import { getText, listMedia } from '../support/live-client.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import { PLAYERS, readPage, resetPage, whenPlaying } from '../support/watch-page.ts';

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
    broadcast = broadcastDemo(url);
  };
  start();
  await whenListed(running, 'show/index');
  return start;
}

function watch(player: string, run: (page: Page) => Promise<void>): Promise<void> {
  return withPage(browser, async (page) => {
    await page.goto(`${server?.mediaUrl}/live/show/?player=${player}&mode=stock`);
    await whenPlaying(page);
    await run(page);
  });
}

describe('a viewer', () => {
  it.each(PLAYERS)(
    'goes on without a reload when the broadcaster drops and returns, with %s',
    async (player) => {
      const start = await onAir(60_000);
      await watch(player, async (page) => {
        await broadcast?.close();
        const gap = await until(async () => {
          const listed = listMedia(await getText(`${server?.mediaUrl}/live/show/video.m3u8`));
          return listed.gaps > 0 ? listed : undefined;
        }, 'a gap in the playlist');
        expect(gap.ended).toBe(false);
        await until(async () => (await readPage(page)).state !== 'playing', 'the picture to stand still');
        start();
        await resetPage(page);
        const back = await until(
          async () => {
            const reading = await readPage(page);
            return reading.state === 'playing' && reading.glassSamples.length > 60 ? reading : undefined;
          },
          'playing again',
          40_000,
        );
        expect(back.fatalErrors).toBe(0);
        expect(back.glassToGlassMs).toBeLessThan(8000);
      });
    },
  );

  it('is told that the stream has ended, and sees it again when it is back', async () => {
    const start = await onAir(500);
    await watch('hls', async (page) => {
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
