/**
 * What does it cost that a report is only acknowledged once Redis has it in its file? Reports a second and their times, through
 * the store of the server, with `appendfsync everysec` and the question, without it (what a kill may take along), and with
 * `appendfsync always` without it.
 */
import { parseArgs } from 'node:util';
import type { RedisConnection } from '../src/state/redis-connection.ts';
import { RedisResumeStore } from '../src/state/redis-resume-store.ts';
import { startRedis } from '../test/support/redis.ts';
import { openRedisClient, takenAtItsWord } from '../test/support/redis-clients.ts';
import { requireTools } from './support/require-tools.ts';
import { formatSpread, percentile, printTable, saveResults, spread } from './support/report.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    save: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
const RUN_MS = 1000 * Number(values.seconds);
const ROUNDS = Number(values.rounds);
const AT_ONCE = [1, 32, 256];
const USERS = 10_000;
const REPORT = {
  title: 'film',
  positionMs: 754_000,
  durationMs: 5_400_000,
  state: 'playing',
  device: 'tv-1',
  eventMs: Date.now(),
} as const;

interface Way {
  readonly name: string;
  readonly appendfsync: string;
  readonly wrap: (redis: RedisConnection) => RedisConnection;
}

const WAYS: readonly Way[] = [
  { name: 'everysec, asked', appendfsync: 'everysec', wrap: (redis) => redis },
  { name: 'everysec, taken at its word', appendfsync: 'everysec', wrap: takenAtItsWord },
  { name: 'always, taken at its word', appendfsync: 'always', wrap: takenAtItsWord },
];

interface Figures {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failed: number;
}

async function measure({ appendfsync, wrap }: Way, atOnce: number): Promise<Figures> {
  const server = await startRedis({ args: ['--appendfsync', appendfsync] });
  const client = await openRedisClient(server.url);
  try {
    const store = new RedisResumeStore({ ...client, redis: wrap(client.redis) });
    const times: number[] = [];
    let failed = 0;
    const endMs = performance.now() + RUN_MS;
    const write = async (writer: number): Promise<void> => {
      const epochs = new Map<string, number>();
      for (let i = 0; performance.now() < endMs; i++) {
        const key = { viewer: `viewer-${(writer + (i % 8) * atOnce) % USERS}`, profile: 'main' };
        const startMs = performance.now();
        try {
          const epoch = epochs.get(key.viewer);
          if (epoch === undefined) {
            epochs.set(key.viewer, (await store.claim(key, 'film')).epoch);
          } else {
            await store.put(key, { ...REPORT, epoch, seq: i + 1 }, { offline: false });
            times.push(performance.now() - startMs);
          }
        } catch {
          failed += 1;
        }
      }
    };
    await Promise.all(Array.from({ length: atOnce }, (_, writer) => write(writer)));
    return {
      perSecond: (1000 * times.length) / RUN_MS,
      p50Ms: percentile(times, 0.5),
      p99Ms: percentile(times, 0.99),
      failed,
    };
  } finally {
    await client.close();
    await server.stop();
  }
}

requireTools('redis-server');
const results: Record<string, Figures[]> = {};
for (let round = 0; round < ROUNDS; round++) {
  for (const atOnce of AT_ONCE) {
    for (const way of WAYS) (results[`${way.name} | ${atOnce}`] ??= []).push(await measure(way, atOnce));
  }
}
const rows = Object.entries(results).map(([name, figures]) => [
  ...name.split(' | '),
  formatSpread(spread(figures.map(({ perSecond }) => perSecond)), 0),
  formatSpread(spread(figures.map(({ p50Ms }) => p50Ms)), 2),
  formatSpread(spread(figures.map(({ p99Ms }) => p99Ms)), 1),
  String(figures.reduce((sum, { failed }) => sum + failed, 0)),
]);
printTable(['way', 'at once', 'reports/s', 'p50 ms', 'p99 ms', 'failed'], rows);
if (values.save) saveResults('redis-confirm', { runMs: RUN_MS, results });
