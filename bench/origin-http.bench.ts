/**
 * What does one request cost the origin? A live playlist, a part and a whole segment of a real stream, asked for with
 * autocannon, from the uWebSockets.js listener and from the node:http listener of the same server in alternating
 * rounds. CPU is the server process's own, from /proc, so that autocannon's limit does not hide the server's cost.
 */
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { cpuMicros, startHeadwater, stop, type HeadwaterProcess } from './support/headwater-process.ts';
import { formatSpread, printTable, saveResults, spread } from './support/report.ts';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '4' }, rounds: { type: 'string', default: '5' } },
});
const SECONDS = Number(values.seconds);
const ROUNDS = Number(values.rounds);
const CONNECTIONS = 50;

/** One round's figures. */
interface Round {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of the server per answered request, microseconds. Includes the ingest beside it (about 1 % of a core). */
  readonly cpuMicrosPerRequest: number;
  readonly errors: number;
}

interface Payload {
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
}

const server = await startHeadwater();
const broadcast = spawn('ffmpeg', broadcastArgs(await server.publishUrl('bench')), {
  stdio: ['ignore', 'ignore', 'inherit'],
});
try {
  await waitForStream(server);
  const results = [];
  for (const name of ['playlist', 'part', 'segment'] as const) {
    results.push(await compare(name));
  }
  report(results);
} finally {
  await stop(broadcast);
  await server.close();
}

/** 2 Mb/s: a part is near 40 KB, a 2 s segment near 500 KB. */
function broadcastArgs(url: string): string[] {
  return [
    ...[
      '-hide_banner',
      '-loglevel',
      'error',
      '-nostdin',
      '-re',
      '-f',
      'lavfi',
      '-i',
      'testsrc2=size=640x360:rate=30',
    ],
    ...['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '60', '-sc_threshold', '0'],
    ...['-b:v', '2M', '-minrate', '2M', '-maxrate', '2M', '-bufsize', '1M', '-x264-params', 'nal-hrd=cbr'],
    ...['-f', 'flv', url],
  ];
}

async function waitForStream({ mediaUrl }: HeadwaterProcess): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const response = await fetch(`${mediaUrl}/live/bench/video.m3u8`);
    const text = await response.text();
    if (response.ok && (text.match(/#EXTINF/g)?.length ?? 0) >= 2) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error('the stream did not come up');
}

/** Picks the newest complete segment, or its third part, so that it stays in the window while it is asked for. */
async function pick(name: 'playlist' | 'part' | 'segment'): Promise<Payload> {
  const base = '/live/bench/';
  const playlist = await (await fetch(`${server.mediaUrl}${base}video.m3u8`)).text();
  const segments = playlist.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const newest = segments.at(-1) ?? '';
  const uri = { playlist: 'video.m3u8', part: newest.replace('.m4s', '.3.m4s'), segment: newest }[name];
  const body = await (await fetch(`${server.mediaUrl}${base}${uri}`)).arrayBuffer();
  return { name, path: base + uri, sizeBytes: body.byteLength };
}

async function compare(name: 'playlist' | 'part' | 'segment') {
  const rounds: Record<'uws' | 'node', Round[]> = { uws: [], node: [] };
  let sizeBytes = 0;
  for (let i = 0; i < ROUNDS; i++) {
    const payload = await pick(name);
    sizeBytes = payload.sizeBytes;
    // Alternating which comes first keeps a drift of the machine from favouring one.
    for (const driver of i % 2 === 0 ? (['uws', 'node'] as const) : (['node', 'uws'] as const)) {
      const origin = driver === 'uws' ? server.mediaUrl : server.controlUrl;
      rounds[driver].push(await load(origin + payload.path));
    }
  }
  return { name, sizeBytes, ...rounds };
}

async function load(url: string): Promise<Round> {
  const before = cpuMicros(server.pid);
  const result = await autocannon({ url, connections: CONNECTIONS, duration: SECONDS });
  const answered = result['2xx'];
  return {
    requestsPerSecond: answered / result.duration,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    cpuMicrosPerRequest: (cpuMicros(server.pid) - before) / answered,
    errors: result.errors + result.non2xx + result.timeouts,
  };
}

function report(results: readonly Awaited<ReturnType<typeof compare>>[]): void {
  const rows = results.flatMap(({ name, sizeBytes, uws, node }) => {
    const cpu = (rounds: readonly Round[]) => spread(rounds.map((round) => round.cpuMicrosPerRequest));
    const row = (driver: string, rounds: readonly Round[], ratio: string): string[] => [
      `${name} (${(sizeBytes / 1000).toFixed(1)} KB)`,
      driver,
      formatSpread(spread(rounds.map((round) => round.requestsPerSecond)), 0),
      formatSpread(spread(rounds.map((round) => round.p50Ms)), 0),
      formatSpread(spread(rounds.map((round) => round.p99Ms)), 0),
      formatSpread(cpu(rounds), 0),
      ratio,
      `${rounds.reduce((sum, round) => sum + round.errors, 0)}`,
    ];
    const ratio = cpu(uws).median / cpu(node).median;
    return [row('uws', uws, `${ratio.toFixed(2)}×`), row('node:http', node, '1×')];
  });
  printTable(
    ['payload', 'driver', 'requests/s', 'p50 ms', 'p99 ms', 'CPU µs/request', 'CPU ratio', 'errors'],
    rows,
  );
  saveResults('origin-http', { connections: CONNECTIONS, seconds: SECONDS, rounds: ROUNDS, results });
}
