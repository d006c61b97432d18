import { MessageChannel } from 'node:worker_threads';
import type { Database, RootDatabase } from 'lmdb';
import { type Clock, every, type Timer } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { hearCommit } from './lmdb-commits.ts';
import type { ProcessIdentity, ProcessTable } from './process-identity.ts';

/** Whose the file is. */
interface OwnerRow extends ProcessIdentity {
  /** Counts on as long as the owner lives; looked at only by those that cannot see its process. */
  readonly beat: number;
}

const KEY = 'owner';
const BEAT_INTERVAL_MS = 1000;
/** An owner in another container that was silent for so long is taken for dead. */
const SILENT_MS = 6000;

/**
 * One process at a time owns a file of lmdb. Everything it writes is conditional on its still being the owner: one that
 * was taken for dead and comes back changes nothing any more.
 */
export class LmdbOwner {
  readonly #owners: Database<OwnerRow, string>;
  readonly #self: ProcessIdentity;
  /** Version of the owner's record: greater than that of every owner before. */
  readonly #term: number;
  readonly #beats: Timer;
  #beat = 0;

  /**
   * Becomes the owner. Waits some seconds where it cannot be seen whether the last one still lives.
   * @throws AppError JOB_QUEUE_IN_USE when it does
   */
  static async claim(root: RootDatabase, clock: Clock, processes: ProcessTable): Promise<LmdbOwner> {
    const owners: Database<OwnerRow, string> = root.openDB({ name: 'owner', useVersions: true });
    const last = owners.getEntry(KEY);
    if (last && (await lives(owners, last.value, clock, processes))) throw new AppError('JOB_QUEUE_IN_USE');
    const terms: Database<number, string> = root.openDB({ name: 'terms' });
    const self = { ...processes.own, beat: 0 };
    // Decided in one transaction, as two may wait for the same dead one.
    const term = root.transactionSync(() => {
      if (owners.getEntry(KEY)?.version !== last?.version) return undefined;
      const next = (terms.get(KEY) ?? 0) + 1;
      terms.putSync(KEY, next);
      owners.putSync(KEY, self, next);
      return next;
    });
    if (term === undefined) throw new AppError('JOB_QUEUE_IN_USE');
    return new LmdbOwner(owners, processes.own, term, clock);
  }

  private constructor(owners: Database<OwnerRow, string>, self: ProcessIdentity, term: number, clock: Clock) {
    this.#owners = owners;
    this.#self = self;
    this.#term = term;
    this.#beats = every(clock, BEAT_INTERVAL_MS, () => this.#putBeat());
  }

  /** Does all the writes, or none of them. False: somebody else is the owner now. */
  write(change: () => void): Promise<boolean> {
    const written = this.#owners.ifVersion(KEY, this.#term, change);
    hearCommit(this.#owners);
    return written;
  }

  /** Leaves the file to the next. Idempotent. */
  async release(): Promise<void> {
    this.stop();
    await this.write(() => void this.#owners.remove(KEY));
  }

  /** Says nothing any more; the next owner will find out by itself. */
  stop(): void {
    this.#beats.cancel();
  }

  #putBeat(): void {
    this.#beat++;
    const row = { ...this.#self, beat: this.#beat };
    // A write that fails tells of itself at the next one that matters.
    this.write(() => void this.#owners.put(KEY, row, this.#term)).catch(() => undefined);
  }
}

async function lives(
  owners: Database<OwnerRow, string>,
  owner: OwnerRow,
  clock: Clock,
  processes: ProcessTable,
): Promise<boolean> {
  const seen = processes.isAlive(owner);
  if (seen !== undefined) return seen;
  // The clock's timers do not keep the process alive, and at start nothing else may.
  const { port1: alive } = new MessageChannel();
  alive.ref();
  try {
    const untilMs = clock.monotonicMs() + SILENT_MS;
    while (clock.monotonicMs() < untilMs) {
      await new Promise<void>((resolve) => clock.after(BEAT_INTERVAL_MS, resolve));
      if (owners.get(KEY)?.beat !== owner.beat) return true;
    }
    return false;
  } finally {
    alive.close();
  }
}
