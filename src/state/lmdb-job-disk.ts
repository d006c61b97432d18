import type { RootDatabase } from 'lmdb';
import { type Clock, every, type Timer } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { LmdbJobRows, ROWS_PER_TURN } from './lmdb-job-rows.ts';
import type { LmdbOwner } from './lmdb-owner.ts';

export interface JobDiskEvents {
  /** What is in memory may not be on the disk: it is to be thrown away. */
  onBroken(error: AppError): void;
  /** It can be written again: what is on it counts. */
  onMended(): void;
}

/** How often a disk that failed is tried again. */
const MEND_INTERVAL_MS = 5000;

/** The file of a queue: writes in order, each whole or not at all, and known to be on the disk when they resolve. */
export class LmdbJobDisk {
  readonly rows: LmdbJobRows;
  readonly #root: RootDatabase;
  readonly #owner: LmdbOwner;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #events: JobDiskEvents;
  #mending: Timer | undefined;
  #broken: AppError | undefined;
  #closing = false;
  #last: Promise<void> = Promise.resolve();
  #clearing: Promise<void> = Promise.resolve();

  constructor(
    root: RootDatabase,
    owner: LmdbOwner,
    deps: { readonly clock: Clock; readonly log: Logger },
    events: JobDiskEvents,
  ) {
    this.rows = new LmdbJobRows(root);
    this.#root = root;
    this.#owner = owner;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#events = events;
  }

  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  /**
   * Makes all of the change or nothing of it; to be read from when it has resolved, which is when it is on the disk.
   * Rejects with AppError JOB_QUEUE_UNAVAILABLE; nothing written later is there then either, until it is mended.
   */
  write(change: () => void): Promise<void> {
    if (this.#broken) return Promise.reject(this.#broken);
    const written = this.#write(change);
    this.#last = written;
    return written;
  }

  /** Resolves when everything written so far is on the disk. */
  settled(): Promise<void> {
    return this.#broken ? Promise.reject(this.#broken) : this.#last;
  }

  async #write(change: () => void): Promise<void> {
    try {
      await this.#attempt(change);
    } catch (cause) {
      throw this.#break(cause);
    }
  }

  async #attempt(change: () => void): Promise<void> {
    if (!(await this.#owner.write(change))) throw new AppError('JOB_QUEUE_IN_USE');
    await this.#root.flushed;
  }

  #break(cause: unknown): AppError {
    if (this.#broken) return this.#broken;
    const error = new AppError('JOB_QUEUE_UNAVAILABLE', undefined, { cause });
    this.#broken = error;
    void this.#logBreak(cause);
    this.#events.onBroken(error);
    if (!isTakenOver(cause) && !this.#closing) {
      this.#mending = every(this.#clock, MEND_INTERVAL_MS, () => void this.#mend());
    }
    return error;
  }

  async #logBreak(cause: unknown): Promise<void> {
    const err = await deepCause(cause);
    if (isTakenOver(cause)) this.#log.error({ err }, 'another process took over the job queue');
    else this.#log.error({ err }, 'the job queue cannot be written; trying again until it can');
  }

  async #mend(): Promise<void> {
    try {
      await this.#attempt(() => this.rows.touch());
    } catch (cause) {
      await deepCause(cause);
      if (isTakenOver(cause)) this.#mending?.cancel();
      return;
    }
    if (this.#closing || !this.#broken) return;
    this.#mending?.cancel();
    this.#broken = undefined;
    this.#last = Promise.resolve();
    this.#log.info({}, 'the job queue can be written again');
    this.#events.onMended();
  }

  /** Throws rows of a flow that are marked as litter away, bit by bit. What is left is so when it is opened again. */
  clear(seq: number, jobs: number): void {
    this.#clearing = this.#clearing.then(() => this.#clear(seq, jobs)).catch(() => undefined);
  }

  async #clear(seq: number, jobs: number): Promise<void> {
    for (let start = 0; start < jobs; start += ROWS_PER_TURN) {
      if (this.#closing) return;
      await this.write(() => this.rows.removeRows(seq, start, Math.min(jobs, start + ROWS_PER_TURN)));
    }
    await this.write(() => this.rows.removeLitter(seq));
  }

  /** Writes what is to be written, and leaves the file to the next. Idempotent. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#mending?.cancel();
    await this.#clearing;
    await this.#last.catch(() => undefined);
    await this.#owner.release().catch(() => undefined);
    await this.#root.close();
  }
}

function isTakenOver(cause: unknown): boolean {
  return cause instanceof AppError && cause.code === 'JOB_QUEUE_IN_USE';
}

/** lmdb rejects a second promise with the cause of a failed commit; unheard that would end the process. */
async function deepCause(cause: unknown): Promise<unknown> {
  if (typeof cause !== 'object' || cause === null || !('commitError' in cause)) return cause;
  try {
    await cause.commitError;
    return cause;
  } catch (error) {
    return error;
  }
}
