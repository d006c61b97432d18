import type { JobHandler, JobWorker, WorkerOptions } from './job-queue.ts';

/** What a worker asks of its queue. */
export interface WorkerHost {
  /** There may be room for another job. */
  pump(): void;
  /** Takes what it holds away from it, and waits until it is idle. */
  close(worker: InProcessWorker): Promise<void>;
}

/** A handler and its slots. A slot is free again when the handler has settled, not when it was told to stop. */
export class InProcessWorker implements JobWorker {
  readonly kinds: ReadonlySet<string>;
  readonly handler: JobHandler;
  readonly #host: WorkerHost;
  readonly #held = new Set<Promise<void>>();
  #concurrency: number;
  #closing: Promise<void> | undefined;

  constructor({ kinds, concurrency }: WorkerOptions, handler: JobHandler, host: WorkerHost) {
    this.kinds = new Set(kinds);
    this.handler = handler;
    this.#host = host;
    this.#concurrency = concurrency;
  }

  get hasRoom(): boolean {
    return this.#closing === undefined && this.#held.size < this.#concurrency;
  }

  /** @param run never rejects */
  hold(run: Promise<void>): void {
    const held = run.finally(() => {
      this.#held.delete(held);
      this.#host.pump();
    });
    this.#held.add(held);
  }

  setConcurrency(jobs: number): void {
    this.#concurrency = jobs;
    this.#host.pump();
  }

  /** Resolves when no handler of its runs. */
  async idle(): Promise<void> {
    while (this.#held.size > 0) await Promise.all(this.#held);
  }

  close(): Promise<void> {
    this.#closing ??= Promise.resolve().then(() => this.#host.close(this));
    return this.#closing;
  }
}
