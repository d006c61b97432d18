/**
 * How fast is a title made? A 1080p master through the whole server (looked at, planned, encoded in pieces, packaged,
 * stored) beside one plain ffmpeg command that makes the same ladder with the same encoder options; with as many workers as
 * asked for; how long until the beginning of a ten-minute master can be played; and what packaging alone does.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { systemClock } from '../src/base/clock.ts';
import { TitleTrackPackager } from '../src/packager/vod/title-track-packager.ts';
import type { Sample } from '../src/stream/track.ts';
import { DEFAULT_VOD_LADDER, type VodLadderOptions } from '../src/transcode/vod/ladder-presets.ts';
import { planTitle } from '../src/transcode/vod/plan-title.ts';
import { DEFAULT_MASTER_LIMITS, probeMaster } from '../src/transcode/vod/probe-master.ts';
import { createRunTool } from '../src/transcode/vod/probe-process.ts';
import type { TitlePlan } from '../src/transcode/vod/title-plan.ts';
import { ffmpeg } from '../test/support/ffmpeg.ts';
import { videoSamples, videoTrack } from '../test/support/sample-source.ts';
import { startHeadwater, type HeadwaterProcess } from './support/headwater-process.ts';
import { formatSpread, printTable, saveResults, spread, type Spread } from './support/report.ts';
import { requireTools } from './support/require-tools.ts';

const { values } = parseArgs({
  options: {
    /** Length of the master that is encoded whole. */
    seconds: { type: 'string', default: '60' },
    rounds: { type: 'string', default: '3' },
    /** Jobs at once, one measurement each. */
    slots: { type: 'string', default: '1,2,4' },
    effort: { type: 'string', default: 'medium' },
  },
});
const SECONDS = Number(values.seconds);
const ROUNDS = Number(values.rounds);
const SLOTS = values.slots.split(',').map(Number);
const LONG_SECONDS = 600;
const LADDER = '1080p,720p,480p,360p';
const GOAL_SPEED = 0.95;
const GOAL_PLAYABLE_SECONDS = 10;
const GOAL_PACKAGING_MB = 500;
const PACKAGED_SECONDS = 60;
const PACKAGING_TURNS = 12;

requireTools('ffmpeg');
const folder = await mkdtemp(join(tmpdir(), 'headwater-bench-vod-'));
try {
  const master = join(folder, 'master.mp4');
  const long = join(folder, 'long.mp4');
  await makeMasters(master, long);
  const plan = await planOf(master);
  const plain: number[] = [];
  const made = new Map<number, number[]>(SLOTS.map((slots) => [slots, []]));
  for (let round = 1; round <= ROUNDS; round++) {
    plain.push(await timePlain(master, plan));
    console.log(`round ${round}: plain ffmpeg ${plain.at(-1)?.toFixed(1)} s`);
    for (const [slots, times] of made) {
      times.push(await timeTitle(master, slots));
      console.log(`round ${round}: Headwater, ${slots} jobs at once ${times.at(-1)?.toFixed(1)} s`);
    }
  }
  const playable: number[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    playable.push(await timePlayable(long));
    console.log(
      `round ${round}: ${LONG_SECONDS} s of master can be played after ${playable.at(-1)?.toFixed(1)} s`,
    );
  }
  report(plain, made, playable, packagingSpeeds());
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** Moving, noisy pictures: what is too easy to encode says nothing. */
async function makeMasters(master: string, long: string): Promise<void> {
  await ffmpeg([
    ...['-f', 'lavfi', '-i', 'testsrc2=s=1920x1080:r=30,noise=alls=12:allf=t+u'],
    ...['-f', 'lavfi', '-i', 'anoisesrc=r=48000:a=0.2,aformat=channel_layouts=stereo'],
    ...['-t', String(SECONDS), '-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '18', '-g', '60'],
    ...['-pix_fmt', 'yuv420p', '-c:a', 'aac', '-b:a', '192k', master],
  ]);
  const loops = Math.ceil(LONG_SECONDS / SECONDS) - 1;
  await ffmpeg(['-stream_loop', String(loops), '-i', master, '-c', 'copy', '-t', String(LONG_SECONDS), long]);
}

/** What the server plans: the command beside it is to make the same. */
async function planOf(path: string): Promise<TitlePlan> {
  const master = await probeMaster(path, {
    run: createRunTool(process.env, [], systemClock),
    limits: DEFAULT_MASTER_LIMITS,
    ffprobe: 'ffprobe',
    sidecars: false,
  });
  const ladder = LADDER.split(',').map((rung) => ({
    height: Number.parseInt(rung, 10),
    maxBitrateBps: undefined,
    codec: undefined,
  }));
  const effort = values.effort as VodLadderOptions['effort'];
  return planTitle(master, { ...DEFAULT_VOD_LADDER, ladder, effort });
}

/** One command, one decoder, all rungs and the sound, threads as ffmpeg thinks best. Seconds. */
async function timePlain(master: string, { video, audios }: TitlePlan): Promise<number> {
  if (!video) throw new Error('the master has no pictures');
  const { rungs, gopFrames } = video;
  const split = `[0:v]split=${rungs.length}${rungs.map((_, i) => `[s${i}]`).join('')}`;
  const scaled = rungs.map(({ width, height }, i) => `[s${i}]scale=${width}:${height}:flags=bicubic[o${i}]`);
  const outputs = rungs.flatMap(({ id, preset, crf, maxBitrateBps }, i) => [
    ...['-map', `[o${i}]`, '-c:v', 'libx264', '-preset', preset, '-profile:v', 'high', '-crf', String(crf)],
    ...['-maxrate', String(maxBitrateBps), '-bufsize', String(Math.round(maxBitrateBps * 1.5))],
    ...[
      '-g',
      String(gopFrames),
      '-keyint_min',
      String(gopFrames),
      '-sc_threshold',
      '0',
      '-pix_fmt',
      'yuv420p',
    ],
    join(folder, `plain-${id}.mp4`),
  ]);
  const sound = ['-map', '0:a', '-c:a', 'aac', '-b:a', String(audios[0]?.bitrateBps ?? 128_000)];
  const startMs = performance.now();
  await ffmpeg([
    ...['-i', master, '-filter_complex', [split, ...scaled].join(';'), ...outputs],
    ...[...sound, join(folder, 'plain-sound.mp4')],
  ]);
  return (performance.now() - startMs) / 1000;
}

/** From the call to the title that is whole, seconds. */
function timeTitle(master: string, slots: number): Promise<number> {
  return withTitle(master, slots, async (state, startMs) => {
    while ((await state()) !== 'complete') await delay(100);
    return (performance.now() - startMs) / 1000;
  });
}

/** From the call to the first playlist, seconds. */
function timePlayable(master: string): Promise<number> {
  return withTitle(master, 0, async (state, startMs) => {
    while ((await state()) === undefined) await delay(50);
    return (performance.now() - startMs) / 1000;
  });
}

async function withTitle<T>(
  master: string,
  slots: number,
  use: (state: () => Promise<string | undefined>, startMs: number) => Promise<T>,
): Promise<T> {
  const settings = [
    `vod.roots=${folder}`,
    `vod.slots=${slots}`,
    `vod.ladder=${LADDER}`,
    `vod.effort=${values.effort}`,
  ];
  const server = await startHeadwater(settings.flatMap((setting) => ['--set', setting]));
  try {
    const startMs = performance.now();
    const job = await call(server, 'POST', '/v1/assets', { title: 'film', path: master });
    const state = async (): Promise<string | undefined> => {
      const shown = await call(server, 'GET', `/v1/jobs/${String(job['id'])}`);
      if (shown['state'] === 'failed') throw new Error(JSON.stringify(shown));
      return (await call(server, 'GET', '/v1/assets/film'))['state'] as string | undefined;
    };
    return await use(state, startMs);
  } finally {
    await server.close();
  }
}

async function call(
  server: HeadwaterProcess,
  method: string,
  path: string,
  body?: object,
): Promise<Record<string, unknown>> {
  const token = await readFile(server.adminTokenFile, 'utf8');
  const answer = await fetch(server.controlUrl + path, {
    method,
    headers: { authorization: `Bearer ${token.trim()}` },
    ...(body && { body: JSON.stringify(body) }),
  });
  return (await answer.json()) as Record<string, unknown>;
}

/** Samples of a minute of 4 Mb/s to segments, in memory, MB a second of one core. */
function packagingSpeeds(): number[] {
  const fps = 30;
  const track = videoTrack({ fps, gopFrames: 60 });
  const samples: Sample[] = videoSamples({ startMs: 0, seconds: PACKAGED_SECONDS, fps, frameBytes: 16_000 });
  return Array.from({ length: PACKAGING_TURNS }, () => {
    const startMs = performance.now();
    const options = { segmentTicks: 4 * track.timescale, startNumber: 0, offsetTicks: 0 };
    const packager = new TitleTrackPackager(track, options);
    const bytes = [...packager.add(samples), ...packager.flush()].reduce(
      (sum, one) => sum + one.bytes.length,
      0,
    );
    return bytes / 1e6 / ((performance.now() - startMs) / 1000);
  }).slice(2);
}

function report(
  plain: readonly number[],
  made: ReadonlyMap<number, readonly number[]>,
  playable: readonly number[],
  packaging: readonly number[],
): void {
  const speeds = new Map<number, Spread>(
    [...made].map(([slots, times]) => [
      slots,
      spread(times.map((time, i) => (plain[i] ?? Number.NaN) / time)),
    ]),
  );
  console.log();
  printTable(
    [`${SECONDS} s of 1080p30 to ${LADDER}`, 'seconds', 'speed beside plain ffmpeg'],
    [
      ['one ffmpeg command', formatSpread(spread(plain)), '1.00×'],
      ...[...made].map(([slots, times]) => [
        `Headwater, ${slots} jobs at once`,
        formatSpread(spread(times)),
        `${formatSpread(speeds.get(slots) ?? spread([]), 2)}×`,
      ]),
    ],
  );
  const atTwo = speeds.get(2)?.median;
  if (atTwo !== undefined)
    tell(`two jobs at once: ${atTwo.toFixed(2)}× plain ffmpeg`, atTwo >= GOAL_SPEED, `≥ ${GOAL_SPEED}`);
  const first = spread(playable);
  tell(
    `the beginning of ${LONG_SECONDS / 60} minutes can be played after ${formatSpread(first)} s`,
    first.median <= GOAL_PLAYABLE_SECONDS,
    `≤ ${GOAL_PLAYABLE_SECONDS}`,
  );
  const speed = spread(packaging);
  tell(
    `packaging alone: ${formatSpread(speed, 0)} MB/s a core`,
    speed.median >= GOAL_PACKAGING_MB,
    `≥ ${GOAL_PACKAGING_MB}`,
  );
  saveResults('vod-encode', {
    seconds: SECONDS,
    ladder: LADDER,
    effort: values.effort,
    plainSeconds: spread(plain),
    headwaterSeconds: Object.fromEntries([...made].map(([slots, times]) => [slots, spread(times)])),
    speedBesidePlain: Object.fromEntries(speeds),
    playableSeconds: first,
    packagingMBPerSecond: speed,
  });
}

function tell(what: string, met: boolean, goal: string): void {
  console.log(`${what} (goal ${goal}): ${met ? 'met' : 'missed'}`);
}
