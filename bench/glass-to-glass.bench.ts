/**
 * How old is the picture that a viewer sees, and where does the time go? The demo broadcast writes the wall clock into
 * its pixels before they are encoded; the watch page in headless Chromium reads it back from the canvas as frames are
 * shown. Each player with its own defaults and with the page's low-latency settings, and then an encoded rung beside
 * the source it is made from. A reader without a player tells how much of it is spent before a player has the bytes.
 */
import { parseArgs } from 'node:util';
import type { Browser } from 'playwright-core';
import { collectFaults, launchBrowser } from '../test/support/browser.ts';
import {
  PLAYERS,
  type PlayerName,
  readPage,
  resetPage,
  selectRendition,
  whenPlaying,
  whenShown,
} from '../test/support/watch-page.ts';
import { until } from '../test/support/until.ts';
import { type Bar, saveBarChart } from './support/chart.ts';
import { type HeadwaterProcess, startHeadwater } from './support/headwater-process.ts';
import { percentile, printTable, saveResults } from './support/report.ts';
import { type FrameStages, probeStages } from './support/stage-probe.ts';

const { values } = parseArgs({
  options: {
    /** Length of one session. */
    seconds: { type: 'string', default: '60' },
    /** Time a player is given to find its latency before anything counts. */
    settle: { type: 'string', default: '15' },
    rounds: { type: 'string', default: '1' },
  },
});
const SECONDS = Number(values.seconds);
const SETTLE_SECONDS = Number(values.settle);
const ROUNDS = Number(values.rounds);
/** One rung, so that three players, the broadcast, its encoder and ours can share a small machine. */
const RUNG = '480p';
const LADDER = `${RUNG}:1100k`;
const PROBED_SEGMENTS = 5;

/** What a viewer asks of the page. */
interface Setting {
  readonly player: PlayerName;
  readonly mode: 'stock' | 'low';
  readonly rendition: string;
  /** Whether the server encodes at the same time. */
  readonly ladder: boolean;
}

interface Session extends Setting {
  readonly samples: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly maxMs: number;
  readonly stalls: number;
  readonly stalledMs: number;
  readonly fatalErrors: number;
  readonly faults: readonly string[];
}

interface Stages {
  readonly rendition: string;
  readonly drawnToClock: Quantiles;
  readonly clockToSocket: Quantiles;
}

interface Quantiles {
  readonly p50Ms: number;
  readonly p95Ms: number;
}

/** p95 that the players are to keep, milliseconds: 60 s without a stall. */
const GOALS: Readonly<Record<string, number>> = {
  'dash low': 300,
  'hls low': 550,
  'shaka low': 600,
  'dash stock': 1300,
  'hls stock': 1300,
};
/** What an encoded rung may add to the source's p95, milliseconds. */
const RUNG_GOAL_MS = 150;

const browser = await launchBrowser();
try {
  const sessions: Session[] = [];
  const stages: Stages[] = [];
  await withServer([], async (server) => {
    for (let round = 0; round < ROUNDS; round++) {
      for (const mode of ['stock', 'low'] as const) {
        for (const player of inTurn(round)) {
          sessions.push(await measure(browser, server, { player, mode, rendition: 'video', ladder: false }));
        }
      }
    }
    stages.push(await probe(server, 'video'));
  });
  await withServer(['--set', `ladder.rungs=${LADDER}`], async (server) => {
    for (let round = 0; round < ROUNDS; round++) {
      for (const rendition of ['video', RUNG]) {
        for (const player of inTurn(round)) {
          sessions.push(await measure(browser, server, { player, mode: 'low', rendition, ladder: true }));
        }
      }
    }
    stages.push(await probe(server, RUNG));
  });
  report(sessions, stages);
} finally {
  await browser.close();
}

function inTurn(round: number): readonly PlayerName[] {
  return round % 2 === 0 ? PLAYERS : PLAYERS.toReversed();
}

async function withServer(
  args: readonly string[],
  use: (server: HeadwaterProcess) => Promise<void>,
): Promise<void> {
  const server = await startHeadwater(['--demo', ...args]);
  try {
    const shown = async (): Promise<boolean> => (await fetch(`${server.mediaUrl}/live/demo/index.mpd`)).ok;
    await until(shown, 'the broadcast is on the air');
    await use(server);
  } finally {
    await server.close();
  }
}

async function measure(inBrowser: Browser, server: HeadwaterProcess, setting: Setting): Promise<Session> {
  const { player, mode, rendition, ladder } = setting;
  const context = await inBrowser.newContext({ viewport: { width: 1100, height: 800 } });
  const page = await context.newPage();
  const faults = collectFaults(page);
  try {
    await page.goto(`${server.mediaUrl}/live/demo/?player=${player}&mode=${mode}`);
    await whenPlaying(page);
    if (ladder) {
      await selectRendition(page, rendition);
      await whenShown(page, rendition);
    }
    await page.waitForTimeout(SETTLE_SECONDS * 1000);
    await resetPage(page);
    await page.waitForTimeout(SECONDS * 1000);
    const reading = await readPage(page);
    const { glassSamples, stalls, stalledMs, fatalErrors } = reading;
    const figures = { ...quantiles(glassSamples), maxMs: Math.max(...glassSamples) };
    console.log(`${nameOf(setting)}: p50 ${ms(figures.p50Ms)} p95 ${ms(figures.p95Ms)} ms, ${stalls} stalls`);
    return {
      ...setting,
      samples: glassSamples.length,
      ...figures,
      stalls,
      stalledMs,
      fatalErrors,
      faults: faults.slice(0, 5),
    };
  } finally {
    await context.close();
  }
}

async function probe(server: HeadwaterProcess, rendition: string): Promise<Stages> {
  const frames = await probeStages(`${server.mediaUrl}/live/demo`, rendition, PROBED_SEGMENTS);
  const spent = (stage: keyof FrameStages): Quantiles => quantiles(frames.map((frame) => frame[stage]));
  return { rendition, drawnToClock: spent('drawnToClockMs'), clockToSocket: spent('clockToSocketMs') };
}

function quantiles(samples: readonly number[]): Quantiles {
  return { p50Ms: percentile(samples, 0.5), p95Ms: percentile(samples, 0.95) };
}

function ms(value: number): string {
  return value.toFixed(0);
}

function nameOf({ player, mode, rendition, ladder }: Setting): string {
  return `${player} ${mode}${ladder ? `, ${rendition} of a ladder` : ''}`;
}

/** Median of a quantile over the sessions of one setting. */
function median(sessions: readonly Session[], setting: Setting, of: keyof Quantiles): number {
  const own = sessions.filter((session) => nameOf(session) === nameOf(setting));
  return percentile(
    own.map((session) => session[of]),
    0.5,
  );
}

function report(sessions: readonly Session[], stages: readonly Stages[]): void {
  const header = ['setting', 'p50 ms', 'p95 ms', 'max ms', 'goal', 'stalls', 'stalled ms', 'frames', 'fatal'];
  const goalOf = ({ player, mode, ladder }: Setting): string =>
    ladder ? '' : `${GOALS[`${player} ${mode}`] ?? ''}`;
  printTable(
    header,
    sessions.map((session) => [
      nameOf(session),
      ms(session.p50Ms),
      ms(session.p95Ms),
      ms(session.maxMs),
      goalOf(session),
      `${session.stalls}`,
      ms(session.stalledMs),
      `${session.samples}`,
      `${session.fatalErrors}`,
    ]),
  );
  console.log(`\nan encoded rung adds (goal: p95 by ${RUNG_GOAL_MS} ms at most):`);
  const added = PLAYERS.map((player) => {
    const of = (rendition: string, quantile: keyof Quantiles): number =>
      median(sessions, { player, mode: 'low', rendition, ladder: true }, quantile);
    const p50Ms = of(RUNG, 'p50Ms') - of('video', 'p50Ms');
    const p95Ms = of(RUNG, 'p95Ms') - of('video', 'p95Ms');
    console.log(`${player}: p50 ${ms(p50Ms)} ms, p95 ${ms(p95Ms)} ms`);
    return { player, p50Ms, p95Ms };
  });
  reportStages(sessions, stages);
  saveResults('glass-to-glass', { seconds: SECONDS, chromium: browser.version(), sessions, added, stages });
  saveGlassChart(sessions);
}

/** A player's share is what is left of the whole: buffer, decoder and display. */
function reportStages(sessions: readonly Session[], stages: readonly Stages[]): void {
  console.log('\nwhere the time goes, p50 (p95) ms:');
  const both = ({ p50Ms, p95Ms }: Quantiles): string => `${ms(p50Ms)} (${ms(p95Ms)})`;
  const rows = stages.map(({ rendition, drawnToClock, clockToSocket }) => {
    const before = drawnToClock.p50Ms + clockToSocket.p50Ms;
    const ladder = rendition !== 'video';
    const shares = PLAYERS.map((player) =>
      ms(median(sessions, { player, mode: 'low', rendition, ladder }, 'p50Ms') - before),
    );
    return [rendition, both(drawnToClock), both(clockToSocket), ...shares];
  });
  const players = PLAYERS.map((player) => `in ${player}`);
  printTable(['rendition', 'publisher: encode, push', 'Headwater: in to out', ...players], rows);
}

function saveGlassChart(sessions: readonly Session[]): void {
  const settings = [...new Map(sessions.map((session) => [nameOf(session), session])).values()];
  const bar = (setting: Session): Bar => ({
    label: nameOf(setting),
    value: median(sessions, setting, 'p95Ms'),
  });
  saveBarChart('glass-to-glass', {
    title: 'From the encoder’s input to the viewer’s screen',
    subtitle: `p95 of every frame shown in ${SECONDS} s, read from the pixels; hls.js, dash.js and Shaka in Chromium on the same machine`,
    groups: [
      {
        label: 'The source as it comes',
        unit: 'ms',
        bars: settings.filter(({ ladder }) => !ladder).map(bar),
      },
      {
        label: 'With an encoder beside it',
        unit: 'ms',
        bars: settings.filter(({ ladder }) => ladder).map(bar),
      },
    ],
  });
}
