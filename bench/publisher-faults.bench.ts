/**
 * How long is the picture away when the publisher is? A viewer follows an LL-HLS playlist by blocking reloads while the
 * publisher is killed and comes back, another takes over, or a backup that stands by has to step in. The gap is the
 * longest time between two new parts, less what a part lasts. And how much further behind is the viewer afterwards? By
 * so much as the playlist's end has run ahead of the clock: a player that plays on is behind the live edge by it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { until } from '../test/support/until.ts';
import { saveBarChart } from './support/chart.ts';
import { type HeadwaterProcess, startHeadwater } from './support/headwater-process.ts';
import { type PartWatcher, watchParts } from './support/part-watcher.ts';
import { type PusherProcess, startPusher } from './support/pusher-process.ts';
import { percentile, printTable, saveResults } from './support/report.ts';
import { requireTools } from './support/require-tools.ts';
import { CLIP, makeClip } from './support/source-clip.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '10' } } });
const ROUNDS = Number(values.rounds);
/** All that a fault does is over after this. */
const AFTERMATH_MS = 4000;
/** Before a fault, and for its figure in quiet times. */
const QUIET_MS = 4000;
/** A publisher that is back may cost so much more than its absence, and a switch so much. */
const GOAL_MS = 500;
const FRAME_MS = 1000 / CLIP.frameRate;
/** How often, and how long, it is looked where the playlist ends. */
const LOOK_MS = 50;
const LOOKS = 30;

type Push = (key: string) => Promise<PusherProcess>;

/** One way for a publisher to be lost. */
interface Fault {
  readonly label: string;
  /** Who publishes beside the first; whoever this starts is closed at the end. */
  prepare?(push: Push, stream: string): Promise<PusherProcess>;
  strike(push: Push, stream: string, first: PusherProcess): Promise<Struck>;
}

interface Struck {
  readonly started: readonly PusherProcess[];
  /** Time that no publisher was connected: not counted. */
  readonly awayMs: number;
}

const FAULTS: readonly Fault[] = [
  ...[1, 5].map((seconds) => ({
    label: `killed, back after ${seconds} s`,
    async strike(push: Push, stream: string, first: PusherProcess) {
      await kill(first);
      const goneMs = performance.now();
      await delay(seconds * 1000);
      const started = [await push(stream)];
      return { started, awayMs: performance.now() - goneMs };
    },
  })),
  {
    label: 'another takes over',
    strike: async (push, stream) => ({ started: [await push(stream)], awayMs: 0 }),
  },
  {
    label: 'killed, a backup stands by',
    prepare: (push, stream) => push(`${stream}?role=backup`),
    async strike(_push, _stream, first) {
      await kill(first);
      return { started: [], awayMs: 0 };
    },
  },
  {
    label: 'stalls, a backup stands by',
    prepare: (push, stream) => push(`${stream}?role=backup`),
    async strike(_push, _stream, first) {
      process.kill(first.pid, 'SIGSTOP');
      return { started: [], awayMs: 0 };
    },
  },
];

/** What one fault did to the viewer. */
interface Outcome {
  readonly gapMs: number;
  readonly quietGapMs: number;
  readonly latencyGrowthMs: number;
  /** Discontinuities that it left in the playlist. */
  readonly discontinuities: number;
  readonly ended: boolean;
}

requireTools('ffmpeg');
const folder = await mkdtemp(join(tmpdir(), 'headwater-bench-clip-'));
try {
  const clip = join(folder, 'clip.flv');
  await makeClip(clip);
  const server = await startHeadwater(['--set', 'ingest.auth=none']);
  try {
    await measure(server, (key) => startPusher({ clip, port: server.rtmpPort, app: 'live', keys: [key] }));
  } finally {
    await server.close();
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measure(server: HeadwaterProcess, push: Push): Promise<void> {
  const outcomes = new Map<string, Outcome[]>(FAULTS.map(({ label }) => [label, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, fault] of FAULTS.entries()) {
      const outcome = await suffer(fault, `round${round}-${index}`, server, push);
      outcomes.get(fault.label)?.push(outcome);
      const { gapMs, discontinuities } = outcome;
      console.log(
        `round ${round + 1}, ${fault.label}: gap ${gapMs.toFixed(0)} ms, ${discontinuities} discontinuities`,
      );
    }
  }
  report(outcomes);
}

async function suffer(fault: Fault, stream: string, server: HeadwaterProcess, push: Push): Promise<Outcome> {
  const first = await push(stream);
  const others: PusherProcess[] = [];
  const url = `${server.mediaUrl}/live/${stream}/video.m3u8`;
  let watcher: PartWatcher | undefined;
  try {
    watcher = await until(() => watchParts(url).catch(() => undefined), 'the stream to be listed', 15_000);
    if (fault.prepare) others.push(await fault.prepare(push, stream));
    // At another point of the GOP each time.
    await delay(QUIET_MS + Math.random() * CLIP.gopFrames * (1000 / CLIP.frameRate));
    const aheadMs = await endAheadMs(watcher);
    const struckMs = performance.now();
    const { started, awayMs } = await fault.strike(push, stream, first);
    others.push(...started);
    await delay(AFTERMATH_MS);
    const gapMs = longestGap(watcher, struckMs - 100, performance.now()) - awayMs;
    return {
      gapMs,
      latencyGrowthMs: (await endAheadMs(watcher)) - aheadMs,
      quietGapMs: longestGap(watcher, struckMs - QUIET_MS + 1000, struckMs - 100),
      discontinuities: watcher.text.match(/^#EXT-X-DISCONTINUITY$/gm)?.length ?? 0,
      ended: watcher.text.includes('#EXT-X-ENDLIST'),
    };
  } finally {
    await watcher?.close();
    for (const pusher of [first, ...others]) await kill(pusher);
  }
}

/** The longest wait for a part between two times, less what the part before it lasts. */
function longestGap({ parts }: PartWatcher, fromMs: number, toMs: number): number {
  let longest = 0;
  for (const [i, { listedMs }] of parts.entries()) {
    const before = parts[i - 1];
    if (!before || listedMs < fromMs || listedMs > toMs) continue;
    longest = Math.max(longest, listedMs - before.listedMs - before.durationMs);
  }
  // What is still missing at the end counts, too.
  const last = parts.at(-1);
  return last ? Math.max(longest, toMs - last.listedMs - last.durationMs) : toMs - fromMs;
}

/** Furthest that the playlist's end is ahead of the clock for a while; less than nothing when it is behind. */
async function endAheadMs(watcher: PartWatcher): Promise<number> {
  let furthest = Number.NEGATIVE_INFINITY;
  for (let look = 0; look < LOOKS; look++) {
    furthest = Math.max(furthest, endMs(watcher.text) - Date.now());
    await delay(LOOK_MS);
  }
  return furthest;
}

/** Where a playlist's media ends, ms since the epoch: behind its last date, in segments and the parts of the open one. */
function endMs(text: string): number {
  const at = text.lastIndexOf('#EXT-X-PROGRAM-DATE-TIME:');
  const rest = text.slice(at);
  const open = rest.slice(rest.lastIndexOf('#EXTINF:') + 1);
  const seconds = [
    ...rest.matchAll(/^#EXTINF:([\d.]+)/gm),
    ...open.matchAll(/^#EXT-X-PART:DURATION=([\d.]+)/gm),
  ];
  const startMs = Date.parse(/TIME:(\S+)/.exec(rest)?.[1] ?? '');
  return startMs + 1000 * seconds.reduce((sum, [, value]) => sum + Number(value), 0);
}

async function kill(pusher: PusherProcess): Promise<void> {
  try {
    process.kill(pusher.pid, 'SIGKILL');
  } catch {
    // It is gone already: the server closed its connection.
  }
  await pusher.close();
}

function report(outcomes: ReadonlyMap<string, readonly Outcome[]>): void {
  const rows = [...outcomes].map(([label, all]) => {
    const gaps = all.map(({ gapMs }) => gapMs);
    const quiet = all.map(({ quietGapMs }) => quietGapMs);
    return {
      label,
      p50: percentile(gaps, 0.5),
      max: Math.max(...gaps),
      quiet: percentile(quiet, 0.5),
      latencyGrowth: percentile(
        all.map(({ latencyGrowthMs }) => latencyGrowthMs),
        0.5,
      ),
      discontinuities: Math.max(...all.map(({ discontinuities }) => discontinuities)),
      ended: all.filter(({ ended }) => ended).length,
    };
  });
  printTable(
    ['publisher', 'gap p50 ms', 'max ms', 'in quiet times', 'latency more ms', 'discontinuities', 'ended'],
    rows.map(({ label, p50, max, quiet, latencyGrowth, discontinuities, ended }) => [
      label,
      p50.toFixed(0),
      max.toFixed(0),
      quiet.toFixed(0),
      latencyGrowth.toFixed(0),
      `${discontinuities}`,
      `${ended}`,
    ]),
  );
  for (const { label, p50, latencyGrowth } of rows) {
    console.log(`${label}: ${p50 <= GOAL_MS ? 'met' : 'MISSED'} (≤ ${GOAL_MS} ms)`);
    console.log(`${label}, latency: ${latencyGrowth <= FRAME_MS ? 'met' : 'MISSED'} (≤ a frame more)`);
  }
  saveResults('publisher-faults', { clip: CLIP, rounds: ROUNDS, goalMs: GOAL_MS, rows });
  saveBarChart('publisher-faults', {
    title: 'What viewers miss when a publisher is lost',
    subtitle: `LL-HLS by blocking reload, ${ROUNDS} times each; longest wait for a part, less the part and the absence`,
    groups: [
      {
        label: 'Gap, median',
        unit: 'ms',
        bars: rows.map(({ label, p50 }) => ({ label, value: Math.max(0, p50) })),
        goal: GOAL_MS,
      },
      {
        label: 'Gap, worst',
        unit: 'ms',
        bars: rows.map(({ label, max }) => ({ label, value: Math.max(0, max) })),
      },
    ],
  });
}
