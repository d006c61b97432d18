import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoginClaims } from '../../src/license/login-token.ts';
import { launchBrowser, withPage } from '../support/browser.ts';
import { ffmpeg } from '../support/ffmpeg.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { loginAt } from '../support/test-login.ts';
import { until } from '../support/until.ts';
import { addTitle, controlOf, whenWhole } from '../support/vod-client.ts';
import { glanceAtPage, PLAYERS, readPage } from '../support/watch-page.ts';

const SECONDS = 60;
const START_MS = 40_000;

let browser: Browser;
let server: TestServer;
let folder: string;
let users = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-resume-'));
  const master = join(folder, 'film.mp4');
  await ffmpeg([
    ...['-f', 'lavfi', '-i', 'testsrc2=s=320x180:r=25'],
    ...['-f', 'lavfi', '-i', 'sine=440:r=48000', '-f', 'lavfi', '-i', 'sine=880:r=48000'],
    ...['-map', '0:v', '-map', '1:a', '-map', '2:a', '-t', String(SECONDS), '-c:v', 'libx264'],
    ...['-preset', 'ultrafast', '-g', '50', '-c:a', 'aac', '-b:a', '64k'],
    ...['-metadata:s:a:0', 'language=eng', '-metadata:s:a:1', 'language=fra', master],
  ]);
  browser = await launchBrowser();
  server = await startServer({
    set: [
      ...['vod.ladder=120p:150k', 'vod.effort=low', 'vod.segmentMs=2000', `vod.roots=${folder}`],
      ...['viewers.minWatchedSeconds=5', 'license.heartbeatSeconds=5', 'drm.enabled=true'],
    ],
  });
  const control = await controlOf(server);
  const job = await addTitle(control, { title: 'film', path: master });
  await whenWhole(control, job.id, 'film', 110_000);
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** A viewer nobody has seen before. */
function newViewer(limits: Partial<LoginClaims> = {}): Promise<string> {
  return loginAt(server, `viewer-${users++}`, limits);
}

async function openFilm(page: Page, login: string, player = 'hls'): Promise<void> {
  await page.goto(`${server.controlUrl}/vod/film/?player=${player}#login=${login}`);
}

async function whenPlaying(page: Page, fromSeconds = 0): Promise<number> {
  return until(
    async () => {
      const { state, currentTime } = await glanceAtPage(page);
      return state === 'playing' && currentTime > fromSeconds ? currentTime : undefined;
    },
    `playing from ${fromSeconds} s on`,
    START_MS,
  );
}

/** To a place, as a viewer does with the keyboard: ten seconds a press. */
async function press(page: Page, key: string, times: number): Promise<void> {
  await page.locator('#seek').focus();
  for (let n = 0; n < times; n++) {
    // oxlint-disable-next-line no-await-in-loop
    await page.keyboard.press(key);
  }
}

function stateOf(page: Page): Promise<string> {
  return readPage(page).then(({ state }) => state);
}

describe('a title', () => {
  it.concurrent.each(PLAYERS)(
    'plays with its licences, is sought in and has its languages, with %s',
    async (player) => {
      const login = await newViewer();
      await withPage(browser, async (page) => {
        await openFilm(page, login, player);
        await whenPlaying(page);
        expect(await page.locator('#time-all').textContent()).toBe('1:00');
        await press(page, 'ArrowRight', 3);
        const at = await whenPlaying(page, 29);
        expect(at).toBeLessThan(45);
        expect(await page.locator('#seek').getAttribute('aria-valuetext')).toMatch(
          /^\d+ seconds of 1 minute$/,
        );
        await until(async () => (await page.locator('#audio option').count()) === 2, 'two languages');
        expect(await page.locator('#audio option').allTextContents()).toEqual(['English', 'Français']);
        await page.selectOption('#audio', { label: 'Français' });
        await page.selectOption('#speed', '1.5');
        const before = (await glanceAtPage(page)).currentTime;
        await whenPlaying(page, before + 1);
        expect((await glanceAtPage(page)).playbackRate).toBe(1.5);
        const { fatalErrors, pass } = await readPage(page);
        expect(fatalErrors).toBe(0);
        expect(pass?.licenses).toBeGreaterThan(0);
        expect(pass?.refusals).toBe(0);
      });
    },
  );
});

describe('a title that was begun', () => {
  it.concurrent('goes on where the viewer left it, and from the beginning when that is wanted', async () => {
    const login = await newViewer();
    await withPage(browser, async (page) => {
      await openFilm(page, login);
      await whenPlaying(page);
      await press(page, 'ArrowRight', 3);
      const left = await whenPlaying(page, 30);
      await page.goto(`${server.controlUrl}/vod/`);
      await until(
        async () => (await page.locator('#continue-list a').allTextContents()).includes('film'),
        'the film among what is to be continued',
        20_000,
      );
      await openFilm(page, login);
      const at = await whenPlaying(page, 20);
      expect(Math.abs(at - left)).toBeLessThan(15);
      expect(await page.locator('#continued-text').textContent()).toMatch(/^Continued at 0:[34]\d$/);
      await page.locator('#from-start').click();
      await until(async () => (await glanceAtPage(page)).currentTime < 15, 'the beginning', 20_000);
    });
  });

  it.concurrent('is handed over to another device, and taken back', async () => {
    const login = await newViewer();
    await withPage(browser, async (one) => {
      await withPage(browser, async (other) => {
        await openFilm(one, login);
        await whenPlaying(one);
        await press(one, 'ArrowRight', 3);
        const left = await whenPlaying(one, 31);
        await openFilm(other, login);
        expect(Math.abs((await whenPlaying(other, 20)) - left)).toBeLessThan(15);
        await until(() => one.locator('#handoff').isVisible(), 'the word that the other plays', 20_000);
        expect(await one.locator('#handoff-text').textContent()).toMatch(
          /^Now playing on Chrome-Linux-\w{4}$/,
        );
        await until(async () => (await stateOf(one)) === 'paused', 'the first to stand');
        await press(other, 'ArrowLeft', 2);
        await whenPlaying(other, 5);
        await until(async () => (await glanceAtPage(other)).currentTime < 30, 'the other to be back');
        await one.locator('#handoff-here').click();
        await until(async () => (await stateOf(one)) === 'playing', 'the first to go on', 20_000);
        await until(() => other.locator('#handoff').isVisible(), 'the other to know', 20_000);
        expect(await stateOf(other)).toBe('paused');
        expect(await one.locator('#handoff').isVisible()).toBe(false);
      });
    });
  });
});

describe('a session', () => {
  it.concurrent('that an operator ends is over on the page, which starts no other by itself', async () => {
    const login = await newViewer();
    const control = await controlOf(server);
    await withPage(browser, async (page) => {
      await openFilm(page, login);
      await whenPlaying(page);
      const id = (await readPage(page)).pass?.sessionId ?? '';
      expect((await control('DELETE', `/v1/sessions/${id}`)).status).toBe(204);
      await until(async () => (await stateOf(page)) === 'over', 'over', 20_000);
      expect((await readPage(page)).pass).toBeUndefined();
      expect(await page.locator('#start').textContent()).toBe('Watch here');
    });
  });

  it.concurrent('more than the viewer may have takes the place of another when that is wanted', async () => {
    const login = await newViewer({ maxSessions: 1 });
    await withPage(browser, async (one) => {
      await withPage(browser, async (other) => {
        await openFilm(one, login);
        await whenPlaying(one);
        await openFilm(other, login);
        await until(async () => (await stateOf(other)) === 'limit', 'the limit', 20_000);
        await other.locator('#start').click();
        await whenPlaying(other);
        await until(async () => (await stateOf(one)) === 'over', 'the first to be over', 20_000);
      });
    });
  });
});

describe('the pages of titles', () => {
  it.each(['/vod/', '/vod/film/'])('fit a phone without scrolling sideways: %s', async (path) => {
    await withPage(
      browser,
      async (page) => {
        await page.goto(server.controlUrl + path);
        await page.waitForLoadState('load');
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
        const nameless = await page.evaluate(() =>
          [...document.querySelectorAll('button, select, input, a')]
            .filter((element) => {
              if (!(element instanceof HTMLElement) || element.offsetParent === null) return false;
              const label =
                element instanceof HTMLInputElement ? element.labels?.[0]?.textContent : undefined;
              const around = element.closest('label')?.textContent;
              const name = element.getAttribute('aria-label') ?? element.textContent?.trim();
              return !(name || label || around);
            })
            .map((element) => element.outerHTML),
        );
        expect(nameless).toEqual([]);
      },
      { viewport: { width: 360, height: 740 }, hasTouch: true },
    );
  });

  it('list titles, and what is being made to who has the admin token', async () => {
    const token = await readFile(join(server.dataDir, 'secrets', 'admin.token'), 'utf8');
    await withPage(browser, async (page) => {
      await page.goto(`${server.controlUrl}/vod/`);
      await until(
        async () => (await page.locator('#titles a').allTextContents()).includes('film'),
        'the film in the list',
      );
      await page.fill('#admin-token', 'wrong');
      await page.keyboard.press('Enter');
      await until(
        async () => (await page.locator('#jobs-state').textContent())?.includes('not the admin'),
        'no',
      );
      await page.fill('#admin-token', token.trim());
      await page.keyboard.press('Enter');
      await until(async () => (await page.locator('#jobs li.job').count()) > 0, 'the job');
      expect(await page.locator('#jobs').textContent()).toContain('done');
      expect(await page.evaluate(() => localStorage.length + sessionStorage.length)).toBe(0);
    });
  });
});
