/**
 * What do ten thousand players cost that all wait for the same part? As many connections each hold one blocking
 * playlist reload (RFC 8216bis 6.2.5.2); the part comes, and all are answered: how long until the last of them has
 * the playlist, what does one waiter weigh, and does ingest notice? A fresh server each round, uWebSockets.js and
 * node:http in turns.
 */
import { parseArgs } from 'node:util';
import { AnswerTimes } from './support/answer-times.ts';
import { PART_SETTINGS, startBroadcast } from './support/broadcast.ts';
import { saveBarChart } from './support/chart.ts';
import { type HeadwaterProcess, type HeapUse, startHeadwater } from './support/headwater-process.ts';
import { newestSegment } from './support/playlists.ts';
import { cpuMicros, memory } from './support/process-usage.ts';
import { requireTools } from './support/require-tools.ts';
import { openConnections } from './support/raw-connection.ts';
import { formatSpread, printTable, saveResults, spread } from './support/report.ts';
import { ingestHealth, type IngestHealth, readSamples, type Samples } from './support/server-metrics.ts';

const { values } = parseArgs({
  options: {
    waiters: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: 'uws,node' },
    save: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
const WAITERS = Number(values.waiters);
const ROUNDS = Number(values.rounds);
/** The last client has its answer this long after the first, at most. */
const GOAL_RELEASE_MS = 400;
/** Growth of the server's resident memory for one connection with one held request, at most. */
const GOAL_WAITER_BYTES = 3 * 1024;

const DRIVERS = ['uws', 'node'] as const;
type DriverName = (typeof DRIVERS)[number];
const DRIVER_LABELS: Readonly<Record<DriverName, string>> = { uws: 'uWebSockets.js', node: 'node:http' };

/** How long after the boundary of a segment the awaited part comes: the seventh part of the segment after the next. */
const AWAITED_SEGMENTS_AHEAD = 2;
const AWAITED_PART = 6;
const PATIENCE_MS = 10_000;

/** One round's figures. */
interface Round {
  /** From the first client's answer to the last byte of the last client's. */
  readonly releaseMs: number;
  readonly p50Ms: number;
  /** CPU of the server for one answer, from the last look before the release to the last answer. */
  readonly cpuMicrosPerAnswer: number;
  /** Growth for each waiter, bytes: of the whole process as it was, and of what JavaScript holds after a collection. */
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  /** Of the resident growth, that which came with the connection, before any request. */
  readonly connectionBytes: number;
  readonly answerBytes: number;
  readonly health: IngestHealth;
  readonly quietHealth: IngestHealth;
}

requireTools('ffmpeg');
const rounds: Record<DriverName, Round[]> = { uws: [], node: [] };
const drivers = DRIVERS.filter((driver) => values.only.split(',').includes(driver));
for (let i = 0; i < ROUNDS; i++) {
  for (const driver of i % 2 === 0 ? drivers : drivers.toReversed()) {
    const round = await withServer(driver);
    console.log(
      `${driver}: last of ${WAITERS} after ${round.releaseMs.toFixed(0)} ms, ${(round.residentBytes / 1024).toFixed(2)} KB each`,
    );
    rounds[driver].push(round);
  }
}
report();

async function withServer(driver: DriverName): Promise<Round> {
  // The connections are opened one after the other and wait for the beginning of a segment.
  const patience = ['http.headersTimeoutMs=60000', 'http.requestTimeoutMs=60000', 'http.idleTimeoutMs=60000'];
  const limits = ['http.maxConnections=20000', `live.maxWaiters=${WAITERS}`];
  const settings = [`http.driver=${driver}`, ...limits, ...patience].flatMap((setting) => ['--set', setting]);
  const server = await startHeadwater([...PART_SETTINGS, ...settings], { probe: true });
  try {
    const broadcast = await startBroadcast(server);
    try {
      return await measure(server, broadcast.folder);
    } finally {
      await broadcast.close();
    }
  } finally {
    await server.close();
  }
}

async function measure(server: HeadwaterProcess, folder: string): Promise<Round> {
  const quietBefore = await readSamples(server.metricsUrl);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const quietHealth = ingestHealth(quietBefore, await readSamples(server.metricsUrl));
  const heapBefore = await server.heap();
  const residentBefore = memory(server.pid).resident;
  const connections = await openConnections(server.mediaUrl, WAITERS);
  try {
    const residentConnected = memory(server.pid).resident;
    const answers = new AnswerTimes(connections);
    const path = await awaitedPath(server, folder);
    for (const connection of connections) connection.get(path, 'Accept-Encoding: gzip\r\n');
    await whenParked(server);
    const residentParked = memory(server.pid).resident;
    const heapParked = await server.heap();
    const before = await readSamples(server.metricsUrl);
    const cpuBefore = cpuMicros(server.pid);
    if (answers.count > 0) throw new Error('the part came before all were parked: the machine is too slow');
    await answers.all();
    const cpuMicrosPerAnswer = (cpuMicros(server.pid) - cpuBefore) / WAITERS;
    const health = ingestHealth(before, await readSamples(server.metricsUrl));
    return {
      ...answers.figures(),
      cpuMicrosPerAnswer,
      residentBytes: (residentParked - residentBefore) / WAITERS,
      connectionBytes: (residentConnected - residentBefore) / WAITERS,
      heapBytes: grown(heapBefore, heapParked, 'heapUsed'),
      externalBytes: grown(heapBefore, heapParked, 'external'),
      health,
      quietHealth,
    };
  } finally {
    for (const connection of connections) connection.close();
  }
}

function grown(before: HeapUse, after: HeapUse, field: keyof HeapUse): number {
  return (after[field] - before[field]) / WAITERS;
}

/** A reload that is held for over three seconds from now on: asked for right after a segment was complete. */
async function awaitedPath(server: HeadwaterProcess, folder: string): Promise<string> {
  const playlist = `${server.mediaUrl}${folder}video.m3u8`;
  const last = await newestSegment(playlist);
  for (let now = last; ; now = await newestSegment(playlist)) {
    if (now > last) {
      const msn = now + AWAITED_SEGMENTS_AHEAD;
      return `${folder}video.m3u8?_HLS_msn=${msn}&_HLS_part=${AWAITED_PART}`;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function whenParked(server: HeadwaterProcess): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    const samples: Samples = await readSamples(server.metricsUrl);
    if (samples.get('headwater_origin_waiters{kind="playlist"}') === WAITERS) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('not all requests were parked');
}

function report(): void {
  const of = (driver: DriverName, pick: (round: Round) => number) => spread(rounds[driver].map(pick));
  const kilobytes = (driver: DriverName, pick: (round: Round) => number): string =>
    formatSpread(
      of(driver, (round) => pick(round) / 1024),
      2,
    );
  const rows = drivers.map((driver) => [
    DRIVER_LABELS[driver],
    formatSpread(
      of(driver, (round) => round.releaseMs),
      0,
    ),
    of(driver, (round) => round.p50Ms).median.toFixed(0),
    formatSpread(of(driver, (round) => round.cpuMicrosPerAnswer)),
    kilobytes(driver, (round) => round.residentBytes),
    kilobytes(driver, (round) => round.connectionBytes),
    kilobytes(driver, (round) => round.heapBytes),
    kilobytes(driver, (round) => round.externalBytes),
    `${of(driver, (round) => round.health.loopMaxMs).median.toFixed(0)} (${of(driver, (round) => round.quietHealth.loopMaxMs).median.toFixed(0)})`,
    `${of(driver, (round) => round.health.partLateMs).median.toFixed(0)} (${of(driver, (round) => round.quietHealth.partLateMs).median.toFixed(0)})`,
  ]);
  printTable(
    [
      ...['driver', `last of ${WAITERS}, ms`, 'p50 ms', 'CPU µs/answer', 'RSS KB/waiter', 'of it connection'],
      ...['heap KB', 'external KB', 'loop delay max ms (quiet)', 'part late ms (quiet)'],
    ],
    rows,
  );
  const release = of('uws', (round) => round.releaseMs).median;
  const weight = of('uws', (round) => round.residentBytes).median;
  console.log(
    `released within ${release.toFixed(0)} ms; goal ≤ ${GOAL_RELEASE_MS} ms: ${verdict(release <= GOAL_RELEASE_MS)}`,
  );
  console.log(
    `${(weight / 1024).toFixed(2)} KB a waiter; goal ≤ ${GOAL_WAITER_BYTES / 1024} KB: ${verdict(weight <= GOAL_WAITER_BYTES)}`,
  );
  if (!values.save) return;
  saveResults('parked-reloads', {
    waiters: WAITERS,
    goals: { releaseMs: GOAL_RELEASE_MS, waiterBytes: GOAL_WAITER_BYTES },
    rounds,
  });
  const bars = (pick: (round: Round) => number) =>
    drivers.map((driver) => ({
      label: DRIVER_LABELS[driver],
      value: of(driver, pick).median,
      reference: driver === 'node',
    }));
  saveBarChart('parked-reloads', {
    title: `${WAITERS.toLocaleString('en')} blocking reloads answered at once`,
    subtitle: `median of ${ROUNDS} rounds, a fresh server each`,
    groups: [
      {
        label: 'Last client has its answer',
        unit: 'ms',
        goal: GOAL_RELEASE_MS,
        bars: bars((round) => round.releaseMs),
      },
      {
        label: 'Memory of one waiter (RSS growth)',
        unit: 'KB',
        goal: GOAL_WAITER_BYTES / 1024,
        bars: bars((round) => round.residentBytes / 1024),
      },
      { label: 'CPU of one answer', unit: 'µs', bars: bars((round) => round.cpuMicrosPerAnswer) },
    ],
  });
}

function verdict(met: boolean): string {
  return met ? 'met' : 'MISSED';
}
