import process from 'node:process';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DemoBroadcast } from '../../src/cli/demo-broadcast.ts';
import { launchBrowser, withPage } from '../support/browser.ts';
import { broadcastDemo, whenListed } from '../support/demo-stream.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { loginAt } from '../support/test-login.ts';
import { until } from '../support/until.ts';
import { controlOf } from '../support/vod-client.ts';
import {
  PLAYERS,
  type PageReading,
  type PlayerName,
  readPage,
  resetPage,
  selectRendition,
} from '../support/watch-page.ts';

const ROTATION_SECONDS = 10;
const START_MS = 60_000;
/** `HEADWATER_TEST_ROTATIONS=6`, on a machine with nothing else to do: so many changes of keys, and no stall in them. */
const ROTATIONS = process.env['HEADWATER_TEST_ROTATIONS'];
/** For each change of keys: less than a player that loses its place and begins anew takes. A busy machine has stalls. */
const MOST_STALLED_MS = ROTATIONS === undefined ? 4000 : 1;

let browser: Browser;
let server: TestServer;
let broadcast: DemoBroadcast;

beforeAll(async () => {
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser?.close();
});

async function serve(scheme: string): Promise<void> {
  server = await startServer({
    set: [
      'drm.enabled=true',
      `drm.scheme=${scheme}`,
      `drm.rotationSeconds=${ROTATION_SECONDS}`,
      'drm.leadSeconds=8',
      'ladder.rungs=240p:300k',
      'license.heartbeatSeconds=5',
    ],
  });
  broadcast = broadcastDemo(await server.publishUrl('demo'));
  await whenListed(server, 'demo/240p');
}

function whenPlaying(page: Page): Promise<PageReading> {
  return until(
    async () => {
      const reading = await readPage(page);
      return reading.state === 'playing' && reading.currentTime > 0 ? reading : undefined;
    },
    'playing',
    START_MS,
  );
}

/** The picture that is shown, as a browser shows it to the eye: canvases see black where media is protected. */
async function shades(page: Page): Promise<number> {
  const png = await page.locator('#video').screenshot();
  return page.evaluate(async (base64) => {
    const image = new Image();
    image.src = `data:image/png;base64,${base64}`;
    await image.decode();
    const canvas = new OffscreenCanvas(64, 36);
    const context = canvas.getContext('2d');
    if (!context) return 0;
    context.drawImage(image, 0, 0, 64, 36);
    const { data } = context.getImageData(0, 0, 64, 36);
    const seen = new Set<number>();
    for (let i = 0; i < data.length; i += 4) seen.add((data[i] ?? 0) >> 4);
    return seen.size;
  }, png.toString('base64'));
}

/** Plays until so many changes of keys have passed. */
async function playThrough(page: Page, player: PlayerName, rotations: number): Promise<void> {
  const login = await loginAt(server, `viewer-${player}`);
  await page.goto(`${server.controlUrl}/live/demo/?player=${player}#login=${login}`);
  const first = await whenPlaying(page);
  await resetPage(page);
  expect(page.url()).not.toContain('login');
  const keysBefore = first.pass?.keys ?? 0;
  const wanted = first.currentTime + rotations * ROTATION_SECONDS;
  const last = await until(
    async () => {
      const reading = await readPage(page);
      return reading.currentTime > wanted ? reading : undefined;
    },
    `${player} through ${rotations} changes of keys`,
    (3 * rotations * ROTATION_SECONDS + 30) * 1000,
  );
  expect(last.pass?.keys ?? 0).toBeGreaterThanOrEqual(keysBefore + rotations - 1);
  expect(last.pass?.refusals).toBe(0);
  expect(last.pass?.tiers).toEqual(['AUDIO', 'SD']);
  expect(last.renditions.map(({ id }) => id)).toEqual(['240p']);
  expect([last.fatalErrors, last.state]).toEqual([0, 'playing']);
  expect(last.stalledMs).toBeLessThan(rotations * MOST_STALLED_MS);
  expect(await shades(page)).toBeGreaterThan(3);
}

/** A viewer who wants the better picture does not get it, and gets none when an operator says so. */
async function beSteered(page: Page): Promise<void> {
  const login = await loginAt(server, 'steered');
  await page.goto(`${server.controlUrl}/live/demo/?player=hls#login=${login}`);
  const { currentTime } = await whenPlaying(page);
  // The source, which is HD: its keys are not for a browser without a secure path.
  await selectRendition(page, 'video');
  const later = await until(
    async () => {
      const reading = await readPage(page);
      return reading.currentTime > currentTime + 5 ? reading : undefined;
    },
    'playing on',
    60_000,
  );
  expect([later.rendition, later.state, later.fatalErrors]).toEqual(['240p', 'playing', 0]);
  expect(later.pass?.tiers).toEqual(['AUDIO', 'SD']);
  const control = await controlOf(server);
  const { sessions } = (await control('GET', '/v1/sessions?user=steered')).json as {
    sessions: { sessionId: string }[];
  };
  expect(sessions).toHaveLength(1);
  for (const { sessionId } of sessions) {
    expect((await control('POST', `/v1/sessions/${sessionId}/revoke`)).status).toBeLessThan(300);
  }
  await until(async () => (await readPage(page)).state === 'over', 'the page knows', 30_000);
}

describe.each([
  ['cbcs', Number(ROTATIONS ?? 2)],
  ['cenc', Number(ROTATIONS ?? 1)],
] as const)('a stream encrypted with %s', (scheme, rotations) => {
  beforeAll(() => serve(scheme), 90_000);
  afterAll(async () => {
    await broadcast?.close();
    await server?.close();
  });

  it.each(PLAYERS)(
    `plays through ${rotations} changes of keys, in the quality that is allowed, with %s`,
    (player) =>
      withPage(browser, (page) => playThrough(page, player, rotations), {
        viewport: { width: 900, height: 900 },
      }),
    300_000,
  );

  // Whatever the scheme: with one of them is enough.
  if (scheme === 'cbcs') {
    it(
      'stays in the quality that is allowed when told to play a better one, and stops when its session is taken away',
      () => withPage(browser, beSteered),
      120_000,
    );
  }
});
