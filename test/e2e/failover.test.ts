import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, withPage } from '../support/browser.ts';
import { whenListed } from '../support/demo-stream.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import {
  PLAYERS,
  type PlayerName,
  readPage,
  recordFrames,
  type ShownFrame,
  takeFrames,
} from '../support/watch-page.ts';

/**
 * Viewers of a stream whose publishers are lost one after the other, each in the middle of the other's GOP, with
 * B-frames. `SABOTAGE=alone` leaves the stream without the second publisher.
 */
const ALONE = process.env['SABOTAGE'] === 'alone';
const FAILOVERS = 2;
/** Between two pictures; a busy machine drops some. Players of DASH wait until they have read of the new Period. */
const LONGEST_WAIT_MS = 1000;

let browser: Browser;
let server: TestServer;
const children = new Map<string, ChildProcess>();

beforeAll(async () => {
  // A busy machine makes publishers stall; here they are lost when the test says so.
  const set = ['live.failoverMs=10000'];
  [browser, server] = await Promise.all([launchBrowser(), startServer({ set })]);
});

afterEach(async () => {
  for (const role of children.keys()) await lose(role);
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

function start(publishUrl: string, role: string, bFrames: number): void {
  const child = spawn(
    'ffmpeg',
    [
      ...['-hide_banner', '-nostdin', '-loglevel', 'error'],
      ...['-re', '-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=30'],
      ...['-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'],
      ...['-c:v', 'libx264', '-preset', 'superfast', '-threads', '1', '-rc-lookahead', '0'],
      ...['-bf', `${bFrames}`, '-b_strategy', '0', '-g', '60', '-keyint_min', '60', '-sc_threshold', '0'],
      ...['-b:v', '300k', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-ac', '2'],
      ...['-f', 'flv', `${publishUrl}?role=${role}`],
    ],
    { stdio: 'ignore' },
  );
  children.set(role, child);
}

async function lose(role: string): Promise<void> {
  const child = children.get(role);
  children.delete(role);
  if (!child || child.exitCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'close');
}

/** How much of a publisher's media lay before the place where the one before had ended, a timeline each. */
function leadIns(): unknown[] {
  const begun = server.log.filter(({ message }) => message === 'timeline begun');
  return begun.map(({ fields }) => fields['leadInMs']);
}

function accepted(): number {
  return server.log.filter(({ message }) => message === 'publisher accepted').length;
}

/** Publishes and waits until the server has taken it; its pictures come a moment later. */
async function publish(publishUrl: string, role: string, bFrames: number): Promise<void> {
  const before = accepted();
  start(publishUrl, role, bFrames);
  await until(() => accepted() > before, `${role} connected`);
}

/** Waits until so much more of the stream was played. */
async function plays(page: Page, seconds: number): Promise<void> {
  const from = (await readPage(page)).currentTime;
  await until(
    async () => (await readPage(page)).currentTime > from + seconds,
    `${seconds} s more to be played`,
    40_000,
  );
}

function largest(frames: readonly ShownFrame[], of: (a: ShownFrame, b: ShownFrame) => number): number {
  return Math.max(...frames.slice(1).map((frame, index) => of(frames[index] ?? frame, frame)));
}

function watch(player: PlayerName, stream: string, run: (page: Page) => Promise<void>): Promise<void> {
  return withPage(browser, async (page) => {
    await page.goto(`${server.mediaUrl}/live/${stream}/?player=${player}&mode=stock`);
    await until(async () => (await readPage(page)).state === 'playing', 'playing', 40_000);
    await run(page);
  });
}

const CASES = [{ player: 'hls', bFrames: 0 } as const, ...PLAYERS.map((player) => ({ player, bFrames: 2 }))];

describe('a viewer of two publishers', () => {
  it.each(CASES)(
    'sees the picture go on each time that one of them is lost, with $player and $bFrames B-frames',
    async ({ player, bFrames }) => {
      const stream = `${player}-${bFrames}`;
      const url = await server.publishUrl(stream);
      await publish(url, 'primary', bFrames);
      await whenListed(server, `${stream}/index`);
      if (!ALONE) await publish(url, 'backup', bFrames);
      await watch(player, stream, async (page) => {
        await plays(page, 4);
        const seams = leadIns().length;
        await recordFrames(page);
        let [onAir, standby] = ['primary', 'backup'];
        for (let n = 0; n < FAILOVERS; n++) {
          await lose(onAir);
          [onAir, standby] = [standby, onAir];
          await plays(page, 2);
          if (!ALONE) await publish(url, standby, bFrames);
          await plays(page, 5);
        }
        const frames = await takeFrames(page);
        const seen = leadIns().slice(seams);
        expect(seen).toEqual(seen.map(() => expect.any(Number)));
        expect(seen).toHaveLength(FAILOVERS);
        // Nothing is shown twice, whatever a player makes of a new Period.
        expect(largest(frames, (a, b) => a.mediaSeconds - b.mediaSeconds)).toBeLessThan(0.1);
        if (player === 'hls') {
          expect(largest(frames, (a, b) => b.shownMs - a.shownMs)).toBeLessThan(LONGEST_WAIT_MS);
        }
        await until(async () => (await readPage(page)).state === 'playing', 'playing on', 40_000);
        expect((await readPage(page)).fatalErrors).toBe(0);
      });
    },
  );
});
