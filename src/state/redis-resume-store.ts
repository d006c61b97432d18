import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { RedisConnection } from './redis-connection.ts';
import {
  conflictingRecord,
  listRecords,
  liveRecord,
  nextNumber,
  type ResumeEntry,
  type TitledEntry,
  toRecord,
} from './resume-entry.ts';
import { ResumeGate } from './resume-gate.ts';
import {
  type ProfileKey,
  type PutOutcome,
  type PutRules,
  type ResumeList,
  type ResumeRecord,
  type ResumeReport,
  type ResumeStore,
  type WatchState,
} from './resume-store.ts';
import type { StateMetrics } from './state-metrics.ts';

export interface RedisResumeDeps {
  readonly clock: Clock;
  readonly metrics: StateMetrics;
  /** Stays with the caller. Opened with RESUME_SCRIPTS. */
  readonly redis: RedisConnection;
  /** Before every key. */
  readonly prefix: string;
}

interface Profile {
  readonly version: number;
  readonly horizon: number;
  readonly entries: readonly TitledEntry[];
}

const KINDS = { live: 'l', deleted: 'd', claimed: 'c' } as const;
const STATES = { playing: 'p', paused: 'h', stopped: 's', completed: 'c' } as const;
const KIND_OF = inverse<ResumeEntry['kind']>(KINDS);
const STATE_OF = inverse<WatchState>(STATES);
const MAIN = 'main';
/** Turns of an erasure that finds one more profile each time. */
const MAX_ERASE_TURNS = 5;

/**
 * Resume positions in Redis: a hash for each profile, each change one script. All keys of a user have the user's name as
 * hash tag, so they are in one slot of a Cluster, and an erasure is one step; users spread over the slots. `main`,
 * which most users have alone, is in no set of profiles: that saves each of them a key.
 *
 * What was answered outlives the process of Redis with `appendonly yes`, whatever `appendfsync` is: nothing is answered,
 * nor shown, before it is in the file. A loss of power may take the last second with `everysec`, and the next reports make up
 * for it.
 */
export class RedisResumeStore implements ResumeStore {
  readonly #redis: RedisConnection;
  readonly #clock: Clock;
  readonly #prefix: string;
  readonly #gate: ResumeGate;

  constructor({ clock, metrics, redis, prefix }: RedisResumeDeps) {
    this.#redis = redis;
    this.#clock = clock;
    this.#prefix = prefix;
    this.#gate = new ResumeGate({ clock, metrics });
  }

  claim(
    key: ProfileKey,
    title: string,
  ): Promise<{ readonly epoch: number; readonly record: ResumeRecord | undefined }> {
    return this.#gate.ofTitle(key, title, async () => {
      const keys = [this.#key(key), this.#othersKey(key.viewer), this.#key({ ...key, profile: MAIN })];
      const answer = await this.#redis.runSafely('resumeClaim', keys, [title, key.profile, this.#seconds()]);
      if (answer === 'full') throw new AppError('RESUME_PROFILE_LIMIT');
      const [epoch, raw] = answer as [number, string];
      return { epoch, record: liveRecord(title, parseEntry(raw)) };
    });
  }

  put(key: ProfileKey, report: ResumeReport, { offline }: PutRules): Promise<PutOutcome> {
    return this.#gate.ofReport(key, report, async (): Promise<PutOutcome> => {
      const { title, epoch, seq, eventMs, state, positionMs, durationMs, device } = report;
      const rest = `${positionMs.toString(36)},${durationMs.toString(36)},${device}`;
      const times = [eventMs.toString(36), STATES[state], rest, this.#nowText()];
      const args = [title, this.#seconds(), offline ? 1 : 0, epoch, seq, ...times];
      const answer = await this.#redis.runSafely('resumePut', [this.#key(key)], args);
      const [kind, raw] = answer as ['stored' | 'conflict', string];
      const entry = raw === '' ? undefined : parseEntry(raw);
      if (kind === 'stored' && entry) return { kind, record: toRecord(title, entry) };
      return { kind: 'conflict', record: conflictingRecord(title, entry, report) };
    });
  }

  find(key: ProfileKey, title: string): Promise<ResumeRecord | undefined> {
    return this.#gate.ofTitle(key, title, async () => {
      const raw = (await this.#redis.read('hget', this.#key(key), title)) as string | null;
      return raw === null ? undefined : liveRecord(title, parseEntry(raw));
    });
  }

  list(key: ProfileKey, after: number): Promise<ResumeList> {
    return this.#gate.ofProfile(key, async () => {
      const { version, horizon, entries } = await this.#profile(key);
      return listRecords(entries, { version, horizon, after });
    });
  }

  remove(key: ProfileKey, title: string): Promise<ResumeRecord | undefined> {
    return this.#gate.ofTitle(key, title, async () => {
      const args = [title, this.#seconds(), this.#nowText()];
      const raw = (await this.#redis.runSafely('resumeRemove', [this.#key(key)], args)) as string;
      return raw === '' ? undefined : toRecord(title, parseEntry(raw));
    });
  }

  export(
    viewer: string,
  ): Promise<readonly { readonly profile: string; readonly records: readonly ResumeRecord[] }[]> {
    return this.#gate.ofViewer(viewer, async () => {
      const profiles = [MAIN, ...(await this.#others(viewer))];
      const exported = await Promise.all(
        profiles.map(async (profile) => {
          const { version, entries } = await this.#profile({ viewer, profile });
          const told = entries.filter(({ entry }) => entry.kind !== 'claimed');
          return { profile, version, records: told.map(({ title, entry }) => toRecord(title, entry)) };
        }),
      );
      return exported
        .filter(({ version }) => version > 0)
        .map(({ profile, records }) => ({ profile, records }));
    });
  }

  erase(viewer: string): Promise<number> {
    return this.#gate.ofViewer(viewer, async () => {
      for (let turn = 0; turn < MAX_ERASE_TURNS; turn++) {
        const others = await this.#others(viewer);
        const profiles = [MAIN, ...others].map((profile) => this.#key({ viewer, profile }));
        const keys = [this.#othersKey(viewer), ...profiles];
        const erased = (await this.#redis.runSafely('resumeErase', keys, others)) as number;
        if (erased >= 0) return erased;
      }
      throw new AppError('RESUME_UNAVAILABLE');
    });
  }

  close(): Promise<void> {
    return this.#gate.close();
  }

  async #profile(key: ProfileKey): Promise<Profile> {
    const flat = (await this.#redis.readByScript('resumeList', [this.#key(key)], [])) as string[];
    const entries: TitledEntry[] = [];
    const numbers = new Map<string, number>();
    for (let i = 0; i + 1 < flat.length; i += 2) {
      const [name = '', raw = ''] = flat.slice(i, i + 2);
      if (name.startsWith('#')) numbers.set(name, fromBase36(raw));
      else entries.push({ title: name, entry: parseEntry(raw) });
    }
    return { version: numbers.get('#v') ?? 0, horizon: numbers.get('#h') ?? 0, entries };
  }

  async #others(viewer: string): Promise<string[]> {
    return [...((await this.#redis.call('smembers', this.#othersKey(viewer))) as Iterable<string>)];
  }

  #key({ viewer, profile }: ProfileKey): string {
    return `${this.#prefix}r:{${viewer}}:${profile}`;
  }

  #othersKey(viewer: string): string {
    return `${this.#prefix}rp:{${viewer}}`;
  }

  /** The number that the clock alone would give out. */
  #seconds(): number {
    return nextNumber(-1, this.#clock.wallMs());
  }

  #nowText(): string {
    return Math.floor(this.#clock.wallMs()).toString(36);
  }
}

/** Reads a field; see redis-resume-scripts.ts. */
function parseEntry(raw: string): ResumeEntry {
  const [letters = '', epochText = '', ...texts] = raw.split(',');
  const epoch = fromBase36(epochText);
  const [claimed = 0, seq = 0, version = 0, eventMs = 0, positionMs = 0, durationMs = 0] = texts
    .slice(0, 6)
    .map(fromBase36);
  const kind = KIND_OF.get(letters.slice(0, 1));
  const state = STATE_OF.get(letters.slice(1));
  if (!kind || !state) throw new Error('a field of a profile in Redis is not ours');
  return {
    kind,
    epoch,
    seq,
    claimed: epoch + claimed,
    version: epoch + version,
    eventMs,
    positionMs,
    durationMs,
    state,
    device: texts[6] ?? '-',
  };
}

function fromBase36(text: string): number {
  return Number.parseInt(text, 36);
}

function inverse<Word extends string>(letters: Readonly<Record<Word, string>>): ReadonlyMap<string, Word> {
  return new Map(Object.entries<string>(letters).map(([word, letter]) => [letter, word as Word]));
}
