import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import {
  aFlow,
  describeJobQueue,
  HeldJobs,
  jobSpecs,
  QUICK_RETRY,
  statesOf,
  untilFlow,
} from '../../test/support/job-queue-contract.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { until } from '../../test/support/until.ts';
import { systemClock } from '../base/clock.ts';
import { Metrics } from '../base/metrics.ts';
import type { JobQueueOptions } from './job-limits.ts';
import type { JobQueue } from './job-queue.ts';
import { openLmdbJobQueue } from './lmdb-job-queue.ts';

describeJobQueue('lmdb', () => {
  const folders: string[] = [];
  const openIt = (folder: string, options: JobQueueOptions) =>
    openLmdbJobQueue(join(folder, 'state', 'jobs.mdb'), options, {
      clock: systemClock,
      log: createMemoryLog(),
      metrics: new Metrics(),
      random: Math.random,
    });
  return {
    async open(options = {}) {
      const folder = await mkdtemp(join(tmpdir(), 'headwater-jobs-'));
      folders.push(folder);
      return openIt(folder, options);
    },
    openAgain: () => openIt(folders.at(-1) ?? '', QUICK_RETRY),
    async dispose() {
      for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
    },
  };
});

describe('the embedded job queue', () => {
  let folder = '';
  let clock: FakeClock;
  let log: ReturnType<typeof createMemoryLog>;
  const opened: JobQueue[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'headwater-jobs-'));
    clock = new FakeClock();
    log = createMemoryLog();
  });
  afterEach(async () => {
    for (const queue of opened.splice(0)) await queue.close();
    expect(clock.pendingTimers).toBe(0);
    await rm(folder, { recursive: true, force: true });
  });
  const path = (): string => join(folder, 'jobs.mdb');
  /** @param isAlive what is found of the last owner of the file */
  const openIt = async (
    options: JobQueueOptions = {},
    isAlive: boolean | 'unknown' = true,
    metrics = new Metrics(),
  ): Promise<JobQueue> => {
    const queue = await openLmdbJobQueue(path(), options, {
      clock,
      log,
      metrics,
      random: () => 0,
      processes: {
        own: { pid: 1, realm: 'here', started: '1' },
        isAlive: () => (isAlive === 'unknown' ? undefined : isAlive),
      },
    });
    opened.push(queue);
    return queue;
  };
  /** Each job ends as told, at once when aborted. */
  const workOn = (queue: JobQueue, concurrency = 1): HeldJobs => {
    const work = new HeldJobs();
    queue.work({ kinds: ['piece'], concurrency }, (job) => {
      job.signal.addEventListener('abort', () => work.fail(job, new Error('aborted')));
      return work.handler(job);
    });
    return work;
  };

  it('keeps its file from other users', async () => {
    await openIt();
    expect((await stat(path())).mode & 0o077).toBe(0);
  });

  it('waits twice as long after each failure, up to a longest time', async () => {
    const queue = await openIt({ retryDelayMs: 1000, maxRetryDelayMs: 3000 });
    const work = workOn(queue);
    await queue.add(aFlow({ jobs: jobSpecs(['a']), attempts: 10 }));
    for (const [failures, delayMs] of [1000, 2000, 3000, 3000].entries()) {
      work.fail(await work.nth(failures + 1), new Error('no'));
      await until(async () => statesOf(await queue.flow('title-1')) === 'a:waiting', 'it waits');
      clock.advance(delayMs - 1);
      await queue.flow('title-1');
      expect(work.begun).toHaveLength(failures + 1);
      clock.advance(1);
    }
    await work.nth(5);
  });

  it('throws a flow away when it ended long enough ago, and its rows', async () => {
    const queue = await openIt({ keepEndedMs: 600_000 });
    const work = workOn(queue);
    await queue.add(aFlow({ jobs: jobSpecs(['a']) }));
    await queue.add(aFlow({ id: 'runs', jobs: jobSpecs(['a'], 'nobody') }));
    work.complete(await work.nth(1));
    await untilFlow(queue, 'title-1', 'done');
    clock.advance(540_000);
    expect(await queue.flow('title-1')).toBeDefined();
    const isGone = async (): Promise<boolean> => {
      clock.advance(60_000);
      return (await queue.flow('title-1')) === undefined;
    };
    await until(isGone, 'it is thrown away');
    expect((await queue.flow('runs'))?.state).toBe('running');
  });

  it('tells of progress no more often than it should', async () => {
    const queue = await openIt({ progressIntervalMs: 500 });
    const shares: number[] = [];
    queue.subscribe((event) => {
      if (event.kind === 'job' && event.job.state === 'active') shares.push(event.job.progress);
    });
    const work = workOn(queue);
    await queue.add(aFlow({ jobs: jobSpecs(['a']) }));
    const job = await work.nth(1);
    for (let n = 1; n <= 100; n++) {
      job.progress(n / 200);
      clock.advance(10);
    }
    await until(() => shares.length >= 3, 'the events');
    expect(shares).toEqual([0, 1 / 200, 51 / 200]);
    expect((await queue.flow('title-1'))?.jobs[0]?.progress).toBe(0.5);
  });

  it('is nobody else’s while its owner lives, and free when that has closed it', async () => {
    const queue = await openIt();
    await expect(openIt()).rejects.toMatchObject({ code: 'JOB_QUEUE_IN_USE' });
    await queue.close();
    await openIt();
  });

  it('is taken over from a dead owner, whose late answers change nothing', async () => {
    const old = await openIt();
    const oldWork = workOn(old);
    await old.add(aFlow({ jobs: jobSpecs(['a']) }));
    const stale = await oldWork.nth(1);
    const queue = await openIt({}, false);
    const work = workOn(queue);
    const job = await work.nth(1);
    expect(job.attempt).toBe(2);
    oldWork.complete(stale, 'stale');
    await until(
      () => log.lines.some(({ message }) => message.includes('took over')),
      'the old one finds out',
    );
    await expect(old.flow('title-1')).rejects.toMatchObject({ code: 'JOB_QUEUE_UNAVAILABLE' });
    expect(statesOf(await queue.flow('title-1'))).toBe('a:active');
    work.complete(job, 'fresh');
    expect((await untilFlow(queue, 'title-1', 'done')).jobs[0]?.result).toBe('fresh');
  });

  it('waits to see whether an owner lives that it cannot look at', async () => {
    const queue = await openIt();
    const settled = async (opening: Promise<JobQueue>): Promise<JobQueue | { readonly code: string }> => {
      let outcome: JobQueue | { readonly code: string } | undefined;
      const watching = opening.then(
        (found) => (outcome = found),
        (error: { code: string }) => (outcome = error),
      );
      await until(() => {
        clock.advance(250);
        return outcome;
      }, 'it is decided');
      return watching;
    };
    expect(await settled(openIt({}, 'unknown'))).toMatchObject({ code: 'JOB_QUEUE_IN_USE' });
    // One that died says nothing any more: an owner whose clock stands still.
    await queue.close();
    const dead = await openLmdbJobQueue(
      path(),
      {},
      {
        clock: new FakeClock(),
        log,
        metrics: new Metrics(),
        random: () => 0,
        processes: { own: { pid: 1, realm: 'there', started: '1' }, isAlive: () => undefined },
      },
    );
    const beganMs = clock.monotonicMs();
    expect(await settled(openIt({}, 'unknown'))).toHaveProperty('add');
    expect(clock.monotonicMs() - beganMs).toBeGreaterThanOrEqual(6000);
    await dead.close();
  });

  it('gives back what was active when its owner died, and fails what was so too often', async () => {
    await openIt();
    await opened[0]?.add(aFlow({ id: 'once', jobs: jobSpecs(['a', 'b']), attempts: 1 }));
    await opened[0]?.add(aFlow({ id: 'twice', jobs: jobSpecs(['a', 'b']), attempts: 2 }));
    await workOn(opened[0] as JobQueue, 3).nth(3);
    const metrics = new Metrics();
    const queue = await openIt({}, false, metrics);
    expect(statesOf(await queue.flow('once'))).toBe('a:failed b:waiting');
    expect((await queue.flow('once'))?.state).toBe('failed');
    expect((await queue.flow('once'))?.jobs[0]?.error?.code).toBe('JOB_WORKER_LOST');
    expect(statesOf(await queue.flow('twice'))).toBe('a:waiting b:waiting');
    expect(await metrics.registry.metrics()).toContain('headwater_job_workers_lost_total 3');
  });

  it('counts what it does', async () => {
    const metrics = new Metrics();
    const queue = await openIt({ maxFlows: 1 }, true, metrics);
    const work = workOn(queue, 2);
    await queue.add(aFlow());
    await expect(queue.add(aFlow({ id: 'x' }))).rejects.toMatchObject({ code: 'JOB_LIMIT' });
    work.complete(await work.nth(1));
    work.fail(await work.nth(2), new Error('no'));
    await work.nth(3);
    await queue.flow('title-1');
    const text = await metrics.registry.metrics();
    for (const line of [
      'job_attempts_total 3',
      'job_attempt_ends_total{end="done"} 1',
      'job_attempt_ends_total{end="retried"} 1',
      'job_attempts_running 1',
      'job_waiting_jobs 1',
      'job_flows_kept 1',
      'job_limited_total{what="flows"} 1',
    ]) {
      expect(text).toContain(`headwater_${line}\n`);
    }
  });
});
