/**
 * What does a publisher cost the server? 1, 10 and 50 publishers of the same 4 Mb/s clip, from one pusher process, into
 * Headwater without a ladder, nginx-rtmp with and without its HLS and DASH outputs, node-media-server, and a bare
 * node:net server that discards what it reads: each in processes of its own, in alternating order. CPU is all threads of all the server's processes; memory is theirs, and
 * what they keep in files in memory.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Bar, saveBarChart } from './support/chart.ts';
import { cpuMicrosOf, memoryBytesOf } from './support/process-usage.ts';
import { startPusher } from './support/pusher-process.ts';
import { formatSpread, printTable, saveResults, spread, type Spread } from './support/report.ts';
import { requireTools } from './support/require-tools.ts';
import {
  startDiscardServer,
  startHeadwaterPeer,
  startNginxRtmp,
  startNodeMediaServer,
  type RtmpPeer,
} from './support/rtmp-peers.ts';
import { CLIP, makeClip } from './support/source-clip.ts';

const { values } = parseArgs({
  options: {
    /** Time over which CPU is measured. */
    seconds: { type: 'string', default: '8' },
    /**
     * Publishers' time before that: hot code is compiled, and windows are so full that as much is let go as comes.
     * Headwater keeps a segment for as long again and more after it has left the list (RFC 8216bis 6.2.2).
     */
    settle: { type: 'string', default: '35' },
    rounds: { type: 'string', default: '2' },
    /** How many there are, one number after the other. */
    publishers: { type: 'string', default: '1,10,50' },
  },
});
const SECONDS = Number(values.seconds);
const SETTLE_SECONDS = Number(values.settle);
const ROUNDS = Number(values.rounds);
const CHANNELS = values.publishers.split(',').map(Number);
if (!CHANNELS.every((count) => Number.isInteger(count) && count > 0)) {
  throw new Error(`--publishers takes numbers with commas between them, not ${values.publishers}`);
}
/** Full before memory is read, so that the figure does not depend on how long the bench runs. */
const PACKAGING = { segmentSeconds: 2, windowSeconds: 10 };

const SERVERS = [
  'Headwater',
  'nginx-rtmp, HLS and DASH',
  'nginx-rtmp, HLS',
  'nginx-rtmp, relay only',
  'node-media-server',
  'node:net, discards',
] as const;
type ServerName = (typeof SERVERS)[number];

const START: Readonly<Record<ServerName, () => Promise<RtmpPeer>>> = {
  Headwater: () => startHeadwaterPeer(PACKAGING),
  'nginx-rtmp, HLS and DASH': () => startNginxRtmp(['hls', 'dash'], PACKAGING),
  'nginx-rtmp, HLS': () => startNginxRtmp(['hls'], PACKAGING),
  'nginx-rtmp, relay only': () => startNginxRtmp([], PACKAGING),
  'node-media-server': startNodeMediaServer,
  'node:net, discards': startDiscardServer,
};

/** What the chart compares with: the other that makes segments for HLS and DASH. */
const REFERENCE: ServerName = 'nginx-rtmp, HLS and DASH';
/** What Node costs anybody who reads from sockets. */
const FLOOR: ServerName = 'node:net, discards';
/** What Headwater is to cost at most, as a share of the others. */
const BARS: Readonly<Partial<Record<ServerName, number>>> = {
  'nginx-rtmp, HLS and DASH': 1.5,
  'node-media-server': 0.6,
};

/** What is compared with what; printed under the table and kept with the figures. */
const NOTE = [
  'The servers do not make the same. Headwater makes a CMAF chunk of every frame and an LL-HLS part of every 200 ms, in',
  'memory, for LL-HLS and LL-DASH; nginx-rtmp writes 2 s segments to files in memory, MPEG-TS for HLS and fMP4 for',
  'DASH, neither of low latency; nginx-rtmp as a relay and node-media-server package nothing and keep what a new',
  'RTMP player needs (node-media-server also for HTTP-FLV): a comparison with them is one of more work against less.',
  'The node:net server only reads and discards: it is the floor of every server that runs in Node, and what is above it',
  'is what the server itself does.',
  `Windows are ${PACKAGING.windowSeconds} s long, which is 4.9 MiB of this clip; memory is the processes' own and that of their files.`,
].join(' ');

/** One server with one number of publishers, once. */
interface Measurement {
  readonly server: ServerName;
  readonly channels: number;
  /** CPU time of the whole server a second of each channel. */
  readonly cpuMicrosPerChannelSecond: number;
  readonly memoryBytes: number;
  readonly fileBytes: number;
  /** How far behind real time the pusher was at worst. */
  readonly pusherLateMs: number;
}

requireTools('ffmpeg', 'nginx-rtmp');
const folder = await mkdtemp(join(tmpdir(), 'headwater-bench-clip-'));
try {
  const clip = join(folder, 'clip.flv');
  await makeClip(clip);
  const measurements: Measurement[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const channels of CHANNELS) {
      for (const server of round % 2 === 0 ? SERVERS : SERVERS.toReversed()) {
        const measurement = await measure(server, channels, clip);
        const percent = measurement.cpuMicrosPerChannelSecond / 10_000;
        console.log(
          `round ${round + 1}: ${server}, ${channels} channels: ${percent.toFixed(2)} % of a core each`,
        );
        measurements.push(measurement);
      }
    }
  }
  report(measurements);
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measure(name: ServerName, channels: number, clip: string): Promise<Measurement> {
  const server = await START[name]();
  try {
    const keys = Array.from({ length: channels }, (_, i) => `channel${i + 1}`);
    const pusher = await startPusher({ clip, port: server.port, app: server.app, keys });
    try {
      await delay(SETTLE_SECONDS * 1000);
      await pusher.report();
      const startMs = performance.now();
      const startMicros = cpuMicrosOf(server.pids());
      await delay(SECONDS * 1000);
      const usedMicros = cpuMicrosOf(server.pids()) - startMicros;
      const seconds = (performance.now() - startMs) / 1000;
      const { worstLateMs } = await pusher.report();
      await server.check(keys);
      return {
        server: name,
        channels,
        cpuMicrosPerChannelSecond: usedMicros / channels / seconds,
        memoryBytes: memoryBytesOf(server.pids()),
        fileBytes: server.fileBytes(),
        pusherLateMs: worstLateMs,
      };
    } finally {
      await pusher.close();
    }
  } finally {
    await server.close();
  }
}

function report(measurements: readonly Measurement[]): void {
  const of: FigureOf = (server, channels, figure) =>
    spread(measurements.filter((m) => m.server === server && m.channels === channels).map(figure));
  const rows = CHANNELS.flatMap((channels) =>
    SERVERS.map((server) => {
      const cpu = of(server, channels, percentEach);
      return [
        `${channels}`,
        server,
        formatSpread(cpu, 2),
        ratioTo(cpu.median, of('Headwater', channels, percentEach).median),
        formatSpread(of(server, channels, mebibytes), 1),
        of(server, channels, (m) => m.pusherLateMs).max.toFixed(0),
      ];
    }),
  );
  printTable(['channels', 'server', '% of a core, each', 'Headwater/it', 'memory MiB, all', 'late ms'], rows);
  const further = furtherChannel(of);
  if (further.length > 0) printFurther(further);
  console.log('');
  printBars(of);
  console.log(`\n${NOTE}`);
  saveResults('ingest-cost', {
    note: NOTE,
    clip: CLIP,
    packaging: PACKAGING,
    seconds: SECONDS,
    settleSeconds: SETTLE_SECONDS,
    rounds: ROUNDS,
    furtherChannel: further,
    measurements,
  });
  draw(of);
}

function printFurther(further: readonly FurtherChannel[]): void {
  console.log('');
  printTable(
    ['each channel after the first', '% of a core', 'Headwater/it', 'memory MiB'],
    further.map(({ server, cpuPercent, memoryMib }) => [
      server,
      cpuPercent.toFixed(2),
      ratioTo(cpuPercent, further[0]?.cpuPercent ?? Number.NaN),
      memoryMib.toFixed(1),
    ]),
  );
}

/** The bars, and beside each how near to it a server in Node that does nothing would come. */
function printBars(of: FigureOf): void {
  const cpu = (server: ServerName, channels: number): number => of(server, channels, percentEach).median;
  const rows = CHANNELS.flatMap((channels) =>
    SERVERS.flatMap((server) => {
      const bar = BARS[server];
      if (bar === undefined) return [];
      const share = cpu('Headwater', channels) / cpu(server, channels);
      const floorShare = cpu(FLOOR, channels) / cpu(server, channels);
      const met = share <= bar ? 'met' : floorShare > bar ? 'out of reach of Node' : 'missed';
      return [[`${channels}`, server, `${bar}×`, `${share.toFixed(2)}×`, `${floorShare.toFixed(2)}×`, met]];
    }),
  );
  printTable(['channels', 'against', 'bar', 'Headwater', 'the floor alone', ''], rows);
}

type FigureOf = (server: ServerName, channels: number, figure: (m: Measurement) => number) => Spread;

function draw(of: FigureOf): void {
  const bars = (channels: number, figure: (m: Measurement) => number): Bar[] =>
    SERVERS.map((server) => ({
      label: server,
      value: of(server, channels, figure).median,
      reference: server === REFERENCE,
    }));
  const most = Math.max(...CHANNELS);
  saveBarChart('ingest-cost', {
    title: 'What a publisher costs the server',
    subtitle: `720p30, 4 Mb/s and AAC; median of ${ROUNDS} interleaved rounds; only Headwater is low latency`,
    groups: [
      ...CHANNELS.map((channels) => ({
        label: `CPU a channel, of a core; ${channels} ${channels === 1 ? 'publisher' : 'publishers'}`,
        unit: '%',
        bars: bars(channels, percentEach),
      })),
      {
        label: `Memory, ${most} publishers, windows of ${PACKAGING.windowSeconds} s`,
        unit: 'MiB',
        bars: bars(most, mebibytes),
      },
    ],
  });
}

function percentEach({ cpuMicrosPerChannelSecond }: Measurement): number {
  return cpuMicrosPerChannelSecond / 10_000;
}

function mebibytes({ memoryBytes, fileBytes }: Measurement): number {
  return (memoryBytes + fileBytes) / 2 ** 20;
}

function ratioTo(cpu: number, headwater: number): string {
  return `${(headwater / cpu).toFixed(2)}×`;
}

/** What one channel more costs: what a server needs for itself, publishers or not, is not in it. */
interface FurtherChannel {
  readonly server: ServerName;
  readonly cpuPercent: number;
  readonly memoryMib: number;
}

/** Empty when there was only one number of channels. */
function furtherChannel(of: FigureOf): FurtherChannel[] {
  const [few, many] = [Math.min(...CHANNELS), Math.max(...CHANNELS)];
  if (few === many) return [];
  return SERVERS.map((server) => {
    const slope = (figure: (m: Measurement) => number): number =>
      (of(server, many, figure).median - of(server, few, figure).median) / (many - few);
    return {
      server,
      cpuPercent: slope((m) => percentEach(m) * m.channels),
      memoryMib: slope(mebibytes),
    };
  });
}
