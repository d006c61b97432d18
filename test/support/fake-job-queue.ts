import type {
  FlowSpec,
  FlowState,
  FlowStatus,
  JobEvent,
  JobQueue,
  JobStatus,
  JobWorker,
  Json,
} from '../../src/state/job-queue.ts';

/** A queue whose work a test does by hand, step by step. */
export class FakeJobQueue implements JobQueue {
  readonly #flows = new Map<string, FlowStatus>();
  readonly #listeners = new Set<(event: JobEvent) => void>();
  nowMs = 0;
  /** Rejects every call while it is set. */
  failure: Error | undefined;

  async add(spec: FlowSpec): Promise<boolean> {
    this.#check();
    if (this.#flows.has(spec.id)) return false;
    const jobs = spec.jobs.map(({ id, kind }): JobStatus => {
      return { id, kind, state: 'waiting', attempt: 0, progress: 0, result: undefined, error: undefined };
    });
    this.#flows.set(spec.id, {
      id: spec.id,
      state: 'running',
      data: spec.data,
      addedMs: this.nowMs,
      endedMs: undefined,
      jobs,
    });
    return true;
  }

  async flow(id: string): Promise<FlowStatus | undefined> {
    this.#check();
    return this.#flows.get(id);
  }

  async flows(limit: number): Promise<readonly FlowStatus[]> {
    this.#check();
    return [...this.#flows.values()].toReversed().slice(0, limit);
  }

  async cancel(id: string): Promise<boolean> {
    return this.#end(id, 'cancelled');
  }

  async retry(id: string): Promise<boolean> {
    const flow = this.#flows.get(id);
    if (!flow || (flow.state !== 'failed' && flow.state !== 'cancelled')) return false;
    const jobs = flow.jobs.map(
      (job): JobStatus => (job.state === 'done' ? job : { ...job, state: 'waiting' }),
    );
    this.#flows.set(id, { ...flow, state: 'running', endedMs: undefined, jobs });
    this.#tell({ kind: 'flow', flow: id, state: 'running' });
    return true;
  }

  async remove(id: string): Promise<boolean> {
    return this.#flows.get(id)?.state !== 'running' && this.#flows.delete(id);
  }

  work(): JobWorker {
    throw new Error('nothing works here but the test');
  }

  subscribe(listener: (event: JobEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Changes a job; the flow is done when all its jobs are. */
  set(flow: string, id: string, change: Partial<JobStatus>): void {
    const known = this.#flows.get(flow);
    if (!known?.jobs.some((job) => job.id === id)) throw new Error(`no job ${id} in ${flow}`);
    const jobs = known.jobs.map((job) => (job.id === id ? { ...job, ...change } : job));
    this.#flows.set(flow, { ...known, jobs });
    const job = jobs.find((one) => one.id === id);
    if (job) this.#tell({ kind: 'job', flow, job });
    if (jobs.every(({ state }) => state === 'done')) this.#end(flow, 'done');
  }

  finish(flow: string, id: string, result: unknown): void {
    this.set(flow, id, { state: 'done', attempt: 1, progress: 1, result: result as Json });
  }

  fail(flow: string, id: string, message: string): void {
    this.set(flow, id, { state: 'failed', attempt: 4, error: { code: 'VOD_PIECE_FAILED', message } });
    this.#end(flow, 'failed');
  }

  #end(id: string, state: FlowState): boolean {
    const flow = this.#flows.get(id);
    if (flow?.state !== 'running') return false;
    this.#flows.set(id, { ...flow, state, endedMs: this.nowMs });
    this.#tell({ kind: 'flow', flow: id, state });
    return true;
  }

  #tell(event: JobEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #check(): void {
    if (this.failure) throw this.failure;
  }
}
