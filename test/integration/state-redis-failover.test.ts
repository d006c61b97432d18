import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { errorCode } from '../../src/base/errors.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { openState, type State } from '../../src/state/open-state.ts';
import { slotOf } from '../../src/state/redis-slots.ts';
import type { RedisOptions } from '../../src/state/redis-settings.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import type { Redis } from '../support/redis.ts';
import { REDIS_DEFAULTS } from '../support/redis-clients.ts';
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts';
import { aReport } from '../support/resume-store-contract.ts';
import { until } from '../support/until.ts';

/** The deadline of every call, and what a busy machine may add. */
const ANSWERED_MS = 300 + 700;
/** After a replica was promoted. */
const BACK_MS = 2_000;
/** What a busy machine may add to that. */
const SLACK_MS = 3_000;

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await startRedisCluster({ hasReplicas: true });
});
afterAll(() => cluster.stop());

const states: State[] = [];
afterEach(async () => {
  for (const state of states.splice(0)) await state.close();
});

async function openServer(redis: Partial<RedisOptions> = {}): Promise<State> {
  const options = {
    driver: 'redis' as const,
    resumeDriver: 'same' as const,
    dynamodb: { endpoint: '', region: '', table: '', credentialsPath: '', credentials: '' },
    dataDir: '/nonexistent',
    redis: { ...REDIS_DEFAULTS, url: cluster.url, isCluster: true, ...redis },
  };
  const deps = { clock: systemClock, log: createMemoryLog(), metrics: new Metrics(), random: Math.random };
  const state = await openState(options, deps);
  states.push(state);
  return state;
}

const keyOf = (viewer: string) => ({ viewer, profile: 'main' });
const slotOfViewer = (viewer: string): number => slotOf(`test:r:{${viewer}}:main`);

/** A viewer whose state is, or is not, at a node. */
async function viewerAt(primary: Redis, isThere: boolean): Promise<string> {
  for (let i = 0; ; i++) {
    const viewer = `viewer-${i}`;
    const owner = await cluster.primaryOf(slotOfViewer(viewer));
    if ((owner.port === primary.port) === isThere) return viewer;
  }
}

const report = async (state: State, viewer: string, epoch: number, seq: number): Promise<string> => {
  const given = aReport({ title: 'film', epoch, seq });
  return state.resume.put(keyOf(viewer), given, { offline: false }).then(({ kind }) => kind, errorCode);
};

describe('the state on a Redis Cluster', () => {
  it('is used as before within two seconds of a failover, with all that had reached the replica', async () => {
    const [careful, one, two] = [
      await openServer({ minReplicas: 1 }),
      await openServer(),
      await openServer(),
    ];
    const viewer = 'viewer-0';
    const primary = await cluster.primaryOf(slotOfViewer(viewer));
    const replica = await cluster.replicaOf(primary);
    const other = await viewerAt(primary, false);
    const heard: string[] = [];
    let gaps = 0;
    await two.pubSub.subscribe(`{${viewer}}`, (text) => heard.push(text));
    two.pubSub.onGap(() => (gaps += 1));
    const { epoch } = await careful.resume.claim(keyOf(viewer), 'film');
    let acknowledged = 0;
    for (let seq = 1; seq <= 100; seq++) {
      if ((await report(careful, viewer, epoch, seq)) === 'stored') acknowledged = seq;
    }
    expect(acknowledged).toBeGreaterThan(0);

    await primary.kill('SIGKILL');
    let promotedMs = Number.POSITIVE_INFINITY;
    const isPromoted = async (): Promise<boolean> =>
      (await replica.tell('INFO replication')).includes('role:master');
    const watching = until(isPromoted, 'the promotion').then(() => (promotedMs = performance.now()));
    let seq = 100;
    let shownFirst: number | undefined;
    await until(async () => {
      const startMs = performance.now();
      seq += 1;
      const answer = await report(one, viewer, epoch, seq);
      expect(performance.now() - startMs).toBeLessThan(ANSWERED_MS);
      shownFirst ??= await one.resume.find(keyOf(viewer), 'film').then(
        (record) => record?.seq,
        () => undefined,
      );
      // The others are served all the while.
      await one.resume.find(keyOf(other), 'film');
      return answer === 'stored';
    }, 'reports are stored again');
    const backMs = performance.now();
    await watching;
    expect(backMs - promotedMs, 'ms from the promotion').toBeLessThan(BACK_MS + SLACK_MS);
    const found = await until(
      () => two.resume.find(keyOf(viewer), 'film').catch(() => undefined),
      'the other server',
    );
    expect(found.seq).toBe(seq);
    expect(shownFirst, 'what is there at first').toBeGreaterThanOrEqual(acknowledged);
    await until(() => gaps > 0, 'the gap is told');
    await until(async () => {
      await one.pubSub.publish(`{${viewer}}`, 'after').catch(() => undefined);
      return heard.includes('after');
    }, 'messages come again');
    expect(performance.now() - promotedMs, 'ms to the messages').toBeLessThan(BACK_MS + SLACK_MS);
    // It comes back as a replica of the one that replaced it.
    await primary.restart();
    const isReplica = async (): Promise<boolean> =>
      (await primary.tell('INFO replication')).includes('master_link_status:up');
    await until(isReplica, 'the replica is there');
    seq += 1;
    await until(
      async () => (await report(careful, viewer, epoch, seq++)) === 'stored',
      'enough replicas again',
    );
  });

  it('does not acknowledge what too few replicas have', async () => {
    const state = await openServer({ minReplicas: 1 });
    const careless = await openServer();
    const primary = await cluster.primaryOf(slotOfViewer('viewer-0'));
    const replica = await cluster.replicaOf(primary);
    const claim = (of: State): Promise<string> =>
      of.resume.claim(keyOf('viewer-0'), 'film').then(() => 'claimed', errorCode);
    expect(await claim(state)).toBe('claimed');
    await replica.kill('SIGSTOP');
    try {
      const startMs = performance.now();
      expect(await claim(state)).toBe('RESUME_UNAVAILABLE');
      expect(performance.now() - startMs).toBeLessThan(ANSWERED_MS);
      expect(await claim(careless)).toBe('claimed');
    } finally {
      await replica.kill('SIGCONT');
    }
    await until(async () => (await claim(state)) === 'claimed', 'the replica is there again');
  });
});
