/**
 * What does it cost to send one growing segment to a thousand LL-DASH players, and how much later than the first has
 * the last of them each chunk? All ask for the segment that begins next, and get it frame by frame in chunked transfer
 * coding, from the uWebSockets.js and from the node:http listener of one server in turns.
 */
import { parseArgs } from 'node:util';
import { startBroadcast } from './support/broadcast.ts';
import { saveBarChart } from './support/chart.ts';
import { chunkPlaces } from './support/cmaf-chunks.ts';
import { GrowingReaders } from './support/growing-readers.ts';
import { startHeadwater } from './support/headwater-process.ts';
import { listedSegments, newestSegment } from './support/playlists.ts';
import { cpuMicros } from './support/process-usage.ts';
import { requireTools } from './support/require-tools.ts';
import { openConnections, type RawConnection } from './support/raw-connection.ts';
import { formatSpread, percentile, printTable, saveResults, spread } from './support/report.ts';
import { ingestHealth, type IngestHealth, readSamples } from './support/server-metrics.ts';

const { values } = parseArgs({
  options: {
    readers: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '5' },
    save: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
const READERS = Number(values.readers);
const ROUNDS = Number(values.rounds);
const QUIET_MS = 4000;

const DRIVERS = ['uws', 'node'] as const;
type DriverName = (typeof DRIVERS)[number];
const DRIVER_LABELS: Readonly<Record<DriverName, string>> = { uws: 'uWebSockets.js', node: 'node:http' };

/** One segment read by all. */
interface Round {
  readonly chunks: number;
  readonly sizeBytes: number;
  /** CPU of the server for one chunk to one reader, without what ingest takes when nobody reads. */
  readonly cpuMicrosPerClientChunk: number;
  /** From the first reader that has a chunk to the last: median and worst of the segment's chunks. */
  readonly lastBehindFirstP50Ms: number;
  readonly lastBehindFirstMaxMs: number;
  /** From the making of the picture to the last reader that has it. */
  readonly lastAgeP50Ms: number;
  readonly lastAgeMaxMs: number;
  readonly health: IngestHealth;
}

requireTools('ffmpeg');
const limits = ['http.headersTimeoutMs=60000', 'http.requestTimeoutMs=60000', 'http.idleTimeoutMs=60000'];
const server = await startHeadwater(limits.flatMap((limit) => ['--set', limit]));
try {
  const broadcast = await startBroadcast(server);
  try {
    const quiet = await quietly();
    const rounds: Record<DriverName, Round[]> = { uws: [], node: [] };
    for (let i = 0; i < ROUNDS; i++) {
      for (const driver of i % 2 === 0 ? DRIVERS : DRIVERS.toReversed()) {
        rounds[driver].push(await readTogether(driver, broadcast.folder, quiet.cpuMicrosPerMs));
      }
    }
    report(rounds, quiet);
  } finally {
    await broadcast.close();
  }
} finally {
  await server.close();
}

/** What the server does while nobody asks. */
interface Quiet {
  readonly cpuMicrosPerMs: number;
  readonly health: IngestHealth;
}

async function quietly(): Promise<Quiet> {
  const before = await readSamples(server.metricsUrl);
  const cpu = cpuMicros(server.pid);
  const start = performance.now();
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  const cpuMicrosPerMs = (cpuMicros(server.pid) - cpu) / (performance.now() - start);
  return { cpuMicrosPerMs, health: ingestHealth(before, await readSamples(server.metricsUrl)) };
}

async function readTogether(driver: DriverName, folder: string, quietMicrosPerMs: number): Promise<Round> {
  const origin = driver === 'uws' ? server.mediaUrl : server.controlUrl;
  const connections = await openConnections(origin, READERS);
  try {
    return await readOne(connections, origin, folder, quietMicrosPerMs);
  } finally {
    for (const connection of connections) connection.close();
  }
}

async function readOne(
  connections: readonly RawConnection[],
  origin: string,
  folder: string,
  quietMicrosPerMs: number,
): Promise<Round> {
  const path = folder + (await nextSegment(`${origin}${folder}video.m3u8`));
  const readers = new GrowingReaders(connections);
  // Held until the segment begins: from here on the server works for these readers only.
  const before = await readSamples(server.metricsUrl);
  const cpu = cpuMicros(server.pid);
  const start = performance.now();
  for (const connection of connections) connection.get(path);
  await readers.ended();
  const quietMicros = quietMicrosPerMs * (performance.now() - start);
  const usedMicros = cpuMicros(server.pid) - cpu - quietMicros;
  const health = ingestHealth(before, await readSamples(server.metricsUrl));
  const segment = new Uint8Array(await (await fetch(origin + path)).arrayBuffer());
  const places = chunkPlaces(segment);
  const arrivals = readers.arrivals(places);
  const behind = arrivals.map(({ firstMs, lastMs }) => lastMs - firstMs);
  const ages = arrivals.map(
    ({ lastMs }, i) => performance.timeOrigin + lastMs - (places[i]?.producedMs ?? Number.NaN),
  );
  return {
    chunks: places.length,
    sizeBytes: segment.length,
    cpuMicrosPerClientChunk: usedMicros / (READERS * places.length),
    lastBehindFirstP50Ms: percentile(behind, 0.5),
    lastBehindFirstMaxMs: Math.max(...behind),
    lastAgeP50Ms: percentile(ages, 0.5),
    lastAgeMaxMs: Math.max(...ages),
    health,
  };
}

/** URI of the segment after the one that is open, right after a segment was complete: it begins in two seconds. */
async function nextSegment(playlistUrl: string): Promise<string> {
  const last = await newestSegment(playlistUrl);
  for (;;) {
    const now = await newestSegment(playlistUrl);
    if (now > last) {
      const newest = (await listedSegments(playlistUrl)).at(-1) ?? '';
      return newest.replace(`${now}.m4s`, `${now + 2}.m4s`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function report(rounds: Readonly<Record<DriverName, readonly Round[]>>, quiet: Quiet): void {
  const of = (driver: DriverName, pick: (round: Round) => number) => spread(rounds[driver].map(pick));
  const rows = DRIVERS.map((driver) => [
    DRIVER_LABELS[driver],
    formatSpread(of(driver, (round) => round.cpuMicrosPerClientChunk)),
    formatSpread(
      of(driver, (round) => round.lastBehindFirstP50Ms),
      0,
    ),
    formatSpread(
      of(driver, (round) => round.lastBehindFirstMaxMs),
      0,
    ),
    formatSpread(
      of(driver, (round) => round.lastAgeP50Ms),
      0,
    ),
    formatSpread(
      of(driver, (round) => round.lastAgeMaxMs),
      0,
    ),
    of(driver, (round) => round.health.loopP99Ms).median.toFixed(0),
    of(driver, (round) => round.health.loopMaxMs).median.toFixed(0),
    of(driver, (round) => round.health.partLateMs).median.toFixed(1),
  ]);
  const { health } = quiet;
  rows.push([
    'nobody reads',
    ...['', '', '', '', ''],
    health.loopP99Ms.toFixed(0),
    health.loopMaxMs.toFixed(0),
    health.partLateMs.toFixed(1),
  ]);
  console.log(`${READERS} readers, ${rounds.uws[0]?.chunks ?? 0} chunks of a frame a segment`);
  printTable(
    [
      ...[
        'driver',
        'CPU µs/client-chunk',
        'last behind first p50 ms',
        'max ms',
        'last has it after p50 ms',
        'max ms',
      ],
      ...['loop delay p99 ms', 'max ms', 'part late ms'],
    ],
    rows,
  );
  const cpuRatio =
    of('uws', (round) => round.cpuMicrosPerClientChunk).median /
    of('node', (round) => round.cpuMicrosPerClientChunk).median;
  console.log(`CPU, uWebSockets.js to node:http: ${cpuRatio.toFixed(2)}×`);
  if (!values.save) return;
  saveResults('growing-segment', { readers: READERS, rounds, quiet });
  const bars = (pick: (round: Round) => number) =>
    DRIVERS.map((driver) => ({
      label: DRIVER_LABELS[driver],
      value: of(driver, pick).median,
      reference: driver === 'node',
    }));
  saveBarChart('growing-segment', {
    title: `One growing segment, ${READERS.toLocaleString('en')} readers`,
    subtitle: `each frame a chunk, median of ${ROUNDS} segments`,
    groups: [
      {
        label: 'CPU of one chunk to one reader',
        unit: 'µs',
        bars: bars((round) => round.cpuMicrosPerClientChunk),
      },
      {
        label: 'Last reader behind the first',
        unit: 'ms',
        bars: bars((round) => round.lastBehindFirstP50Ms),
      },
    ],
  });
}
