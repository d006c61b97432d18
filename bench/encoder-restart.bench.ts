/**
 * How long are the encoded rungs away when their encoder dies? ffmpeg of a running server is killed again and again, at
 * all points of the GOP, and viewers of every rendition (growing segments, no polling) say when the first new frame
 * was readable, whether one was lost, and whether the passthrough rendition noticed anything.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { until } from '../test/support/until.ts';
import { type Bar, saveBarChart } from './support/chart.ts';
import { startHeadwater, type HeadwaterProcess } from './support/headwater-process.ts';
import { childrenNamed } from './support/process-usage.ts';
import { startPusher } from './support/pusher-process.ts';
import {
  VIDEO_TIMESCALE,
  watchRendition,
  type RenditionWatcher,
  type WatchedFrame,
} from './support/rendition-watcher.ts';
import { percentile, printTable, saveResults } from './support/report.ts';
import { readSamples } from './support/server-metrics.ts';
import { requireTools } from './support/require-tools.ts';
import { CLIP, makeClip } from './support/source-clip.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '20' },
    /** Time an encoder runs before it is killed: an earlier death is a crash loop, which is answered with patience. */
    steady: { type: 'string', default: '12' },
  },
});
const KILLS = Number(values.kills);
const STEADY_MS = Number(values.steady) * 1000;
const STREAM = 'channel';
const SOURCE = 'video';
const GOP_MS = (CLIP.gopFrames * 1000) / CLIP.frameRate;
const FRAME_TICKS = VIDEO_TIMESCALE / CLIP.frameRate;
/** All that a kill does is over after this. */
const AFTERMATH_MS = 4000;
/** A pause of a rung that is shorter is none: the next chunk is due after 33 ms. */
const MIN_GAP_MS = 60;
const GOAL_P50_MS = 500;
/** Not within the aftermath. */
const NEVER = Number.POSITIVE_INFINITY;

/** What one kill did. */
interface Kill {
  /** Time of the kill since the source's last key frame. */
  readonly gopPhaseMs: number;
  /** From the kill to the first new frame of the first rung, and of the last one. */
  readonly firstRungMs: number;
  readonly lastRungMs: number;
  /** From the kill until every rung's frames come as soon after the source's as before it. */
  readonly caughtUpMs: number;
  /** Longest time between two chunks of the passthrough rendition around the kill, and in a quiet time before it. */
  readonly sourceGapMs: number;
  readonly quietSourceGapMs: number;
}

requireTools('ffmpeg');
const folder = await mkdtemp(join(tmpdir(), 'headwater-bench-clip-'));
try {
  const clip = join(folder, 'clip.flv');
  await makeClip(clip);
  const server = await startHeadwater(['--set', 'ingest.auth=none', '--set', 'ladder.rungs=auto']);
  try {
    const pusher = await startPusher({ clip, port: server.rtmpPort, app: 'live', keys: [STREAM] });
    try {
      await killAgainAndAgain(server);
    } finally {
      await pusher.close();
    }
  } finally {
    await server.close();
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function killAgainAndAgain(server: HeadwaterProcess): Promise<void> {
  const liveUrl = `${server.mediaUrl}/live/${STREAM}`;
  const rungs = await until(() => listedRungs(liveUrl), 'rungs beside the source (is a ladder configured?)');
  const source = watchRendition(liveUrl, SOURCE);
  const watchers = rungs.map((rung) => watchRendition(liveUrl, rung));
  const kills: Kill[] = [];
  try {
    for (let i = 0; i < KILLS; i++) {
      await delay(STEADY_MS - AFTERMATH_MS);
      // Evenly over the GOP, and at random within each stretch of it.
      await phase(source, ((i + Math.random()) * GOP_MS) / KILLS);
      const kill = await killOnce(server, source, watchers);
      console.log(
        `kill ${i + 1}, ${kill.gopPhaseMs.toFixed(0)} ms into the GOP: first new frame after ` +
          `${kill.firstRungMs.toFixed(0)} ms (last rung ${kill.lastRungMs.toFixed(0)}), caught up after ` +
          `${kill.caughtUpMs.toFixed(0)} ms; passthrough's gap ${kill.sourceGapMs.toFixed(0)} ms`,
      );
      kills.push(kill);
      if (await shedRungs(server)) {
        // What is left is another ladder: further kills would not add up with those before.
        console.error('rungs were left out because encoding was too slow: this machine is too busy now');
        process.exitCode = 1;
        break;
      }
    }
  } finally {
    await Promise.all([source, ...watchers].map((watcher) => watcher.close()));
  }
  report(kills, watchers, source);
}

/** Whether the server has given up rungs. */
async function shedRungs(server: HeadwaterProcess): Promise<boolean> {
  const samples = await readSamples(server.metricsUrl);
  return (samples.get('headwater_transcode_shed_rungs') ?? 0) > 0;
}

/** The encoded renditions of a stream, once there are any. */
async function listedRungs(liveUrl: string): Promise<string[] | undefined> {
  const response = await fetch(`${liveUrl}/index.m3u8`);
  const text = await response.text();
  const names = [...text.matchAll(/^#EXT-X-STREAM-INF:.*\n(\S+)\.m3u8/gm)].map(([, name = '']) => name);
  const rungs = names.filter((name) => name !== SOURCE);
  return response.ok && rungs.length > 0 ? rungs : undefined;
}

/** Waits until the source is so far into a GOP. */
async function phase(source: RenditionWatcher, phaseMs: number): Promise<void> {
  const sinceMs = performance.now();
  const keyMs = await until(() => source.frames.findLast(({ key }) => key)?.receivedMs, 'a key frame');
  const elapsedMs = (sinceMs - keyMs) % GOP_MS;
  await delay((phaseMs - elapsedMs + GOP_MS) % GOP_MS);
}

async function killOnce(
  server: HeadwaterProcess,
  source: RenditionWatcher,
  watchers: readonly RenditionWatcher[],
): Promise<Kill> {
  const [encoder, ...others] = childrenNamed(server.pid, 'ffmpeg');
  if (encoder === undefined || others.length > 0)
    throw new Error('the server does not run exactly one encoder');
  const killedMs = performance.now();
  const keyMs = source.frames.findLast(({ key }) => key)?.receivedMs ?? Number.NaN;
  process.kill(encoder, 'SIGKILL');
  await delay(AFTERMATH_MS);
  const returns = watchers.map(({ frames }) => firstNewFrame(frames, killedMs) - killedMs);
  const caughtUp = watchers.map(({ frames }) => backAtTheEdge(frames, killedMs) - killedMs);
  return {
    gopPhaseMs: killedMs - keyMs,
    firstRungMs: Math.min(...returns),
    lastRungMs: Math.max(...returns),
    caughtUpMs: Math.max(...caughtUp),
    sourceGapMs: longestGap(source.frames, killedMs, killedMs + AFTERMATH_MS).ms,
    quietSourceGapMs: longestGap(source.frames, killedMs - AFTERMATH_MS, killedMs).ms,
  };
}

/**
 * When the first frame of the new encoder came: the one that ends the longest pause. What the old one had already
 * given comes within milliseconds of its death.
 */
function firstNewFrame(frames: readonly WatchedFrame[], killedMs: number): number {
  const { ms, endMs } = longestGap(frames, killedMs, killedMs + AFTERMATH_MS);
  return ms > MIN_GAP_MS ? endMs : NEVER;
}

/** When frames of a rung were again no later than they were before the kill, but for half a frame. */
function backAtTheEdge(frames: readonly WatchedFrame[], killedMs: number): number {
  const lateness = ({ ticks, receivedMs }: WatchedFrame): number =>
    receivedMs - (ticks * 1000) / VIDEO_TIMESCALE;
  const quiet = frames.filter(
    ({ receivedMs }) => receivedMs < killedMs && receivedMs > killedMs - AFTERMATH_MS,
  );
  const limitMs = percentile(quiet.map(lateness), 0.95) + GOP_MS / CLIP.gopFrames / 2;
  const resumedMs = firstNewFrame(frames, killedMs);
  const back = frames.find((frame) => frame.receivedMs >= resumedMs && lateness(frame) <= limitMs);
  return back?.receivedMs ?? NEVER;
}

/** The longest time without a frame that ends between two times. */
function longestGap(
  frames: readonly WatchedFrame[],
  fromMs: number,
  toMs: number,
): { readonly ms: number; readonly endMs: number } {
  let longest = { ms: 0, endMs: fromMs };
  for (const [i, { receivedMs }] of frames.entries()) {
    const before = frames[i - 1];
    if (!before || receivedMs < fromMs || receivedMs > toMs) continue;
    const ms = receivedMs - before.receivedMs;
    if (ms > longest.ms) longest = { ms, endMs: receivedMs };
  }
  return longest;
}

/** Frames that are not where the source's grid has them. */
function irregularities(frames: readonly WatchedFrame[]): { lost: number; doubled: number } {
  let lost = 0;
  let doubled = 0;
  for (const [i, { ticks }] of frames.entries()) {
    const before = frames[i - 1];
    const steps = before ? Math.round((ticks - before.ticks) / FRAME_TICKS) : 1;
    if (steps > 1) lost += steps - 1;
    if (steps < 1) doubled += 1;
  }
  return { lost, doubled };
}

function report(
  kills: readonly Kill[],
  watchers: readonly RenditionWatcher[],
  source: RenditionWatcher,
): void {
  const row = (name: string, figure: (kill: Kill) => number): string[] => {
    const figures = kills.map(figure);
    const shown = [percentile(figures, 0.5), percentile(figures, 0.95), Math.max(...figures)];
    return [name, ...shown.map((ms) => ms.toFixed(0))];
  };
  printTable(
    [`after kill -9 of the encoder (${kills.length} times)`, 'p50 ms', 'p95 ms', 'max ms'],
    [
      row('first new frame, first rung', ({ firstRungMs }) => firstRungMs),
      row('first new frame, last rung', ({ lastRungMs }) => lastRungMs),
      row('all rungs at the live edge again', ({ caughtUpMs }) => caughtUpMs),
      row('passthrough: longest gap', ({ sourceGapMs }) => sourceGapMs),
      row('passthrough: longest gap when nothing happens', ({ quietSourceGapMs }) => quietSourceGapMs),
    ],
  );
  const renditions = [source, ...watchers].map(({ rendition, frames }) => ({
    rendition,
    frames: frames.length,
    ...irregularities(frames),
  }));
  for (const { rendition, frames, lost, doubled } of renditions) {
    console.log(`${rendition}: ${frames} frames, ${lost} lost, ${doubled} doubled`);
  }
  saveResults('encoder-restart', { clip: CLIP, steadyMs: STEADY_MS, kills, renditions });
  draw(kills);
}

function draw(kills: readonly Kill[]): void {
  const bars = (figure: (kill: Kill) => number): Bar[] => {
    const figures = kills.map(figure);
    return [
      { label: 'p50', value: percentile(figures, 0.5) },
      { label: 'p95', value: percentile(figures, 0.95) },
      { label: 'worst', value: Math.max(...figures) },
    ];
  };
  saveBarChart('encoder-restart', {
    title: "kill -9 of a channel's encoder",
    subtitle: `${kills.length} kills over the whole GOP; viewers of every rendition on growing segments`,
    groups: [
      {
        label: 'Until the first new encoded frame',
        unit: 'ms',
        bars: bars(({ firstRungMs }) => firstRungMs),
        goal: GOAL_P50_MS,
        goalLabel: 'p50',
      },
      {
        label: 'Until all rungs are at the live edge again',
        unit: 'ms',
        bars: bars(({ caughtUpMs }) => caughtUpMs),
      },
      {
        label: 'Longest gap of the passthrough rendition around a kill',
        unit: 'ms',
        bars: bars(({ sourceGapMs }) => sourceGapMs),
      },
    ],
  });
}
