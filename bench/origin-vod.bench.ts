/**
 * What does a segment of a title cost the origin? Segments on disk, asked for from our server and from nginx with sendfile over
 * the very files: cold (each comes from the disk, once), warm (in the memory of the system, but more than the server holds itself),
 * and hot (few enough for the server's own cache). Alternating rounds; CPU is the serving process's own, all its threads.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { saveBarChart } from './support/chart.ts';
import { type HeadwaterProcess, startHeadwater } from './support/headwater-process.ts';
import { type NginxProcess, startNginx } from './support/nginx.ts';
import { cpuMicros } from './support/process-usage.ts';
import { formatSpread, percentile, printTable, saveResults, spread } from './support/report.ts';
import { requireTools } from './support/require-tools.ts';
import { dropFromMemory, type StoredTitle, storeTitle } from './support/stored-title.ts';
import { runWrk } from './support/wrk.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '5' },
    save: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
const SECONDS = Number(values.seconds);
const ROUNDS = Number(values.rounds);
/** 4 s of about 4 Mbit/s. */
const SHAPE = { segments: 256, segmentBytes: 2 * 1024 * 1024, segmentSeconds: 4 };
/** What the server may hold: an eighth of the title. */
const CACHE_BYTES = 64 * 1024 * 1024;
const HOT_SEGMENTS = 16;
const CONNECTIONS = 32;
/** Readers of a disk: more do not make it faster. */
const COLD_READERS = 8;

const SERVERS = ['headwater', 'nginx'] as const;
type ServerName = (typeof SERVERS)[number];
const STATES = ['cold', 'warm', 'hot'] as const;
type State = (typeof STATES)[number];
const LABELS: Readonly<Record<State, string>> = {
  cold: 'cold: from the disk',
  warm: "warm: in the system's memory",
  hot: 'hot: asked for all the time',
};

/** One server's figures in one round. */
interface Round {
  readonly segmentsPerSecond: number;
  readonly megabytesPerSecond: number;
  readonly cpuMicros: number;
  /** Milliseconds to the last byte; of cold ones from our own client. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
}

interface Endpoint {
  readonly pid: number;
  readonly origin: string;
  /** What stands before a path of the title. */
  readonly prefix: string;
}

requireTools('nginx', 'wrk');
const folder = await mkdtemp(join(tmpdir(), 'headwater-bench-origin-vod-'));
try {
  const title = await storeTitle(join(folder, 'media'), SHAPE);
  const server = await startHeadwater([
    ...['--set', `storage.path=${join(folder, 'media')}`, '--set', `storage.cacheBytes=${CACHE_BYTES}`],
    ...['--set', 'vod.slots=1'],
  ]);
  try {
    const nginx = await startNginx({ root: title.folder });
    try {
      await measure(title, server, nginx);
    } finally {
      await nginx.close();
    }
  } finally {
    await server.close();
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measure(title: StoredTitle, server: HeadwaterProcess, nginx: NginxProcess): Promise<void> {
  const endpoints: Readonly<Record<ServerName, Endpoint>> = {
    headwater: { pid: server.pid, origin: server.mediaUrl, prefix: '/vod/film/' },
    nginx: { pid: nginx.workerPid, origin: nginx.url, prefix: '/' },
  };
  const rounds: Record<State, Record<ServerName, Round[]>> = {
    cold: { headwater: [], nginx: [] },
    warm: { headwater: [], nginx: [] },
    hot: { headwater: [], nginx: [] },
  };
  // The first round does not count: compilers and connections get warm in it.
  for (let round = -1; round < ROUNDS; round++) {
    for (const state of STATES) {
      // A new first one every round keeps a drift of the machine from favouring one.
      for (let turn = 0; turn < SERVERS.length; turn++) {
        const name = SERVERS[(round + 1 + turn) % SERVERS.length] ?? 'nginx';
        const seen = await (state === 'cold'
          ? askOnce(title, endpoints[name])
          : askInTurn(title, endpoints[name], state));
        if (round >= 0) rounds[state][name].push(seen);
      }
    }
  }
  report(rounds, nginx.version);
}

/** Every segment once, from the disk. */
async function askOnce({ paths, files }: StoredTitle, { pid, origin, prefix }: Endpoint): Promise<Round> {
  dropFromMemory(files);
  const agent = new Agent({ keepAlive: true, maxSockets: COLD_READERS });
  const left = paths.map((path) => origin + prefix + path);
  const times: number[] = [];
  let errors = 0;
  const cpuBefore = cpuMicros(pid);
  const startMs = performance.now();
  const reader = async (): Promise<void> => {
    for (let url = left.pop(); url !== undefined; url = left.pop()) {
      const askedMs = performance.now();
      if ((await bytesOf(url, agent)) !== SHAPE.segmentBytes) errors += 1;
      times.push(performance.now() - askedMs);
    }
  };
  await Promise.all(Array.from({ length: COLD_READERS }, reader));
  const seconds = (performance.now() - startMs) / 1000;
  const used = cpuMicros(pid) - cpuBefore;
  agent.destroy();
  return {
    ...ratesOf(paths.length, paths.length * SHAPE.segmentBytes, seconds, used),
    p50Ms: percentile(times, 0.5),
    p99Ms: percentile(times, 0.99),
    errors,
  };
}

function bytesOf(url: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (answer) => {
      let bytes = 0;
      answer.on('data', (piece: Buffer) => {
        bytes += piece.length;
      });
      answer.on('end', () => resolve(answer.statusCode === 200 ? bytes : 0)).on('error', reject);
    }).on('error', reject);
  });
}

/** Segments in turn, as fast as they come. */
async function askInTurn(
  { paths }: StoredTitle,
  { pid, origin, prefix }: Endpoint,
  state: 'warm' | 'hot',
): Promise<Round> {
  const asked = (state === 'hot' ? paths.slice(0, HOT_SEGMENTS) : paths).map((path) => prefix + path);
  const pathsFile = join(folder, 'paths');
  await writeFile(pathsFile, `${asked.join('\n')}\n`);
  const url = origin + (asked[0] ?? '');
  const cpuBefore = cpuMicros(pid);
  const seen = await runWrk({ url, connections: CONNECTIONS, seconds: SECONDS, pathsFile });
  const used = cpuMicros(pid) - cpuBefore;
  const { p50Ms, p99Ms, errors } = seen;
  return { ...ratesOf(seen.requests, seen.bytes, seen.seconds, used), p50Ms, p99Ms, errors };
}

function ratesOf(requests: number, bytes: number, seconds: number, usedMicros: number) {
  return {
    segmentsPerSecond: requests / seconds,
    megabytesPerSecond: bytes / seconds / 1e6,
    cpuMicros: usedMicros / requests,
  };
}

function report(rounds: Record<State, Record<ServerName, Round[]>>, version: string): void {
  const of = (state: State, name: ServerName, field: keyof Round) =>
    spread(rounds[state][name].map((round) => round[field]));
  printTable(
    ['segments', 'server', 'segments/s', 'MB/s', 'CPU µs/segment', 'to nginx', 'p50 ms', 'p99 ms', 'errors'],
    STATES.flatMap((state) =>
      SERVERS.map((name) => [
        LABELS[state],
        name,
        formatSpread(of(state, name, 'segmentsPerSecond'), 0),
        formatSpread(of(state, name, 'megabytesPerSecond'), 0),
        formatSpread(of(state, name, 'cpuMicros'), 0),
        `${cpuRatio(rounds[state], name).toFixed(2)}×`,
        of(state, name, 'p50Ms').median.toFixed(1),
        of(state, name, 'p99Ms').median.toFixed(1),
        `${rounds[state][name].reduce((sum, round) => sum + round.errors, 0)}`,
      ]),
    ),
  );
  if (!values.save) return;
  saveResults('origin-vod', {
    ...{ nginx: version, shape: SHAPE, cacheBytes: CACHE_BYTES, hotSegments: HOT_SEGMENTS },
    ...{ connections: CONNECTIONS, coldReaders: COLD_READERS, seconds: SECONDS, rounds },
  });
  saveBarChart('origin-vod', {
    title: 'CPU of the server for one segment of a title',
    subtitle: `user + kernel, segments of ${SHAPE.segmentBytes / 2 ** 20} MiB on disk, median of ${ROUNDS} rounds; ${version} with sendfile`,
    groups: STATES.map((state) => ({
      label: LABELS[state],
      unit: 'µs',
      bars: SERVERS.map((name) => ({
        label: name,
        value: of(state, name, 'cpuMicros').median,
        reference: name === 'nginx',
        ratio: cpuRatio(rounds[state], name),
      })),
    })),
  });
}

/** Median of the ratios within each round: what the machine does to both cancels out. */
function cpuRatio(both: Record<ServerName, Round[]>, name: ServerName): number {
  const ratios = both[name].map((round, i) => round.cpuMicros / (both.nginx[i]?.cpuMicros ?? Number.NaN));
  return percentile(ratios, 0.5);
}
