import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { JobConnection } from '../../src/state/bullmq-job-connection.ts';
import { openBullmqJobQueue, type BullmqJobQueueOptions } from '../../src/state/bullmq-job-queue.ts';
import { RedisJobStore } from '../../src/state/bullmq-job-store.ts';
import type { FlowSpec, JobQueue } from '../../src/state/job-queue.ts';
import type { RedisSettings } from '../../src/state/redis-settings.ts';
import {
  aFlow,
  describeJobQueue,
  HeldJobs,
  jobSpecs,
  QUICK_RETRY,
  statesOf,
} from '../support/job-queue-contract.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { RedisHoldingBack } from '../support/redis-holding-back.ts';
import { until } from '../support/until.ts';

let redis: Redis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

type Where = Pick<Redis, 'host' | 'port'>;

let prefixes = 0;
let processes = 0;

function settings(prefix: string, { host, port } = redis as Where): RedisSettings {
  const nodes = [{ host, port }] as const;
  const open = { username: undefined, password: undefined, tls: undefined };
  return { ...open, nodes, isCluster: false, db: 0, prefix, minReplicas: 0 };
}

function openIt(
  prefix: string,
  options: BullmqJobQueueOptions,
  where: Where = redis,
  metrics = new Metrics(),
): Promise<JobQueue> {
  return openBullmqJobQueue(settings(prefix, where), options, {
    clock: systemClock,
    log: createMemoryLog(),
    metrics,
    random: Math.random,
    processId: `p${++processes}`,
  });
}

describeJobQueue('BullMQ', () => {
  let prefix = '';
  return {
    open(options = {}) {
      prefix = `t${++prefixes}`;
      return openIt(prefix, options);
    },
    openAgain: () => openIt(prefix, QUICK_RETRY),
    dispose: async () => undefined,
  };
});

describe('a queue whose Redis holds back what it has answered', () => {
  let slow: RedisHoldingBack;
  let queue: JobQueue;
  let metrics: Metrics;
  beforeEach(async () => {
    metrics = new Metrics();
    slow = await RedisHoldingBack.open(redis);
    queue = await openIt(`t${++prefixes}`, QUICK_RETRY, slow, metrics);
  });
  afterEach(async () => {
    await queue.close();
    await slow.close();
  });

  it('does not say that a flow is taken before a crash of Redis would leave it, and takes it then', async () => {
    slow.isHolding = true;
    await expect(queue.add(aFlow())).rejects.toMatchObject({ code: 'JOB_QUEUE_UNAVAILABLE' });
    slow.isHolding = false;
    // It had been added, and whoever asks again knows that it lasts now.
    expect(await queue.add(aFlow())).toBe(false);
    expect(statesOf(await queue.flow('title-1'))).toBe('a:waiting b:waiting c:waiting');
  });

  it('lets no job begin of which Redis might forget that it has', async () => {
    await queue.add(aFlow({ jobs: jobSpecs(['a']) }));
    slow.isHolding = true;
    const work = new HeldJobs();
    queue.work({ kinds: ['piece'], concurrency: 1 }, work.handler);
    await until(async () => statesOf(await queue.flow('title-1')) === 'a:active', 'a worker has it');
    expect(work.names).toEqual([]);
    slow.isHolding = false;
    const job = await work.nth(1);
    expect(job.attempt).toBe(1);
    work.complete(job);
  });

  it('says whether what it acknowledges lasts', async () => {
    await until(
      async () => (await metrics.registry.metrics()).includes('headwater_job_queue_durable 1'),
      'it is known to last',
    );
  });
});

describe('the store behind BullMQ', () => {
  let connection: JobConnection;
  let store: RedisJobStore;
  beforeEach(async () => {
    connection = new JobConnection(
      settings(`t${++prefixes}`),
      { clock: systemClock, log: createMemoryLog(), random: Math.random, durable: { set: () => undefined } },
      { onMessage: () => undefined, onSubscribed: () => undefined },
    );
    await connection.open();
    store = new RedisJobStore(connection);
  });
  afterEach(() => connection.close());
  const NOW = 1_000_000;
  const add = async (fields: Partial<FlowSpec> = {}): Promise<number> => {
    const seq = await store.add(aFlow(fields), 'null', () => 'null', NOW, { maxFlows: 10, maxJobs: 100 });
    return seq ?? 0;
  };

  it('takes an answer of the attempt that counts only, whoever else believes that it has the job', async () => {
    const seq = await add();
    const at = { seq, index: 0 };
    expect(await store.begin(at, 1, 'first', NOW)).toMatchObject({ attempt: 1, id: 'a', wasLost: false });
    // The same holder asks again when it heard no answer.
    expect(await store.begin(at, 1, 'first', NOW)).toMatchObject({ attempt: 1, wasLost: false });
    expect(await store.begin(at, 1, 'second', NOW)).toMatchObject({ attempt: 2, wasLost: true });
    const stale = { ...at, attempt: 1 };
    expect(await store.finish(stale, { kind: 'done', result: '"stale"' }, NOW)).toEqual({ kind: 'refused' });
    expect([await store.hold(stale, 0.5), await store.giveBack(stale)]).toEqual([false, false]);
    const fresh = { ...at, attempt: 2 };
    expect(await store.hold(fresh)).toBe(true);
    expect(await store.finish(fresh, { kind: 'done', result: '"fresh"' }, NOW)).toEqual({ kind: 'done' });
    expect(await store.finish(fresh, { kind: 'done', result: '"twice"' }, NOW)).toEqual({ kind: 'refused' });
    expect((await store.status('title-1', true))?.jobs[0]).toMatchObject({ result: 'fresh', attempt: 2 });
    expect(await store.begin(at, 1, 'third', NOW)).toBe('void');
  });

  it('begins nothing with a ticket of before the flow was tried again', async () => {
    const seq = await add();
    expect(await store.cancel('title-1', NOW)).toBe(seq);
    expect(await store.begin({ seq, index: 0 }, 1, 'x', NOW)).toBe('void');
    expect(await store.retry('title-1', NOW)).toBe(seq);
    expect(await store.begin({ seq, index: 0 }, 1, 'x', NOW)).toBe('void');
    expect((await store.tickets(seq)).map(({ round }) => round)).toEqual([2, 2, 2]);
    expect(await store.begin({ seq, index: 0 }, 2, 'x', NOW)).toMatchObject({ attempt: 1 });
  });

  it('knows the flows of which tickets may be missing, since whoever added them died', async () => {
    const seq = await add();
    expect(await store.unissued(NOW)).toEqual([]);
    expect(await store.unissued(NOW + 60_000)).toEqual([seq]);
    await store.issued(seq);
    expect(await store.unissued(NOW + 60_000)).toEqual([]);
  });

  it('leaves nothing of a flow that was not added, or was removed', async () => {
    await add();
    await expect(
      add({ id: 'big', jobs: jobSpecs(Array.from({ length: 99 }, (_, i) => `j${i}`)) }),
    ).rejects.toMatchObject({ code: 'JOB_LIMIT', cause: 'jobs' });
    expect(await add()).toBe(0);
    await store.cancel('title-1', NOW);
    await store.remove('title-1');
    const keys = await connection.client.keys(`${connection.prefix}*`);
    expect(keys.map((key) => key.slice(connection.base.length + 1)).sort()).toEqual(['open', 'seq']);
    expect(await store.counts()).toEqual({ flows: 0, jobs: 0 });
  });
});
