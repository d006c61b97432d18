import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { expect } from 'vitest';
import type { FlowStatus } from '../../src/state/job-queue.ts';
import { until } from './until.ts';

/** Which queue a {@link JobWorkerProcess} opens, and what it does there. */
export interface JobWorkerSettings {
  /** Of the embedded driver. */
  readonly path?: string;
  /** Of BullMQ. */
  readonly port?: number;
  readonly prefix?: string;
  readonly options: Readonly<Record<string, number>>;
  /** A job takes up to twice as long. */
  readonly workMs: number;
  readonly concurrency: number;
  /** Every attempt that is begun, by all processes. */
  readonly begunFile: string;
}

/** A process of its own that does jobs (`job-worker.mjs`, from dist/). */
export class JobWorkerProcess {
  readonly #child: ChildProcessByStdio<null, Readable, null>;
  #said = '';

  constructor(settings: JobWorkerSettings) {
    const script = join(import.meta.dirname, 'job-worker.mjs');
    this.#child = spawn(process.execPath, [script, JSON.stringify(settings)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child.stdout.on('data', (data: Buffer) => (this.#said += data.toString()));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Lines on stdout that begin with a word. */
  said(word: string): string[] {
    return this.#said.split('\n').filter((line) => line.startsWith(word));
  }

  async untilSaid(word: string, times = 1): Promise<void> {
    await until(() => this.said(word).length >= times, `a worker says ${word} ${times} times`, 40_000);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await closed;
  }
}

/** Every job has a result, of the last attempt that was begun, and no attempt was begun twice. */
export function expectEachDoneOnce(flow: FlowStatus, begunFile: string): void {
  const begun = readFileSync(begunFile, 'utf8').trim().split('\n');
  expect(new Set(begun).size).toBe(begun.length);
  const last = new Map<string, number>();
  for (const line of begun) {
    const [id = '', attempt] = line.split(' ');
    last.set(id, Math.max(last.get(id) ?? 0, Number(attempt)));
  }
  for (const { id, state, attempt, result } of flow.jobs) {
    expect([id, state, (result as { attempt: number }).attempt]).toEqual([id, 'done', attempt]);
    expect([id, last.get(id)]).toEqual([id, attempt]);
  }
}
