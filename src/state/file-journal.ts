import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Counter } from 'prom-client';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';

/** A small record for each name, kept in one file each. */
export interface FileJournal<T> {
  /** The record of `name` as last saved; of an earlier process, what is on disk of it. */
  load(name: string): T | undefined;
  /**
   * Saves in the background. Saves of one name that come while one is being written are merged: the newest wins. A
   * record that is covered by what is on disk is only remembered; see {@link Reservation}.
   */
  save(name: string, record: T): void;
  /** Resolves when everything saved so far is on disk, as it was saved; later saves are ignored. Idempotent. */
  close(): Promise<void>;
}

/**
 * For records that change often: a process that is killed leaves one on disk that stands for several to come, instead
 * of writing each of them. Closing writes the last one itself.
 */
export interface Reservation<T> {
  /** What to write in the place of `record`: one that stands for it and for some that are to follow. */
  readonly ahead: (record: T) => T;
  /** Whether `onDisk` stands for `record` and still for some that are to follow. */
  readonly covers: (onDisk: T, record: T) => boolean;
}

export interface FileJournalOptions<T> {
  /** Reads a record out of JSON; undefined when it is none. */
  readonly parse: (value: unknown) => T | undefined;
  /** Without it every record saved is written. */
  readonly reservation?: Reservation<T>;
  readonly log: Logger;
  readonly metrics: Metrics;
}

const SUFFIX = '.json';
/** Files written at one time while the journal closes: each is an open file. */
const CLOSING_WRITERS = 16;
/** What a name may be, so that it is a file name on any system. */
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * Opens a journal in `dir` (made when missing, for its owner only) and reads all of it. A file is replaced as a whole,
 * by rename, so a crash leaves the old or the new record. A file that cannot be read is renamed aside (`.corrupt`) and
 * logged; its name then has no record.
 * @throws the file system's error when `dir` cannot be made or listed.
 */
export async function openFileJournal<T>(
  dir: string,
  options: FileJournalOptions<T>,
): Promise<FileJournal<T>> {
  const failures = options.metrics.counter(
    'state_journal_failures_total',
    'Stream records that could not be written: numbers of that stream may go back at the next start.',
  );
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const records = new Map<string, T>();
  for (const file of await readdir(dir)) {
    const name = file.endsWith(SUFFIX) ? file.slice(0, -SUFFIX.length) : '';
    if (!NAME.test(name)) continue;
    const record = await readRecord(join(dir, file), options);
    if (record !== undefined) records.set(name, record);
  }
  return new OpenJournal(dir, records, options, failures);
}

async function readRecord<T>(path: string, options: FileJournalOptions<T>): Promise<T | undefined> {
  try {
    const record = options.parse(JSON.parse(await readFile(path, 'utf8')));
    if (record !== undefined) return record;
    options.log.error({ path }, 'journal file is not a record; renamed aside');
  } catch (error) {
    options.log.error({ path, err: error }, 'journal file cannot be read; renamed aside');
  }
  await rename(path, `${path}.corrupt`).catch((error: unknown) => {
    options.log.error({ path, err: error }, 'journal file cannot be renamed');
  });
  return undefined;
}

class OpenJournal<T> implements FileJournal<T> {
  readonly #dir: string;
  readonly #records: Map<string, T>;
  /** What this process has written; of other names an earlier one has. */
  readonly #onDisk = new Map<string, T>();
  readonly #reservation: Reservation<T> | undefined;
  readonly #log: Logger;
  readonly #failures: Counter;
  /** Names with a record that is not on disk yet. */
  readonly #dirty = new Set<string>();
  /** Names of which this process has saved a record. */
  readonly #saved = new Set<string>();
  /** Writers at work, one a name. */
  readonly #writers = new Map<string, Promise<void>>();
  #closing: Promise<void> | undefined;

  constructor(dir: string, records: Map<string, T>, options: FileJournalOptions<T>, failures: Counter) {
    this.#dir = dir;
    this.#records = records;
    this.#reservation = options.reservation;
    this.#log = options.log;
    this.#failures = failures;
  }

  load(name: string): T | undefined {
    return this.#records.get(name);
  }

  save(name: string, record: T): void {
    if (this.#closing) return;
    if (!NAME.test(name)) throw new RangeError(`no journal name: ${name}`);
    this.#records.set(name, record);
    this.#saved.add(name);
    const onDisk = this.#onDisk.get(name);
    if (onDisk !== undefined && this.#reservation?.covers(onDisk, record)) return;
    this.#dirty.add(name);
    if (this.#writers.has(name)) return;
    this.#writers.set(
      name,
      this.#writeWhileDirty(name).finally(() => this.#writers.delete(name)),
    );
  }

  close(): Promise<void> {
    this.#closing ??= this.#writeAllAsSaved();
    return this.#closing;
  }

  /** What is on disk may stand for more than was saved: the next start is not to skip it. */
  async #writeAllAsSaved(): Promise<void> {
    await Promise.all(this.#writers.values());
    const names = this.#saved.values();
    const writeRest = async (): Promise<void> => {
      for (const name of names) await this.#writeAsSaved(name);
    };
    await Promise.all(Array.from({ length: CLOSING_WRITERS }, writeRest));
  }

  async #writeAsSaved(name: string): Promise<void> {
    const record = this.#records.get(name);
    if (record !== undefined && record !== this.#onDisk.get(name)) await this.#tryToWrite(name, record);
  }

  async #writeWhileDirty(name: string): Promise<void> {
    while (this.#dirty.delete(name)) {
      const record = this.#records.get(name);
      if (record !== undefined) await this.#tryToWrite(name, this.#reservation?.ahead(record) ?? record);
    }
  }

  async #tryToWrite(name: string, record: T): Promise<void> {
    try {
      await this.#write(name, JSON.stringify(record));
      this.#onDisk.set(name, record);
    } catch (error) {
      this.#failures.inc();
      this.#log.error({ name, err: error }, 'journal cannot be written');
    }
  }

  async #write(name: string, text: string): Promise<void> {
    const path = join(this.#dir, name + SUFFIX);
    const temporary = `${path}.tmp`;
    try {
      const file = await open(temporary, 'w', 0o600);
      try {
        await file.writeFile(text);
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      throw error;
    }
  }
}
