import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DemoBroadcast } from '../../src/cli/demo-broadcast.ts';
import { launchBrowser, withPage } from '../support/browser.ts';
import { broadcastDemo, whenListed } from '../support/demo-stream.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import {
  glanceAtPage,
  PLAYERS,
  type PlayerName,
  readPage,
  recordFrames,
  resetPage,
  selectRendition,
  type ShownFrame,
  takeFrames,
  throttle,
  whenPlaying,
  whenShown,
} from '../support/watch-page.ts';

/** Best first: the source, and what is encoded of it. */
const RUNGS = ['video', '480p', '240p'] as const;
/** Carries the encoded rungs, not the source. */
const THIN_KBPS = 1800;

/**
 * `HEADWATER_TEST_QUIET=1`, on a machine with nothing else to do: nothing of a switch is seen. A busy machine has stalls; they
 * are less than a player takes that loses its place and begins anew.
 */
const IS_QUIET = process.env['HEADWATER_TEST_QUIET'] === '1';
const MOST = IS_QUIET
  ? { stalledMs: 1, jumpSeconds: 0.5, shownMs: 600, spreadMs: 1000 }
  : { stalledMs: 4000, jumpSeconds: 4, shownMs: 4000, spreadMs: 6000 };

let server: TestServer;
let broadcast: DemoBroadcast;
let browser: Browser;

beforeAll(async () => {
  const rungs = ['ladder.rungs=480p:600k,240p:250k', 'ladder.preset=ultrafast'];
  // A busy machine would have a rung left out for a while.
  server = await startServer({ set: [...rungs, 'ladder.maxLagMs=60000'] });
  broadcast = broadcastDemo(await server.publishUrl('demo'));
  browser = await launchBrowser();
  await whenListed(server, 'demo/240p');
});

afterAll(async () => {
  await browser?.close();
  await broadcast?.close();
  await server?.close();
});

function watch(player: PlayerName, query: string, run: (page: Page) => Promise<void>): Promise<void> {
  return withPage(browser, async (page) => {
    await page.goto(`${server.mediaUrl}/live/demo/?player=${player}&${query}`);
    await whenPlaying(page);
    await run(page);
  });
}

/** The longest that one picture was shown, milliseconds. */
function longestShown(frames: readonly ShownFrame[]): number {
  return Math.max(...frames.slice(1).map((frame, i) => frame.shownMs - (frames[i]?.shownMs ?? 0)));
}

/** How far the picture's clock went ahead of, or fell behind, the wall's between two frames; the worst, seconds. */
function worstJump(frames: readonly ShownFrame[]): number {
  const jumps = frames.slice(1).map((frame, i) => {
    const before = frames[i] ?? frame;
    return Math.abs(frame.mediaSeconds - before.mediaSeconds - (frame.shownMs - before.shownMs) / 1000);
  });
  return Math.max(...jumps);
}

describe('the watch page', () => {
  it.concurrent.each(PLAYERS)('lists the renditions that the server has, with %s', async (player) => {
    await watch(player, 'mode=low', async (page) => {
      const { renditions } = await readPage(page);
      expect(renditions.map(({ id }) => id)).toEqual(RUNGS);
      expect(renditions.map(({ height }) => height)).toEqual([720, 480, 240]);
      const bitrates = renditions.map(({ bitrateBps }) => bitrateBps);
      expect(bitrates).toEqual(bitrates.toSorted((a, b) => b - a));
      const options = page.locator('#quality option');
      await until(async () => (await options.count()) === RUNGS.length + 1, 'all of them in the menu');
    });
  });

  // One after the other: hardly a frame may be late.
  it.each(PLAYERS)('switches down and up on command and plays on in its place, with %s', async (player) => {
    await watch(player, 'mode=low&rendition=video', async (page) => {
      await whenShown(page, 'video');
      await recordFrames(page);
      // Once for the way the player has to its latency, which may be a jump.
      await until(
        async () => (await takeFrames(page)).length > 0 && isCalm(page),
        'the latency found',
        60_000,
      );
      await takeFrames(page);
      await resetPage(page);
      for (const rung of ['240p', '480p', 'video'] as const) {
        // Each switch is its own; and the page, not the test, is what is measured.
        // oxlint-disable-next-line no-await-in-loop
        await switchTo(page, rung);
      }
      const after = await readPage(page);
      const frames = await takeFrames(page);
      expect(after.switches).toBe(3);
      expect(after.stalledMs).toBeLessThan(MOST.stalledMs);
      expect(after.fatalErrors).toBe(0);
      expect(frames.length).toBeGreaterThan(100);
      const times = frames.map(({ mediaSeconds }) => mediaSeconds);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      expect(worstJump(frames)).toBeLessThan(MOST.jumpSeconds);
      expect(longestShown(frames)).toBeLessThan(MOST.shownMs);
      expect(Math.max(...after.glassSamples) - Math.min(...after.glassSamples)).toBeLessThan(MOST.spreadMs);
    });
  });
});

// Blocks of their own: more than three players at once are too much for a small machine.
describe('the quality menu', () => {
  it.concurrent.each(PLAYERS)('changes what is shown, and the address, with %s', async (player) => {
    await watch(player, 'mode=low', async (page) => {
      await page.locator('#quality').selectOption('240p');
      await whenShown(page, '240p');
      expect(page.url()).toContain('rendition=240p');
      expect((await readPage(page)).wishedRendition).toBe('240p');
    });
  });
});

describe('a player', () => {
  it.concurrent.each(PLAYERS)(
    'goes to a lower rendition when the link gets too thin, and back when it is free, with %s',
    async (player) => {
      await watch(player, 'mode=low', async (page) => {
        await whenShown(page, 'video');
        await resetPage(page);
        const free = await throttle(page, THIN_KBPS);
        const down = await until(
          async () => {
            const reading = await glanceAtPage(page);
            return reading.state === 'playing' && reading.rendition !== 'video' ? reading : undefined;
          },
          'a lower rendition shown',
          60_000,
        );
        expect(['480p', '240p']).toContain(down.rendition);
        await free();
        await whenShown(page, 'video', 90_000);
        const after = await readPage(page);
        expect(after.fatalErrors).toBe(0);
        // Down, perhaps further down, and up again by a step or two: not to and fro.
        expect(after.switches).toBeLessThanOrEqual(5);
      });
    },
  );
});

/** The player has come to its latency: the playback rate is normal, and media is ahead. */
async function isCalm(page: Page): Promise<boolean> {
  const { state, playbackRate, bufferMs, glassToGlassMs } = await glanceAtPage(page);
  const near = glassToGlassMs !== undefined && glassToGlassMs < (IS_QUIET ? 1000 : 4000);
  return state === 'playing' && Math.abs(playbackRate - 1) < 0.03 && bufferMs > 100 && near;
}

/** Switches, and sees the new rendition for a second of media. */
async function switchTo(page: Page, rung: string): Promise<void> {
  await selectRendition(page, rung);
  const { currentTime } = await whenShown(page, rung);
  await until(async () => (await glanceAtPage(page)).currentTime > currentTime + 1, 'a second of it');
}
