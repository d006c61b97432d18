/**
 * What does one request cost the origin? A live playlist, a part and a whole segment of a real stream, asked for with
 * wrk from the uWebSockets.js listener, from the node:http listener of the same server, and from nginx, which serves
 * the same bytes from memory. Alternating rounds; CPU is the serving process's own, user and kernel, from /proc.
 */
import { parseArgs } from 'node:util';
import { PART_SETTINGS, startBroadcast } from './support/broadcast.ts';
import { saveBarChart } from './support/chart.ts';
import { startHeadwater } from './support/headwater-process.ts';
import { startNginx } from './support/nginx.ts';
import { cpuMicros, cpuTime } from './support/process-usage.ts';
import { requireTools } from './support/require-tools.ts';
import { formatSpread, percentile, printTable, saveResults, spread } from './support/report.ts';
import { runWrk } from './support/wrk.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '5' },
    /** Comma-separated, to look at one thing only. */
    only: { type: 'string', default: 'part,segment,playlist' },
    save: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
const SECONDS = Number(values.seconds);
const ROUNDS = Number(values.rounds);
const CONNECTIONS = 64;
const QUIET_MS = 3000;
/** What our CPU per request may be, as a multiple of nginx's. */
const GOAL = 1.1;

const SERVERS = ['uws', 'nginx', 'node'] as const;
type ServerName = (typeof SERVERS)[number];
const SERVER_LABELS: Readonly<Record<ServerName, string>> = {
  uws: 'headwater (uWebSockets.js)',
  nginx: 'nginx',
  node: 'headwater (node:http)',
};
type PayloadName = 'playlist' | 'part' | 'segment';
const PAYLOADS = values.only.split(',') as PayloadName[];

/** One server's figures in one round. */
interface Round {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of the server per answered request, microseconds, all that it did meanwhile. */
  readonly userMicros: number;
  readonly systemMicros: number;
  readonly cpuMicros: number;
  /** How much of it the ingest of the stream takes anyway, by what it takes while nobody asks. nginx has none. */
  readonly ingestMicros: number;
  /** Share of one core that the server and wrk used: the one near 1 was the limit. */
  readonly serverLoad: number;
  readonly wrkLoad: number;
  readonly errors: number;
}

interface Result {
  readonly payload: PayloadName;
  readonly sizeBytes: number;
  readonly rounds: Readonly<Record<ServerName, Round[]>>;
}

requireTools('nginx', 'wrk', 'ffmpeg');
const server = await startHeadwater(PART_SETTINGS);
const nginx = await startNginx().catch(async (error: unknown) => {
  await server.close();
  throw error;
});
const endpoints: Readonly<Record<ServerName, { readonly url: string; readonly pid: number }>> = {
  uws: { url: server.mediaUrl, pid: server.pid },
  nginx: { url: nginx.url, pid: nginx.workerPid },
  node: { url: server.controlUrl, pid: server.pid },
};
try {
  const broadcast = await startBroadcast(server);
  try {
    const ingestLoad = await quietLoad();
    const results: Result[] = [];
    for (const payload of PAYLOADS) results.push(await compare(payload, broadcast.folder, ingestLoad));
    report(results, ingestLoad);
  } finally {
    await broadcast.close();
  }
} finally {
  await nginx.close();
  await server.close();
}

/** Share of one core that our server takes while nobody asks. */
async function quietLoad(): Promise<number> {
  const start = performance.now();
  const before = cpuMicros(server.pid);
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  return (cpuMicros(server.pid) - before) / 1000 / (performance.now() - start);
}

async function compare(payload: PayloadName, folder: string, ingestLoad: number): Promise<Result> {
  const rounds: Record<ServerName, Round[]> = { uws: [], nginx: [], node: [] };
  let sizeBytes = 0;
  for (let i = -1; i < ROUNDS; i++) {
    const path = folder + (await newest(payload, folder));
    const body = new Uint8Array(await (await fetch(server.mediaUrl + path)).arrayBuffer());
    sizeBytes = body.length;
    await nginx.put(path, body);
    if (i < 0) {
      // Compilers and caches of all three get warm in a round that does not count.
      for (const name of SERVERS) await load(name, path, ingestLoad);
      continue;
    }
    // A new first one every round keeps a drift of the machine from favouring one.
    for (let k = 0; k < SERVERS.length; k++) {
      const name = SERVERS[(i + k) % SERVERS.length] ?? 'uws';
      rounds[name].push(await load(name, path, ingestLoad));
    }
  }
  return { payload, sizeBytes, rounds };
}

/** The playlist, or the newest complete segment, or its third part: those stay in the window while asked for. */
async function newest(payload: PayloadName, folder: string): Promise<string> {
  const playlist = await (await fetch(`${server.mediaUrl}${folder}video.m3u8`)).text();
  const segment = playlist.split('\n').findLast((line) => line !== '' && !line.startsWith('#')) ?? '';
  return { playlist: 'video.m3u8', part: segment.replace('.m4s', '.3.m4s'), segment }[payload];
}

async function load(name: ServerName, path: string, ingestLoad: number): Promise<Round> {
  const { url, pid } = endpoints[name];
  const before = cpuTime(pid);
  const result = await runWrk({ url: url + path, connections: CONNECTIONS, seconds: SECONDS });
  const after = cpuTime(pid);
  const userMicros = (after.user - before.user) / result.requests;
  const systemMicros = (after.system - before.system) / result.requests;
  const usedMicros = userMicros + systemMicros;
  return {
    requestsPerSecond: result.requests / result.seconds,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    userMicros,
    systemMicros,
    cpuMicros: usedMicros,
    ingestMicros: name === 'nginx' ? 0 : (ingestLoad * result.seconds * 1e6) / result.requests,
    serverLoad: (usedMicros * result.requests) / result.seconds / 1e6,
    wrkLoad: result.ownLoad,
    errors: result.errors,
  };
}

/** Median of the ratios within each round: what the machine does to all of them cancels out. */
function ratioToNginx({ rounds }: Result, name: ServerName, of: (round: Round) => number): number {
  const ratios = rounds[name].map((round, i) => of(round) / (rounds.nginx[i]?.cpuMicros ?? Number.NaN));
  return percentile(ratios, 0.5);
}

function whole(round: Round): number {
  return round.cpuMicros;
}

function withoutIngest(round: Round): number {
  return round.cpuMicros - round.ingestMicros;
}

function medianMicros({ rounds }: Result, name: ServerName): number {
  return spread(rounds[name].map((round) => round.cpuMicros)).median;
}

function report(results: readonly Result[], ingestLoad: number): void {
  const rows = results.flatMap((result) =>
    SERVERS.map((name) => {
      const rounds = result.rounds[name];
      const of = (field: keyof Round) => spread(rounds.map((round) => round[field]));
      return [
        `${result.payload} (${(result.sizeBytes / 1000).toFixed(1)} KB)`,
        SERVER_LABELS[name],
        formatSpread(of('cpuMicros')),
        of('userMicros').median.toFixed(1),
        of('systemMicros').median.toFixed(1),
        of('ingestMicros').median.toFixed(1),
        `${ratioToNginx(result, name, whole).toFixed(2)}×`,
        of('requestsPerSecond').median.toFixed(0),
        of('p50Ms').median.toFixed(2),
        of('p99Ms').median.toFixed(2),
        `${of('serverLoad').median.toFixed(2)} / ${of('wrkLoad').median.toFixed(2)}`,
        `${rounds.reduce((sum, round) => sum + round.errors, 0)}`,
      ];
    }),
  );
  printTable(
    [
      ...[
        'payload',
        'server',
        'CPU µs/request',
        'user',
        'kernel',
        'of it ingest',
        'to nginx',
        'requests/s',
        'p50 ms',
        'p99 ms',
      ],
      ...['cores server / wrk', 'errors'],
    ],
    rows,
  );
  for (const result of results) {
    const ratio = ratioToNginx(result, 'uws', whole);
    const net = ratioToNginx(result, 'uws', withoutIngest);
    const verdict = ratio <= GOAL ? 'met' : 'MISSED';
    console.log(
      `${result.payload}: ${ratio.toFixed(2)}× nginx (${net.toFixed(2)}× without ingest); goal ≤ ${GOAL}×: ${verdict}`,
    );
  }
  if (!values.save) return;
  saveResults('origin-http', {
    nginx: nginx.version,
    connections: CONNECTIONS,
    seconds: SECONDS,
    rounds: ROUNDS,
    goal: GOAL,
    ingestLoad,
    results,
  });
  saveBarChart('origin-http', {
    title: 'CPU of the server for one request',
    subtitle: `user + kernel, ${CONNECTIONS} kept connections, median of ${ROUNDS} rounds; ${nginx.version} serves the same bytes`,
    groups: results.map((result) => ({
      label: `${result.payload}, ${(result.sizeBytes / 1000).toFixed(0)} KB`,
      unit: 'µs',
      goal: GOAL * medianMicros(result, 'nginx'),
      goalLabel: `${GOAL}× nginx`,
      bars: SERVERS.map((name) => ({
        label: SERVER_LABELS[name],
        value: medianMicros(result, name),
        reference: name === 'nginx',
        ratio: ratioToNginx(result, name, whole),
      })),
    })),
  });
}
