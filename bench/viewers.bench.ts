/**
 * What does it take to know where viewers are? Reports and session starts a second through the API, of many users and
 * with each driver of the state; how long another device of a user waits for word of a report, through two servers that
 * share a Redis; what thousands of devices that listen cost one server; and what a user takes on disk or in memory.
 * Every server is a process of its own; Redis is append-only (`everysec`).
 */
import { parseArgs } from 'node:util';
import { formatSpread, printTable, saveResults } from './support/report.ts';
import { requireTools } from './support/require-tools.ts';
import type { LoadFigures } from './support/timed-load.ts';
import { measurePush, type PushFigures } from './support/viewer-push.ts';
import type { StateDriver } from './support/viewer-servers.ts';
import { measureSizes, type SizesFigures } from './support/viewer-sizes.ts';
import { measureStreams, type StreamsFigures } from './support/viewer-streams.ts';
import { ViewerUsers } from './support/viewer-users.ts';
import { measureStarts, measureWrites } from './support/viewer-writes.ts';

const PARTS = ['writes', 'push', 'streams', 'starts', 'sizes'] as const;
const { values } = parseArgs({
  options: {
    parts: { type: 'string', default: PARTS.join(',') },
    drivers: { type: 'string', default: 'embedded,redis' },
    /** Who report in turn. */
    users: { type: 'string', default: '10000' },
    connections: { type: 'string', default: '64' },
    /** Of one round. */
    seconds: { type: 'string', default: '6' },
    rounds: { type: 'string', default: '3' },
    /** Users who play at one server and listen at the other. */
    listeners: { type: 'string', default: '1000' },
    writes: { type: 'string', default: '1000' },
    /** That listen at one server. */
    devices: { type: 'string', default: '5000' },
    titles: { type: 'string', default: '20' },
    'stored-users': { type: 'string', default: '2000' },
    save: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
const parts = choose('parts', PARTS, values.parts);
const drivers = choose<StateDriver>('drivers', ['embedded', 'redis'], values.drivers);
const LOAD = {
  users: Number(values.users),
  connections: Number(values.connections),
  seconds: Number(values.seconds),
  rounds: Number(values.rounds),
};
const PUSH = {
  users: Math.min(LOAD.users, Number(values.listeners)),
  writesPerSecond: Number(values.writes),
};
const STREAMS = { devices: Number(values.devices), devicesOfOneUser: 20, idleSeconds: 15, pushes: 50 };
const SIZES = { users: Math.min(LOAD.users, Number(values['stored-users'])), titles: Number(values.titles) };
/** Milliseconds: what is aimed at, and what must be. */
const PUSH_P99_GOAL_MS = 150;
const PUSH_P99_BAR_MS = 500;

const BYTES_DIGITS = 0;

interface Results {
  writes?: Partial<Record<StateDriver, LoadFigures>>;
  push?: PushFigures;
  streams?: StreamsFigures;
  starts?: Partial<Record<StateDriver, LoadFigures>>;
  sizes?: Partial<Record<StateDriver, SizesFigures>>;
}

requireTools('redis-server');
const logins = new ViewerUsers();
const results: Results = {};
try {
  for (const part of parts) await measure(part);
} finally {
  logins.close();
}
if (values.save) {
  saveResults('viewers', {
    ...{ load: LOAD, push: { ...PUSH, ...roundsOf() }, streams: STREAMS, sizes: SIZES },
    results,
    goals: { pushP99Ms: PUSH_P99_GOAL_MS, pushP99BarMs: PUSH_P99_BAR_MS },
  });
}

async function measure(part: (typeof PARTS)[number]): Promise<void> {
  switch (part) {
    case 'writes':
      results.writes = await byDriver((driver) => measureWrites(logins, { driver, ...LOAD }));
      return printLoad(`reports of ${LOAD.users} users`, results.writes);
    case 'push':
      results.push = await measurePush(logins, { ...PUSH, ...roundsOf() });
      return printPush(results.push);
    case 'streams':
      results.streams = await measureStreams(logins, STREAMS);
      return printStreams(results.streams);
    case 'starts':
      results.starts = await byDriver((driver) => measureStarts(logins, { driver, ...LOAD }));
      return printLoad('session starts', results.starts);
    case 'sizes':
      results.sizes = await byDriver((driver) => measureSizes({ driver, ...SIZES }));
      return printSizes(results.sizes);
  }
}

async function byDriver<T>(
  run: (driver: StateDriver) => Promise<T>,
): Promise<Partial<Record<StateDriver, T>>> {
  const found: Partial<Record<StateDriver, T>> = {};
  for (const driver of drivers) found[driver] = await run(driver);
  return found;
}

function roundsOf(): { readonly seconds: number; readonly rounds: number } {
  return { seconds: LOAD.seconds, rounds: LOAD.rounds };
}

function printLoad(what: string, figures: Partial<Record<StateDriver, LoadFigures>>): void {
  console.log(`\n${what}, ${LOAD.connections} at once: median (range) of ${LOAD.rounds} rounds`);
  printTable(
    ['driver', 'a second', 'p50 ms', 'p99 ms', 'server CPU µs', 'Redis CPU µs', 'wrong'],
    Object.entries(figures).map(([driver, { perSecond, p50Ms, p99Ms, cpuMicros, wrong }]) => {
      const [server, redis] = cpuMicros.map((each) => formatSpread(each, 0));
      return [
        driver,
        formatSpread(perSecond, 0),
        ...[formatSpread(p50Ms), formatSpread(p99Ms)],
        ...[server ?? '', redis ?? '–', String(wrong)],
      ];
    }),
  );
  const { embedded, redis } = figures;
  if (embedded && redis)
    console.log(`redis : embedded = ${(redis.perSecond.median / embedded.perSecond.median).toFixed(2)}`);
}

function printPush(push: PushFigures): void {
  console.log(`\npush through two servers and Redis, ${PUSH.users} users, each listens at the other server`);
  const p99Ms = push.p99Ms.median;
  const verdict =
    p99Ms <= PUSH_P99_GOAL_MS ? 'reached' : p99Ms <= PUSH_P99_BAR_MS ? 'missed' : 'above the bar';
  printTable(
    ['figure', 'median (range)'],
    [
      ['reports a second', formatSpread(push.writesPerSecond, 0)],
      ['PUT to event, p50 ms', formatSpread(push.p50Ms)],
      ['PUT to event, p99 ms', `${formatSpread(push.p99Ms)}: goal ≤ ${PUSH_P99_GOAL_MS} ${verdict}`],
      ['PUT to event, max ms', formatSpread(push.maxMs)],
      ['PUT to answer, p99 ms', formatSpread(push.answerP99Ms)],
      ['CPU of the server that stores', formatSpread(push.writingServerLoad, 2)],
      ['CPU of the server that pushes', formatSpread(push.pushingServerLoad, 2)],
      ['CPU of Redis', formatSpread(push.redisLoad, 2)],
      ['refused, lost', `${push.refused}, ${push.lost}`],
    ],
  );
}

function printStreams(streams: StreamsFigures): void {
  console.log(`\n${STREAMS.devices} devices listen at one server`);
  printTable(
    ['figure', ''],
    [
      ['resident bytes a device', streams.residentBytes.toFixed(BYTES_DIGITS)],
      ['heap bytes a device', streams.heapBytes.toFixed(BYTES_DIGITS)],
      ['buffer bytes a device', streams.externalBytes.toFixed(BYTES_DIGITS)],
      ['CPU while idle, of a core', `${(streams.idleLoad * 100).toFixed(1)} %`],
      [`PUT to the first of ${STREAMS.devicesOfOneUser} devices, ms`, formatSpread(streams.firstMs)],
      ['PUT to the last of them, ms', formatSpread(streams.lastMs)],
    ],
  );
}

function printSizes(sizes: Partial<Record<StateDriver, SizesFigures>>): void {
  console.log(`\n${SIZES.users} users with ${SIZES.titles} titles: on disk (embedded), in memory (redis)`);
  printTable(
    ['driver', 'user, 1 title', 'further title', 'user, all titles', 'session', 'writes/s without HTTP'],
    Object.entries(sizes).map(([driver, figures]) => [
      driver,
      ...[figures.bytesPerUserOfOneTitle, figures.bytesPerFurtherTitle].map(bytes),
      ...[figures.bytesPerUser, figures.bytesPerSession].map(bytes),
      figures.writesPerSecond.toFixed(0),
    ]),
  );
}

function bytes(count: number): string {
  return `${count.toFixed(BYTES_DIGITS)} B`;
}

function choose<T extends string>(name: string, known: readonly T[], given: string): T[] {
  const chosen = given.split(',').map((each) => known.find((one) => one === each));
  if (!chosen.every((each) => each !== undefined))
    throw new Error(`--${name}: expected some of ${known.join(',')}`);
  return chosen;
}
