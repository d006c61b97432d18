import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { forEachOf, launchBrowser, withPages } from '../support/browser.ts';
import { whenListed } from '../support/demo-stream.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import {
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

beforeAll(async () => {
  // A busy machine makes publishers stall; here they are lost when the test says so.
  const set = ['live.failoverMs=10000'];
  [browser, server] = await Promise.all([launchBrowser(), startServer({ set })]);
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

/** The publishers of one stream, by their roles. */
class Publishers {
  readonly #stream: string;
  readonly #url: string;
  readonly #bFrames: number;
  readonly #children = new Map<string, ChildProcess>();

  constructor(stream: string, url: string, bFrames: number) {
    this.#stream = stream;
    this.#url = url;
    this.#bFrames = bFrames;
  }

  /** Publishes and waits until the server has taken it; its pictures come a moment later. */
  async publish(role: string): Promise<void> {
    const before = this.#told('publisher accepted').length;
    this.#start(role);
    await until(() => this.#told('publisher accepted').length > before, `${role} connected`);
  }

  async lose(role: string): Promise<void> {
    const child = this.#children.get(role);
    this.#children.delete(role);
    if (!child || child.exitCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'close');
  }

  async close(): Promise<void> {
    await Promise.all([...this.#children.keys()].map((role) => this.lose(role)));
  }

  /** How much of a publisher's media lay before the place where the one before had ended, a timeline each. */
  leadIns(): unknown[] {
    return this.#told('timeline begun').map(({ fields }) => fields['leadInMs']);
  }

  #told(message: string): TestServer['log'] {
    return server.log.filter((line) => line.message === message && line.fields['stream'] === this.#stream);
  }

  #start(role: string): void {
    const child = spawn(
      'ffmpeg',
      [
        ...['-hide_banner', '-nostdin', '-loglevel', 'error'],
        ...['-re', '-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=30'],
        ...['-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'],
        ...['-c:v', 'libx264', '-preset', 'superfast', '-threads', '1', '-rc-lookahead', '0'],
        ...['-bf', `${this.#bFrames}`, '-b_strategy', '0', '-g', '60', '-keyint_min', '60'],
        ...['-sc_threshold', '0', '-b:v', '300k', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-ac', '2'],
        ...['-f', 'flv', `${this.#url}?role=${role}`],
      ],
      { stdio: 'ignore' },
    );
    this.#children.set(role, child);
  }
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

describe('a viewer of two publishers', () => {
  it.concurrent.each<readonly [PlayerName, number]>([
    ['hls', 0],
    ['hls', 2],
  ])(
    'sees the picture go on each time that one of them is lost, with %s and %d B-frames',
    (player, bFrames) => failOver(`hls-${bFrames}`, [player], bFrames),
  );

  it('sees the picture go on each time that one of them is lost, with dash and shaka and 2 B-frames', () =>
    failOver('dash', ['dash', 'shaka'], 2));
});

/** Loses one publisher after the other under the viewers' eyes. */
async function failOver(stream: string, players: readonly PlayerName[], bFrames: number): Promise<void> {
  const publishers = new Publishers(stream, await server.publishUrl(stream), bFrames);
  try {
    await publishers.publish('primary');
    await whenListed(server, `${stream}/index`);
    if (!ALONE) await publishers.publish('backup');
    await withPages(browser, players, async (pageOf) => {
      await forEachOf(players, async (player) => {
        const page = pageOf(player);
        await page.goto(`${server.mediaUrl}/live/${stream}/?player=${player}&mode=stock`);
        await until(async () => (await readPage(page)).state === 'playing', 'playing', 40_000);
        await plays(page, 4);
      });
      const seams = publishers.leadIns().length;
      await forEachOf(players, (player) => recordFrames(pageOf(player)));
      let [onAir, standby] = ['primary', 'backup'];
      for (let n = 0; n < FAILOVERS; n++) {
        await publishers.lose(onAir);
        [onAir, standby] = [standby, onAir];
        await forEachOf(players, (player) => plays(pageOf(player), 2));
        if (!ALONE) await publishers.publish(standby);
        await forEachOf(players, (player) => plays(pageOf(player), 5));
      }
      const seen = publishers.leadIns().slice(seams);
      expect(seen).toEqual(seen.map(() => expect.any(Number)));
      expect(seen).toHaveLength(FAILOVERS);
      await forEachOf(players, (player) => expectWentOn(pageOf(player), player));
    });
  } finally {
    await publishers.close();
  }
}

/** Every picture was shown once, and soon after the one before. */
async function expectWentOn(page: Page, player: PlayerName): Promise<void> {
  const frames = await takeFrames(page);
  // Nothing is shown twice, whatever a player makes of a new Period.
  expect(largest(frames, (a, b) => a.mediaSeconds - b.mediaSeconds)).toBeLessThan(0.1);
  if (player === 'hls') {
    expect(largest(frames, (a, b) => b.shownMs - a.shownMs)).toBeLessThan(LONGEST_WAIT_MS);
  }
  await until(async () => (await readPage(page)).state === 'playing', 'playing on', 40_000);
  expect((await readPage(page)).fatalErrors).toBe(0);
}
