import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JobQueueOptions } from '../../src/state/job-limits.ts';
import {
  type FlowSpec,
  type FlowStatus,
  type JobEvent,
  type JobHandler,
  type JobQueue,
  type JobSpec,
  type Json,
  MAX_FLOW_JOBS,
  PermanentJobError,
  type RunningJob,
} from '../../src/state/job-queue.ts';
import { until } from './until.ts';

/** One driver under test. */
export interface QueueUnderTest {
  /** A queue with nothing in it. */
  open(options?: JobQueueOptions): Promise<JobQueue>;
  /** What the next process sees, after the one before it was closed. */
  openAgain(): Promise<JobQueue>;
  /** Throws everything away. */
  dispose(): Promise<void>;
}

/** Quick, so that what is to be tried again is so in a test's time. */
export const QUICK_RETRY: JobQueueOptions = { retryDelayMs: 5, maxRetryDelayMs: 20, progressIntervalMs: 0 };

export function jobSpecs(ids: readonly string[], kind = 'piece'): JobSpec[] {
  return ids.map((id) => ({ id, kind, data: { of: id } }));
}

export function aFlow(fields: Partial<FlowSpec> = {}): FlowSpec {
  return {
    id: 'title-1',
    data: { source: 'a.mp4' },
    priority: 100,
    jobs: jobSpecs(['a', 'b', 'c']),
    attempts: 3,
    ...fields,
  };
}

/** A handler whose jobs end when the test says so, and what it was given, in order. */
export class HeldJobs {
  readonly begun: RunningJob[] = [];
  readonly #ends = new Map<RunningJob, { done: (result: Json) => void; failed: (error: Error) => void }>();

  readonly handler: JobHandler = (job) =>
    new Promise<Json>((done, failed) => {
      this.begun.push(job);
      this.#ends.set(job, { done, failed });
    });

  get names(): string[] {
    return this.begun.map(({ flow, id }) => `${flow}/${id}`);
  }

  /** Of those that were begun and have not ended. */
  get held(): RunningJob[] {
    return this.begun.filter((job) => this.#ends.has(job));
  }

  nth(count: number): Promise<RunningJob> {
    return until(() => this.begun[count - 1], `${count} jobs are begun`);
  }

  complete(job: RunningJob, result: Json = { by: job.attempt }): void {
    this.#take(job)?.done(result);
  }

  fail(job: RunningJob, error: Error): void {
    this.#take(job)?.failed(error);
  }

  /** Each that was told to stop ends as a good handler does. */
  endAborted(): void {
    for (const job of this.held) if (job.signal.aborted) this.fail(job, new Error('aborted'));
  }

  #take(job: RunningJob): { done: (result: Json) => void; failed: (error: Error) => void } | undefined {
    const end = this.#ends.get(job);
    this.#ends.delete(job);
    return end;
  }
}

export function statesOf(flow: FlowStatus | undefined): string {
  return (flow?.jobs ?? []).map(({ id, state }) => `${id}:${state}`).join(' ');
}

export function untilFlow(queue: JobQueue, id: string, state: FlowStatus['state']): Promise<FlowStatus> {
  return until(async () => {
    const flow = await queue.flow(id);
    return flow?.state === state ? flow : undefined;
  }, `flow ${id} is ${state}`);
}

/** What every driver of the job queue must do. */
export function describeJobQueue(name: string, create: () => QueueUnderTest): void {
  describe(`${name} as a job queue`, () => {
    let under: QueueUnderTest;
    let queue: JobQueue;
    const opened: JobQueue[] = [];
    const holders: HeldJobs[] = [];

    beforeEach(async () => {
      under = create();
      queue = await open(QUICK_RETRY);
    });
    afterEach(async () => {
      const closing = opened.splice(0).map((each) => each.close());
      // Handlers of a test that failed would hold up the closing.
      const ended = Promise.all(closing).then(() => true);
      await until(async () => {
        for (const holder of holders)
          for (const job of holder.held) holder.fail(job, new Error('test ended'));
        return Promise.race([ended, Promise.resolve(false)]);
      }, 'the queue is closed');
      holders.length = 0;
      await under.dispose();
    });
    const open = async (options?: JobQueueOptions): Promise<JobQueue> => {
      const one = await under.open(options);
      opened.push(one);
      return one;
    };
    const openAgain = async (): Promise<JobQueue> => {
      const one = await under.openAgain();
      opened.push(one);
      return one;
    };
    const held = (): HeldJobs => {
      const holder = new HeldJobs();
      holders.push(holder);
      return holder;
    };
    const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => `j${i}`);
    const listen = (): JobEvent[] => {
      const events: JobEvent[] = [];
      queue.subscribe((event) => events.push(event));
      return events;
    };

    it('does the jobs of a flow in order, and keeps their results', async () => {
      expect(await queue.add(aFlow())).toBe(true);
      const seen: unknown[] = [];
      queue.work({ kinds: ['piece'], concurrency: 1 }, async (job) => {
        seen.push([job.flow, job.id, job.kind, job.data, job.flowData, job.attempt]);
        return { frames: 12, of: job.id };
      });
      const flow = await untilFlow(queue, 'title-1', 'done');
      expect(seen).toEqual(
        ['a', 'b', 'c'].map((id) => ['title-1', id, 'piece', { of: id }, { source: 'a.mp4' }, 1]),
      );
      expect(flow.data).toEqual({ source: 'a.mp4' });
      expect(flow.endedMs).toBeGreaterThanOrEqual(flow.addedMs);
      expect(flow.jobs).toEqual(
        ['a', 'b', 'c'].map((id) => ({
          id,
          kind: 'piece',
          state: 'done',
          attempt: 1,
          progress: 1,
          result: { frames: 12, of: id },
          error: undefined,
        })),
      );
    });

    it('knows nothing of what was not added', async () => {
      expect(await queue.flow('nobody')).toBeUndefined();
      expect(await queue.flows(10)).toEqual([]);
      expect(await queue.cancel('nobody')).toBe(false);
      expect(await queue.retry('nobody')).toBe(false);
      expect(await queue.remove('nobody')).toBe(false);
    });

    it('takes a flow once, however often it is added at once', async () => {
      const added = await Promise.all(Array.from({ length: 10 }, () => queue.add(aFlow())));
      expect(added.filter(Boolean)).toHaveLength(1);
      expect(await queue.add(aFlow({ data: 'other' }))).toBe(false);
      let runs = 0;
      queue.work({ kinds: ['piece'], concurrency: 3 }, async () => ++runs);
      const flow = await untilFlow(queue, 'title-1', 'done');
      expect([runs, flow.data]).toEqual([3, { source: 'a.mp4' }]);
    });

    it.each<[string, Partial<FlowSpec>]>([
      ['an empty id', { id: '' }],
      ['an id with a slash', { id: 'a/b' }],
      ['an id with a colon', { id: 'a:b' }],
      ['a long id', { id: 'x'.repeat(129) }],
      ['no jobs', { jobs: [] }],
      ['a job id with a space', { jobs: jobSpecs(['a', 'b c']) }],
      ['one job id twice', { jobs: jobSpecs(['a', 'b', 'a']) }],
      ['a kind without a name', { jobs: jobSpecs(['a'], '') }],
      ['priority 0', { priority: 0 }],
      ['no attempt', { attempts: 0 }],
      ['data too large', { data: 'x'.repeat(512 * 1024) }],
      ['a job too large', { jobs: [...jobSpecs(['a']), { id: 'b', kind: 'k', data: 'ä'.repeat(33_000) }] }],
      ['too many jobs', { jobs: jobSpecs(ids(MAX_FLOW_JOBS + 1)) }],
    ])('refuses a flow with %s, and keeps nothing of it', async (_, fields) => {
      await expect(queue.add(aFlow(fields))).rejects.toMatchObject({ code: 'JOB_INVALID' });
      expect(await queue.flows(10)).toEqual([]);
      expect(await queue.add(aFlow())).toBe(true);
    });

    it('gives out lower priorities first, older flows first among equals, and jobs in the order of the flow', async () => {
      const work = held();
      const worker = queue.work({ kinds: ['piece'], concurrency: 0 }, work.handler);
      await queue.add(aFlow({ id: 'late', priority: 900, jobs: jobSpecs(['a', 'b']) }));
      await queue.add(aFlow({ id: 'old', priority: 100, jobs: jobSpecs(['z', 'a', '10', '2']) }));
      await queue.add(aFlow({ id: 'young', priority: 100, jobs: jobSpecs(['a', 'b']) }));
      await queue.add(aFlow({ id: 'first', priority: 1, jobs: jobSpecs(['a']) }));
      worker.setConcurrency(1);
      for (let n = 1; n <= 9; n++) work.complete(await work.nth(n));
      await untilFlow(queue, 'late', 'done');
      expect(work.names).toEqual([
        'first/a',
        'old/z',
        'old/a',
        'old/10',
        'old/2',
        'young/a',
        'young/b',
        'late/a',
        'late/b',
      ]);
    });

    it('gives an urgent flow what becomes free next', async () => {
      const work = held();
      queue.work({ kinds: ['piece'], concurrency: 1 }, work.handler);
      await queue.add(aFlow({ id: 'slow', priority: 500 }));
      const first = await work.nth(1);
      await queue.add(aFlow({ id: 'urgent', priority: 1, jobs: jobSpecs(['x']) }));
      work.complete(first);
      work.complete(await work.nth(2));
      await work.nth(3);
      expect(work.names).toEqual(['slow/a', 'urgent/x', 'slow/b']);
    });

    it('runs as many jobs at once as it may, begins none at 0, and lets go on what runs', async () => {
      const work = held();
      await queue.add(aFlow({ jobs: jobSpecs(ids(6)) }));
      const worker = queue.work({ kinds: ['piece'], concurrency: 2 }, work.handler);
      const first = await work.nth(2);
      worker.setConcurrency(0);
      expect(work.begun.map(({ signal }) => signal.aborted)).toEqual([false, false]);
      work.complete(first);
      work.complete(await work.nth(1));
      await until(
        async () => statesOf(await queue.flow('title-1')).match(/done/g)?.length === 2,
        'two are done',
      );
      await expect(until(() => work.begun.length > 2, 'a third', 300)).rejects.toThrow('a third');
      worker.setConcurrency(3);
      await work.nth(5);
      await expect(until(() => work.begun.length > 5, 'a sixth', 200)).rejects.toThrow('a sixth');
      for (const job of work.held) work.complete(job);
      work.complete(await work.nth(6));
      await untilFlow(queue, 'title-1', 'done');
    });

    it('gives each worker the kinds that it does', async () => {
      const [pieces, sheets] = [held(), held()];
      const jobs = [...jobSpecs(['s1'], 'sheet'), ...jobSpecs(['p1', 'p2']), ...jobSpecs(['s2'], 'sheet')];
      await queue.add(aFlow({ jobs: [...jobs, ...jobSpecs(['n1'], 'nobody')] }));
      queue.work({ kinds: ['piece'], concurrency: 1 }, pieces.handler);
      queue.work({ kinds: ['sheet', 'other'], concurrency: 1 }, sheets.handler);
      for (const work of [pieces, sheets]) {
        work.complete(await work.nth(1));
        work.complete(await work.nth(2));
      }
      await until(
        async () => statesOf(await queue.flow('title-1')) === 's1:done p1:done p2:done s2:done n1:waiting',
        'all but the kind of nobody are done',
      );
      expect([pieces.names, sheets.names]).toEqual([
        ['title-1/p1', 'title-1/p2'],
        ['title-1/s1', 'title-1/s2'],
      ]);
    });

    it('keeps to the order over all kinds that a worker does', async () => {
      const work = held();
      const worker = queue.work({ kinds: ['z', 'a', 'm'], concurrency: 0 }, work.handler);
      const mixed = [
        ...jobSpecs(['1'], 'm'),
        ...jobSpecs(['2'], 'z'),
        ...jobSpecs(['3'], 'a'),
        ...jobSpecs(['4'], 'm'),
      ];
      await queue.add(aFlow({ id: 'old', jobs: mixed }));
      await queue.add(aFlow({ id: 'young', jobs: jobSpecs(['1'], 'z') }));
      await queue.add(aFlow({ id: 'urgent', priority: 1, jobs: jobSpecs(['1'], 'a') }));
      worker.setConcurrency(1);
      for (let n = 1; n <= 6; n++) work.complete(await work.nth(n));
      expect(work.names).toEqual(['urgent/1', 'old/1', 'old/2', 'old/3', 'old/4', 'young/1']);
    });

    it('tries a job again that failed, with a greater attempt, and says why it failed', async () => {
      const work = held();
      await queue.add(aFlow({ jobs: jobSpecs(['a']) }));
      queue.work({ kinds: ['piece'], concurrency: 1 }, work.handler);
      work.fail(await work.nth(1), new Error('disk\n  on fire '));
      const second = await work.nth(2);
      const [job] = (await queue.flow('title-1'))?.jobs ?? [];
      expect(job).toMatchObject({
        state: 'active',
        attempt: 2,
        error: { code: 'JOB_FAILED', message: 'disk on fire' },
      });
      work.complete(second, 'fine');
      const flow = await untilFlow(queue, 'title-1', 'done');
      expect(flow.jobs[0]).toMatchObject({ attempt: 2, result: 'fine', error: undefined });
    });

    it('goes on with other jobs while one waits to be tried again', async () => {
      const other = await open({ ...QUICK_RETRY, retryDelayMs: 3_600_000, maxRetryDelayMs: 3_600_000 });
      const work = held();
      await other.add(aFlow());
      other.work({ kinds: ['piece'], concurrency: 1 }, work.handler);
      work.fail(await work.nth(1), new Error('once'));
      work.complete(await work.nth(2));
      work.complete(await work.nth(3));
      await until(
        async () => statesOf(await other.flow('title-1')) === 'a:waiting b:done c:done',
        'the others are done',
      );
      expect(work.names).toEqual(['title-1/a', 'title-1/b', 'title-1/c']);
    });

    it('fails the flow with the error of a job that failed as often as it may, and begins no others', async () => {
      const tries: number[] = [];
      await queue.add(aFlow());
      queue.work({ kinds: ['piece'], concurrency: 1 }, async (job) => {
        if (job.id === 'a') return 'ok';
        tries.push(job.attempt);
        throw new Error(`no ${job.attempt}`);
      });
      const flow = await untilFlow(queue, 'title-1', 'failed');
      const failed = flow.jobs.find(({ state }) => state === 'failed');
      expect(failed).toMatchObject({ attempt: 3, error: { code: 'JOB_FAILED', message: 'no 3' } });
      expect(flow.endedMs).toBeGreaterThanOrEqual(flow.addedMs);
      expect(flow.jobs[0]).toMatchObject({ state: 'done', result: 'ok' });
      const before = tries.length;
      await queue.add(aFlow({ id: 'next', jobs: jobSpecs(['a']) }));
      await untilFlow(queue, 'next', 'done');
      expect(tries).toHaveLength(before);
    });

    it('fails a poisoned job at once, by its code, and lets those that run end', async () => {
      const work = held();
      await queue.add(aFlow());
      queue.work({ kinds: ['piece'], concurrency: 2 }, work.handler);
      const other = await work.nth(2);
      const poisoned = await work.nth(1);
      work.fail(poisoned, new PermanentJobError('CONFIG_INVALID', 'Stream #0:3: no such codec'));
      await untilFlow(queue, 'title-1', 'failed');
      expect(other.signal.aborted).toBe(false);
      work.complete(other, 'late but fine');
      const flow = await until(async () => {
        const status = await queue.flow('title-1');
        return statesOf(status) === 'a:failed b:done c:waiting' ? status : undefined;
      }, 'the other one ended');
      expect(flow.jobs[0]).toMatchObject({
        attempt: 1,
        error: { code: 'CONFIG_INVALID', message: 'Stream #0:3: no such codec' },
      });
      expect(flow.jobs[1]?.result).toBe('late but fine');
      expect([flow.state, work.begun.length]).toEqual(['failed', 2]);
    });

    it.each<[string, Json]>([
      ['larger than it may be', 'x'.repeat(64 * 1024)],
      ['nothing at all', undefined as unknown as Json],
    ])('fails a job whose result is %s', async (_, result) => {
      await queue.add(aFlow({ jobs: jobSpecs(['a']) }));
      queue.work({ kinds: ['piece'], concurrency: 1 }, async () => result);
      const flow = await untilFlow(queue, 'title-1', 'failed');
      expect(flow.jobs[0]).toMatchObject({ attempt: 1, error: { code: 'JOB_FAILED' } });
    });

    it('keeps the longest message an error may have', async () => {
      await queue.add(aFlow({ jobs: jobSpecs(['a']) }));
      queue.work({ kinds: ['piece'], concurrency: 1 }, async () => {
        throw new PermanentJobError('JOB_FAILED', 'x'.repeat(5000));
      });
      const flow = await untilFlow(queue, 'title-1', 'failed');
      expect(flow.jobs[0]?.error?.message).toBe('x'.repeat(1000));
    });

    it('shows what a job says of its progress', async () => {
      const work = held();
      const events = listen();
      await queue.add(aFlow({ jobs: jobSpecs(['a']) }));
      queue.work({ kinds: ['piece'], concurrency: 1 }, work.handler);
      const job = await work.nth(1);
      const shown = async (): Promise<number | undefined> => (await queue.flow('title-1'))?.jobs[0]?.progress;
      const told = (): (number | undefined)[] =>
        events.flatMap((event) => (event.kind === 'job' ? [event.job.progress] : []));
      job.progress(0.25);
      job.progress(Number.NaN);
      await until(async () => (await shown()) === 0.25 && told().includes(0.25), 'a quarter');
      job.progress(7);
      await until(async () => (await shown()) === 1 && told().includes(1), 'all of it');
      work.complete(job);
      await untilFlow(queue, 'title-1', 'done');
      job.progress(0.5);
      expect((await queue.flow('title-1'))?.jobs[0]?.progress).toBe(1);
    });

    it('cancels: aborts what runs at once, begins nothing more, and refuses what comes late', async () => {
      const work = held();
      await queue.add(aFlow());
      queue.work({ kinds: ['piece'], concurrency: 2 }, work.handler);
      const second = await work.nth(2);
      const first = await work.nth(1);
      expect(await queue.cancel('title-1')).toBe(true);
      // A second is what is asked for; the rest is for a machine that does ten other things.
      await until(() => first.signal.aborted && second.signal.aborted, 'both are aborted', 3000);
      expect(first.signal.reason).toMatchObject({ code: 'JOB_CANCELLED' });
      work.complete(first, 'late');
      work.fail(second, new Error('aborted'));
      await queue.add(aFlow({ id: 'next', jobs: jobSpecs(['x']) }));
      work.complete(await work.nth(3));
      await untilFlow(queue, 'next', 'done');
      const flow = await queue.flow('title-1');
      expect([flow?.state, statesOf(flow), flow?.jobs[0]?.result]).toEqual([
        'cancelled',
        'a:waiting b:waiting c:waiting',
        undefined,
      ]);
      expect(work.names).toEqual(['title-1/a', 'title-1/b', 'next/x']);
      expect(await queue.cancel('title-1')).toBe(false);
      expect(await queue.cancel('next')).toBe(false);
    });

    it('begins a cancelled flow again when asked to, and refuses the answers of before', async () => {
      const work = held();
      await queue.add(aFlow({ attempts: 1, jobs: jobSpecs(['a', 'b']) }));
      queue.work({ kinds: ['piece'], concurrency: 2 }, work.handler);
      const old = await work.nth(2);
      work.complete(await work.nth(1), 'kept');
      await until(async () => (await queue.flow('title-1'))?.jobs[0]?.state === 'done', 'a is done');
      await queue.cancel('title-1');
      expect(await queue.retry('title-1')).toBe(true);
      const again = await work.nth(3);
      expect(again.id).toBe('b');
      expect(again.attempt).toBeGreaterThan(old.attempt);
      work.complete(old, 'stale');
      await until(() => old.signal.aborted, 'the old one is told');
      expect((await queue.flow('title-1'))?.jobs[1]?.state).toBe('active');
      work.complete(again, 'fresh');
      const flow = await untilFlow(queue, 'title-1', 'done');
      expect(flow.jobs.map(({ result }) => result)).toEqual(['kept', 'fresh']);
    });

    it('tries a failed flow again with all attempts, and keeps what is done', async () => {
      await queue.add(aFlow({ attempts: 2 }));
      const runs: string[] = [];
      let broken = true;
      queue.work({ kinds: ['piece'], concurrency: 1 }, async (job) => {
        runs.push(`${job.id}${job.attempt}`);
        if (job.id === 'b' && broken) throw new Error('still broken');
        return job.attempt;
      });
      await untilFlow(queue, 'title-1', 'failed');
      expect(await queue.retry('title-1')).toBe(true);
      await untilFlow(queue, 'title-1', 'failed');
      await until(() => runs.filter((run) => run.startsWith('b')).length === 4, 'two attempts each time');
      broken = false;
      expect(await queue.retry('title-1')).toBe(true);
      const flow = await untilFlow(queue, 'title-1', 'done');
      expect(flow.jobs.map(({ attempt }) => attempt)).toEqual([1, 5, 1]);
      expect(flow.jobs[1]?.error).toBeUndefined();
      expect(runs.filter((run) => run.startsWith('a'))).toEqual(['a1']);
      expect(await queue.retry('title-1')).toBe(false);
    });

    it('forgets a flow that does not run, and takes its id anew', async () => {
      const work = held();
      await queue.add(aFlow({ jobs: jobSpecs(['a']) }));
      expect(await queue.remove('title-1')).toBe(false);
      const worker = queue.work({ kinds: ['piece'], concurrency: 1 }, work.handler);
      work.complete(await work.nth(1), 'old');
      await untilFlow(queue, 'title-1', 'done');
      expect(await queue.remove('title-1')).toBe(true);
      expect(await queue.remove('title-1')).toBe(false);
      expect(await queue.flow('title-1')).toBeUndefined();
      worker.setConcurrency(0);
      expect(await queue.add(aFlow({ jobs: jobSpecs(['a', 'b']) }))).toBe(true);
      const flow = await queue.flow('title-1');
      expect([flow?.state, statesOf(flow), flow?.jobs[0]?.result]).toEqual([
        'running',
        'a:waiting b:waiting',
        undefined,
      ]);
    });

    it('refuses the answer to a job of a flow that was removed and added anew', async () => {
      const work = held();
      await queue.add(aFlow({ jobs: jobSpecs(['a']) }));
      queue.work({ kinds: ['piece'], concurrency: 2 }, work.handler);
      const old = await work.nth(1);
      await queue.cancel('title-1');
      await queue.remove('title-1');
      await queue.add(aFlow({ jobs: jobSpecs(['a']) }));
      const fresh = await work.nth(2);
      work.complete(old, 'stale');
      work.complete(fresh, 'fresh');
      const flow = await untilFlow(queue, 'title-1', 'done');
      expect(flow.jobs[0]?.result).toBe('fresh');
    });

    it('gives back what a worker has when it closes, not as an attempt, and waits for it', async () => {
      const work = held();
      await queue.add(aFlow({ attempts: 1, jobs: jobSpecs(['a']) }));
      const worker = queue.work({ kinds: ['piece'], concurrency: 1 }, work.handler);
      const first = await work.nth(1);
      let isClosed = false;
      const closing = worker.close().then(() => (isClosed = true));
      await until(() => first.signal.aborted, 'it is told to stop');
      await until(async () => statesOf(await queue.flow('title-1')) === 'a:waiting', 'it is given back');
      expect(isClosed).toBe(false);
      const next = held();
      queue.work({ kinds: ['piece'], concurrency: 1 }, next.handler);
      const second = await next.nth(1);
      expect(second.attempt).toBeGreaterThan(first.attempt);
      work.complete(first, 'stale');
      await closing;
      await worker.close();
      next.complete(second, 'fresh');
      const flow = await untilFlow(queue, 'title-1', 'done');
      expect(flow.jobs[0]?.result).toBe('fresh');
    });

    it('tells what happens in its order', async () => {
      const events = listen();
      const work = held();
      await queue.add(aFlow({ jobs: jobSpecs(['a', 'b']) }));
      queue.work({ kinds: ['piece'], concurrency: 1 }, work.handler);
      work.fail(await work.nth(1), new Error('once'));
      // Which of the two comes next depends on the delay.
      for (let n = 2; n <= 3; n++) work.complete(await work.nth(n), n);
      await untilFlow(queue, 'title-1', 'done');
      const told = (): string[] =>
        events.map((event) =>
          event.kind === 'flow' ? event.state : `${event.job.id}${event.job.attempt}:${event.job.state}`,
        );
      await until(() => told().at(-1) === 'done', 'the last event');
      const ofJob = (id: string): string[] => told().filter((each) => each.startsWith(id));
      expect(told()[0]).toBe('running');
      expect(ofJob('a')).toEqual(['a1:active', 'a1:waiting', 'a2:active', 'a2:done']);
      expect(ofJob('b')).toEqual(['b1:active', 'b1:done']);
      const failed = events.find((event) => event.kind === 'job' && event.job.error !== undefined);
      expect(failed).toMatchObject({ job: { error: { code: 'JOB_FAILED', message: 'once' } } });
      const done = events.findLast((event) => event.kind === 'job');
      expect(done).toMatchObject({ flow: 'title-1', job: { state: 'done', progress: 1, result: 3 } });
    });

    it('tells of failing, cancelling and trying again, and nothing after unsubscribing', async () => {
      const states: string[] = [];
      const unsubscribe = queue.subscribe((event) => {
        if (event.kind === 'flow') states.push(`${event.flow} ${event.state}`);
        throw new Error('of a listener');
      });
      await queue.add(aFlow({ id: 'x', jobs: jobSpecs(['a']) }));
      queue.work({ kinds: ['piece'], concurrency: 1 }, async () => {
        throw new PermanentJobError('JOB_FAILED');
      });
      await untilFlow(queue, 'x', 'failed');
      await queue.add(aFlow({ id: 'y', jobs: jobSpecs(['a'], 'nobody') }));
      await queue.cancel('y');
      await queue.retry('y');
      await until(() => states.length >= 5, 'five events');
      unsubscribe();
      await queue.cancel('y');
      await untilFlow(queue, 'y', 'cancelled');
      expect(states).toEqual(['x running', 'x failed', 'y running', 'y cancelled', 'y running']);
    });

    it('lists flows newest first, without results', async () => {
      for (const id of ['one', 'two', 'three']) await queue.add(aFlow({ id, jobs: jobSpecs(['a']) }));
      queue.work({ kinds: ['piece'], concurrency: 1 }, async () => 'secret');
      for (const id of ['one', 'two', 'three']) await untilFlow(queue, id, 'done');
      const flows = await queue.flows(2);
      expect(flows.map(({ id, state }) => [id, state])).toEqual([
        ['three', 'done'],
        ['two', 'done'],
      ]);
      expect(flows[0]?.jobs).toMatchObject([{ id: 'a', state: 'done', result: undefined }]);
      expect(flows[0]?.data).toEqual({ source: 'a.mp4' });
    });

    it('takes no more than it may keep', async () => {
      const small = await open({ ...QUICK_RETRY, maxFlows: 3, maxJobs: 5 });
      await small.add(aFlow({ id: 'one' }));
      await expect(small.add(aFlow({ id: 'two' }))).rejects.toMatchObject({ code: 'JOB_LIMIT' });
      expect(await small.flow('two')).toBeUndefined();
      await small.cancel('one');
      await small.add(aFlow({ id: 'two', jobs: jobSpecs(['a']) }));
      await small.add(aFlow({ id: 'three', jobs: jobSpecs(['a']) }));
      await expect(small.add(aFlow({ id: 'four', jobs: jobSpecs(['a']) }))).rejects.toMatchObject({
        code: 'JOB_LIMIT',
      });
      await small.remove('one');
      expect(await small.add(aFlow({ id: 'four', jobs: jobSpecs(['a']) }))).toBe(true);
    });

    it('goes on where it was after it was closed and opened again', async () => {
      const work = held();
      await queue.add(aFlow({ attempts: 1 }));
      queue.work({ kinds: ['piece'], concurrency: 1 }, work.handler);
      work.complete(await work.nth(1), 'kept');
      const second = await work.nth(2);
      const closing = queue.close();
      await until(() => second.signal.aborted, 'the running one is told');
      work.complete(second, 'stale');
      await closing;
      await expect(queue.flow('title-1')).rejects.toMatchObject({ code: 'JOB_QUEUE_UNAVAILABLE' });
      await expect(queue.add(aFlow({ id: 'x' }))).rejects.toMatchObject({ code: 'JOB_QUEUE_UNAVAILABLE' });
      const next = await openAgain();
      expect(statesOf(await next.flow('title-1'))).toBe('a:done b:waiting c:waiting');
      const again = held();
      next.work({ kinds: ['piece'], concurrency: 2 }, again.handler);
      await again.nth(2);
      for (const job of again.held) again.complete(job, 'fresh');
      const flow = await untilFlow(next, 'title-1', 'done');
      expect(flow.jobs.map(({ result }) => result)).toEqual(['kept', 'fresh', 'fresh']);
      expect(again.begun[0]?.attempt).toBeGreaterThan(second.attempt);
    });

    it('does 5,000 jobs in bounded time and memory', async () => {
      let active = 0;
      let most = 0;
      let runs = 0;
      const before = process.memoryUsage().heapUsed;
      await queue.add(aFlow({ jobs: jobSpecs(ids(5000)) }));
      queue.work({ kinds: ['piece'], concurrency: 50 }, async (job) => {
        active++;
        most = Math.max(most, active);
        await Promise.resolve();
        active--;
        runs++;
        return { id: job.id, text: 'x'.repeat(200) };
      });
      const done = new Promise<void>((resolve) => {
        queue.subscribe((event) => {
          if (event.kind === 'flow' && event.state === 'done') resolve();
        });
      });
      await done;
      const flow = await queue.flow('title-1');
      expect([runs, flow?.state, flow?.jobs.length]).toEqual([5000, 'done', 5000]);
      expect(flow?.jobs.every(({ id, result }) => (result as { id: string }).id === id)).toBe(true);
      expect(most).toBeLessThanOrEqual(50);
      expect(process.memoryUsage().heapUsed - before).toBeLessThan(150_000_000);
    }, 60_000);
  });
}
