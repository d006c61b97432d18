import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collectFaults, forEachOf, launchBrowser, withPage, withPages } from '../support/browser.ts';
import { ffmpeg } from '../support/ffmpeg.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { loginAt } from '../support/test-login.ts';
import { until } from '../support/until.ts';
import { addTitle, controlOf, whenWhole } from '../support/vod-client.ts';
import {
  glanceAtPage,
  type PageGlance,
  PLAYERS,
  type PlayerName,
  readPage,
  selectRendition,
} from '../support/watch-page.ts';

/**
 * Titles in the three players. A quarter of the film is of one colour, each language of its sound is a tone, and each of
 * its subtitles says in which language it is: what is shown and heard tells where and what is played.
 */

const SECONDS = 80;
const COLOURS = ['red', 'lime', 'blue', 'yellow'] as const;
const TONES = { English: 440, Deutsch: 880 } as const;
/** What a machine with much to do may take for anything. */
const WITHIN_MS = 60_000;
/** Pieces of the growing title from here on are held up, and so much must be there before it is played. */
const HELD_FROM_SECONDS = 36;
const LISTED_SECONDS = 20;

/** dash.js tells that it has no keys of its own before it asks for them. */
const HARMLESS = /favicon|\[ProtectionKeyController\] Failed to retrieve clearkeys/;

let browser: Browser;
let server: TestServer;
let folder: string;
let master: string;
/** While this file is there, encoders of later pieces wait before they begin. */
let hold: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-titles-'));
  master = await makeMaster();
  hold = join(folder, 'hold');
  const program = join(folder, 'ffmpeg');
  const script = `#!/bin/sh
for word in "$@"; do [ "$before" = -ss ] && at=\${word%.*}; before=$word; done
while [ -e ${hold} ] && [ "\${at:-0}" -ge ${HELD_FROM_SECONDS} ]; do sleep 0.1; done
exec ffmpeg "$@"
`;
  await writeFile(program, script, { mode: 0o755 });
  browser = await launchBrowser();
  server = await startServer({
    set: [
      ...['vod.ladder=240p:300k,120p:100k', 'vod.effort=low', 'vod.segmentMs=2000', 'vod.slots=6'],
      ...[`vod.roots=${folder}`, `ladder.ffmpeg=${program}`, 'drm.enabled=true'],
    ],
  });
  const control = await controlOf(server);
  await forEachOf(['film', 'secret'], async (title) => {
    const job = await addTitle(control, { title, protect: title === 'secret', path: master });
    await whenWhole(control, job.id, title, 230_000);
  });
}, 240_000);

afterAll(async () => {
  await browser?.close();
  if (folder) await rm(hold, { force: true });
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

function cues(word: string): string {
  const all = Array.from({ length: SECONDS }, (_, n) => {
    const at = (ms: number): string => new Date(n * 1000 + ms).toISOString().slice(11, 23);
    return `${at(0)} --> ${at(990)}\n${word} ${n}\n`;
  });
  return `WEBVTT\n\n${all.join('\n')}`;
}

async function makeMaster(): Promise<string> {
  const path = join(folder, 'film.mkv');
  for (const [name, word] of [
    ['eng.vtt', 'english'],
    ['deu.vtt', 'deutsch'],
    // Beside the master, and called like it.
    ['film.fr.vtt', 'francais'],
  ] as const) {
    await writeFile(join(folder, name), cues(word));
  }
  const quarters = COLOURS.flatMap((colour) => [
    ...['-f', 'lavfi', '-i', `color=${colour}:size=426x240:rate=10:duration=${SECONDS / COLOURS.length}`],
  ]);
  const tones = Object.values(TONES).flatMap((hertz) => ['-f', 'lavfi', '-i', `sine=${hertz}:r=48000`]);
  await ffmpeg([
    ...[...quarters, ...tones, '-i', join(folder, 'eng.vtt'), '-i', join(folder, 'deu.vtt')],
    ...['-filter_complex', `concat=n=${COLOURS.length}[v]`, '-map', '[v]', '-map', '4', '-map', '5'],
    ...['-map', '6', '-map', '7', '-t', `${SECONDS}`, '-c:v', 'libx264', '-preset', 'ultrafast', '-g', '20'],
    ...['-pix_fmt', 'yuv420p', '-c:a', 'aac', '-b:a', '64k', '-c:s', 'srt'],
    // Nobody is to read them who has not chosen to.
    ...[
      '-disposition:s',
      '0',
      '-default_mode',
      'infer_no_subs',
      '-metadata:s:a:0',
      'language=eng',
      '-metadata:s:a:1',
      'language=deu',
    ],
    ...['-metadata:s:s:0', 'language=eng', '-metadata:s:s:1', 'language=deu', path],
  ]);
  return path;
}

/** Opens the page of a title; where it is encrypted, as a viewer who may see it. */
async function openTitle(page: Page, title: string, player: PlayerName): Promise<void> {
  const login = title === 'secret' ? `#login=${await loginAt(server, `viewer-${player}`)}` : '';
  await page.goto(`${server.controlUrl}/vod/${title}/?player=${player}${login}`);
}

async function whenPlaying(page: Page, wanted: (now: PageGlance) => boolean): Promise<PageGlance> {
  return until(
    async () => {
      const glance = await glanceAtPage(page);
      return glance.state === 'playing' && wanted(glance) ? glance : undefined;
    },
    `playing where ${wanted.toString()}`,
    WITHIN_MS,
  );
}

/** To a place, as with the mouse. */
async function clickAt(page: Page, seconds: number): Promise<void> {
  const box = await page.locator('#seek').boundingBox();
  if (!box) throw new Error('no seek bar');
  await page.mouse.click(box.x + (box.width * seconds) / SECONDS, box.y + box.height / 2);
}

/** The colour in the middle of a picture, as the nearest of the film's. */
function nearestColour(page: Page, png: Buffer): Promise<string> {
  return page.evaluate(
    async ({ base64, colours }) => {
      const image = new Image();
      image.src = `data:image/png;base64,${base64}`;
      await image.decode();
      const canvas = new OffscreenCanvas(colours.length + 1, 1);
      const context = canvas.getContext('2d');
      if (!context) return 'none';
      const { width, height } = image;
      context.drawImage(image, width / 2 - 4, height / 3, 8, 8, 0, 0, 1, 1);
      for (const [index, colour] of colours.entries()) {
        context.fillStyle = colour;
        context.fillRect(index + 1, 0, 1, 1);
      }
      const { data } = context.getImageData(0, 0, colours.length + 1, 1);
      const far = (index: number): number =>
        [0, 1, 2].reduce((sum, c) => sum + Math.abs((data[c] ?? 0) - (data[4 * index + c] ?? 0)), 0);
      const [best] = colours
        .map((colour, index) => ({ colour, off: far(index + 1) }))
        .toSorted((a, b) => a.off - b.off);
      return best && best.off < 150 ? best.colour : `none: ${data.slice(0, 3).join(' ')}`;
    },
    { base64: png.toString('base64'), colours: [...COLOURS] },
  );
}

/** The colour that is shown, as a browser shows it to the eye: canvases see black where media is protected. */
async function shownColour(page: Page): Promise<string> {
  return nearestColour(page, await page.locator('#video').screenshot());
}

function colourAt(seconds: number): string {
  return COLOURS[Math.floor((seconds * COLOURS.length) / SECONDS)] ?? 'none';
}

interface EarWindow {
  ear?: { readonly context: AudioContext; readonly analyser: AnalyserNode };
}

/** The loudest frequency that the page plays, hertz. */
function heardHertz(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const at = window as EarWindow;
    const video = document.querySelector('video');
    if (!video) return 0;
    if (!at.ear) {
      const context = new AudioContext();
      const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
      context.createMediaElementSource(video).connect(analyser).connect(context.destination);
      at.ear = { context, analyser };
      video.muted = false;
      await context.resume();
    }
    const { analyser, context } = at.ear;
    const levels = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(levels);
    const loudest = levels.indexOf(Math.max(...levels));
    return Number.isFinite(levels[loudest]) ? (loudest * context.sampleRate) / analyser.fftSize : 0;
  });
}

async function whenHeard(page: Page, language: keyof typeof TONES): Promise<void> {
  let heard = 0;
  await until(
    async () => {
      heard = await heardHertz(page);
      return Math.abs(heard - TONES[language]) < 20;
    },
    `${language} to be heard`,
    WITHIN_MS,
  ).catch((error: unknown) => {
    throw new Error(`${heard} Hz`, { cause: error });
  });
}

/** The words that are shown of the subtitles, and when, by the film's clock. */
function shownText(page: Page): Promise<string> {
  return page.evaluate(() => {
    const video = document.querySelector('video');
    const showing = [...(video?.textTracks ?? [])].filter(({ mode }) => mode === 'showing');
    const active = showing.flatMap(({ activeCues }) => [...(activeCues ?? [])]);
    return active.map((cue) => ('text' in cue ? String(cue.text) : '')).join('|');
  });
}

async function selectText(page: Page, label: string, word: RegExp): Promise<void> {
  await page.selectOption('#text', { label });
  let text = '';
  await until(
    async () => {
      text = await shownText(page);
      return word.test(text);
    },
    `subtitles: ${label}`,
    WITHIN_MS,
  ).catch((error: unknown) => {
    throw new Error(`shown: ${text}`, { cause: error });
  });
}

describe.each(['film', 'secret'])('a title: %s', (title) => {
  it.concurrent.each(PLAYERS)(
    'is sought in, and has its rungs, languages and subtitles, with %s',
    async (player) => {
      await withPage(browser, async (page) => {
        const faults = collectFaults(page);
        await openTitle(page, title, player);
        const { currentTime } = await whenPlaying(page, (now) => now.currentTime > 0.2);
        expect(currentTime).toBeLessThan(15);
        expect(await shownColour(page)).toBe('red');

        // Beyond what is buffered, so that it must be fetched, and in the rung that is wished for.
        for (const [rung, seconds] of [
          ['120p', 70],
          ['240p', 45],
        ] as const) {
          // oxlint-disable-next-line no-await-in-loop
          await selectRendition(page, rung);
          // oxlint-disable-next-line no-await-in-loop
          await clickAt(page, seconds);
          // oxlint-disable-next-line no-await-in-loop
          await whenPlaying(page, (now) => now.rendition === rung && Math.abs(now.currentTime - seconds) < 9);
          // The decoder's word, not the manifest's.
          // oxlint-disable-next-line no-await-in-loop
          expect(await page.evaluate(() => document.querySelector('video')?.videoHeight)).toBe(
            Number.parseInt(rung, 10),
          );
          // oxlint-disable-next-line no-await-in-loop
          expect(await shownColour(page)).toBe(colourAt(seconds));
        }

        const sound = page.locator('#audio option');
        await until(async () => (await sound.count()) === 2, 'two languages', WITHIN_MS);
        expect(await sound.allTextContents()).toEqual(['English', 'Deutsch']);
        await whenHeard(page, 'English');
        await page.selectOption('#audio', { label: 'Deutsch' });
        await whenHeard(page, 'Deutsch');

        const texts = page.locator('#text option');
        expect(await texts.allTextContents()).toEqual([
          'No subtitles',
          ...['English', 'Deutsch', 'français'].map((each) => expect.stringMatching(new RegExp(each, 'i'))),
        ]);
        expect(await shownText(page)).toBe('');
        for (const [index, word] of ['english', 'deutsch', 'francais'].entries()) {
          // oxlint-disable-next-line no-await-in-loop
          await selectText(
            page,
            (await texts.nth(index + 1).textContent()) ?? '',
            new RegExp(`^${word} \\d`),
          );
        }
        const [, cue] = /(\d+)$/.exec(await shownText(page)) ?? [];
        expect(Math.abs(Number(cue) - (await glanceAtPage(page)).currentTime)).toBeLessThan(3);
        await selectText(page, 'No subtitles', /^$/);

        const { fatalErrors, starts, state } = await readPage(page);
        expect([fatalErrors, starts, state]).toEqual([0, 1, 'playing']);
        expect(faults.filter((fault) => !HARMLESS.test(fault))).toEqual([]);
      });
    },
  );
});

describe('the seek bar', () => {
  it('shows a picture of the place the pointer is at, and its time', async () => {
    await withPage(browser, async (page) => {
      await openTitle(page, 'film', 'hls');
      await whenPlaying(page, (now) => now.currentTime > 0);
      const box = await page.locator('#seek').boundingBox();
      if (!box) throw new Error('no seek bar');
      for (const seconds of [10, 50, 70]) {
        // oxlint-disable-next-line no-await-in-loop
        await page.mouse.move(box.x + (box.width * seconds) / SECONDS, box.y + box.height / 2);
        const picture = page.locator('#preview-picture');
        // The sheet comes over the network.
        // oxlint-disable-next-line no-await-in-loop
        await until(
          async () =>
            (await picture.isVisible()) &&
            (await nearestColour(page, await picture.screenshot())) === colourAt(seconds),
          `a picture of ${seconds} s`,
        );
        // oxlint-disable-next-line no-await-in-loop
        const [minutes, rest] = ((await page.locator('#preview-time').textContent()) ?? '').split(':');
        expect(Math.abs(Number(minutes) * 60 + Number(rest) - seconds)).toBeLessThanOrEqual(1);
      }
      await page.mouse.move(box.x, box.y - 200);
      await until(async () => !(await page.locator('#preview').isVisible()), 'the picture gone');
    });
  });
});

describe('a title that is still being made', () => {
  it('is played from its beginning to its end, with any player', { timeout: 240_000 }, async () => {
    const control = await controlOf(server);
    await writeFile(hold, '');
    const job = await addTitle(control, {
      title: 'growing',
      path: master,
      protect: false,
      ladder: '120p:100k',
    });
    await until(
      async () => (await listedSeconds()) >= LISTED_SECONDS,
      'its beginning can be played',
      WITHIN_MS,
    );
    const state = async (): Promise<unknown> => (await control('GET', '/v1/assets/growing')).json['state'];
    await withPages(browser, PLAYERS, async (pageOf) => {
      try {
        await forEachOf(PLAYERS, async (player) => {
          await openTitle(pageOf(player), 'growing', player);
          const { currentTime } = await whenPlaying(pageOf(player), (now) => now.currentTime > 0.2);
          // Not at its end, as if it were live.
          expect(currentTime).toBeLessThan(LISTED_SECONDS / 2);
        });
        expect(await state()).toBe('growing');
      } finally {
        await rm(hold, { force: true });
      }
      await whenWhole(control, job.id, 'growing');
      await forEachOf(PLAYERS, async (player) => {
        const page = pageOf(player);
        const all = page.locator('#time-all');
        await until(async () => (await all.textContent()) === '1:20', 'its whole length', WITHIN_MS);
        await clickAt(page, SECONDS - 3);
        await until(async () => (await readPage(page)).state === 'ended', 'its end', WITHIN_MS);
        const { fatalErrors, currentTime } = await readPage(page);
        expect(fatalErrors).toBe(0);
        expect(Math.abs(currentTime - SECONDS)).toBeLessThan(1);
      });
    });
  });

  /** How much of it is listed by now. */
  async function listedSeconds(): Promise<number> {
    const answer = await fetch(`${server.mediaUrl}/vod/growing/120p.m3u8`);
    const text = await answer.text();
    if (!answer.ok) return 0;
    if (text.includes('#EXT-X-ENDLIST')) throw new Error('it is whole already');
    return [...text.matchAll(/#EXTINF:([\d.]+)/g)].reduce((sum, [, seconds]) => sum + Number(seconds), 0);
  }
});
