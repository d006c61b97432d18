/**
 * What does a ladder cost on top of ffmpeg? One channel with the default ladder: CPU of the encoder process that
 * Headwater feeds, beside ffmpeg alone making the same rungs of the same clip in real time with the very same encoding
 * arguments (they are read off the running encoder); and the server's own share, with the ladder and without.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { FIRST_OUTPUT_FD } from '../src/transcode/arguments.ts';
import { run } from '../test/support/ffmpeg.ts';
import { until } from '../test/support/until.ts';
import { saveBarChart } from './support/chart.ts';
import { startHeadwater, stop } from './support/headwater-process.ts';
import { childrenNamed, cpuMicrosOf, memoryBytesOf } from './support/process-usage.ts';
import { startPusher } from './support/pusher-process.ts';
import { formatSpread, printTable, saveResults, spread, type Spread } from './support/report.ts';
import { requireTools } from './support/require-tools.ts';
import { CLIP, makeClip, makeVideoClip } from './support/source-clip.ts';

const { values } = parseArgs({
  options: {
    /** Time over which CPU is measured; whole rounds of the clip, so that all encode the same pictures. */
    seconds: { type: 'string', default: '16' },
    settle: { type: 'string', default: '6' },
    rounds: { type: 'string', default: '3' },
  },
});
const SECONDS = Number(values.seconds);
const SETTLE_SECONDS = Number(values.settle);
const ROUNDS = Number(values.rounds);
const STREAM = 'channel';
const WINDOW_SECONDS = 10;
const GOAL_RATIO = 1.05;

/** One process or server over one round. */
interface Usage {
  /** CPU time a second, in percent of a core. */
  readonly cpuPercent: number;
  readonly memoryBytes: number;
}

interface Round {
  readonly encoder: Usage;
  readonly server: Usage;
  readonly serverWithoutLadder: Usage;
  readonly ffmpegAlone: Usage;
}

requireTools('ffmpeg');
const folder = await mkdtemp(join(tmpdir(), 'headwater-bench-clip-'));
const clip = join(folder, 'clip.flv');
const videoClip = join(folder, 'video.flv');
try {
  await makeClip(clip);
  await makeVideoClip(clip, videoClip);
  const rounds: Round[] = [];
  let encoding: readonly string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const { args, encoder, server } = await measureLadder();
    encoding = args;
    const ffmpegAlone = await measureFfmpeg(args);
    const serverWithoutLadder = await measurePassthrough();
    rounds.push({ encoder, server, serverWithoutLadder, ffmpegAlone });
    console.log(
      `round ${round + 1}: encoder ${encoder.cpuPercent.toFixed(1)} %, ffmpeg alone ` +
        `${ffmpegAlone.cpuPercent.toFixed(1)} %, server ${server.cpuPercent.toFixed(1)} % ` +
        `(without ladder ${serverWithoutLadder.cpuPercent.toFixed(1)} %)`,
    );
  }
  report(rounds, encoding);
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measureLadder(): Promise<{ args: readonly string[]; encoder: Usage; server: Usage }> {
  return withChannel('auto', async (serverPid) => {
    const pid = await until(
      () => childrenNamed(serverPid, 'ffmpeg')[0],
      'an encoder (is ffmpeg installed, and has the machine cores to spare?)',
    );
    await delay(SETTLE_SECONDS * 1000);
    checkEncoder(serverPid, pid);
    const [encoder, server] = await measure([pid], [serverPid]);
    checkEncoder(serverPid, pid);
    const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(1, -1);
    return { args, encoder, server };
  });
}

/** @throws Error when another encoder took its place: the server has left a rung out, or it died. */
function checkEncoder(serverPid: number, pid: number): void {
  if (childrenNamed(serverPid, 'ffmpeg')[0] === pid) return;
  throw new Error('the encoder was replaced meanwhile: is this machine too busy now?');
}

async function measurePassthrough(): Promise<Usage> {
  return withChannel('none', async (serverPid) => {
    await delay(SETTLE_SECONDS * 1000);
    const [server] = await measure([serverPid], []);
    return server;
  });
}

/** A server with one publisher of the clip. */
async function withChannel<T>(rungs: 'auto' | 'none', use: (serverPid: number) => Promise<T>): Promise<T> {
  const settings = ['ingest.auth=none', `ladder.rungs=${rungs}`, `live.windowSeconds=${WINDOW_SECONDS}`];
  const server = await startHeadwater(settings.flatMap((setting) => ['--set', setting]));
  try {
    const pusher = await startPusher({ clip, port: server.rtmpPort, app: 'live', keys: [STREAM] });
    try {
      return await use(server.pid);
    } finally {
      await pusher.close();
    }
  } finally {
    await server.close();
  }
}

/** The same rungs by ffmpeg alone, from the clip's file in real time into files. */
async function measureFfmpeg(encoderArgs: readonly string[]): Promise<Usage> {
  const args = aloneArguments(encoderArgs);
  const startMs = performance.now();
  const child = spawn('ffmpeg', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    await delay(SETTLE_SECONDS * 1000);
    if (child.pid === undefined || child.exitCode !== null) throw new Error('ffmpeg alone does not run');
    const [usage] = await measure([child.pid], []);
    await stop(child);
    await checkRealTime((performance.now() - startMs) / 1000);
    return usage;
  } finally {
    await stop(child);
  }
}

/** @throws Error when ffmpeg alone encoded less than real time: its figure would be too small. */
async function checkRealTime(elapsedSeconds: number): Promise<void> {
  const file = aloneFile(`${FIRST_OUTPUT_FD}`);
  const { stdout } = await run('ffprobe', [
    ...['-v', 'error', '-select_streams', 'v', '-count_packets'],
    ...['-show_entries', 'stream=nb_read_packets', '-of', 'csv=p=0', file],
  ]);
  const seconds = Number(stdout.toString('utf8').trim()) / CLIP.frameRate;
  if (!(seconds > elapsedSeconds * 0.95)) {
    throw new Error(`ffmpeg alone encoded ${seconds} s in ${elapsedSeconds.toFixed(1)} s`);
  }
}

function aloneFile(output: string): string {
  return join(folder, `alone-${output}.flv`);
}

/** The encoder's arguments with a file to read in real time, round and round, and files to write. */
function aloneArguments(encoderArgs: readonly string[]): string[] {
  const args: string[] = [];
  for (let i = 0; i < encoderArgs.length; i++) {
    const arg = encoderArgs[i] ?? '';
    const output = /^pipe:([1-9]\d*)$/.exec(arg)?.[1];
    if (arg === '-protocol_whitelist') i += 1;
    else if (arg === '-i') {
      args.push('-re', '-stream_loop', '-1', '-i', videoClip);
      i += 1;
    } else if (output !== undefined) args.push('-y', aloneFile(output));
    else args.push(arg);
  }
  return args;
}

/** CPU of two groups of processes over the same time, and their memory at its end. */
async function measure(first: readonly number[], second: readonly number[]): Promise<[Usage, Usage]> {
  const startMs = performance.now();
  const before = [first, second].map(cpuMicrosOf);
  await delay(SECONDS * 1000);
  const after = [first, second].map(cpuMicrosOf);
  const elapsedMs = performance.now() - startMs;
  const usage = (pids: readonly number[], i: number): Usage => ({
    cpuPercent: ((after[i] ?? Number.NaN) - (before[i] ?? Number.NaN)) / elapsedMs / 10,
    memoryBytes: memoryBytesOf(pids),
  });
  return [usage(first, 0), usage(second, 1)];
}

function report(rounds: readonly Round[], encoding: readonly string[]): void {
  const cpu = (figure: (round: Round) => Usage): Spread =>
    spread(rounds.map((round) => figure(round).cpuPercent));
  const memory = (figure: (round: Round) => Usage): Spread =>
    spread(rounds.map((round) => figure(round).memoryBytes / 2 ** 20));
  const row = (name: string, figure: (round: Round) => Usage): string[] => [
    name,
    formatSpread(cpu(figure), 1),
    formatSpread(memory(figure), 0),
  ];
  printTable(
    ['one channel', '% of a core', 'memory MiB'],
    [
      row("Headwater's encoder", ({ encoder }) => encoder),
      row('ffmpeg alone, same arguments', ({ ffmpegAlone }) => ffmpegAlone),
      row('Headwater itself, with the ladder', ({ server }) => server),
      row('Headwater itself, without', ({ serverWithoutLadder }) => serverWithoutLadder),
    ],
  );
  // Round by round: both of a pair ran within a minute of each other.
  const ratio = spread(rounds.map(({ encoder, ffmpegAlone }) => encoder.cpuPercent / ffmpegAlone.cpuPercent));
  console.log(`encoder / ffmpeg alone: ${formatSpread(ratio, 3)} (goal: at most ${GOAL_RATIO})`);
  console.log(`encoder's arguments: ${encoding.join(' ')}`);
  saveResults('ladder-cost', {
    clip: CLIP,
    windowSeconds: WINDOW_SECONDS,
    seconds: SECONDS,
    arguments: encoding,
    ratio,
    rounds,
  });
  draw(
    encoding.filter((arg) => arg === '-map').length,
    (name) => cpu((round) => round[name]).median,
    (name) => memory((round) => round[name]).median,
  );
}

type Figure = (name: keyof Round) => number;

function draw(rungs: number, cpu: Figure, memory: Figure): void {
  const alone = cpu('ffmpegAlone');
  saveBarChart('ladder-cost', {
    title: 'What a ladder costs on top of ffmpeg',
    subtitle: `one channel, 720p30 to ${rungs} rungs; median of ${ROUNDS} alternating rounds`,
    groups: [
      {
        label: 'CPU of the encoder, of a core',
        unit: '%',
        bars: [
          { label: "Headwater's encoder", value: cpu('encoder') },
          { label: 'ffmpeg alone', value: alone, reference: true },
        ],
        goal: alone * GOAL_RATIO,
        goalLabel: `${GOAL_RATIO}× ffmpeg alone`,
      },
      {
        label: 'CPU of the server itself, of a core',
        unit: '%',
        bars: [
          { label: 'with the ladder', value: cpu('server') },
          { label: 'without', value: cpu('serverWithoutLadder'), reference: true },
        ],
      },
      {
        label: 'Memory of the encoder',
        unit: 'MiB',
        bars: [
          { label: "Headwater's encoder", value: memory('encoder') },
          { label: 'ffmpeg alone', value: memory('ffmpegAlone'), reference: true },
        ],
      },
      {
        label: `Memory of the server itself, windows of ${WINDOW_SECONDS} s`,
        unit: 'MiB',
        bars: [
          { label: 'with the ladder', value: memory('server') },
          { label: 'without', value: memory('serverWithoutLadder'), reference: true },
        ],
      },
    ],
  });
}
