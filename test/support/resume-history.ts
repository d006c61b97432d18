import type {
  ProfileKey,
  PutOutcome,
  ResumeList,
  ResumeRecord,
  ResumeReport,
} from '../../src/state/resume-store.ts';

/** What a device asked of the store. */
export type ResumeCall =
  | { readonly kind: 'claim'; readonly title: string }
  | { readonly kind: 'put'; readonly report: ResumeReport; readonly offline: boolean }
  | { readonly kind: 'find'; readonly title: string }
  | { readonly kind: 'list'; readonly after: number }
  | { readonly kind: 'remove'; readonly title: string };

/** What it heard. `unknown`: nothing, or a failure: it may have been done, or may be done later. */
export type ResumeAnswer =
  | { readonly kind: 'claimed'; readonly epoch: number; readonly record: ResumeRecord | undefined }
  | { readonly kind: 'put'; readonly outcome: PutOutcome }
  | { readonly kind: 'found'; readonly record: ResumeRecord | undefined }
  | { readonly kind: 'listed'; readonly list: ResumeList }
  | { readonly kind: 'removed'; readonly mark: ResumeRecord | undefined }
  | { readonly kind: 'unknown' };

/** One call as its device saw it. */
export interface HistoryEvent {
  readonly device: string;
  readonly key: ProfileKey;
  readonly call: ResumeCall;
  readonly answer: ResumeAnswer;
  /** Moments of one row for all devices: each is given to one beginning or end. */
  readonly begun: number;
  readonly ended: number;
}

/** Writes down what happens, in the order in which it does. */
export class History {
  readonly events: HistoryEvent[] = [];
  #moment = 0;

  begin(): number {
    this.#moment += 1;
    return this.#moment;
  }

  end(event: Omit<HistoryEvent, 'ended'>): void {
    this.#moment += 1;
    this.events.push({ ...event, ended: this.#moment });
  }
}

/** A state of a title that some call has seen, and which call. */
interface Sighting {
  readonly event: HistoryEvent;
  readonly record: ResumeRecord;
}

/**
 * Judges a history by the model of the store: compare-and-set registers, one a title, whose (epoch, seq) only grows, under one
 * growing version a profile. What only a store that breaks its promise can have answered is returned, in words.
 */
export function checkHistory(events: readonly HistoryEvent[]): string[] {
  const byProfile = new Map<string, HistoryEvent[]>();
  for (const event of events) {
    const profile = `${event.key.viewer}:${event.key.profile}`;
    byProfile.set(profile, [...(byProfile.get(profile) ?? []), event]);
  }
  return [...byProfile].flatMap(([profile, ofProfile]) =>
    checkProfile(ofProfile).map((problem) => `${profile}: ${problem}`),
  );
}

function checkProfile(events: readonly HistoryEvent[]): string[] {
  const sightings = events.flatMap((event) => seenBy(event).map((record) => ({ event, record })));
  const titles = new Set(sightings.map(({ record }) => record.title));
  return [
    ...checkEpochs(events),
    ...checkVersionsMeanOneThing(sightings),
    ...checkVersionsGrow(events, sightings),
    ...checkNothingIsMadeUp(events, sightings),
    ...checkAccepted(events),
    ...checkConflicts(events),
    ...[...titles].flatMap((title) => checkNothingGoesBack(title, events, sightings)),
  ];
}

/** Records and marks that the answer of a call shows. */
function seenBy({ answer }: HistoryEvent): readonly ResumeRecord[] {
  switch (answer.kind) {
    case 'claimed':
    case 'found':
      return answer.record ? [answer.record] : [];
    case 'put':
      return answer.outcome.record ? [answer.outcome.record] : [];
    case 'removed':
      return answer.mark ? [answer.mark] : [];
    case 'listed':
      return answer.list.records;
    default:
      return [];
  }
}

function checkEpochs(events: readonly HistoryEvent[]): string[] {
  const claims = events.flatMap(({ answer, begun, ended }) =>
    answer.kind === 'claimed' ? [{ epoch: answer.epoch, begun, ended }] : [],
  );
  const problems: string[] = [];
  const seen = new Set<number>();
  for (const { epoch } of claims) {
    if (seen.has(epoch)) problems.push(`epoch ${epoch} was given out twice`);
    seen.add(epoch);
  }
  return [
    ...problems,
    ...checkGrowth(
      claims.map((claim) => ({ ...claim, value: claim.epoch })),
      'epoch',
    ),
  ];
}

/** What ended before another began has the smaller value. */
function checkGrowth(
  calls: readonly { readonly begun: number; readonly ended: number; readonly value: number }[],
  what: string,
): string[] {
  const byEnd = calls.toSorted((a, b) => a.ended - b.ended);
  const problems: string[] = [];
  let [done, greatest] = [0, Number.NEGATIVE_INFINITY];
  for (const { begun, value } of calls.toSorted((a, b) => a.begun - b.begun)) {
    for (let next = byEnd[done]; next && next.ended < begun; next = byEnd[done]) {
      greatest = Math.max(greatest, next.value);
      done += 1;
    }
    if (value <= greatest) problems.push(`${what} ${value} came after ${greatest}`);
  }
  return problems;
}

function checkVersionsMeanOneThing(sightings: readonly Sighting[]): string[] {
  const byVersion = new Map<number, string>();
  const problems: string[] = [];
  for (const { record } of sightings) {
    const text = JSON.stringify(record, Object.keys(record).sort());
    const known = byVersion.get(record.version);
    if (known !== undefined && known !== text) {
      problems.push(`version ${record.version} is both ${known} and ${text}`);
    }
    byVersion.set(record.version, text);
  }
  return problems;
}

/** A change has a greater version than everything that was seen before it was asked for. */
function checkVersionsGrow(events: readonly HistoryEvent[], sightings: readonly Sighting[]): string[] {
  const bySighting = sightings.toSorted((a, b) => a.event.ended - b.event.ended);
  const problems: string[] = [];
  let [done, greatest] = [0, 0];
  for (const event of events.toSorted((a, b) => a.begun - b.begun)) {
    for (let next = bySighting[done]; next && next.event.ended < event.begun; next = bySighting[done]) {
      greatest = Math.max(greatest, next.record.version);
      done += 1;
    }
    const changed = changedBy(event);
    if (changed && changed.version <= greatest) {
      problems.push(`a change has version ${changed.version} when ${greatest} had been seen`);
    }
    const { answer } = event;
    if (answer.kind === 'listed' && answer.list.version < greatest) {
      problems.push(`the profile is at ${answer.list.version} when ${greatest} had been seen`);
    }
  }
  return problems;
}

function changedBy({ answer }: HistoryEvent): ResumeRecord | undefined {
  if (answer.kind === 'put' && answer.outcome.kind === 'stored') return answer.outcome.record;
  return answer.kind === 'removed' ? answer.mark : undefined;
}

/** Every record is what some device reported before it was seen; every mark follows a removal. */
function checkNothingIsMadeUp(events: readonly HistoryEvent[], sightings: readonly Sighting[]): string[] {
  const reports = new Map<string, number>();
  const removals = new Map<string, number>();
  for (const { call, begun } of events) {
    if (call.kind === 'put') keepEarliest(reports, JSON.stringify(fieldsOf(call.report)), begun);
    if (call.kind === 'remove') keepEarliest(removals, call.title, begun);
  }
  return sightings
    .filter(({ event, record }) => {
      const begun = record.isDeleted
        ? removals.get(record.title)
        : reports.get(JSON.stringify(fieldsOf(record)));
      return begun === undefined || begun > event.ended;
    })
    .map(({ record }) => `nobody had asked for ${describe(record)}`);
}

function keepEarliest(of: Map<string, number>, what: string, begun: number): void {
  of.set(what, Math.min(begun, of.get(what) ?? Number.POSITIVE_INFINITY));
}

function fieldsOf({
  title,
  positionMs,
  durationMs,
  state,
  device,
  epoch,
  seq,
  eventMs,
}: ResumeReport): unknown[] {
  return [title, positionMs, durationMs, state, device, epoch, seq, eventMs];
}

/** Of two reports with the same (epoch, seq) at most one holds. */
function checkAccepted(events: readonly HistoryEvent[]): string[] {
  const seen = new Set<string>();
  const problems: string[] = [];
  for (const { call, answer } of events) {
    if (call.kind !== 'put' || answer.kind !== 'put' || answer.outcome.kind !== 'stored') continue;
    const { title, epoch, seq } = call.report;
    const place = `${title} at (${epoch}, ${seq})`;
    if (seen.has(place)) problems.push(`${place} was stored twice`);
    seen.add(place);
    if (JSON.stringify(fieldsOf(call.report)) !== JSON.stringify(fieldsOf(answer.outcome.record))) {
      problems.push(`${place} was not stored as it was reported`);
    }
  }
  return problems;
}

/** Whoever is refused is refused for a reason. */
function checkConflicts(events: readonly HistoryEvent[]): string[] {
  const removedAt = new Map<string, number>();
  const claimedAt = new Map<string, { readonly epoch: number; readonly begun: number }[]>();
  const allClaims: { title: string; begun: number }[] = [];
  for (const { call, answer, begun } of events) {
    if (call.kind === 'remove') keepEarliest(removedAt, call.title, begun);
    if (call.kind === 'claim') allClaims.push({ title: call.title, begun });
    if (call.kind === 'claim' && answer.kind === 'claimed') {
      claimedAt.set(call.title, [...(claimedAt.get(call.title) ?? []), { epoch: answer.epoch, begun }]);
    }
  }
  return events.flatMap(({ call, answer, ended }) => {
    if (call.kind !== 'put' || answer.kind !== 'put' || answer.outcome.kind !== 'conflict') return [];
    const { record } = answer.outcome;
    const { title, epoch, seq, eventMs } = call.report;
    const place = `${title} at (${epoch}, ${seq})`;
    if (!record) {
      const isGiven = claimedAt.get(title)?.some((claim) => claim.epoch === epoch) ?? false;
      const isRemoved = (removedAt.get(title) ?? Number.POSITIVE_INFINITY) < ended;
      if (isRemoved || !isGiven) return [];
      // Offline reports also give way to a later gesture that has reported nothing yet.
      const isLate =
        call.offline && allClaims.filter((claim) => claim.title === title && claim.begun < ended).length > 1;
      return isLate ? [] : [`${place} was refused, and nothing was removed`];
    }
    const isNewer = compare(record, call.report) >= 0;
    const isOutdated =
      call.offline &&
      (record.eventMs >= eventMs || allClaims.some((claim) => claim.title === title && claim.begun < ended));
    return isNewer || isOutdated ? [] : [`${place} was refused for ${describe(record)}, which is older`];
  });
}

/**
 * A title is never seen, nor changed, below what had been acknowledged or seen before; nor is it gone unless somebody has asked
 * for that.
 */
function checkNothingGoesBack(
  title: string,
  events: readonly HistoryEvent[],
  sightings: readonly Sighting[],
): string[] {
  const ofTitle = sightings
    .filter(({ record }) => record.title === title)
    .toSorted((a, b) => a.event.ended - b.event.ended);
  const removals = events.filter(({ call }) => call.kind === 'remove' && call.title === title);
  const problems: string[] = [];
  let done = 0;
  let newest: Sighting | undefined;
  for (const event of events.toSorted((a, b) => a.begun - b.begun)) {
    for (let next = ofTitle[done]; next && next.event.ended < event.begun; next = ofTitle[done]) {
      if (!newest || compare(next.record, newest.record) > 0) newest = next;
      done += 1;
    }
    if (!newest) continue;
    const shown = shownOf(title, event);
    if (shown === 'not told') continue;
    if (shown === undefined) {
      const known = newest;
      const mayBeGone =
        known.record.isDeleted ||
        removals.some((removal) => removal.begun < event.ended && endOf(removal) > firstSeen(known, ofTitle));
      if (!mayBeGone) problems.push(`${describe(known.record)} is gone for ${event.device}`);
    } else if (compare(shown, newest.record) < 0) {
      problems.push(`${event.device} sees ${describe(shown)} after ${describe(newest.record)}`);
    }
  }
  return problems;
}

/** What nobody heard of may be done at any time. */
function endOf({ answer, ended }: HistoryEvent): number {
  return answer.kind === 'unknown' ? Number.POSITIVE_INFINITY : ended;
}

/** When the record was first on its way: no removal that was over by then has removed it. */
function firstSeen({ record }: Sighting, ofTitle: readonly Sighting[]): number {
  return Math.min(
    ...ofTitle.filter((each) => each.record.version === record.version).map(({ event }) => event.begun),
  );
}

/** What a call tells of the state of a title at some moment of it. */
function shownOf(title: string, { call, answer }: HistoryEvent): ResumeRecord | undefined | 'not told' {
  switch (answer.kind) {
    case 'claimed':
    case 'found':
      return 'title' in call && call.title === title ? answer.record : 'not told';
    case 'listed': {
      const told = answer.list.records.find((record) => record.title === title);
      return told ?? (answer.list.isWhole ? undefined : 'not told');
    }
    case 'put':
      if (answer.outcome.record === undefined) return 'not told';
      return answer.outcome.record.title === title ? answer.outcome.record : 'not told';
    case 'removed':
      return answer.mark?.title === title ? answer.mark : 'not told';
    default:
      return 'not told';
  }
}

/** By (epoch, seq): the order in which the states of a title follow each other. */
function compare(a: Pick<ResumeReport, 'epoch' | 'seq'>, b: Pick<ResumeReport, 'epoch' | 'seq'>): number {
  return a.epoch - b.epoch || a.seq - b.seq;
}

function describe({ title, epoch, seq, version, isDeleted }: ResumeRecord): string {
  return `${isDeleted ? 'the mark of ' : ''}${title} at (${epoch}, ${seq}), version ${version}`;
}
