import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, withPage } from '../support/browser.ts';
import { whenListed } from '../support/demo-stream.ts';
import { LadderBroadcast } from '../support/newer-ffmpeg.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import {
  glanceAtPage,
  readPage,
  resetPage,
  selectRendition,
  whenPlaying,
  whenShown,
} from '../support/watch-page.ts';

/** A publisher that sends its own rungs over Enhanced RTMP, FFmpeg's, to a player: nothing is encoded by the server. */

let server: TestServer;
let broadcast: LadderBroadcast;
let browser: Browser;

beforeAll(async () => {
  server = await startServer();
  const pictures = [
    { width: 1280, height: 720, bitrateKbps: 2500 },
    { width: 640, height: 360, bitrateKbps: 600 },
  ];
  broadcast = new LadderBroadcast(pictures, await server.publishUrl('show'));
  browser = await launchBrowser();
  await whenListed(server, 'show/360p');
});

afterAll(async () => {
  await browser?.close();
  await broadcast?.close();
  await server?.close();
});

describe("a publisher's own rungs", () => {
  it('are what a player switches between, at once and without a stall', async () => {
    await withPage(browser, async (page) => {
      await page.goto(`${server.mediaUrl}/live/show/?player=hls&mode=low&rendition=video`);
      await whenPlaying(page);
      expect((await readPage(page)).renditions.map(({ id, height }) => [id, height])).toEqual([
        ['video', 720],
        ['360p', 360],
      ]);
      await whenShown(page, 'video');
      await resetPage(page);
      for (const { id, height } of [
        { id: '360p', height: 360 },
        { id: 'video', height: 720 },
      ]) {
        // Each switch is its own.
        // oxlint-disable-next-line no-await-in-loop
        await selectRendition(page, id);
        // oxlint-disable-next-line no-await-in-loop
        const { currentTime } = await whenShown(page, id);
        // oxlint-disable-next-line no-await-in-loop
        await until(async () => (await glanceAtPage(page)).currentTime > currentTime + 1, 'a second of it');
        // The decoder's word, not the playlist's.
        // oxlint-disable-next-line no-await-in-loop
        expect(await page.evaluate(() => document.querySelector('video')?.videoHeight)).toBe(height);
      }
      const after = await readPage(page);
      expect([after.switches, after.stalls, after.fatalErrors]).toEqual([2, 0, 0]);
    });
  });
});
