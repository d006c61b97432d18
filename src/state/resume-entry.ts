import type { ProfileKey, PutRules, ResumeRecord, ResumeReport, WatchState } from './resume-store.ts';

/**
 * What is kept of one title of a profile. `live`: there is a record; `deleted`: there was one, and this is its mark;
 * `claimed`: an epoch was given out, and nothing has been reported yet.
 */
export interface ResumeEntry {
  readonly kind: 'live' | 'deleted' | 'claimed';
  /** What a report must be greater than; without a record only its epoch counts. */
  readonly epoch: number;
  readonly seq: number;
  /** The last epoch that was given out. */
  readonly claimed: number;
  /** The profile's version when this last changed. */
  readonly version: number;
  readonly eventMs: number;
  readonly positionMs: number;
  readonly durationMs: number;
  readonly state: WatchState;
  readonly device: string;
}

/** An entry with its title. */
export interface TitledEntry {
  readonly title: string;
  readonly entry: ResumeEntry;
}

/** A profile keeps so many marks and claims besides its records; the oldest goes. */
export const MAX_MARKS = 200;

const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const STATES: readonly string[] = ['playing', 'paused', 'stopped', 'completed'] satisfies WatchState[];
/** Versions and epochs begin at the seconds since then: 1 January 2026. */
const BEGINNING_MS = 1_767_225_600_000;

/** Names go into keys of every store: what is no name is a fault of the caller. */
export function assertName(...names: readonly string[]): void {
  for (const name of names)
    if (!NAME.test(name)) throw new RangeError(`no name of a viewer, profile or title: ${name}`);
}

export function assertKey({ viewer, profile }: ProfileKey, ...titles: readonly string[]): void {
  assertName(viewer, profile, ...titles);
}

export function assertReport(report: ResumeReport): void {
  const { title, device, state, positionMs, durationMs, epoch, seq, eventMs } = report;
  assertName(title, device);
  if (!STATES.includes(state)) throw new RangeError(`no state of play: ${state}`);
  for (const number of [positionMs, durationMs, epoch, seq, eventMs]) {
    if (!Number.isSafeInteger(number) || number < 0) throw new RangeError(`no number of a report: ${number}`);
  }
}

/**
 * The next number of a profile: the version of a change, or an epoch. One row for both, over all titles. It also follows
 * the clock (one a second), so that numbers that were forgotten with the state are not given out again: a device from
 * before an erasure, or before a disk lost its last seconds, stays stale for ever.
 */
export function nextNumber(last: number, nowMs: number): number {
  return Math.max(last + 1, Math.floor((nowMs - BEGINNING_MS) / 1000));
}

/** What a claim of `epoch` leaves. */
export function claimedEntry(old: ResumeEntry | undefined, epoch: number): ResumeEntry {
  if (old) return { ...old, claimed: epoch };
  return {
    kind: 'claimed',
    // All epochs before it belong to what is forgotten.
    epoch: epoch - 1,
    seq: 0,
    claimed: epoch,
    version: epoch,
    eventMs: 0,
    positionMs: 0,
    durationMs: 0,
    state: 'stopped',
    device: '-',
  };
}

/** Whether a report holds. The rule of the whole store: every driver decides exactly so. */
export function isAccepted(
  old: ResumeEntry | undefined,
  report: ResumeReport,
  { offline }: PutRules,
): old is ResumeEntry {
  if (!old || report.epoch > old.claimed) return false;
  const isNewer =
    report.epoch > old.epoch || (old.kind === 'live' && report.epoch === old.epoch && report.seq > old.seq);
  if (!isNewer || !offline) return isNewer;
  return report.epoch === old.claimed && (old.kind !== 'live' || report.eventMs > old.eventMs);
}

/** What a conflict answers: nothing, when the epoch was never given out or what it was for is deleted. */
export function conflictingRecord(
  title: string,
  old: ResumeEntry | undefined,
  report: ResumeReport,
): ResumeRecord | undefined {
  return old && report.epoch <= old.claimed ? liveRecord(title, old) : undefined;
}

/** What an accepted report leaves. */
export function reportedEntry(old: ResumeEntry, report: ResumeReport, version: number): ResumeEntry {
  const { epoch, seq, eventMs, positionMs, durationMs, state, device } = report;
  const { claimed } = old;
  return { kind: 'live', epoch, seq, claimed, version, eventMs, positionMs, durationMs, state, device };
}

/** The mark that a deletion leaves: greater than all that was reported, and of no use to who wants to know what was watched. */
export function deletedEntry(old: ResumeEntry, version: number, nowMs: number): ResumeEntry {
  return {
    ...old,
    kind: 'deleted',
    epoch: old.claimed,
    seq: old.claimed === old.epoch ? old.seq + 1 : 0,
    version,
    eventMs: nowMs,
    positionMs: 0,
    durationMs: 0,
    state: 'stopped',
  };
}

export function liveRecord(title: string, entry: ResumeEntry | undefined): ResumeRecord | undefined {
  return entry?.kind === 'live' ? toRecord(title, entry) : undefined;
}

/** A record or mark; not for what is only claimed. */
export function toRecord(title: string, entry: ResumeEntry): ResumeRecord {
  const { kind, claimed: _, ...fields } = entry;
  return { title, ...fields, isDeleted: kind === 'deleted' };
}

/**
 * A profile whose first number is `epoch` begins there: what devices hold of one before it, which was erased, is gone. One that
 * has numbers stays as it is.
 */
export function begun<P extends { readonly version: number; readonly horizon: number }>(
  profile: P,
  epoch: number,
): P {
  return profile.version === 0 ? { ...profile, horizon: epoch } : profile;
}

/** The records, and marks, of a profile that is at `version`, as the contract's list gives them. */
export function listRecords(
  entries: readonly TitledEntry[],
  { version, horizon, after }: { readonly version: number; readonly horizon: number; readonly after: number },
): { version: number; records: ResumeRecord[]; isWhole: boolean } {
  const isWhole = after <= 0 || after < horizon || after > version;
  const told = entries.filter(({ entry }) =>
    isWhole ? entry.kind === 'live' : entry.kind !== 'claimed' && entry.version > after,
  );
  const records = told.map(({ title, entry }) => toRecord(title, entry));
  return { version, records: records.toSorted((a, b) => a.version - b.version), isWhole };
}

/** The one of these that has not changed for longest. */
export function oldest(
  entries: Iterable<TitledEntry>,
  isOfKind: (kind: ResumeEntry['kind']) => boolean,
): TitledEntry | undefined {
  let found: TitledEntry | undefined;
  for (const each of entries) {
    if (isOfKind(each.entry.kind) && (!found || lastChange(each.entry) < lastChange(found.entry)))
      found = each;
  }
  return found;
}

/** Of what has no record, a claim counts as a change: whoever made it is about to report. */
function lastChange({ kind, version, claimed }: ResumeEntry): number {
  return kind === 'live' ? version : Math.max(version, claimed);
}
