import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DemoBroadcast } from '../../src/cli/demo-broadcast.ts';
import { collectFaults, launchBrowser, withPage } from '../support/browser.ts';
import { broadcastDemo, whenListed } from '../support/demo-stream.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import { PLAYERS, readPage, resetPage, whenPlaying } from '../support/watch-page.ts';

let server: TestServer;
let broadcast: DemoBroadcast;
let browser: Browser;

beforeAll(async () => {
  server = await startServer();
  broadcast = broadcastDemo(await server.publishUrl('demo'));
  browser = await launchBrowser();
  await whenListed(server, 'demo/index');
});

afterAll(async () => {
  await browser?.close();
  await broadcast?.close();
  await server?.close();
});

const MODES = ['stock', 'low'] as const;

describe.each(MODES)('the watch page, %s settings', (mode) => {
  it.concurrent.each(PLAYERS)(
    'plays the live stream with %s, and the clock in the picture advances',
    async (player) => {
      await withPage(browser, async (page) => {
        const faults = collectFaults(page);
        await page.goto(`${server.mediaUrl}/live/demo/?player=${player}&mode=${mode}`);
        const before = await whenPlaying(page);
        expect(before.player).toBe(player);
        await resetPage(page);
        // The code is read from the pixels of frames that were shown: as many as a stuck picture cannot give.
        const after = await until(
          async () => {
            const reading = await readPage(page);
            const hasPlayed = reading.currentTime > before.currentTime + 10;
            return hasPlayed && reading.glassSamples.length > 60 ? reading : undefined;
          },
          'ten seconds of media played, and the clock read in 60 pictures',
          50_000,
        );
        // Bounds that tell live from broken, not fast from slow: speed is the bench's business.
        const sorted = [...after.glassSamples].sort((a, b) => a - b);
        expect(sorted[0]).toBeGreaterThan(0);
        expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThan(6000);
        expect(after.fatalErrors).toBe(0);
        expect(after.state).toBe('playing');
        expect(faults.filter((fault) => !fault.includes('favicon'))).toEqual([]);
      });
    },
  );
});
