/**
 * How much later is a picture seen because it is encrypted? The demo broadcast, in the clear and encrypted with the watch
 * page's licences, to one player after the other. A canvas shows nothing of protected video, so the clock in the picture
 * cannot be read; what is compared is how far behind the wall clock each player is by the media's own times, and how long
 * a frame is in the server, read from the socket.
 */
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import type { Browser } from 'playwright-core';
import { launchBrowser } from '../test/support/browser.ts';
import { loginAt } from '../test/support/test-login.ts';
import { until } from '../test/support/until.ts';
import { PLAYERS, type PlayerName, readPage, resetPage } from '../test/support/watch-page.ts';
import { type HeadwaterProcess, startHeadwater } from './support/headwater-process.ts';
import { percentile, printTable, saveResults } from './support/report.ts';
import { probeDelivery } from './support/stage-probe.ts';

const { values } = parseArgs({
  options: {
    /** Length of one session. */
    seconds: { type: 'string', default: '30' },
    /** Time a player is given to find its latency before anything counts. */
    settle: { type: 'string', default: '15' },
    rounds: { type: 'string', default: '2' },
  },
});
const SECONDS = Number(values.seconds);
const SETTLE_SECONDS = Number(values.settle);
const ROUNDS = Number(values.rounds);
const PROBED_SEGMENTS = 5;
const SAMPLE_MS = 250;
/** What encryption may add, milliseconds. */
const BAR_MS = 10;

/** With one key for all of it: a reader of segments to come must know their names. */
const WAYS = { clear: [], encrypted: ['--drm', '--set', 'drm.rotationSeconds=3600'] } as const;
type Way = keyof typeof WAYS;

interface Session {
  readonly round: number;
  readonly way: Way;
  readonly player: PlayerName;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly stalls: number;
}

interface Delivery {
  readonly round: number;
  readonly way: Way;
  readonly p50Ms: number;
  readonly p95Ms: number;
}

const browser = await launchBrowser();
const sessions: Session[] = [];
const deliveries: Delivery[] = [];
try {
  for (let round = 0; round < ROUNDS; round++) {
    const ways = Object.keys(WAYS) as Way[];
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) await measureWay(browser, round, way);
  }
  report();
} finally {
  await browser.close();
}

async function measureWay(inBrowser: Browser, round: number, way: Way): Promise<void> {
  const server = await startHeadwater(['--demo', ...WAYS[way]]);
  try {
    const isShown = async (): Promise<boolean> => (await fetch(`${server.mediaUrl}/live/demo/index.mpd`)).ok;
    await until(isShown, 'the broadcast is on the air');
    for (const player of PLAYERS) sessions.push(await measure(inBrowser, server, { round, way, player }));
    const spent = await probeDelivery(`${server.mediaUrl}/live/demo`, 'video', PROBED_SEGMENTS);
    deliveries.push({ round, way, p50Ms: percentile(spent, 0.5), p95Ms: percentile(spent, 0.95) });
  } finally {
    await server.close();
  }
}

async function measure(
  inBrowser: Browser,
  server: HeadwaterProcess,
  setting: Pick<Session, 'round' | 'way' | 'player'>,
): Promise<Session> {
  const context = await inBrowser.newContext({ viewport: { width: 1100, height: 800 } });
  const page = await context.newPage();
  try {
    // The licence endpoint is the control listener's, so is the page that asks it.
    const login = await loginAt({ dataDir: dirname(dirname(server.adminTokenFile)) }, 'viewer');
    await page.goto(`${server.controlUrl}/live/demo/?player=${setting.player}&mode=low#login=${login}`);
    await until(
      async () => (await readPage(page)).latencyMs !== undefined,
      `${setting.player} plays`,
      40_000,
    );
    await page.waitForTimeout(SETTLE_SECONDS * 1000);
    await resetPage(page);
    const samples: number[] = [];
    for (let i = 0; i < (SECONDS * 1000) / SAMPLE_MS; i++) {
      await page.waitForTimeout(SAMPLE_MS);
      const { latencyMs } = await readPage(page);
      if (latencyMs !== undefined) samples.push(latencyMs);
    }
    const { stalls } = await readPage(page);
    const session = {
      ...setting,
      p50Ms: percentile(samples, 0.5),
      p95Ms: percentile(samples, 0.95),
      stalls,
    };
    console.log(`${setting.player}, ${setting.way}: p50 ${session.p50Ms.toFixed(0)} ms, ${stalls} stalls`);
    return session;
  } finally {
    await context.close();
  }
}

function report(): void {
  printTable(
    ['player', 'clear p50 (p95) ms', 'encrypted p50 (p95) ms', 'added p50 ms', 'stalls'],
    PLAYERS.map((player) => {
      const own = sessions.filter((session) => session.player === player);
      const stalls = own.reduce((sum, session) => sum + session.stalls, 0);
      return [player, ...compared(own), `${stalls}`];
    }),
  );
  console.log(`\nfrom the frame's time to the socket of a reader (bar: ${BAR_MS} ms more at most):`);
  printTable(['clear p50 (p95) ms', 'encrypted p50 (p95) ms', 'added p50 ms'], [compared(deliveries)]);
  saveResults('encryption-latency', {
    seconds: SECONDS,
    rounds: ROUNDS,
    chromium: browser.version(),
    sessions,
    deliveries,
  });
}

function compared(all: readonly Delivery[]): string[] {
  const of = (way: Way, quantile: 'p50Ms' | 'p95Ms'): number =>
    percentile(
      all.filter((one) => one.way === way).map((one) => one[quantile]),
      0.5,
    );
  const both = (way: Way): string => `${of(way, 'p50Ms').toFixed(1)} (${of(way, 'p95Ms').toFixed(1)})`;
  return [both('clear'), both('encrypted'), (of('encrypted', 'p50Ms') - of('clear', 'p50Ms')).toFixed(1)];
}
