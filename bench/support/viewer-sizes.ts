import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Redis, startRedis } from '../../test/support/redis.ts';
import { systemClock } from '../../src/base/clock.ts';
import { AppError } from '../../src/base/errors.ts';
import { createLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { openState, type State } from '../../src/state/open-state.ts';
import type { StateDriver } from './viewer-servers.ts';

export interface SizesInit {
  readonly driver: StateDriver;
  readonly users: number;
  /** Of each user, at the end. */
  readonly titles: number;
}

export interface SizesFigures {
  /** On disk where the state is embedded, in the memory of Redis where it is there. */
  readonly bytesPerUserOfOneTitle: number;
  readonly bytesPerFurtherTitle: number;
  /** Of a user with all its titles. */
  readonly bytesPerUser: number;
  readonly bytesPerSession: number;
  /** Claims and reports a second of the store alone, without HTTP. */
  readonly writesPerSecond: number;
}

/** Writes under way at once. */
const AT_ONCE = 64;
const DURATION_MS = 5_400_000;
/** What lmdb writes last may follow its answer. */
const SETTLE_MS = 500;
const MAX_TURNS = 50;
const RETRY_MS = 200;

interface OpenedStore {
  readonly state: State;
  /** Bytes that positions take, and that sessions take. */
  positionBytes(): Promise<number>;
  sessionBytes(): Promise<number>;
  close(): Promise<void>;
}

/** What the state of viewers takes, as it is filled. */
export async function measureSizes({ driver, users, titles }: SizesInit): Promise<SizesFigures> {
  const store = await openStore(driver);
  try {
    const { state } = store;
    const names = Array.from({ length: users }, () => randomBytes(16).toString('base64url'));
    const empty = await store.positionBytes();
    const startMs = performance.now();
    await fill(state, names, [0]);
    const one = await store.positionBytes();
    await fill(
      state,
      names,
      Array.from({ length: titles - 1 }, (_, i) => i + 1),
    );
    const seconds = (performance.now() - startMs) / 1000;
    const all = await store.positionBytes();
    const sessionsEmpty = await store.sessionBytes();
    await eachOf(names, (viewer) => beginSession(state, viewer));
    const sessions = await store.sessionBytes();
    return {
      bytesPerUserOfOneTitle: (one - empty) / users,
      bytesPerFurtherTitle: (all - one) / (users * Math.max(1, titles - 1)),
      bytesPerUser: (all - empty) / users,
      bytesPerSession: (sessions - sessionsEmpty) / users,
      writesPerSecond: (2 * users * titles) / seconds,
    };
  } finally {
    await store.close();
  }
}

async function openStore(driver: StateDriver): Promise<OpenedStore> {
  const dataDir = await mkdtemp(join(tmpdir(), 'headwater-bench-state-'));
  const redis = driver === 'redis' ? await startRedis() : undefined;
  const state = await openState(
    {
      driver,
      dataDir,
      resumeDriver: 'same',
      redis: {
        url: redis?.url ?? '',
        ...{ isCluster: false, username: '', passwordPath: '', password: '', caPath: '' },
        prefix: 'headwater:',
      },
      dynamodb: { endpoint: '', region: '', table: '', credentialsPath: '', credentials: '' },
    },
    { clock: systemClock, log: createLogger('error'), metrics: new Metrics(), random: Math.random },
  );
  const fileBytes = async (name: string): Promise<number> => {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    return (await stat(join(dataDir, 'state', name))).size;
  };
  return {
    state,
    positionBytes: () => (redis ? usedMemory(redis) : fileBytes('resume.lmdb')),
    sessionBytes: () => (redis ? usedMemory(redis) : fileBytes('sessions.lmdb')),
    async close() {
      await state.close();
      await redis?.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Every user watches these titles one after the other, as users do. */
async function fill(state: State, viewers: readonly string[], titles: readonly number[]): Promise<void> {
  for (const title of titles) await eachOf(viewers, (viewer) => watch(state, viewer, `title-${title}`));
}

async function watch({ resume }: State, viewer: string, title: string): Promise<void> {
  const key = { viewer, profile: 'main' };
  const { epoch } = await resume.claim(key, title);
  const place = { positionMs: 754_000, durationMs: DURATION_MS, state: 'paused', device: 'tv-1' } as const;
  const report = { title, epoch, seq: 12, eventMs: Math.floor(systemClock.wallMs()), ...place };
  const { kind } = await resume.put(key, report, { offline: false });
  if (kind !== 'stored') throw new Error('a report was not stored');
}

async function beginSession({ sessions }: State, viewer: string): Promise<void> {
  const nowMs = systemClock.wallMs();
  const id = randomBytes(16).toString('base64url');
  const device = randomBytes(32).toString('base64url');
  const times = { startedMs: nowMs, aliveUntilMs: nowMs + 90_000, endsMs: nowMs + 3_600_000 };
  const session = { id, viewer, device, content: 'vod/title-1', robustness: 'L3', ...times };
  const { kind } = await sessions.create(
    { ...session, tiers: ['AUDIO', 'SD', 'HD', 'UHD'] },
    { maxAlive: 3, nowMs },
  );
  if (kind !== 'created') throw new Error('a session was not begun');
}

async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values();
  const worker = async (): Promise<void> => {
    for (const item of waiting) await untilDone(() => work(item));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Again where the store was too busy to answer in time; what was done all the same is done once more over it. */
async function untilDone(work: () => Promise<void>): Promise<void> {
  for (let turn = 1; ; turn++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof AppError) || turn === MAX_TURNS) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** `used_memory` of INFO. */
function usedMemory({ port }: Redis): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port }, () => socket.write('INFO memory\r\n'));
    let text = '';
    socket.on('error', reject).on('data', (data: Buffer) => {
      text += data.toString('latin1');
      const used = /\r\nused_memory:(\d+)\r\n/.exec(text)?.[1];
      if (used === undefined) return;
      socket.destroy();
      resolve(Number(used));
    });
  });
}
