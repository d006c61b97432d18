import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { openBullmqJobQueue, type BullmqJobQueueOptions } from '../../src/state/bullmq-job-queue.ts';
import type { JobQueue } from '../../src/state/job-queue.ts';
import { readRedisSettings } from '../../src/state/redis-settings.ts';
import { slotOf } from '../../src/state/redis-slots.ts';
import {
  aFlow,
  describeJobQueue,
  HeldJobs,
  QUICK_RETRY,
  statesOf,
  untilFlow,
} from '../support/job-queue-contract.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { REDIS_DEFAULTS } from '../support/redis-clients.ts';
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts';
import { until } from '../support/until.ts';

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await startRedisCluster({ hasReplicas: true });
});
afterAll(() => cluster.stop());

let prefixes = 0;
let processes = 0;

async function openIt(prefix: string, options: BullmqJobQueueOptions): Promise<JobQueue> {
  const settings = { ...REDIS_DEFAULTS, url: cluster.url, isCluster: true, prefix, minReplicas: 1 };
  return openBullmqJobQueue(await readRedisSettings(settings), options, {
    clock: systemClock,
    log: createMemoryLog(),
    metrics: new Metrics(),
    random: Math.random,
    processId: `p${++processes}`,
  });
}

describeJobQueue('BullMQ on a Redis Cluster', () => {
  let prefix = '';
  return {
    open(options = {}) {
      prefix = `t${++prefixes}:`;
      return openIt(prefix, options);
    },
    openAgain: () => openIt(prefix, QUICK_RETRY),
    dispose: async () => undefined,
  };
});

describe('a queue on a Redis Cluster whose primary dies', () => {
  it('has all that it took and did, at the replica', async () => {
    const queue = await openIt('f:', QUICK_RETRY);
    const work = new HeldJobs();
    try {
      queue.work({ kinds: ['piece'], concurrency: 1 }, work.handler);
      expect(await queue.add(aFlow())).toBe(true);
      work.complete(await work.nth(1));
      await work.nth(2);
      const primary = await cluster.primaryOf(slotOf('{f:jobs}'));
      const replica = await cluster.replicaOf(primary);
      await primary.kill('SIGKILL');
      const isPromoted = async (): Promise<boolean> =>
        (await replica.tell('INFO replication')).includes('role:master');
      await until(isPromoted, 'the promotion');
      // Nothing is acknowledged that is at one node only.
      await primary.restart();
      const states = (): Promise<string> => queue.flow('title-1').then(statesOf, () => 'unknown');
      await until(async () => (await states()) !== 'unknown', 'the queue is there again');
      expect(await states()).toBe('a:done b:active c:waiting');
      for (const job of work.held) work.complete(job);
      work.complete(await work.nth(3));
      const flow = await untilFlow(queue, 'title-1', 'done');
      expect(flow.jobs.map(({ attempt }) => attempt)).toEqual([1, 1, 1]);
    } finally {
      for (const job of work.held) work.complete(job);
      await queue.close();
    }
  });
});
