import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { startDemoBroadcast, type DemoBroadcast } from '../../src/cli/demo-broadcast.ts';
import { launchBrowser } from '../support/browser.ts';
import { getText, listMedia, statusOf } from '../support/live-client.ts';
import { createMemoryLog } from '../support/memory-log.ts';
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
  const slash = url.lastIndexOf('/');
  const start = (): void => {
    broadcast = startDemoBroadcast({
      serverUrl: url.slice(0, slash),
      publishKey: url.slice(slash + 1),
      clock: systemClock,
      log: createMemoryLog(),
    });
  };
  start();
  await until(async () => (await statusOf(`${running.mediaUrl}/live/show/index.m3u8`)) === 200, 'on the air');
  return start;
}

async function watch(player: string, run: (page: Page) => Promise<void>): Promise<void> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(`${server?.mediaUrl}/live/show/?player=${player}&mode=stock`);
    await whenPlaying(page);
    await run(page);
  } finally {
    await context.close();
  }
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
