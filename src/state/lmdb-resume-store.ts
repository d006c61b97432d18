import { chmod, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { hearCause, hearCommit } from './lmdb-commits.ts';
import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import {
  claimedEntry,
  conflictingRecord,
  deletedEntry,
  isAccepted,
  listRecords,
  liveRecord,
  MAX_MARKS,
  nextNumber,
  oldest,
  reportedEntry,
  type ResumeEntry,
  type TitledEntry,
  toRecord,
  begun,
} from './resume-entry.ts';
import { ResumeGate } from './resume-gate.ts';
import {
  MAX_PROFILES,
  MAX_RECORDS,
  type ProfileKey,
  type PutOutcome,
  type PutRules,
  type ResumeList,
  type ResumeRecord,
  type ResumeReport,
  type ResumeStore,
} from './resume-store.ts';
import type { StateMetrics } from './state-metrics.ts';

export interface LmdbResumeDeps {
  readonly clock: Clock;
  readonly metrics: StateMetrics;
}

/** What is kept of a profile besides its titles. */
interface Profile {
  /** The last number given out, as a version or an epoch. */
  readonly version: number;
  /** Version of the newest mark that was thrown away. */
  readonly horizon: number;
  /** Entries with a record. */
  readonly live: number;
  /** Marks and claims. */
  readonly others: number;
}

/** A {@link ResumeEntry} as it is stored: the fields in this order. */
type StoredEntry = [
  kind: ResumeEntry['kind'],
  epoch: number,
  seq: number,
  claimed: number,
  version: number,
  eventMs: number,
  positionMs: number,
  durationMs: number,
  state: ResumeEntry['state'],
  device: string,
];

type EntryKey = [viewer: string, profile: string, title: string];

const NEW_PROFILE: Profile = { version: 0, horizon: 0, live: 0, others: 0 };
/** Greater than every character of a name. */
const AFTER_NAMES = '~';
/** Largest that the file may grow; the address space is reserved, not the disk. */
const MAP_BYTES = 64 * 1024 ** 3;

/**
 * Opens the embedded store: one file, shared by every process that opens it. What it has acknowledged is on the disk
 * (fsync). The caller closes it.
 * @throws AppError RESUME_UNAVAILABLE when the file cannot be opened
 */
export async function openLmdbResumeStore(path: string, deps: LmdbResumeDeps): Promise<ResumeStore> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const root = open({ path, noSubdir: true, maxDbs: 4, mapSize: MAP_BYTES, commitDelay: 0 });
    await Promise.all([path, `${path}-lock`].map((file) => chmod(file, 0o600)));
    return new LmdbResumeStore(root, deps);
  } catch (cause) {
    throw new AppError('RESUME_UNAVAILABLE', `cannot open the store of resume positions ${path}`, { cause });
  }
}

/**
 * Every change is decided inside a transaction of the store, one writer at a time, those of other processes too; the
 * event loop never waits for the disk.
 */
class LmdbResumeStore implements ResumeStore {
  readonly #root: RootDatabase;
  readonly #profiles: Database<Profile, string[]>;
  readonly #entries: Database<StoredEntry, string[]>;
  readonly #clock: Clock;
  readonly #gate: ResumeGate;
  #closing: Promise<void> | undefined;

  constructor(root: RootDatabase, { clock, metrics }: LmdbResumeDeps) {
    this.#root = root;
    this.#clock = clock;
    this.#profiles = root.openDB({ name: 'profiles' });
    this.#entries = root.openDB({ name: 'entries' });
    this.#gate = new ResumeGate({ clock, metrics });
  }

  claim(
    key: ProfileKey,
    title: string,
  ): Promise<{ readonly epoch: number; readonly record: ResumeRecord | undefined }> {
    return this.#gate.ofTitle(key, title, () =>
      this.#change(() => {
        const profile = this.#profileToWrite(key);
        const old = this.#entry(key, title);
        const epoch = this.#next(profile);
        const grown = { ...begun(profile, epoch), version: epoch, others: profile.others + (old ? 0 : 1) };
        this.#put(key, title, claimedEntry(old, epoch));
        this.#putProfile(key, grown);
        return { epoch, record: liveRecord(title, old) };
      }),
    );
  }

  put(key: ProfileKey, report: ResumeReport, rules: PutRules): Promise<PutOutcome> {
    return this.#gate.ofReport(key, report, () =>
      this.#change((): PutOutcome => {
        const { title } = report;
        const old = this.#entry(key, title);
        const profile = this.#profile(key);
        if (!profile || !isAccepted(old, report, rules)) {
          return { kind: 'conflict', record: conflictingRecord(title, old, report) };
        }
        const isNew = old.kind !== 'live';
        const roomy = isNew && profile.live >= MAX_RECORDS ? this.#evictRecord(key, profile) : profile;
        const version = this.#next(roomy);
        const entry = reportedEntry(old, report, version);
        const live = roomy.live + (isNew ? 1 : 0);
        const others = roomy.others - (isNew ? 1 : 0);
        this.#put(key, title, entry);
        this.#putProfile(key, { ...roomy, version, live, others });
        return { kind: 'stored', record: toRecord(title, entry) };
      }),
    );
  }

  find(key: ProfileKey, title: string): Promise<ResumeRecord | undefined> {
    return this.#gate.ofTitle(key, title, () => this.#read(() => liveRecord(title, this.#entry(key, title))));
  }

  list(key: ProfileKey, after: number): Promise<ResumeList> {
    return this.#gate.ofProfile(key, () =>
      this.#read(() => {
        const { version, horizon } = this.#profile(key) ?? NEW_PROFILE;
        return listRecords(this.#entriesOf(key), { version, horizon, after });
      }),
    );
  }

  remove(key: ProfileKey, title: string): Promise<ResumeRecord | undefined> {
    return this.#gate.ofTitle(key, title, () =>
      this.#change(() => {
        const old = this.#entry(key, title);
        const profile = this.#profile(key);
        if (!profile || old?.kind !== 'live') return undefined;
        const version = this.#next(profile);
        const mark = deletedEntry(old, version, this.#clock.wallMs());
        const { live, others } = profile;
        this.#put(key, title, mark);
        this.#putProfile(key, { ...profile, version, live: live - 1, others: others + 1 });
        return toRecord(title, mark);
      }),
    );
  }

  export(
    viewer: string,
  ): Promise<readonly { readonly profile: string; readonly records: readonly ResumeRecord[] }[]> {
    return this.#gate.ofViewer(viewer, () =>
      this.#read(() => {
        return this.#profilesOf(viewer).map((profile) => ({
          profile,
          records: this.#entriesOf({ viewer, profile })
            .filter(({ entry }) => entry.kind !== 'claimed')
            .map(({ title, entry }) => toRecord(title, entry)),
        }));
      }),
    );
  }

  erase(viewer: string): Promise<number> {
    return this.#gate.ofViewer(viewer, () =>
      this.#change(() => {
        let erased = 0;
        for (const profile of this.#profilesOf(viewer)) {
          for (const { title, entry } of this.#entriesOf({ viewer, profile })) {
            if (entry.kind === 'live') erased += 1;
            void this.#entries.remove(entryKey({ viewer, profile }, title));
          }
          void this.#profiles.remove([viewer, profile]);
        }
        return erased;
      }),
    );
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#gate.close();
    await this.#root.flushed;
    await this.#root.close();
  }

  /** Resolves when what was decided on, and what it was decided from, is on the disk. */
  async #change<T>(decide: () => T): Promise<T> {
    try {
      const written = this.#root.transaction(decide);
      hearCommit(this.#root);
      const decided = await written;
      await this.#root.flushed;
      return decided;
    } catch (error) {
      hearCause(error);
      throw error;
    }
  }

  #read<T>(look: () => T): T {
    // Sees what other processes have written by now.
    this.#root.resetReadTxn();
    return look();
  }

  #next(profile: Profile): number {
    return nextNumber(profile.version, this.#clock.wallMs());
  }

  #profile({ viewer, profile }: ProfileKey): Profile | undefined {
    return this.#profiles.get([viewer, profile]);
  }

  #profileToWrite(key: ProfileKey): Profile {
    const profile = this.#profile(key);
    if (profile) return profile;
    if (this.#profilesOf(key.viewer).length >= MAX_PROFILES) throw new AppError('RESUME_PROFILE_LIMIT');
    return NEW_PROFILE;
  }

  #putProfile(key: ProfileKey, profile: Profile): void {
    const kept = profile.others > MAX_MARKS ? this.#dropOther(key, profile) : profile;
    void this.#profiles.put([key.viewer, key.profile], kept);
  }

  /** Its mark takes its place, so that devices learn of it. */
  #evictRecord(key: ProfileKey, profile: Profile): Profile {
    const found = oldest(this.#entriesOf(key), (kind) => kind === 'live');
    if (!found) return profile;
    const version = this.#next(profile);
    this.#put(key, found.title, deletedEntry(found.entry, version, this.#clock.wallMs()));
    return { ...profile, version, live: profile.live - 1, others: profile.others + 1 };
  }

  #dropOther(key: ProfileKey, profile: Profile): Profile {
    const found = oldest(this.#entriesOf(key), (kind) => kind !== 'live');
    if (!found) return profile;
    void this.#entries.remove(entryKey(key, found.title));
    const horizon = found.entry.kind === 'deleted' ? found.entry.version : profile.horizon;
    return { ...profile, horizon: Math.max(profile.horizon, horizon), others: profile.others - 1 };
  }

  #profilesOf(viewer: string): string[] {
    const range = this.#profiles.getKeys({ start: [viewer, ''], end: [viewer, AFTER_NAMES] });
    return [...range].map(([, profile]) => profile ?? '');
  }

  #entry(key: ProfileKey, title: string): ResumeEntry | undefined {
    const stored = this.#entries.get(entryKey(key, title));
    return stored && fromStored(stored);
  }

  #entriesOf(key: ProfileKey): TitledEntry[] {
    const range = this.#entries.getRange({ start: entryKey(key, ''), end: entryKey(key, AFTER_NAMES) });
    return [...range].map(({ key: [, , title = ''], value }) => ({ title, entry: fromStored(value) }));
  }

  #put(key: ProfileKey, title: string, entry: ResumeEntry): void {
    void this.#entries.put(entryKey(key, title), toStored(entry));
  }
}

function entryKey({ viewer, profile }: ProfileKey, title: string): EntryKey {
  return [viewer, profile, title];
}

function toStored(entry: ResumeEntry): StoredEntry {
  const { kind, epoch, seq, claimed, version, eventMs, positionMs, durationMs, state, device } = entry;
  return [kind, epoch, seq, claimed, version, eventMs, positionMs, durationMs, state, device];
}

function fromStored(stored: StoredEntry): ResumeEntry {
  const [kind, epoch, seq, claimed, version, eventMs, positionMs, durationMs, state, device] = stored;
  return { kind, epoch, seq, claimed, version, eventMs, positionMs, durationMs, state, device };
}
