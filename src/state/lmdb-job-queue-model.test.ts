import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { HeldJobs, jobSpecs } from '../../test/support/job-queue-contract.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { until } from '../../test/support/until.ts';
import { Metrics } from '../base/metrics.ts';
import type { FlowState, JobQueue, JobState, JobWorker } from './job-queue.ts';
import { PermanentJobError } from './job-queue.ts';
import { openLmdbJobQueue } from './lmdb-job-queue.ts';

const RETRY_MS = 1000;
const MAX_RETRY_MS = 4000;

type Step =
  | { readonly do: 'add'; readonly id: string; priority: number; jobs: number; attempts: number }
  | { readonly do: 'cancel' | 'retry' | 'remove'; readonly id: string }
  | { readonly do: 'complete' | 'fail' | 'poison'; readonly pick: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'concurrency'; readonly jobs: number }
  | { readonly do: 'restart' | 'crash' };

interface ModelJob {
  readonly id: string;
  state: JobState;
  attempt: number;
  forgiven: number;
  dueMs: number;
  result: number | undefined;
}

interface ModelFlow {
  readonly id: string;
  readonly order: number;
  readonly priority: number;
  readonly attempts: number;
  state: FlowState;
  readonly jobs: ModelJob[];
}

/** The contract in the plainest words: everything in arrays, looked through from the start each time. */
class Model {
  flows: ModelFlow[] = [];
  nowMs = 0;
  concurrency = 2;
  #order = 0;

  get active(): { flow: ModelFlow; job: ModelJob }[] {
    return this.flows.flatMap((flow) =>
      flow.jobs.filter(({ state }) => state === 'active').map((job) => ({ flow, job })),
    );
  }

  find(id: string): ModelFlow | undefined {
    return this.flows.find((flow) => flow.id === id);
  }

  add(step: Step & { do: 'add' }): boolean {
    if (this.find(step.id)) return false;
    const jobs = Array.from(
      { length: step.jobs },
      (_, i): ModelJob => ({
        id: `j${i}`,
        state: 'waiting',
        attempt: 0,
        forgiven: 0,
        dueMs: 0,
        result: undefined,
      }),
    );
    const { id, priority, attempts } = step;
    this.flows.push({ id, order: this.#order++, priority, attempts, state: 'running', jobs });
    return true;
  }

  cancel(id: string): boolean {
    const flow = this.find(id);
    if (flow?.state !== 'running') return false;
    flow.state = 'cancelled';
    this.#release(flow);
    return true;
  }

  retry(id: string): boolean {
    const flow = this.find(id);
    if (flow?.state !== 'failed' && flow?.state !== 'cancelled') return false;
    flow.state = 'running';
    for (const job of flow.jobs) {
      if (job.state !== 'failed' && job.state !== 'waiting') continue;
      Object.assign(job, { state: 'waiting', forgiven: job.attempt, dueMs: 0 });
    }
    return true;
  }

  remove(id: string): boolean {
    const flow = this.find(id);
    if (flow === undefined || flow.state === 'running') return false;
    this.flows = this.flows.filter((other) => other !== flow);
    return true;
  }

  complete(flow: ModelFlow, job: ModelJob): void {
    Object.assign(job, { state: 'done', result: job.attempt });
    if (flow.jobs.every(({ state }) => state === 'done')) flow.state = 'done';
  }

  fail(flow: ModelFlow, job: ModelJob, permanent: boolean): void {
    const tries = job.attempt - job.forgiven;
    if (permanent || tries >= flow.attempts) {
      job.state = 'failed';
      if (flow.state === 'running') flow.state = 'failed';
    } else {
      job.state = 'waiting';
      job.dueMs = this.nowMs + Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** (tries - 1));
    }
  }

  restart(): void {
    for (const { job } of this.active) Object.assign(job, { state: 'waiting', forgiven: job.forgiven + 1 });
    this.#forgetDelays();
  }

  crash(): void {
    for (const { flow, job } of this.active) {
      const lost = flow.state === 'running' && job.attempt - job.forgiven >= flow.attempts;
      job.state = lost ? 'failed' : 'waiting';
      if (lost) flow.state = 'failed';
    }
    this.#forgetDelays();
  }

  /** Begins all that may be. */
  begin(): void {
    for (;;) {
      if (this.active.length >= this.concurrency) return;
      const flows = this.flows.filter(({ state }) => state === 'running');
      flows.sort((a, b) => a.priority - b.priority || a.order - b.order);
      const ready = flows.flatMap(({ jobs }) => jobs).filter((job) => job.state === 'waiting');
      const job = ready.find(({ dueMs }) => dueMs <= this.nowMs);
      if (job === undefined) return;
      Object.assign(job, { state: 'active', attempt: job.attempt + 1 });
    }
  }

  #release(flow: ModelFlow): void {
    for (const job of flow.jobs) if (job.state === 'active') job.state = 'waiting';
  }

  #forgetDelays(): void {
    for (const { jobs } of this.flows) for (const job of jobs) job.dueMs = 0;
  }
}

/** The queue under test, and everything around it that a step touches. */
class Bench {
  readonly clock = new FakeClock();
  readonly model = new Model();
  readonly #path: string;
  /** Whether the last owner of the file is taken for alive. */
  #ownerLives = true;
  queue: JobQueue | undefined;
  #worker: JobWorker | undefined;
  #work = new HeldJobs();

  constructor(path: string) {
    this.#path = path;
  }

  async open(): Promise<void> {
    this.queue = await openLmdbJobQueue(
      this.#path,
      { retryDelayMs: RETRY_MS, maxRetryDelayMs: MAX_RETRY_MS },
      {
        clock: this.clock,
        log: createMemoryLog(),
        metrics: new Metrics(),
        random: () => 0,
        processes: {
          own: { pid: 1, realm: 'test', started: '1' },
          isAlive: () => this.#ownerLives,
        },
      },
    );
    const work = new HeldJobs();
    this.#work = work;
    const { concurrency } = this.model;
    this.#worker = this.queue.work({ kinds: ['piece'], concurrency }, async (job) => {
      const ended = work.handler(job);
      job.signal.addEventListener('abort', () => work.fail(job, new Error('aborted')));
      return ended;
    });
  }

  async step(step: Step): Promise<void> {
    const { model } = this;
    const queue = this.queue as JobQueue;
    switch (step.do) {
      case 'add': {
        const { id, priority, attempts } = step;
        const jobs = jobSpecs(Array.from({ length: step.jobs }, (_, i) => `j${i}`));
        expect(await queue.add({ id, priority, attempts, jobs, data: null })).toBe(model.add(step));
        break;
      }
      case 'cancel':
      case 'retry':
      case 'remove':
        expect(await queue[step.do](step.id)).toBe(model[step.do](step.id));
        break;
      case 'complete':
      case 'fail':
      case 'poison':
        this.#end(step.do, step.pick);
        break;
      case 'advance':
        model.nowMs += step.ms;
        this.clock.advance(step.ms);
        break;
      case 'concurrency':
        model.concurrency = step.jobs;
        this.#worker?.setConcurrency(step.jobs);
        break;
      case 'restart':
        model.restart();
        await queue.close();
        await this.open();
        break;
      case 'crash':
        await this.#crash(queue);
        break;
    }
    model.begin();
    await this.#compare();
  }

  /** The next one comes while the old one still believes that the file is its own. */
  async #crash(queue: JobQueue): Promise<void> {
    const { held } = this.#work;
    const old = this.#work;
    this.model.crash();
    this.#ownerLives = false;
    await this.open();
    this.#ownerLives = true;
    for (const job of held) old.complete(job, 'stale');
    await queue.close();
  }

  #end(how: 'complete' | 'fail' | 'poison', pick: number): void {
    const { active } = this.model;
    const chosen = active[pick % Math.max(1, active.length)];
    if (chosen === undefined) return;
    const { flow, job } = chosen;
    const running = this.#work.held.find((each) => each.flow === flow.id && each.id === job.id);
    if (running === undefined) throw new Error('not under way');
    if (how === 'complete') {
      this.model.complete(flow, job);
      this.#work.complete(running, running.attempt);
    } else {
      this.model.fail(flow, job, how === 'poison');
      this.#work.fail(running, how === 'poison' ? new PermanentJobError('JOB_FAILED') : new Error('no'));
    }
  }

  async #compare(): Promise<void> {
    const expected = this.model.active.map(({ flow, job }) => `${flow.id}/${job.id}#${job.attempt}`).sort();
    const running = (): string[] =>
      this.#work.held.map(({ flow, id, attempt }) => `${flow}/${id}#${attempt}`).sort();
    await until(
      () => running().join() === expected.join(),
      `${running().join()} is ${expected.join()}`,
      5000,
    );
    const flows = await (this.queue as JobQueue).flows(100);
    const byId = [...flows].sort((a, b) => a.id.localeCompare(b.id)).map(({ id }) => id);
    for (const id of byId) {
      const flow = await this.queue?.flow(id);
      const wanted = this.model.find(id);
      expect(flow?.state).toBe(wanted?.state);
      expect(flow?.jobs.map(({ state, attempt, result }) => ({ state, attempt, result }))).toEqual(
        wanted?.jobs.map(({ state, attempt, result }) => ({ state, attempt, result })),
      );
    }
    expect(flows.map(({ id }) => id)).toEqual(
      [...this.model.flows].sort((a, b) => b.order - a.order).map(({ id }) => id),
    );
  }
}

const anId = fc.constantFrom('f0', 'f1', 'f2');
const aPick = fc.nat(5);
const aStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      id: anId,
      priority: fc.integer({ min: 1, max: 3 }),
      jobs: fc.integer({ min: 1, max: 4 }),
      attempts: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('cancel', 'retry', 'remove'), id: anId }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('complete', 'fail'), pick: aPick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('poison' as const), pick: aPick }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(500, 4000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('concurrency' as const), jobs: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('restart' as const, 'crash' as const) }) },
);

it('does what the model of the contract does, whatever happens in whichever order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(aStep, { minLength: 5, maxLength: 30 }), async (steps) => {
      const folder = await mkdtemp(join(tmpdir(), 'headwater-jobs-model-'));
      const bench = new Bench(join(folder, 'jobs.mdb'));
      try {
        await bench.open();
        for (const step of steps) await bench.step(step);
      } finally {
        await bench.queue?.close();
        await rm(folder, { recursive: true, force: true });
      }
      expect(bench.clock.pendingTimers).toBe(0);
    }),
    { numRuns: Number(process.env['JOB_MODEL_RUNS'] ?? 25), endOnFailure: false },
  );
}, 120_000);
