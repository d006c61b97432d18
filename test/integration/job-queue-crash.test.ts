import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { type BullmqJobQueueOptions, openBullmqJobQueue } from '../../src/state/bullmq-job-queue.ts';
import type { JobQueue } from '../../src/state/job-queue.ts';
import { openLmdbJobQueue } from '../../src/state/lmdb-job-queue.ts';
import { setup } from '../support/build.ts';
import { aFlow, HeldJobs, jobSpecs, statesOf, untilFlow } from '../support/job-queue-contract.ts';
import { expectEachDoneOnce, JobWorkerProcess, type JobWorkerSettings } from '../support/job-worker.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const JOBS = jobSpecs(Array.from({ length: 160 }, (_, i) => `j${i}`));
const deps = () => ({
  clock: systemClock,
  log: createMemoryLog(),
  metrics: new Metrics(),
  random: Math.random,
  processId: `test-${Math.random()}`,
});

let folder: string;
let workers: JobWorkerProcess[];
let queues: JobQueue[];
beforeAll(setup);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-job-crash-'));
  workers = [];
  queues = [];
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.kill()));
  await Promise.all(queues.map((queue) => queue.close()));
  await rm(folder, { recursive: true, force: true });
});

function spawnWorker(fields: Partial<JobWorkerSettings>): JobWorkerProcess {
  const worker = new JobWorkerProcess({
    options: { retryDelayMs: 5 },
    workMs: 20,
    concurrency: 4,
    begunFile: join(folder, 'begun'),
    ...fields,
  });
  workers.push(worker);
  return worker;
}

describe('the embedded queue', () => {
  const path = (): string => join(folder, 'jobs.mdb');
  const openIt = async (): Promise<JobQueue> => {
    const queue = await openLmdbJobQueue(path(), {}, deps());
    queues.push(queue);
    return queue;
  };

  it('loses nothing and does nothing twice when its process is killed again and again', async () => {
    const first = await openIt();
    await first.add(aFlow({ jobs: JOBS, attempts: 1000 }));
    await first.close();
    for (let turn = 1; turn <= 5; turn++) {
      const worker = spawnWorker({ path: path() });
      await worker.untilSaid('begun', 1 + Math.floor(Math.random() * 20));
      await worker.kill();
    }
    const last = spawnWorker({ path: path() });
    await last.untilSaid('ready');
    // It belongs to that process now, and to no other.
    await expect(openLmdbJobQueue(path(), {}, deps())).rejects.toMatchObject({ code: 'JOB_QUEUE_IN_USE' });
    await last.untilSaid('flow done');
    await last.kill();
    const flow = await (await openIt()).flow('title-1');
    expect(flow?.state).toBe('done');
    if (flow) expectEachDoneOnce(flow, join(folder, 'begun'));
  });

  it('fails a job that kills its process as often as it may be begun', async () => {
    const first = await openIt();
    await first.add(aFlow({ jobs: jobSpecs(['a', 'b']), attempts: 2 }));
    await first.close();
    for (let turn = 1; turn <= 2; turn++) {
      const worker = spawnWorker({ path: path(), concurrency: 1, workMs: 60_000 });
      await worker.untilSaid('begun');
      await worker.kill();
    }
    const flow = await (await openIt()).flow('title-1');
    expect([flow?.state, statesOf(flow)]).toEqual(['failed', 'a:failed b:waiting']);
    expect(flow?.jobs[0]).toMatchObject({ attempt: 2, error: { code: 'JOB_WORKER_LOST' } });
  });

  it('is not taken from a process that is only frozen', async () => {
    const worker = spawnWorker({ path: path() });
    await worker.untilSaid('ready');
    worker.signal('SIGSTOP');
    await expect(openLmdbJobQueue(path(), {}, deps())).rejects.toMatchObject({ code: 'JOB_QUEUE_IN_USE' });
    worker.signal('SIGCONT');
    await worker.kill();
    expect(await (await openIt()).flows(1)).toEqual([]);
  });
});

describe('the queue on BullMQ', () => {
  /** Short, so that a test does not wait long for a worker to be missed. */
  const TIMES = { lockMs: 900, stalledMs: 300, retryDelayMs: 5 };
  let redis: Redis;
  beforeEach(async () => {
    redis = await startRedis();
  });
  afterEach(() => redis.stop());

  const openIt = async (options: BullmqJobQueueOptions = TIMES): Promise<JobQueue> => {
    const queue = await openBullmqJobQueue(
      {
        nodes: [{ host: redis.host, port: redis.port }],
        isCluster: false,
        db: 0,
        username: undefined,
        password: undefined,
        tls: undefined,
        prefix: 'x',
        minReplicas: 0,
      },
      options,
      deps(),
    );
    queues.push(queue);
    return queue;
  };
  const spawnBull = (fields: Partial<JobWorkerSettings> = {}): JobWorkerProcess =>
    spawnWorker({ port: redis.port, prefix: 'x', options: TIMES, ...fields });

  it('loses nothing and does nothing twice when workers are killed again and again', async () => {
    const queue = await openIt();
    await queue.add(aFlow({ jobs: JOBS, attempts: 1000 }));
    let other = spawnBull();
    for (let turn = 1; turn <= 5; turn++) {
      const worker = other;
      other = spawnBull();
      await worker.untilSaid('begun', 1 + Math.floor(Math.random() * 15));
      await worker.kill();
    }
    const flow = await untilFlow(queue, 'title-1', 'done');
    expectEachDoneOnce(flow, join(folder, 'begun'));
  });

  it('fails a job that kills its worker as often as it may be begun', async () => {
    const queue = await openIt();
    await queue.add(aFlow({ jobs: [...jobSpecs(['a']), ...jobSpecs(['b'], 'other')], attempts: 2 }));
    for (let turn = 1; turn <= 2; turn++) {
      const worker = spawnBull({ concurrency: 1, workMs: 60_000 });
      await worker.untilSaid('begun a');
      await worker.kill();
    }
    const work = new HeldJobs();
    queue.work({ kinds: ['piece'], concurrency: 1 }, work.handler);
    const flow = await untilFlow(queue, 'title-1', 'failed');
    expect(flow.jobs[0]).toMatchObject({ id: 'a', attempt: 2, error: { code: 'JOB_WORKER_LOST' } });
    expect(work.names).toEqual([]);
  });

  it('refuses what a worker answers that was frozen while another took its job', async () => {
    const queue = await openIt();
    const frozen = spawnBull({ concurrency: 1, workMs: 2000 });
    await queue.add(aFlow({ jobs: jobSpecs(['a']) }));
    await frozen.untilSaid('begun a');
    frozen.signal('SIGSTOP');
    const work = new HeldJobs();
    queue.work({ kinds: ['piece'], concurrency: 1 }, work.handler);
    const job = await work.nth(1);
    expect(job.attempt).toBe(2);
    frozen.signal('SIGCONT');
    await frozen.untilSaid('aborted a JOB_WORKER_LOST');
    // All that it may still say comes before what its next job needs.
    await queue.add(aFlow({ id: 'next', jobs: jobSpecs(['b']) }));
    await frozen.untilSaid('begun b');
    expect(statesOf(await queue.flow('title-1'))).toBe('a:active');
    expect(job.signal.aborted).toBe(false);
    work.complete(job, 'of the second');
    const flow = await untilFlow(queue, 'title-1', 'done');
    expect(flow.jobs[0]).toMatchObject({ attempt: 2, result: 'of the second' });
  });

  it('leaves a job with a worker that lives, however long it takes', async () => {
    const queue = await openIt();
    await queue.add(aFlow({ jobs: jobSpecs(['a']) }));
    const [first, second] = [new HeldJobs(), new HeldJobs()];
    queue.work({ kinds: ['piece'], concurrency: 1 }, first.handler);
    const job = await first.nth(1);
    const other = await openIt();
    other.work({ kinds: ['piece'], concurrency: 1 }, second.handler);
    await expect(until(() => second.begun.length > 0, 'another begins', 4 * TIMES.lockMs)).rejects.toThrow(
      'another begins',
    );
    first.complete(job, 'long');
    expect((await untilFlow(queue, 'title-1', 'done')).jobs[0]).toMatchObject({ attempt: 1, result: 'long' });
  });

  it('cancels at once what another process runs', async () => {
    const queue = await openIt();
    const worker = spawnBull({ workMs: 60_000 });
    await queue.add(aFlow());
    await worker.untilSaid('begun', 3);
    expect(await queue.cancel('title-1')).toBe(true);
    // A second is what is asked for; the rest is for a machine that does ten other things.
    await until(() => worker.said('aborted').length === 3, 'all three are aborted', 3000);
    expect(worker.said('aborted').every((line) => line.endsWith('JOB_CANCELLED'))).toBe(true);
  });

  it('loses nothing when Redis is killed and comes back, rejects meanwhile, and tells of the gap', async () => {
    const queue = await openIt();
    let gaps = 0;
    queue.subscribe(
      () => undefined,
      () => gaps++,
    );
    await queue.add(aFlow({ jobs: JOBS, attempts: 1000 }));
    const both = [spawnBull(), spawnBull()];
    for (const worker of both) await worker.untilSaid('begun', 5);
    await redis.kill('SIGKILL');
    await until(async () => {
      const error: unknown = await queue.flow('title-1').catch((reason: unknown) => reason);
      return (error as { code?: string }).code === 'JOB_QUEUE_UNAVAILABLE';
    }, 'calls reject');
    await expect(queue.add(aFlow({ id: 'other' }))).rejects.toMatchObject({ code: 'JOB_QUEUE_UNAVAILABLE' });
    await redis.restart();
    await until(() => gaps > 0, 'the gap is told');
    const flow = await untilFlow(queue, 'title-1', 'done');
    expectEachDoneOnce(flow, join(folder, 'begun'));
    expect(gaps).toBe(1);
  });

  it('rejects within seconds when Redis hangs, and closes', async () => {
    const queue = await openIt();
    await redis.kill('SIGSTOP');
    await expect(queue.flow('title-1')).rejects.toMatchObject({ code: 'JOB_QUEUE_UNAVAILABLE' });
    await queue.close();
    await redis.kill('SIGCONT');
  });

  it('opens without Redis, and works when it comes', async () => {
    await redis.kill('SIGKILL');
    const queue = await openIt();
    queue.work({ kinds: ['piece'], concurrency: 1 }, async () => 'fine');
    await expect(queue.add(aFlow())).rejects.toMatchObject({ code: 'JOB_QUEUE_UNAVAILABLE' });
    await redis.restart();
    await until(() => queue.add(aFlow()).catch(() => false), 'it is added');
    expect(statesOf(await untilFlow(queue, 'title-1', 'done'))).toBe('a:done b:done c:done');
  });
});
