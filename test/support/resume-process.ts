import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ResumeStore } from '../../src/state/resume-store.ts';
import { ROOT } from './build.ts';

/** What the other process runs: the embedded store of dist/, asked by messages. */
const PROGRAM = `
const from = (path) => import(process.argv[1] + path);
const { openLmdbResumeStore } = await from('/state/lmdb-resume-store.js');
const { StateMetrics } = await from('/state/state-metrics.js');
const { Metrics } = await from('/base/metrics.js');
const { systemClock } = await from('/base/clock.js');
const store = await openLmdbResumeStore(process.argv[2], { clock: systemClock, metrics: new StateMetrics(new Metrics()) });
process.on('message', async ({ id, method, args }) => {
  try {
    process.send({ id, value: await store[method](...args) });
  } catch (error) {
    process.send({ id, code: error.code ?? String(error) });
  }
});
process.send({ id: 0 });
`;

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly code?: string;
}

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** The embedded store in a process of its own, that can be killed at any moment. */
export class ResumeProcess implements ResumeStore {
  readonly #path: string;
  readonly #waiting = new Map<number, Waiting>();
  #child: ChildProcess | undefined;
  #lastId = 0;

  /** The file may be open in several processes. */
  constructor(path: string) {
    this.#path = path;
  }

  async start(): Promise<void> {
    const dist = pathToFileURL(join(ROOT, 'dist')).href;
    const args = ['--input-type=module', '-e', PROGRAM, dist, this.#path];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    child.on('message', (answer: Answer) => this.#take(answer));
    child.once('exit', () => this.#dropAll());
    this.#child = child;
    await once(child, 'message');
  }

  /** As the kernel does when memory is short. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  claim: ResumeStore['claim'] = (...args) => this.#ask('claim', args);
  put: ResumeStore['put'] = (...args) => this.#ask('put', args);
  find: ResumeStore['find'] = (...args) => this.#ask('find', args);
  list: ResumeStore['list'] = (...args) => this.#ask('list', args);
  remove: ResumeStore['remove'] = (...args) => this.#ask('remove', args);
  export: ResumeStore['export'] = (...args) => this.#ask('export', args);
  erase: ResumeStore['erase'] = (...args) => this.#ask('erase', args);
  close: ResumeStore['close'] = () => this.kill();

  #ask<T>(method: string, args: readonly unknown[]): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const child = this.#child;
      if (!child?.connected) return reject(new Error('the process is dead'));
      this.#lastId += 1;
      this.#waiting.set(this.#lastId, { resolve, reject });
      // A message to a process that dies just now is lost without a word but this one.
      child.send({ id: this.#lastId, method, args }, () => undefined);
      return undefined;
    });
  }

  #take({ id, value, code }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (code === undefined) waiting?.resolve(value as never);
    else waiting?.reject(new Error(code));
  }

  #dropAll(): void {
    for (const { reject } of this.#waiting.values()) reject(new Error('the process died'));
    this.#waiting.clear();
  }
}
