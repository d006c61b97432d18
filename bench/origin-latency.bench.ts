/**
 * How long does a viewer wait for an answer that is there? A playlist and a part of a live stream, asked for at a
 * steady rate that leaves every server time to spare, from the uWebSockets.js listener, from the node:http listener of
 * the same server, and from nginx, which serves the same bytes from memory.
 */
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { PART_SETTINGS, startBroadcast } from './support/broadcast.ts';
import { startHeadwater } from './support/headwater-process.ts';
import { startNginx } from './support/nginx.ts';
import { requireTools } from './support/require-tools.ts';
import { percentile, printTable, saveResults } from './support/report.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    rate: { type: 'string', default: '300' },
  },
});
const SECONDS = Number(values.seconds);
const ROUNDS = Number(values.rounds);
const RATE = Number(values.rate);
const CONNECTIONS = 50;

const SERVERS = ['uws', 'nginx', 'node'] as const;
type ServerName = (typeof SERVERS)[number];
const PAYLOADS = ['playlist', 'part'] as const;
type Payload = (typeof PAYLOADS)[number];

interface Round {
  readonly payload: Payload;
  readonly server: ServerName;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly failed: number;
}

requireTools('nginx', 'ffmpeg');
const server = await startHeadwater(PART_SETTINGS);
const nginx = await startNginx().catch(async (error: unknown) => {
  await server.close();
  throw error;
});
const origins: Readonly<Record<ServerName, string>> = {
  uws: server.mediaUrl,
  nginx: nginx.url,
  node: server.controlUrl,
};
try {
  const broadcast = await startBroadcast(server);
  try {
    const rounds: Round[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      for (const payload of PAYLOADS) rounds.push(...(await compare(payload, broadcast.folder, i)));
    }
    report(rounds);
  } finally {
    await broadcast.close();
  }
} finally {
  await nginx.close();
  await server.close();
}

async function compare(payload: Payload, folder: string, turn: number): Promise<Round[]> {
  const playlist = await (await fetch(`${server.mediaUrl}${folder}video.m3u8`)).text();
  const segment = playlist.split('\n').findLast((line) => line !== '' && !line.startsWith('#')) ?? '';
  const path = folder + (payload === 'playlist' ? 'video.m3u8' : segment.replace('.m4s', '.3.m4s'));
  await nginx.put(path, new Uint8Array(await (await fetch(server.mediaUrl + path)).arrayBuffer()));
  const rounds: Round[] = [];
  for (let k = 0; k < SERVERS.length; k++) {
    const name = SERVERS[(turn + k) % SERVERS.length] ?? 'uws';
    const { latency, ...result } = await autocannon({
      url: origins[name] + path,
      connections: CONNECTIONS,
      duration: SECONDS,
      overallRate: RATE,
    });
    const failed = result.errors + result.timeouts + result.non2xx;
    const { p50, p99, max } = latency;
    rounds.push({ payload, server: name, p50Ms: p50, p99Ms: p99, maxMs: max, failed });
  }
  return rounds;
}

function report(rounds: readonly Round[]): void {
  const rows = PAYLOADS.flatMap((payload) =>
    SERVERS.map((name) => {
      const own = rounds.filter((round) => round.payload === payload && round.server === name);
      const median = (field: 'p50Ms' | 'p99Ms' | 'maxMs'): string =>
        percentile(
          own.map((round) => round[field]),
          0.5,
        ).toFixed(1);
      const failed = own.reduce((sum, round) => sum + round.failed, 0);
      return [payload, name, median('p50Ms'), median('p99Ms'), median('maxMs'), `${failed}`];
    }),
  );
  printTable(['payload', 'server', 'p50 ms', 'p99 ms', 'max ms', 'failed'], rows);
  saveResults('origin-latency', {
    nginx: nginx.version,
    connections: CONNECTIONS,
    rate: RATE,
    seconds: SECONDS,
    rounds,
  });
}
