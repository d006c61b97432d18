import { chmod, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { hearCause, hearCommit } from './lmdb-commits.ts';
import { LmdbOwner } from './lmdb-owner.ts';
import { type ProcessTable, systemProcesses } from './process-identity.ts';

/** What stands first says what the row is of. */
export type IndexKey = readonly [string, ...(string | number)[]];

/** A row to be written; without text it is removed. */
export interface IndexRow {
  readonly key: IndexKey;
  readonly text: string | undefined;
}

/** A row as it was found. Its key may be anything. */
export interface FoundRow {
  readonly key: readonly unknown[];
  readonly text: string;
}

/** Rows of text on disk, for one process at a time. Whoever opens it closes it. */
export interface SegmentIndex {
  /** All rows in the order of their keys. */
  rows(): Iterable<FoundRow>;
  /**
   * Writes all of the rows or none; what was called first is written first. What it has resolved for outlives the process.
   * Rejects with AppError STATE_SEGMENTS_UNAVAILABLE (worth a retry), STATE_SEGMENTS_IN_USE.
   */
  write(rows: readonly IndexRow[]): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface SegmentIndexDeps {
  readonly clock: Clock;
  /** Of the machine, unless a test says otherwise. */
  readonly processes?: ProcessTable | undefined;
}

/** Of the rows below; another server may write others, and must not be misread. */
const VERSION = '1';
const VERSION_KEY: IndexKey = ['version'];
/** Largest that the file may grow; the address space is reserved, not the disk. */
const MAP_BYTES = 8 * 1024 ** 3;

/**
 * Opens the index, one file, made when it is not there.
 * @throws AppError STATE_SEGMENTS_IN_USE, STATE_SEGMENTS_UNAVAILABLE
 */
export async function openSegmentIndex(path: string, deps: SegmentIndexDeps): Promise<SegmentIndex> {
  let root: RootDatabase | undefined;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    root = open({ path, noSubdir: true, maxDbs: 4, mapSize: MAP_BYTES, commitDelay: 0 });
    await Promise.all([path, `${path}-lock`].map((file) => chmod(file, 0o600)));
    const owner = await LmdbOwner.claim(root, deps.clock, deps.processes ?? systemProcesses());
    const index = new LmdbSegmentIndex(root, owner);
    await index.requireVersion();
    return index;
  } catch (cause) {
    await root?.close();
    throw asIndexError(cause, `the index of live segments ${path} cannot be opened`);
  }
}

class LmdbSegmentIndex implements SegmentIndex {
  readonly #root: RootDatabase;
  readonly #owner: LmdbOwner;
  /** Text, so that no row can fail to be read: what it says is for others to judge. */
  readonly #rows: Database<string, (string | number)[]>;
  #closing: Promise<void> | undefined;

  constructor(root: RootDatabase, owner: LmdbOwner) {
    this.#root = root;
    this.#owner = owner;
    this.#rows = root.openDB({ name: 'rows', encoding: 'string' });
  }

  /** @throws AppError STATE_SEGMENTS_UNAVAILABLE when another version of the server has written it */
  async requireVersion(): Promise<void> {
    const found = this.#rows.get([...VERSION_KEY]);
    if (found === undefined) return this.write([{ key: VERSION_KEY, text: VERSION }]);
    if (found === VERSION) return;
    await this.#owner.release().catch(hearCause);
    throw new AppError(
      'STATE_SEGMENTS_UNAVAILABLE',
      'the index of live segments is of another version of Headwater',
    );
  }

  *rows(): Iterable<FoundRow> {
    for (const { key, value } of this.#rows.getRange()) {
      const parts: readonly unknown[] = Array.isArray(key) ? key : [key];
      if (parts[0] !== VERSION_KEY[0]) yield { key: parts, text: value };
    }
  }

  async write(rows: readonly IndexRow[]): Promise<void> {
    if (this.#closing)
      throw new AppError('STATE_SEGMENTS_UNAVAILABLE', 'the index of live segments is closed');
    let isOwner: boolean;
    try {
      isOwner = await this.#owner.write(() => {
        for (const { key, text } of rows) {
          if (text === undefined) void this.#rows.remove([...key]);
          else void this.#rows.put([...key], text);
        }
      });
    } catch (cause) {
      hearCause(cause);
      throw asIndexError(cause);
    }
    if (!isOwner) throw new AppError('STATE_SEGMENTS_IN_USE');
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#owner.release().catch(hearCause);
    hearCommit(this.#root);
    await this.#root.close();
  }
}

function asIndexError(cause: unknown, message?: string): AppError {
  if (cause instanceof AppError) {
    // The rule of ownership is that of the job queue, whose name the code has.
    return cause.code === 'JOB_QUEUE_IN_USE' ? new AppError('STATE_SEGMENTS_IN_USE') : cause;
  }
  return new AppError('STATE_SEGMENTS_UNAVAILABLE', message, { cause });
}
