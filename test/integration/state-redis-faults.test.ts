import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { errorCode } from '../../src/base/errors.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { openState, type State } from '../../src/state/open-state.ts';
import type { RedisOptions } from '../../src/state/redis-settings.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { openRedisClient, REDIS_DEFAULTS } from '../support/redis-clients.ts';
import { aReport } from '../support/resume-store-contract.ts';
import { aSession } from '../support/session-store-contract.ts';
import { until } from '../support/until.ts';

const KEY = { viewer: 'viewer-1', profile: 'main' };
/** The deadline of every call, and what a busy machine may add. */
const ANSWERED_MS = 300 + 700;
/** It takes half a second at most on a quiet machine. */
const BACK_MS = 5_000;
/** How long Redis is down. The whole minute: REDIS_DOWN_MS=60000. */
const DOWN_MS = Number(process.env['REDIS_DOWN_MS'] ?? 2_500);
const MAX_GROWTH_BYTES = 150 * 1024 ** 2;

let server: Redis;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

/** A server's state, and what it logs and counts. */
interface Node extends State {
  readonly log: ReturnType<typeof createMemoryLog>;
  metric(name: string, labels?: Record<string, string>): Promise<number>;
}

const nodes: Node[] = [];

async function openNode(redis: Partial<RedisOptions> = {}): Promise<Node> {
  const metrics = new Metrics();
  const log = createMemoryLog();
  const options = {
    driver: 'redis' as const,
    resumeDriver: 'same' as const,
    dynamodb: { endpoint: '', region: '', table: '', credentialsPath: '', credentials: '' },
    dataDir: '/nonexistent',
    redis: { ...REDIS_DEFAULTS, url: server.url, ...redis },
  };
  const state = await openState(options, { clock: systemClock, log, metrics, random: Math.random });
  const node = {
    ...state,
    log,
    async metric(name: string, labels: Record<string, string> = {}): Promise<number> {
      const values = (await metrics.registry.getSingleMetric(`headwater_${name}`)?.get())?.values ?? [];
      const matching = values.filter((value) =>
        Object.entries(labels).every(([label, text]) => value.labels[label] === text),
      );
      return matching.reduce((sum, { value }) => sum + value, 0);
    },
  };
  nodes.push(node);
  return node;
}

/** One call of each kind. */
function callsOf(node: Node): Record<string, () => Promise<unknown>> {
  const nowMs = Date.now();
  return {
    RESUME_UNAVAILABLE: () => node.resume.claim(KEY, 'film'),
    RESUME_UNAVAILABLE_put: () => node.resume.put(KEY, aReport(), { offline: false }),
    RESUME_UNAVAILABLE_list: () => node.resume.list(KEY, 0),
    RESUME_UNAVAILABLE_export: () => node.resume.export('viewer-1'),
    RESUME_UNAVAILABLE_erase: () => node.resume.erase('viewer-1'),
    LICENSE_STATE_UNAVAILABLE: () => node.sessions.create(aSession(), { maxAlive: 2, nowMs }),
    LICENSE_STATE_UNAVAILABLE_standing: () => node.sessions.standing('session-1', nowMs),
    LICENSE_STATE_UNAVAILABLE_claim: () => node.replay.claim('proof', nowMs + 1000, nowMs),
    PUBSUB_UNAVAILABLE: () => node.pubSub.publish('a', 'message'),
    PUBSUB_UNAVAILABLE_subscribe: () => node.pubSub.subscribe('new', () => undefined),
    LEASE_UNAVAILABLE: () => node.leases.acquire('channel', 'one', 1000),
    REGISTRY_UNAVAILABLE: () => node.registry.nodes(),
  };
}

/** Each call fails with its code, and in time. */
async function expectRefusals(node: Node): Promise<void> {
  await Promise.all(
    Object.entries(callsOf(node)).map(async ([name, call]) => {
      const startMs = performance.now();
      const code = await call().then(() => 'done', errorCode);
      expect(performance.now() - startMs, name).toBeLessThan(ANSWERED_MS);
      expect(name).toMatch(new RegExp(`^${code}`));
    }),
  );
}

const watch = async (node: Node, title: string): Promise<number> => {
  const { epoch } = await node.resume.claim(KEY, title);
  const outcome = await node.resume.put(KEY, aReport({ title, epoch }), { offline: false });
  if (outcome.kind !== 'stored') throw new Error('not stored');
  return outcome.record.version;
};

const worksAgain = (node: Node): Promise<unknown> =>
  until(
    async () => {
      const probing = node.pubSub.subscribe('probe', () => undefined);
      const results = await Promise.allSettled([node.resume.list(KEY, 0), probing]);
      return results.every(({ status }) => status === 'fulfilled');
    },
    'the state can be used again',
    BACK_MS,
  );

beforeEach(async () => {
  await server.restart();
});
afterEach(async () => {
  await server.kill('SIGCONT');
  for (const node of nodes.splice(0)) await node.close();
});

describe('the state on Redis', () => {
  it('answers in time while Redis is dead, and has everything when it is back', async () => {
    const node = await openNode();
    const other = await openNode();
    const heard: string[] = [];
    let gaps = 0;
    await other.pubSub.subscribe('a', (message) => heard.push(message));
    other.pubSub.onGap(() => (gaps += 1));
    const version = await watch(node, 'film');
    expect(await node.metric('state_redis_connected')).toBe(2);
    await server.kill('SIGKILL');
    await expectRefusals(node);
    await until(async () => (await node.metric('state_redis_connected')) === 0, 'the gauge shows it');
    await expectRefusals(node);
    await server.restart();
    await worksAgain(node);
    expect(await node.resume.list(KEY, 0)).toMatchObject({ version, records: [{ title: 'film' }] });
    await until(() => gaps === 1, 'the gap is told', BACK_MS);
    await node.pubSub.publish('a', 'after');
    await until(() => heard.length > 0, 'messages come again', BACK_MS);
    expect(heard).toEqual(['after']);
    expect(await node.metric('state_redis_connected')).toBe(2);
    expect(await other.metric('state_pubsub_gaps_total')).toBe(1);
    // One line when it went and one when it came, for each of the two connections.
    expect(node.log.lines.map(({ level }) => level).toSorted()).toEqual(['error', 'error', 'info', 'info']);
  });

  it('answers in time while Redis stands still, fills no memory, and goes on when it moves again', async () => {
    const node = await openNode();
    await watch(node, 'film');
    let gaps = 0;
    node.pubSub.onGap(() => (gaps += 1));
    await server.kill('SIGSTOP');
    const before = process.memoryUsage();
    const endMs = performance.now() + 3000;
    let calls = 0;
    let slowestMs = 0;
    const callAgainAndAgain = async (): Promise<void> => {
      while (performance.now() < endMs) {
        const startMs = performance.now();
        const filler = aReport({ title: 'film', device: 'x'.repeat(64) });
        const code = await node.resume.put(KEY, filler, { offline: false }).then(() => 'done', errorCode);
        slowestMs = Math.max(slowestMs, performance.now() - startMs);
        calls += 1;
        expect(code).toBe('RESUME_UNAVAILABLE');
        // Calls that fail at once must leave the rest of this process its turn.
        await delay(1);
      }
    };
    await Promise.all([expectRefusals(node), ...Array.from({ length: 200 }, callAgainAndAgain)]);
    expect(slowestMs).toBeLessThan(ANSWERED_MS);
    expect(calls).toBeGreaterThan(1000);
    const after = process.memoryUsage();
    expect(after.rss - before.rss, `bytes after ${calls} calls`).toBeLessThan(MAX_GROWTH_BYTES);
    await until(async () => (await node.metric('state_pending_calls')) === 0, 'nothing is left waiting');
    expect(await node.metric('state_failed_calls_total', { part: 'resume' })).toBeGreaterThanOrEqual(calls);
    await server.kill('SIGCONT');
    await worksAgain(node);
    await until(() => gaps > 0, 'the gap is told', BACK_MS);
    expect((await node.resume.list(KEY, 0)).records).toHaveLength(1);
  });

  it('fills no memory while Redis is down, keeps on trying, and is back soon after it', async () => {
    const node = await openNode();
    await watch(node, 'film');
    await server.kill('SIGKILL');
    const before = process.memoryUsage();
    const endMs = performance.now() + DOWN_MS;
    const callAgainAndAgain = async (): Promise<void> => {
      while (performance.now() < endMs) {
        const startMs = performance.now();
        const code = await node.resume.put(KEY, aReport(), { offline: false }).then(() => 'done', errorCode);
        expect([code, performance.now() - startMs < ANSWERED_MS]).toEqual(['RESUME_UNAVAILABLE', true]);
        await delay(2);
      }
    };
    await Promise.all(Array.from({ length: 100 }, callAgainAndAgain));
    expect(process.memoryUsage().rss - before.rss).toBeLessThan(MAX_GROWTH_BYTES);
    expect(await node.metric('state_pending_calls')).toBe(0);
    await server.restart();
    const startMs = performance.now();
    await worksAgain(node);
    // Half a second at most, and what a busy machine adds.
    expect(performance.now() - startMs).toBeLessThan(2000);
    expect((await node.resume.list(KEY, 0)).records).toHaveLength(1);
  }, 120_000);

  it('does not listen to what could not be subscribed to in time', async () => {
    const node = await openNode();
    const other = await openNode();
    let calls = 0;
    await server.kill('SIGSTOP');
    // One after the other they take longer than the deadline of the last.
    const joining = [1, 2, 3].map(() =>
      node.pubSub.subscribe('a', () => (calls += 1)).then(() => 'done', errorCode),
    );
    expect(await Promise.all(joining)).toEqual(Array(3).fill('PUBSUB_UNAVAILABLE'));
    expect(await node.metric('state_pubsub_channels')).toBe(0);
    await server.kill('SIGCONT');
    await worksAgain(node);
    await worksAgain(other);
    let heard = 0;
    const late = await node.pubSub.subscribe('a', () => (heard += 1));
    await other.pubSub.publish('a', '');
    await until(() => heard === 1, 'the message');
    late.close();
    expect(calls).toBe(0);
  });

  it('refuses more calls at once than may wait', async () => {
    const node = await openNode();
    await server.kill('SIGSTOP');
    const codes = await Promise.all(
      Array.from({ length: 25_000 }, () => node.resume.find(KEY, 'film').then(() => 'done', errorCode)),
    );
    expect(new Set(codes)).toEqual(new Set(['RESUME_UNAVAILABLE']));
    expect(await node.metric('state_failed_calls_total', { reason: 'full' })).toBe(5_000);
  });

  it('starts without Redis, and works as soon as it is there', async () => {
    await server.kill('SIGKILL');
    const node = await openNode();
    await expectRefusals(node);
    await server.restart();
    await worksAgain(node);
    await watch(node, 'film');
    const heard: string[] = [];
    await node.pubSub.subscribe('a', (message) => heard.push(message));
    await node.pubSub.publish('a', 'hello');
    await until(() => heard.length === 1, 'the message');
  });

  it('keeps leases, sessions and revocations over a crash of Redis', async () => {
    const node = await openNode();
    const nowMs = Date.now();
    const session = aSession({ startedMs: nowMs, aliveUntilMs: nowMs + 90_000, endsMs: nowMs + 3_600_000 });
    await node.sessions.create(session, { maxAlive: 1, nowMs });
    await node.sessions.revoke({ kind: 'device', id: 'lost' }, nowMs + 60_000);
    const lease = await node.leases.acquire('channel', 'one', 60_000);
    await server.kill('SIGKILL');
    await server.restart();
    await worksAgain(node);
    expect(await node.sessions.standing('session-1', nowMs)).toBe('alive');
    const thief = aSession({ id: 's2', device: 'lost' });
    expect(await node.sessions.create(thief, { maxAlive: 1, nowMs })).toMatchObject({
      standing: 'device_revoked',
    });
    expect(await node.leases.acquire('channel', 'two', 60_000)).toBeUndefined();
    expect(await node.leases.acquire('channel', 'one', 60_000)).toEqual(lease);
  });

  it('comes in with the password of a file, and tells nobody what it is', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'headwater-password-'));
    const admin = await openRedisClient(server.url);
    try {
      await admin.redis.call('config', 'set', 'requirepass', 'correct-horse');
      const passwordPath = join(folder, 'password');
      await writeFile(passwordPath, 'correct-horse\n', { mode: 0o600 });
      const node = await openNode({ passwordPath });
      await watch(node, 'film');
      const wrong = await openNode({ password: 'wrong-battery' });
      const error: unknown = await wrong.resume.list(KEY, 0).catch((cause: unknown) => cause);
      expect(errorCode(error)).toBe('RESUME_UNAVAILABLE');
      expect(JSON.stringify(wrong.log.lines)).toMatch(/WRONGPASS/);
      const told = [JSON.stringify([wrong.log.lines, node.log.lines]), JSON.stringify(error), String(error)];
      const cause = error instanceof Error ? error.cause : undefined;
      told.push(JSON.stringify(cause, cause instanceof Error ? Object.getOwnPropertyNames(cause) : []));
      expect(told.join()).not.toMatch(/battery|horse/);
    } finally {
      await admin.redis.call('config', 'set', 'requirepass', '');
      await admin.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('closes while Redis stands still', async () => {
    const node = await openNode();
    await server.kill('SIGSTOP');
    const waiting = node.resume.list(KEY, 0).then(() => 'done', errorCode);
    const startMs = performance.now();
    await node.close();
    expect(performance.now() - startMs).toBeLessThan(10 * ANSWERED_MS);
    expect(await waiting).toBe('RESUME_UNAVAILABLE');
  });
});
