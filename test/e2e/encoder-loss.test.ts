import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DemoBroadcast } from '../../src/cli/demo-broadcast.ts';
import { forEachOf, launchBrowser, withPages } from '../support/browser.ts';
import { childrenWith } from '../support/children.ts';
import { broadcastSmallDemo, whenListed } from '../support/demo-stream.ts';
import { getText } from '../support/live-client.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import {
  PLAYERS,
  type PlayerName,
  readPage,
  resetPage,
  selectRendition,
  whenPlaying,
  whenShown,
} from '../support/watch-page.ts';

/** What tells our encoders from the demo broadcast's: an output on a pipe of their own. */
const ENCODER = 'pipe:3';
/** What tells the demo broadcast's: killed instead, to see that this test sees a stall. */
const BROADCASTER = 'RTCTIME';
const VICTIM = process.env['SABOTAGE'] === 'kill-broadcaster' ? BROADCASTER : ENCODER;

let server: TestServer;
let broadcast: DemoBroadcast;
let browser: Browser;

/** While this file is there, the program that the server takes for ffmpeg ends at once. */
let outOfOrder: string;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-encoder-'));
  outOfOrder = join(folder, 'out-of-order');
  const program = join(folder, 'ffmpeg');
  await writeFile(program, `#!/bin/sh\n[ -e ${outOfOrder} ] && exit 1\nexec ffmpeg "$@"\n`, { mode: 0o755 });
  server = await startServer({
    set: ['ladder.rungs=240p:250k', 'ladder.preset=ultrafast', `ladder.ffmpeg=${program}`],
  });
  broadcast = broadcastSmallDemo(await server.publishUrl('demo'));
  browser = await launchBrowser();
  await whenListed(server, 'demo/240p');
});

afterAll(async () => {
  await browser?.close();
  await broadcast?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** A viewer with each player, all of the same rendition, so that what happens to its encoder happens to all at once. */
function watch(
  rendition: string,
  run: (pageOf: (player: PlayerName) => Page) => Promise<void>,
): Promise<void> {
  return withPages(browser, PLAYERS, async (pageOf) => {
    await forEachOf(PLAYERS, async (player) => {
      const page = pageOf(player);
      await page.goto(`${server.mediaUrl}/live/demo/?player=${player}&mode=stock`);
      await whenPlaying(page);
      await selectRendition(page, rendition);
      await whenShown(page, rendition);
    });
    await run(pageOf);
  });
}

/** Kills the encoder with SIGKILL and waits until there is another. */
async function killEncoder(): Promise<void> {
  const [pid] = childrenWith(VICTIM);
  if (pid === undefined) throw new Error('no encoder runs');
  process.kill(pid, 'SIGKILL');
  await until(() => childrenWith(VICTIM).find((other) => other !== pid), 'another encoder', 15_000);
}

/** Waits until so many frames were shown since the last reset. */
async function framesShown(page: Page, count: number): Promise<void> {
  await until(
    async () => (await readPage(page)).glassSamples.length >= count,
    `${count} frames shown`,
    40_000,
  );
}

/** Whether somebody who comes now is offered the rung. */
async function offered(): Promise<boolean> {
  return (await getText(`${server.mediaUrl}/live/demo/index.m3u8`)).includes('240p.m3u8');
}

describe('an encoder that is killed', () => {
  it('is not seen by who watches the source, with any player', async () => {
    await watch('video', async (pageOf) => {
      await forEachOf(PLAYERS, async (player) => {
        await framesShown(pageOf(player), 60);
        await resetPage(pageOf(player));
      });
      await killEncoder();
      await forEachOf(PLAYERS, async (player) => {
        await framesShown(pageOf(player), 150);
        const { stalls, fatalErrors, rendition } = await readPage(pageOf(player));
        expect({ stalls, fatalErrors, rendition }).toEqual({ stalls: 0, fatalErrors: 0, rendition: 'video' });
      });
    });
  });

  it('is overcome by who watches the rung, with any player', async () => {
    await watch('240p', async (pageOf) => {
      await forEachOf(PLAYERS, (player) => resetPage(pageOf(player)));
      await killEncoder();
      await forEachOf(PLAYERS, async (player) => {
        await framesShown(pageOf(player), 150);
        const { fatalErrors, rendition, state } = await readPage(pageOf(player));
        expect({ fatalErrors, rendition, state }).toEqual({
          fatalErrors: 0,
          rendition: '240p',
          state: 'playing',
        });
      });
    });
  });
});

describe('an encoder that ends again and again', () => {
  it('leaves its viewers the source, and is offered again once it works, with any player', async () => {
    await watch('240p', async (pageOf) => {
      await writeFile(outOfOrder, '');
      try {
        for (const pid of childrenWith(ENCODER)) process.kill(pid, 'SIGKILL');
        await until(async () => !(await offered()), 'the rung taken from the manifest', 20_000);
        await forEachOf(PLAYERS, (player) =>
          until(
            async () => {
              const { rendition, state } = await readPage(pageOf(player));
              return rendition === 'video' && state === 'playing';
            },
            'the source shown',
            60_000,
          ),
        );
      } finally {
        await rm(outOfOrder, { force: true });
      }
      await until(() => offered(), 'the rung offered again', 60_000);
      await forEachOf(PLAYERS, async (player) => {
        await resetPage(pageOf(player));
        await framesShown(pageOf(player), 60);
        expect((await readPage(pageOf(player))).state).toBe('playing');
      });
    });
  });
});
