import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { DynamoClient, type DynamoOptions, DynamoRefusal } from './dynamo-client.ts';
import {
  entryRowKey,
  fromEntryRow,
  fromProfileRow,
  namesOf,
  type ProfileRow,
  profileRowKey,
  type Row,
  toEntryRow,
  toProfileRow,
} from './dynamo-rows.ts';
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
  RESUME_DEADLINE_MS,
  type ResumeList,
  type ResumeRecord,
  type ResumeReport,
  type ResumeStore,
} from './resume-store.ts';
import type { StateMetrics } from './state-metrics.ts';

export interface DynamoResumeDeps {
  readonly clock: Clock;
  readonly metrics: StateMetrics;
}

/** What is stored of a profile and one title when a change is decided. */
interface Seen {
  readonly profile: ProfileRow | undefined;
  readonly entry: ResumeEntry | undefined;
}

/** What a change writes. */
interface Change<T> {
  readonly result: T;
  /** The profile with its new version; undefined: nothing is written. */
  readonly profile?: ProfileRow;
  readonly puts?: readonly TitledEntry[];
}

const NEW_PROFILE: ProfileRow = { version: 0, horizon: 0, live: 0, others: 0 };
/** Devices of one profile that write at once all try again but one; the deadline is reached before this. */
const MAX_TURNS = 100;
/** What DynamoDB deletes with one call. */
const DELETES_AT_ONCE = 25;
/** Rows that come in while a user is erased are found in the next turn. */
const MAX_ERASE_TURNS = 10;

/**
 * Resume positions in DynamoDB. Each change is one transaction under the condition that the profile's version is what was
 * seen, with the row of the title under the rule of (epoch, seq) itself as a second lock.
 *
 * What it cannot do as the others do: it brings no messages between servers (push needs Redis, or DynamoDB Streams), holds no
 * sessions and no leases; an erasure is not one step (a profile that is begun anew meanwhile may stay); a transaction
 * costs twice the write units; many devices of one profile writing at once slow each other down, and some may be told
 * that the store is unavailable.
 */
export class DynamoResumeStore implements ResumeStore {
  readonly #client: DynamoClient;
  readonly #clock: Clock;
  readonly #gate: ResumeGate;
  /** The last change under way of each profile. */
  readonly #changing = new Map<string, Promise<void>>();

  constructor(options: DynamoOptions, { clock, metrics }: DynamoResumeDeps) {
    this.#clock = clock;
    this.#client = new DynamoClient(options, clock, RESUME_DEADLINE_MS);
    this.#gate = new ResumeGate({ clock, metrics });
  }

  claim(
    key: ProfileKey,
    title: string,
  ): Promise<{ readonly epoch: number; readonly record: ResumeRecord | undefined }> {
    return this.#gate.ofTitle(key, title, () => {
      return this.#change(key, title, async ({ profile, entry: old }) => {
        if (!profile && (await this.#countProfiles(key.viewer)) >= MAX_PROFILES) {
          throw new AppError('RESUME_PROFILE_LIMIT');
        }
        const base = profile ?? NEW_PROFILE;
        const epoch = this.#next(base);
        return {
          result: { epoch, record: liveRecord(title, old) },
          profile: { ...begun(base, epoch), version: epoch, others: base.others + (old ? 0 : 1) },
          puts: [{ title, entry: claimedEntry(old, epoch) }],
        };
      });
    });
  }

  put(key: ProfileKey, report: ResumeReport, rules: PutRules): Promise<PutOutcome> {
    return this.#gate.ofReport(key, report, () => {
      const { title } = report;
      return this.#change(key, title, async ({ profile, entry: old }): Promise<Change<PutOutcome>> => {
        if (!profile || !isAccepted(old, report, rules)) {
          return { result: { kind: 'conflict', record: conflictingRecord(title, old, report) } };
        }
        const isNew = old.kind !== 'live';
        const evicted = isNew && profile.live >= MAX_RECORDS ? await this.#evict(key, profile) : undefined;
        const version = nextNumber(evicted?.entry.version ?? profile.version, this.#clock.wallMs());
        const entry = reportedEntry(old, report, version);
        const live = profile.live + (isNew && !evicted ? 1 : 0);
        const others = profile.others - (isNew && !evicted ? 1 : 0);
        return {
          result: { kind: 'stored', record: toRecord(title, entry) },
          profile: { ...profile, version, live, others },
          puts: [{ title, entry }, ...(evicted ? [evicted] : [])],
        };
      });
    });
  }

  find(key: ProfileKey, title: string): Promise<ResumeRecord | undefined> {
    return this.#gate.ofTitle(key, title, async () => {
      return liveRecord(title, (await this.#see(key, title)).entry);
    });
  }

  list(key: ProfileKey, after: number): Promise<ResumeList> {
    return this.#gate.ofProfile(key, async () => {
      // First the profile: what is changed after it was read is told again, and nothing is missed.
      const { version, horizon } = (await this.#see(key)).profile ?? NEW_PROFILE;
      const entries = await this.#entriesOf(key);
      const newest = Math.max(version, ...entries.map(({ entry }) => entry.version));
      return listRecords(entries, { version: newest, horizon, after });
    });
  }

  remove(key: ProfileKey, title: string): Promise<ResumeRecord | undefined> {
    return this.#gate.ofTitle(key, title, () => {
      return this.#change<ResumeRecord | undefined>(key, title, async ({ profile, entry: old }) => {
        if (!profile || old?.kind !== 'live') return { result: undefined };
        const version = this.#next(profile);
        const mark = deletedEntry(old, version, this.#clock.wallMs());
        const { live, others } = profile;
        return {
          result: toRecord(title, mark),
          profile: { ...profile, version, live: live - 1, others: others + 1 },
          puts: [{ title, entry: mark }],
        };
      });
    });
  }

  export(
    viewer: string,
  ): Promise<readonly { readonly profile: string; readonly records: readonly ResumeRecord[] }[]> {
    return this.#gate.ofViewer(viewer, async () => {
      const byProfile = new Map<string, ResumeRecord[]>();
      for (const row of await this.#query(viewer, '')) {
        const { profile, title } = namesOf(row);
        const records = byProfile.get(profile) ?? [];
        byProfile.set(profile, records);
        if (title === undefined) continue;
        const entry = fromEntryRow(row);
        if (entry.kind !== 'claimed') records.push(toRecord(title, entry));
      }
      return [...byProfile].map(([profile, records]) => ({ profile, records }));
    });
  }

  erase(viewer: string): Promise<number> {
    return this.#gate.ofViewer(viewer, async () => {
      let erased = 0;
      for (let turn = 0; turn < MAX_ERASE_TURNS; turn++) {
        // Profiles stand before titles: without its profile no report is taken any more.
        const rows = await this.#query(viewer, '');
        if (rows.length === 0) return erased;
        erased += rows.filter(
          (row) => namesOf(row).title !== undefined && fromEntryRow(row).kind === 'live',
        ).length;
        for (let i = 0; i < rows.length; i += DELETES_AT_ONCE) {
          await this.#delete(rows.slice(i, i + DELETES_AT_ONCE));
        }
      }
      throw new AppError('RESUME_UNAVAILABLE');
    });
  }

  close(): Promise<void> {
    return this.#gate.close();
  }

  /** Changes of one profile by this process go one after the other: only other processes come between. */
  async #change<T>(key: ProfileKey, title: string, decide: (seen: Seen) => Promise<Change<T>>): Promise<T> {
    const name = `${key.viewer}#${key.profile}`;
    const before = this.#changing.get(name) ?? Promise.resolve();
    const changing = before.then(() => this.#changeNow(key, title, decide));
    const settled = changing.then(
      () => undefined,
      () => undefined,
    );
    this.#changing.set(name, settled);
    try {
      return await changing;
    } finally {
      if (this.#changing.get(name) === settled) this.#changing.delete(name);
    }
  }

  /** Sees, decides and writes, again and again until nobody has come between. */
  async #changeNow<T>(
    key: ProfileKey,
    title: string,
    decide: (seen: Seen) => Promise<Change<T>>,
  ): Promise<T> {
    for (let turn = 0; turn < MAX_TURNS; turn++) {
      const seen = await this.#see(key, title);
      const { result, profile, puts = [] } = await decide(seen);
      if (!profile) return result;
      const dropped = profile.others > MAX_MARKS ? await this.#oldestOther(key, puts) : undefined;
      const kept = dropped ? withoutOther(profile, dropped.entry) : profile;
      if (await this.#commit(key, seen.profile, kept, puts, dropped?.title)) return result;
    }
    throw new AppError('RESUME_UNAVAILABLE');
  }

  async #commit(
    key: ProfileKey,
    seen: ProfileRow | undefined,
    profile: ProfileRow,
    puts: readonly TitledEntry[],
    dropped: string | undefined,
  ): Promise<boolean> {
    const TableName = this.#client.table;
    const items: object[] = [
      { Put: { TableName, Item: toProfileRow(key, profile), ...versionCondition(seen) } },
      ...puts.map(({ title, entry }) => ({
        Put: { TableName, Item: toEntryRow(key, title, entry), ...orderCondition(entry) },
      })),
    ];
    if (dropped !== undefined) items.push({ Delete: { TableName, Key: entryRowKey(key, dropped) } });
    try {
      await this.#client.call('TransactWriteItems', { TransactItems: items });
      return true;
    } catch (error) {
      if (isLostRace(error)) return false;
      throw error;
    }
  }

  async #see(key: ProfileKey, title?: string): Promise<Seen> {
    const keys = [profileRowKey(key), ...(title === undefined ? [] : [entryRowKey(key, title)])];
    const request = { TransactItems: keys.map((Key) => ({ Get: { TableName: this.#client.table, Key } })) };
    for (let turn = 0; turn < MAX_TURNS; turn++) {
      try {
        const answer = await this.#client.call('TransactGetItems', request);
        const { Responses } = answer as { readonly Responses?: readonly { readonly Item?: Row }[] };
        // Else nothing there and no answer at all would look the same.
        if (Responses?.length !== keys.length) throw new Error('the answer of the store is none');
        const [profile, entry] = Responses.map(({ Item }) => Item);
        return { profile: profile && fromProfileRow(profile), entry: entry && fromEntryRow(entry) };
      } catch (error) {
        if (!isLostRace(error)) throw error;
      }
    }
    throw new AppError('RESUME_UNAVAILABLE');
  }

  async #query(viewer: string, begin: string): Promise<Row[]> {
    const rows: Row[] = [];
    let start: Row | undefined;
    do {
      const answer = (await this.#client.call('Query', {
        TableName: this.#client.table,
        ConsistentRead: true,
        ...(begin === ''
          ? { KeyConditionExpression: 'pk = :pk', ExpressionAttributeValues: { ':pk': { S: viewer } } }
          : {
              KeyConditionExpression: 'pk = :pk AND begins_with(sk, :sk)',
              ExpressionAttributeValues: { ':pk': { S: viewer }, ':sk': { S: begin } },
            }),
        ...(start && { ExclusiveStartKey: start }),
      })) as { readonly Items?: readonly Row[]; readonly LastEvaluatedKey?: Row };
      if (!answer.Items) throw new Error('the answer of the store is none');
      rows.push(...answer.Items);
      start = answer.LastEvaluatedKey;
    } while (start);
    return rows;
  }

  async #entriesOf({ viewer, profile }: ProfileKey): Promise<TitledEntry[]> {
    const rows = await this.#query(viewer, `t#${profile}#`);
    return rows.map((row) => ({ title: namesOf(row).title ?? '', entry: fromEntryRow(row) }));
  }

  async #countProfiles(viewer: string): Promise<number> {
    return (await this.#query(viewer, 'p#')).length;
  }

  async #delete(rows: readonly Row[]): Promise<void> {
    const requests = rows.flatMap(({ pk, sk }) => (pk && sk ? [{ DeleteRequest: { Key: { pk, sk } } }] : []));
    // What was left undone is found in the next turn.
    await this.#client.call('BatchWriteItem', { RequestItems: { [this.#client.table]: requests } });
  }

  /** The mark that takes the place of the record unchanged for longest. */
  async #evict(key: ProfileKey, profile: ProfileRow): Promise<TitledEntry | undefined> {
    const found = oldest(await this.#entriesOf(key), (kind) => kind === 'live');
    if (!found) return undefined;
    return {
      title: found.title,
      entry: deletedEntry(found.entry, this.#next(profile), this.#clock.wallMs()),
    };
  }

  async #oldestOther(key: ProfileKey, puts: readonly TitledEntry[]): Promise<TitledEntry | undefined> {
    const touched = new Set(puts.map(({ title }) => title));
    const entries = (await this.#entriesOf(key)).filter(({ title }) => !touched.has(title));
    return oldest(entries, (kind) => kind !== 'live');
  }

  #next(profile: ProfileRow): number {
    return nextNumber(profile.version, this.#clock.wallMs());
  }
}

function withoutOther(profile: ProfileRow, dropped: ResumeEntry): ProfileRow {
  const horizon = dropped.kind === 'deleted' ? Math.max(profile.horizon, dropped.version) : profile.horizon;
  return { ...profile, horizon, others: profile.others - 1 };
}

/** Nobody has changed anything of the profile since it was seen. */
function versionCondition(seen: ProfileRow | undefined): object {
  if (!seen) return { ConditionExpression: 'attribute_not_exists(pk)' };
  return {
    ConditionExpression: 'v = :v',
    ExpressionAttributeValues: { ':v': { N: String(seen.version) } },
  };
}

/** The title's own order holds even if the profile's row were lost. */
function orderCondition({ epoch, seq }: ResumeEntry): object {
  return {
    ConditionExpression: 'attribute_not_exists(ep) OR ep < :e OR (ep = :e AND sq <= :s)',
    ExpressionAttributeValues: { ':e': { N: String(epoch) }, ':s': { N: String(seq) } },
  };
}

function isLostRace(error: unknown): boolean {
  if (!(error instanceof DynamoRefusal)) return false;
  if (error.type === 'TransactionConflictException') return true;
  const LOST = ['None', 'ConditionalCheckFailed', 'TransactionConflict'];
  return (
    error.type === 'TransactionCanceledException' &&
    error.reasons.length > 0 &&
    error.reasons.every((reason) => LOST.includes(reason))
  );
}
