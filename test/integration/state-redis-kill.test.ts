import { afterEach, describe, expect, it } from 'vitest';
import { errorCode } from '../../src/base/errors.ts';
import type { RedisConnection } from '../../src/state/redis-connection.ts';
import { RedisResumeStore } from '../../src/state/redis-resume-store.ts';
import { RedisSessionStore } from '../../src/state/redis-session-store.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { openRedisClient, type RedisClient, takenAtItsWord } from '../support/redis-clients.ts';
import { killTrial } from '../support/redis-kill-trial.ts';
import { aReport } from '../support/resume-store-contract.ts';
import { until } from '../support/until.ts';

/** More of them: REDIS_KILL_TRIALS=30. */
const TRIALS = Number(process.env['REDIS_KILL_TRIALS'] ?? 5);
const KEY = { viewer: 'viewer-1', profile: 'main' };

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function start(args: readonly string[] = []): Promise<{ server: Redis; client: RedisClient }> {
  const server = await startRedis({ args });
  cleanups.push(() => server.stop());
  const client = await openRedisClient(server.url);
  cleanups.push(() => client.close());
  return { server, client };
}

const durable = async ({ registry }: RedisClient): Promise<number | undefined> =>
  (await registry.getSingleMetric('headwater_state_redis_durable')?.get())?.values[0]?.value;

describe('a Redis that syncs its file every second', () => {
  it('has everything it acknowledged when it was killed in the middle of a sync', async () => {
    let acknowledged = 0;
    for (let trial = 1; trial <= TRIALS; trial++) {
      const result = await killTrial({ loadMs: 200 });
      expect(result.lost, `trial ${trial}`).toBe(0);
      acknowledged += result.acknowledged;
    }
    expect(acknowledged).toBeGreaterThan(100 * TRIALS);
  }, 600_000);

  /** What is said of a report that does not get into the file, who is shown it, and whether it is there after a kill. */
  async function afterFailedReport(wrap: (redis: RedisConnection) => RedisConnection) {
    const { server, client } = await start();
    const resume = new RedisResumeStore({ ...client, redis: wrap(client.redis) });
    const { epoch } = await resume.claim(KEY, 'film');
    const put = (seq: number): Promise<string> => {
      const report = aReport({ title: 'film', epoch, seq });
      return resume.put(KEY, report, { offline: false }).then(({ kind }) => kind, errorCode);
    };
    const find = (): Promise<number | string | undefined> =>
      resume.find(KEY, 'film').then((record) => record?.seq, errorCode);
    expect(await put(1)).toBe('stored');
    await server.failWrites();
    const answer = await put(2);
    const shown = await find();
    await server.kill('SIGKILL');
    await server.restart();
    const seq = await until(async () => {
      const found = await find();
      return typeof found === 'number' && found;
    }, 'it is back');
    return { answer, shown, seq };
  }

  /** The same of a revocation. */
  async function afterFailedRevocation(wrap: (redis: RedisConnection) => RedisConnection) {
    const { server, client } = await start();
    const sessions = new RedisSessionStore({ ...client, redis: wrap(client.redis) });
    const nowMs = Date.now();
    await server.failWrites();
    const revoking = sessions.revoke({ kind: 'viewer', id: 'v' }, nowMs + 60_000);
    const answer = await revoking.then(() => 'done', errorCode);
    await server.kill('SIGKILL');
    await server.restart();
    const list = (): Promise<unknown[] | undefined> => sessions.revocations(10, nowMs).catch(() => undefined);
    return { answer, revoked: (await until(list, 'it is back')).length };
  }

  it('is not said to have what did not get into its file, nor is that shown to anybody', async () => {
    const same = (redis: RedisConnection): RedisConnection => redis;
    const away = 'RESUME_UNAVAILABLE';
    expect(await afterFailedReport(same)).toEqual({ answer: away, shown: away, seq: 1 });
    expect(await afterFailedRevocation(same)).toEqual({ answer: 'LICENSE_STATE_UNAVAILABLE', revoked: 0 });
  });

  it('loses it, were Redis taken at its word', async () => {
    expect(await afterFailedReport(takenAtItsWord)).toEqual({ answer: 'stored', shown: 2, seq: 1 });
    expect(await afterFailedRevocation(takenAtItsWord)).toEqual({ answer: 'done', revoked: 0 });
  });

  it('goes on acknowledging while its file is rewritten again and again', async () => {
    const { client } = await start();
    const store = new RedisResumeStore(client);
    const { epoch } = await store.claim(KEY, 'film');
    let seq = 0;
    for (let turn = 0; turn < 8; turn++) {
      // One may be under way still.
      await client.redis.call('bgrewriteaof').catch(() => undefined);
      for (let i = 0; i < 30; i++) {
        seq += 1;
        const outcome = await store.put(KEY, aReport({ title: 'film', epoch, seq }), { offline: false });
        expect(outcome.kind).toBe('stored');
      }
    }
  });
});

describe('a Redis without a file', () => {
  it('is used, and it is said once that what it acknowledges does not last', async () => {
    const { client } = await start(['--appendonly', 'no']);
    const store = new RedisResumeStore(client);
    for (let i = 0; i < 3; i++) await store.claim(KEY, `film-${i}`);
    expect(await durable(client)).toBe(0);
    const warnings = client.log.lines.filter(({ level }) => level === 'warn');
    expect(warnings).toHaveLength(1);
    await client.redis.call('config', 'set', 'appendonly', 'yes');
    await until(async () => {
      await store.claim(KEY, 'film');
      return (await durable(client)) === 1;
    }, 'it is seen to have one');
  });

  it('is the same as one that does not let us ask', async () => {
    const { client } = await start();
    await client.redis.call('config', 'set', 'appendonly', 'yes');
    await client.redis.call('acl', 'setuser', 'headwater', 'on', '>secret', '~*', '&*', '+@all', '-info');
    const limited = await openRedisClient(
      client.settings.nodes.map(({ host, port }) => `redis://${host}:${port}`).join(),
      {
        username: 'headwater',
        password: 'secret',
      },
    );
    cleanups.push(() => limited.close());
    await new RedisResumeStore(limited).claim(KEY, 'film');
    expect(await durable(limited)).toBe(0);
    expect(JSON.stringify(limited.log.lines)).toContain('may not ask');
  });
});
