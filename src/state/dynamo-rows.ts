import type { ResumeEntry } from './resume-entry.ts';
import type { ProfileKey } from './resume-store.ts';

/** A value as DynamoDB writes it. */
export type Attribute = { readonly S: string } | { readonly N: string };
export type Row = Readonly<Record<string, Attribute>>;

/** What is kept of a profile besides its titles. */
export interface ProfileRow {
  /** The last number given out, as a version or an epoch. */
  readonly version: number;
  /** Version of the newest mark that was thrown away. */
  readonly horizon: number;
  readonly live: number;
  readonly others: number;
}

/** All of a user is below one hash key: `p#<profile>` a profile, `t#<profile>#<title>` a title of it. */
export function profileRowKey({ viewer, profile }: ProfileKey): Row {
  return { pk: { S: viewer }, sk: { S: `p#${profile}` } };
}

export function entryRowKey({ viewer, profile }: ProfileKey, title: string): Row {
  return { pk: { S: viewer }, sk: { S: `t#${profile}#${title}` } };
}

/** Which profile or title a row is of. */
export function namesOf(row: Row): { readonly profile: string; readonly title: string | undefined } {
  const [, profile = '', title] = textOf(row, 'sk').split('#');
  return { profile, title };
}

export function toProfileRow(key: ProfileKey, { version, horizon, live, others }: ProfileRow): Row {
  return {
    ...profileRowKey(key),
    v: number(version),
    h: number(horizon),
    l: number(live),
    o: number(others),
  };
}

export function fromProfileRow(row: Row): ProfileRow {
  return {
    version: numberOf(row, 'v'),
    horizon: numberOf(row, 'h'),
    live: numberOf(row, 'l'),
    others: numberOf(row, 'o'),
  };
}

export function toEntryRow(key: ProfileKey, title: string, entry: ResumeEntry): Row {
  return {
    ...entryRowKey(key, title),
    k: { S: entry.kind },
    ep: number(entry.epoch),
    sq: number(entry.seq),
    cl: number(entry.claimed),
    v: number(entry.version),
    ev: number(entry.eventMs),
    po: number(entry.positionMs),
    du: number(entry.durationMs),
    st: { S: entry.state },
    de: { S: entry.device },
  };
}

export function fromEntryRow(row: Row): ResumeEntry {
  return {
    kind: textOf(row, 'k') as ResumeEntry['kind'],
    epoch: numberOf(row, 'ep'),
    seq: numberOf(row, 'sq'),
    claimed: numberOf(row, 'cl'),
    version: numberOf(row, 'v'),
    eventMs: numberOf(row, 'ev'),
    positionMs: numberOf(row, 'po'),
    durationMs: numberOf(row, 'du'),
    state: textOf(row, 'st') as ResumeEntry['state'],
    device: textOf(row, 'de'),
  };
}

function number(value: number): Attribute {
  return { N: String(value) };
}

function numberOf(row: Row, name: string): number {
  const attribute = row[name];
  return attribute && 'N' in attribute ? Number(attribute.N) : 0;
}

function textOf(row: Row, name: string): string {
  const attribute = row[name];
  return attribute && 'S' in attribute ? attribute.S : '';
}
