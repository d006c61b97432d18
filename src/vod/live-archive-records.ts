import { RecordReader } from '../packager/vod/record-reader.ts';
import { toBase64 } from '../packager/vod/record-bytes.ts';
import { protectionRecord, readProtection, readTrack, trackRecord } from '../packager/vod/track-record.ts';
import type { FoundRow, IndexKey, IndexRow } from '../state/lmdb-segment-index.ts';
import type { ArchivedSegment } from '../stream/archive.ts';
import type { Period } from '../stream/live-window.ts';
import { isStreamName } from '../stream/stream-name.ts';
import type { TrackKind } from '../stream/track.ts';

/** A segment as the index has it: in the ticks that its rendition had then. */
export interface IndexedSegment extends ArchivedSegment {
  readonly timescale: number;
}

/** What a stream's playlists said last. */
export interface ListFacts {
  readonly targetDurationSeconds: number;
  readonly firstListed: number;
  /** See {@link Rendition.discontinuitySequence}. */
  readonly discontinuitySequence: number;
}

/** A rendition, and its place among the others. */
export interface RenditionFacts {
  readonly id: string;
  readonly kind: TrackKind;
  readonly timescale: number;
  readonly order: number;
}

/** A broadcast that is not recorded yet. */
export interface BroadcastFacts {
  readonly firstNumber: number;
  readonly startMs: number;
  /** Its last segment; undefined: it goes on. */
  readonly ended: { readonly lastNumber: number; readonly endMs: number } | undefined;
}

/** What one row of the index says. */
export type ArchiveRecord = { readonly stream: string } & (
  | { readonly kind: 'segment'; readonly rendition: string; readonly segment: IndexedSegment }
  | { readonly kind: 'rendition'; readonly facts: RenditionFacts }
  | { readonly kind: 'period'; readonly period: Period }
  | { readonly kind: 'list'; readonly facts: ListFacts }
  | { readonly kind: 'broadcast'; readonly facts: BroadcastFacts }
);

const STATES = ['kept', 'gap', 'lost'] as const;
const DISCONTINUITY = 1;
const INDEPENDENT = 2;
const BROKEN_OFF = 4;
const ID = /^[A-Za-z0-9_-]{1,64}$/;
const SEGMENT_FIELDS = 8;
const MAX_TIMESCALE = 10_000_000;

export function segmentKeyOf(stream: string, rendition: string, number: number): IndexKey {
  return ['segment', stream, rendition, number];
}

export function segmentRow(stream: string, rendition: string, segment: IndexedSegment): IndexRow {
  const { periodId, timescale, startTicks, durationTicks, sizeBytes, keyFrameBytes } = segment;
  const flags =
    (segment.discontinuity ? DISCONTINUITY : 0) |
    (segment.independent ? INDEPENDENT : 0) |
    (segment.brokenOff ? BROKEN_OFF : 0);
  const state = STATES.indexOf(segment.state);
  const fields = [periodId, timescale, startTicks, durationTicks, state, flags, sizeBytes, keyFrameBytes];
  return { key: segmentKeyOf(stream, rendition, segment.number), text: JSON.stringify(fields) };
}

export function renditionRow(stream: string, { id, kind, timescale, order }: RenditionFacts): IndexRow {
  return { key: ['rendition', stream, id], text: JSON.stringify({ kind, timescale, order }) };
}

export function periodRow(stream: string, period: Period): IndexRow {
  const { id, startMs, startNumber, segmentTicks, segmentTimescale, continues, rekeyed } = period;
  const renditions = [...period.tracks].map(([rendition, track]) => {
    const init = period.inits.get(rendition);
    const protection = period.protections.get(rendition);
    return {
      id: rendition,
      track: trackRecord(track),
      init: init && toBase64(init),
      protection: protection && protectionRecord(protection),
      isLead: track === period.lead,
    };
  });
  const record = {
    ...{ startMs, startNumber, segmentTicks, segmentTimescale, continues, rekeyed, renditions },
    lead: renditions.some(({ isLead }) => isLead) ? undefined : trackRecord(period.lead),
  };
  return { key: ['period', stream, id], text: JSON.stringify(record) };
}

export function listRow(stream: string, facts: ListFacts): IndexRow {
  return { key: ['list', stream], text: JSON.stringify(facts) };
}

export function broadcastRow(stream: string, facts: BroadcastFacts): IndexRow {
  return { key: broadcastKeyOf(stream, facts), text: JSON.stringify(facts) };
}

export function broadcastKeyOf(stream: string, { firstNumber }: { readonly firstNumber: number }): IndexKey {
  return ['broadcast', stream, firstNumber];
}

/** Undefined for what is no record. Never throws. */
export function readRecord({ key: [kind, stream, ...rest], text }: FoundRow): ArchiveRecord | undefined {
  if (typeof stream !== 'string' || !isStreamName(stream) || typeof kind !== 'string') return undefined;
  const reader = new RecordReader();
  const read = Object.hasOwn(READERS, kind) ? READERS[kind] : undefined;
  const record = read?.(reader, stream, rest, parseJson(text));
  return reader.failed ? undefined : record;
}

const MAX_RENDITIONS = 100;

const READERS: Readonly<
  Record<
    string,
    (reader: RecordReader, stream: string, key: readonly unknown[], value: unknown) => ArchiveRecord
  >
> = {
  segment(reader, stream, [rendition, number], value) {
    const fields = reader.list(value, SEGMENT_FIELDS, (_, field) => field);
    const [periodId, timescale, startTicks, durationTicks, state, flags, sizeBytes, keyFrameBytes] = fields;
    const bits = reader.whole(flags);
    const segment = {
      number: reader.whole(number),
      periodId: reader.match(periodId, ID),
      timescale: readTimescale(reader, timescale),
      startTicks: reader.amount(startTicks),
      durationTicks: reader.amount(durationTicks),
      discontinuity: (bits & DISCONTINUITY) !== 0,
      independent: (bits & INDEPENDENT) !== 0,
      brokenOff: (bits & BROKEN_OFF) !== 0,
      state: reader.oneOf(STATES[reader.whole(state)], STATES),
      sizeBytes: reader.whole(sizeBytes),
      keyFrameBytes: reader.whole(keyFrameBytes),
    };
    return { kind: 'segment', stream, rendition: reader.match(rendition, ID), segment };
  },
  rendition(reader, stream, [id], value) {
    const fields = reader.object(value);
    const facts = {
      id: reader.match(id, ID),
      kind: reader.oneOf(fields['kind'], ['video', 'audio']),
      timescale: readTimescale(reader, fields['timescale']),
      order: reader.whole(fields['order']),
    };
    return { kind: 'rendition', stream, facts };
  },
  period(reader, stream, [id], value) {
    return { kind: 'period', stream, period: readPeriod(reader, id, value) };
  },
  list(reader, stream, _key, value) {
    const fields = reader.object(value);
    const facts = {
      targetDurationSeconds: reader.positive(fields['targetDurationSeconds']),
      firstListed: reader.whole(fields['firstListed']),
      discontinuitySequence: reader.whole(fields['discontinuitySequence']),
    };
    return { kind: 'list', stream, facts };
  },
  broadcast(reader, stream, [firstNumber], value) {
    const fields = reader.object(value);
    const ended = reader.optional(fields['ended'], (own, each) => {
      const end = own.object(each);
      return { lastNumber: own.whole(end['lastNumber']), endMs: own.amount(end['endMs']) };
    });
    const facts = {
      firstNumber: reader.whole(firstNumber),
      startMs: reader.amount(fields['startMs']),
      ended,
    };
    return { kind: 'broadcast', stream, facts };
  },
};

function readPeriod(reader: RecordReader, id: unknown, value: unknown): Period {
  const fields = reader.object(value);
  const renditions = reader.list(fields['renditions'], MAX_RENDITIONS, (own, each) => {
    const entry = own.object(each);
    return {
      id: own.match(entry['id'], ID),
      track: readTrack(own, entry['track']),
      init: own.optional(entry['init'], (inner, bytes) => inner.bytes(bytes)),
      protection: own.optional(entry['protection'], readProtection),
      isLead: own.flag(entry['isLead']),
    };
  });
  const lead = renditions.find(({ isLead }) => isLead)?.track ?? readTrack(reader, fields['lead']);
  return {
    id: reader.match(id, ID),
    startMs: reader.amount(fields['startMs']),
    startNumber: reader.whole(fields['startNumber']),
    segmentTicks: reader.positive(fields['segmentTicks']),
    segmentTimescale: readTimescale(reader, fields['segmentTimescale']),
    continues: reader.optional(fields['continues'], (own, each) => own.match(each, ID)),
    lead,
    tracks: new Map(renditions.map((each) => [each.id, each.track])),
    inits: new Map(renditions.flatMap((each) => (each.init ? [[each.id, each.init] as const] : []))),
    protections: new Map(
      renditions.flatMap((each) => (each.protection ? [[each.id, each.protection] as const] : [])),
    ),
    rekeyed: reader.flag(fields['rekeyed']),
  };
}

function readTimescale(reader: RecordReader, value: unknown): number {
  const timescale = reader.positive(reader.whole(value));
  if (timescale > MAX_TIMESCALE) reader.fail();
  return timescale;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
