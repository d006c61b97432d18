import {
  assertKey,
  assertName,
  assertReport,
  claimedEntry,
  conflictingRecord,
  deletedEntry,
  isAccepted,
  listRecords,
  liveRecord,
  nextNumber,
  reportedEntry,
  type ResumeEntry,
  toRecord,
} from '../../src/state/resume-entry.ts';
import type {
  ProfileKey,
  PutOutcome,
  PutRules,
  ResumeList,
  ResumeRecord,
  ResumeReport,
  ResumeStore,
} from '../../src/state/resume-store.ts';

/** How a store may break its promise, to see that it is noticed. */
export type Sabotage = 'none' | 'no persistence' | 'last write wins' | 'version not grown' | 'lost update';

interface Profile {
  version: number;
  readonly entries: Map<string, ResumeEntry>;
}

/** The resume store in memory, without limits: for tests of what stands above it, and of what checks a store. */
export class MemoryResumeStore implements ResumeStore {
  readonly #profiles = new Map<string, Profile>();
  readonly #sabotage: Sabotage;
  readonly #wallMs: () => number;
  #puts = 0;

  constructor(sabotage: Sabotage = 'none', wallMs: () => number = Date.now) {
    this.#sabotage = sabotage;
    this.#wallMs = wallMs;
  }

  /** What a crash leaves: everything, unless sabotaged. */
  crash(): void {
    if (this.#sabotage === 'no persistence') this.#profiles.clear();
  }

  async claim(key: ProfileKey, title: string): Promise<{ epoch: number; record: ResumeRecord | undefined }> {
    assertKey(key, title);
    const profile = this.#profile(key);
    const old = profile.entries.get(title);
    const epoch = this.#next(profile);
    profile.entries.set(title, claimedEntry(old, epoch));
    return { epoch, record: liveRecord(title, old) };
  }

  async put(key: ProfileKey, report: ResumeReport, rules: PutRules): Promise<PutOutcome> {
    assertKey(key);
    assertReport(report);
    const { title } = report;
    const profile = this.#profile(key);
    const old = profile.entries.get(title);
    const isTaken = this.#sabotage === 'last write wins' ? old !== undefined : isAccepted(old, report, rules);
    if (!isTaken || !old) return { kind: 'conflict', record: conflictingRecord(title, old, report) };
    this.#puts += 1;
    const isSame = this.#sabotage === 'version not grown' && this.#puts % 4 === 0;
    const entry = reportedEntry(old, report, isSame ? profile.version : this.#next(profile));
    const isLost = this.#sabotage === 'lost update' && this.#puts % 4 === 0;
    if (!isLost) profile.entries.set(title, entry);
    return { kind: 'stored', record: toRecord(title, entry) };
  }

  async find(key: ProfileKey, title: string): Promise<ResumeRecord | undefined> {
    assertKey(key, title);
    return liveRecord(title, this.#profiles.get(nameOf(key))?.entries.get(title));
  }

  async list(key: ProfileKey, after: number): Promise<ResumeList> {
    assertKey(key);
    const { version, entries } = this.#profiles.get(nameOf(key)) ?? { version: 0, entries: new Map() };
    const titled = [...entries].map(([title, entry]) => ({ title, entry }));
    return listRecords(titled, { version, horizon: 0, after });
  }

  async remove(key: ProfileKey, title: string): Promise<ResumeRecord | undefined> {
    assertKey(key, title);
    const profile = this.#profile(key);
    const old = profile.entries.get(title);
    if (old?.kind !== 'live') return undefined;
    const mark = deletedEntry(old, this.#next(profile), this.#wallMs());
    profile.entries.set(title, mark);
    return toRecord(title, mark);
  }

  async export(viewer: string): Promise<{ profile: string; records: ResumeRecord[] }[]> {
    assertName(viewer);
    return [...this.#profiles]
      .filter(([name]) => name.startsWith(`${viewer}:`))
      .map(([name, { entries }]) => ({
        profile: name.slice(viewer.length + 1),
        records: [...entries]
          .filter(([, entry]) => entry.kind !== 'claimed')
          .map(([title, entry]) => toRecord(title, entry)),
      }));
  }

  async erase(viewer: string): Promise<number> {
    const exported = await this.export(viewer);
    for (const { profile } of exported) this.#profiles.delete(nameOf({ viewer, profile }));
    return exported.flatMap(({ records }) => records).filter(({ isDeleted }) => !isDeleted).length;
  }

  async close(): Promise<void> {}

  #next(profile: Profile): number {
    profile.version = nextNumber(profile.version, this.#wallMs());
    return profile.version;
  }

  #profile(key: ProfileKey): Profile {
    const profile = this.#profiles.get(nameOf(key)) ?? { version: 0, entries: new Map() };
    this.#profiles.set(nameOf(key), profile);
    return profile;
  }
}

function nameOf({ viewer, profile }: ProfileKey): string {
  return `${viewer}:${profile}`;
}
