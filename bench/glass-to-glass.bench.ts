/**
 * How old is the picture that a viewer sees? The demo broadcast writes the wall clock into its pixels before they are
 * encoded; the watch page in headless Chromium reads it back from the canvas as frames are shown. Each player, with
 * its own defaults and with the page's low-latency settings, in alternating order.
 */
import { parseArgs } from 'node:util';
import type { Browser } from 'playwright-core';
import { collectFaults, launchBrowser } from '../test/support/browser.ts';
import { PLAYERS, readPage, resetPage, whenPlaying, type PlayerName } from '../test/support/watch-page.ts';
import { startHeadwater } from './support/headwater-process.ts';
import { percentile, printTable, saveResults } from './support/report.ts';

const { values } = parseArgs({
  options: {
    /** Length of one session. */
    seconds: { type: 'string', default: '60' },
    /** Time a player is given to find its latency before anything counts. */
    settle: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '1' },
  },
});
const SECONDS = Number(values.seconds);
const SETTLE_SECONDS = Number(values.settle);
const ROUNDS = Number(values.rounds);
const MODES = ['stock', 'low'] as const;
type Mode = (typeof MODES)[number];

interface Session {
  readonly player: PlayerName;
  readonly mode: Mode;
  readonly samples: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly maxMs: number;
  readonly stalls: number;
  readonly stalledMs: number;
  readonly fatalErrors: number;
  readonly faults: readonly string[];
}

const server = await startHeadwater(['--demo']);
const browser = await launchBrowser();
try {
  const sessions: Session[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const mode of MODES) {
      for (const player of round % 2 === 0 ? PLAYERS : PLAYERS.toReversed()) {
        const session = await measure(browser, player, mode);
        console.log(
          `${player} ${mode}: p50 ${session.p50Ms.toFixed(0)} p95 ${session.p95Ms.toFixed(0)} ms, ${session.stalls} stalls`,
        );
        sessions.push(session);
      }
    }
  }
  report(sessions);
} finally {
  await browser.close();
  await server.close();
}

async function measure(inBrowser: Browser, player: PlayerName, mode: Mode): Promise<Session> {
  const context = await inBrowser.newContext({ viewport: { width: 1100, height: 800 } });
  const page = await context.newPage();
  const faults = collectFaults(page);
  try {
    await page.goto(`${server.mediaUrl}/live/demo/?player=${player}&mode=${mode}`);
    await whenPlaying(page);
    await page.waitForTimeout(SETTLE_SECONDS * 1000);
    await resetPage(page);
    await page.waitForTimeout(SECONDS * 1000);
    const reading = await readPage(page);
    const { glassSamples } = reading;
    return {
      player,
      mode,
      samples: glassSamples.length,
      p50Ms: percentile(glassSamples, 0.5),
      p95Ms: percentile(glassSamples, 0.95),
      maxMs: Math.max(...glassSamples),
      stalls: reading.stalls,
      stalledMs: reading.stalledMs,
      fatalErrors: reading.fatalErrors,
      faults: faults.slice(0, 5),
    };
  } finally {
    await context.close();
  }
}

function report(sessions: readonly Session[]): void {
  const rows = sessions.map((session) => [
    session.player,
    session.mode,
    session.p50Ms.toFixed(0),
    session.p95Ms.toFixed(0),
    session.maxMs.toFixed(0),
    `${session.stalls}`,
    session.stalledMs.toFixed(0),
    `${session.samples}`,
    `${session.fatalErrors}`,
  ]);
  printTable(
    ['player', 'settings', 'p50 ms', 'p95 ms', 'max ms', 'stalls', 'stalled ms', 'frames', 'fatal'],
    rows,
  );
  const medianOf = (player: PlayerName, mode: Mode): number =>
    percentile(
      sessions.filter((s) => s.player === player && s.mode === mode).map((s) => s.p50Ms),
      0.5,
    );
  for (const player of PLAYERS) {
    const ratio = medianOf(player, 'low') / medianOf(player, 'stock');
    console.log(`${player}: low-latency settings / stock settings = ${ratio.toFixed(2)}×`);
  }
  saveResults('glass-to-glass', { seconds: SECONDS, chromium: browser.version(), sessions });
}
