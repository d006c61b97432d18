import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { EncoderFarm } from '../../src/transcode/encoder-farm.ts';
import type { LadderOptions } from '../../src/transcode/ladder-options.ts';
import { createSpawnEncoder, guardCommand } from '../../src/transcode/spawn-encoder.ts';
import type { ToneMapper } from '../../src/transcode/tone-map.ts';
import type { EncodedSource } from './encoded-source.ts';
import { LiveFeed } from './live-feed.ts';
import { createMemoryLog } from './memory-log.ts';
import { RecordingLadder } from './recording-ladder.ts';
import { run } from './ffmpeg.ts';
import { until } from './until.ts';

export const LADDER: LadderOptions = {
  rungs: [
    { height: 180, bitrateBps: 400_000 },
    { height: 120, bitrateBps: 200_000 },
  ],
  encoder: 'libx264',
  preset: 'ultrafast',
  vaapiDevice: '/dev/dri/renderD128',
  ffmpeg: 'ffmpeg',
  maxChannels: 0,
  cpuShare: 60,
  watchdogMs: 800,
  startTimeoutMs: 5000,
  maxLagMs: Number.POSITIVE_INFINITY,
};

export interface FixtureOptions extends Partial<LadderOptions> {
  readonly clock?: Clock;
  readonly gopCacheMs?: number;
  readonly maxSessionMs?: number;
  readonly toneMapper?: ToneMapper;
}

/** A farm with real encoders on one stream. Whoever opens it closes it. */
export async function openEncoder(options: FixtureOptions = {}) {
  const { clock = systemClock, gopCacheMs, maxSessionMs, toneMapper, ...ladder } = options;
  const feed = new LiveFeed(gopCacheMs);
  const sink = new RecordingLadder();
  const log = createMemoryLog();
  const metrics = new Metrics();
  const farm = new EncoderFarm(
    { ...LADDER, ...ladder },
    {
      clock,
      log,
      metrics,
      source: feed,
      spawn: createSpawnEncoder(process.env, await guardCommand(process.env)),
      cores: 2,
      toneMapper: toneMapper ?? { kind: 'zscale' },
      random: () => 0.5,
      queue: { maxQueueBytes: 64 * 1024 * 1024, maxQueueSamples: 4096 },
      ...(maxSessionMs !== undefined && { maxSessionMs }),
    },
  );
  farm.attach('stream', sink);
  return {
    feed,
    sink,
    log,
    farm,
    pid: () => farm.pids()[0],
    /** Sends a signal to the encoder that runs now. */
    signal: (name: NodeJS.Signals): void => {
      const [pid] = farm.pids();
      if (pid === undefined) throw new Error('no encoder runs');
      process.kill(pid, name);
    },
    status: () => farm.statusOf('stream'),
    codes: () => log.lines.flatMap(({ fields }) => ('code' in fields ? [fields['code']] : [])),
    /** The value of a metric, all its labels added up, or of one label set given as it is printed. */
    metric: async (name: string, labels = ''): Promise<number> => {
      const lines = (await metrics.registry.metrics()).split('\n');
      const values = lines.filter((line) => line.startsWith(`headwater_transcode_${name}${labels}`));
      return values.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    },
    /** The publisher goes; waits until the rungs have given all there is, on every timeline there was. */
    finish: async (...rungs: string[]): Promise<void> => {
      feed.fanOut.away();
      await until(() => rungs.every((id) => sink.rung(id).flushes === feed.timelines), 'all rungs flushed');
    },
    close: async (): Promise<void> => {
      feed.fanOut.close();
      await farm.close();
    },
  };
}

export type EncoderFixture = Awaited<ReturnType<typeof openEncoder>>;

/** What a rung has of a source: nothing is missing or more, and it is cut where the source is. */
export interface RungReport {
  readonly missing: number;
  readonly foreign: number;
  /** Times at which the rung has key frames and the source has none. */
  readonly ownKeys: readonly number[];
  readonly missedKeys: number;
  /** Frames that do not last until the next one. */
  readonly holes: number;
  readonly decodedFrames: number;
  readonly decoderSays: string;
}

/** Compares a rung with the sources it was made of, and has ffmpeg decode it. */
export async function reportRung(
  sink: RecordingLadder,
  id: string,
  ...sources: readonly Pick<EncodedSource, 'samples'>[]
): Promise<RungReport> {
  const samples = sources.flatMap((source) => source.samples);
  const wanted = new Set(samples.map(({ pts }) => pts));
  const wantedKeys = new Set(samples.flatMap(({ key, pts }) => (key ? [pts] : [])));
  const got = new Set(sink.pts(id));
  const keys = new Set(sink.keys(id));
  const { arrivals } = sink.rung(id);
  const decoded = await decode(sink.file(id));
  return {
    missing: [...wanted].filter((pts) => !got.has(pts)).length,
    foreign: [...got].filter((pts) => !wanted.has(pts)).length,
    ownKeys: [...keys].filter((pts) => !wantedKeys.has(pts)),
    missedKeys: [...wantedKeys].filter((pts) => !keys.has(pts)).length,
    holes: arrivals.filter(({ pts, duration }, i) => {
      const next = arrivals[i + 1];
      return next !== undefined && pts + duration !== next.pts;
    }).length,
    decodedFrames: decoded.frames,
    decoderSays: decoded.stderr,
  };
}

/** Decodes strictly: any fault ends it, and every frame is counted. */
async function decode(file: readonly Uint8Array[]): Promise<{ frames: number; stderr: string }> {
  const { stdout, stderr } = await run(
    'ffmpeg',
    [
      ...['-hide_banner', '-nostats', '-loglevel', 'warning', '-xerror', '-err_detect', 'explode'],
      ...['-f', 'mp4', '-i', 'pipe:0', '-fps_mode', 'passthrough', '-copyts', '-f', 'framecrc', 'pipe:1'],
    ],
    { stdin: file },
  );
  const lines = stdout.toString('utf8').split('\n');
  return { frames: lines.filter((line) => line !== '' && !line.startsWith('#')).length, stderr };
}

/** A program for the encoder's place; gone with the folder when closed. */
export async function fakeProgram(text: string) {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-fake-'));
  const path = join(folder, 'ffmpeg');
  await writeFile(path, text);
  await chmod(path, 0o755);
  return { path, close: () => rm(folder, { recursive: true }) };
}

/** ffmpeg behind a reader that takes `msPerRung` a frame for every rung there is. */
export function slowFfmpeg(msPerRung: number): string {
  return `#!${process.execPath}
const { spawn } = require('node:child_process');
const args = process.argv.slice(2);
const rungs = args.filter((each) => each === '-map').length;
const out = Array.from({ length: rungs }, (_, index) => index + 3);
const child = spawn('ffmpeg', args, { stdio: ['pipe', 'ignore', 'inherit', ...out] });
child.on('exit', (code) => process.exit(code ?? 1));
child.stdin.on('error', () => {});
const queue = [];
let held = Buffer.alloc(0);
let ended = false;
let at = performance.now();
process.stdin.on('data', (bytes) => {
  held = Buffer.concat([held, bytes]);
  if (held.length > 65536) process.stdin.pause();
});
process.stdin.on('end', () => { ended = true; });
let headed = false;
setInterval(() => {
  while (performance.now() >= at) {
    const head = headed ? 0 : 13;
    if (held.length < head + 11) break;
    const size = head + 15 + held.readUIntBE(head + 1, 3);
    if (held.length < size) break;
    headed = true;
    child.stdin.write(held.subarray(0, size));
    held = held.subarray(size);
    at = Math.max(at, performance.now() - 50) + rungs * ${msPerRung};
  }
  if (held.length <= 65536) process.stdin.resume();
  if (ended && held.length < 11) child.stdin.end();
}, 2);
`;
}
