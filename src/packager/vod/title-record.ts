import type {
  Title,
  TitleChapter,
  TitlePeriod,
  TitleRecording,
  TitleRendition,
  TitleText,
  TitleThumbnails,
  TitleTrack,
} from '../../stream/title.ts';
import { RecordReader } from './record-reader.ts';
import { protectionRecord, readProtection, readTrack, trackRecord } from './track-record.ts';
import { readSegments, segmentsRecord } from './segments-record.ts';
import { toBase64 } from './record-bytes.ts';

/** Of the form below. A reader takes no other: it would show half of what is there. */
const VERSION = 1;
/** No record is longer; a title of 24 hours with 20 renditions has about 5 MB. */
export const MAX_RECORD_BYTES = 48 * 1024 * 1024;
const MAX_ITEMS = 1000;
const MAX_PERIODS = 10_000;
const ID = /^[A-Za-z0-9_-]{1,64}$/;
/** Text for people. */
const MAX_TEXT = 1000;

/** A title as JSON: everything that {@link readTitleRecord} needs to give it back. It holds no keys. */
export function writeTitleRecord(title: Title): Uint8Array {
  const { id, name, state, durationMs, segmentMs, createdMs, updatedMs } = title;
  const record = {
    version: VERSION,
    id,
    name,
    state,
    durationMs,
    segmentMs,
    createdMs,
    updatedMs,
    renditions: title.renditions,
    periods: title.periods.map(periodRecord),
    texts: title.texts,
    thumbnails: title.thumbnails,
    chapters: title.chapters,
    isDownloadable: title.isDownloadable,
    recording: title.recording,
  };
  return Buffer.from(JSON.stringify(record));
}

/** Undefined when the bytes are no record of a title, or one of another version. Never throws. */
export function readTitleRecord(bytes: Uint8Array): Title | undefined {
  if (bytes.length > MAX_RECORD_BYTES) return undefined;
  const record = parseJson(bytes);
  const reader = new RecordReader();
  const title = readTitle(reader, record);
  return reader.failed ? undefined : title;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()) as unknown;
  } catch {
    return undefined;
  }
}

function readTitle(reader: RecordReader, record: unknown): Title {
  const fields = reader.object(record);
  if (fields['version'] !== VERSION) reader.fail();
  const renditions = reader.list(fields['renditions'], MAX_ITEMS, readRendition);
  const kinds = new Map(renditions.map(({ id, kind }) => [id, kind]));
  if (renditions.length === 0 || kinds.size !== renditions.length) reader.fail();
  const periods = reader.list(fields['periods'], MAX_PERIODS, (own, value) => readPeriod(own, value, kinds));
  if (periods.length === 0) reader.fail();
  const recording = reader.optional(fields['recording'], readRecording);
  const isDownloadable = reader.optional(fields['isDownloadable'], (own, value) => own.flag(value));
  return {
    id: reader.match(fields['id'], ID),
    name: reader.text(fields['name'], MAX_TEXT),
    state: reader.oneOf(fields['state'], ['growing', 'complete']),
    durationMs: reader.amount(fields['durationMs']),
    segmentMs: reader.positive(fields['segmentMs']),
    renditions,
    periods,
    texts: reader.list(fields['texts'], MAX_ITEMS, readText),
    thumbnails: reader.optional(fields['thumbnails'], readThumbnails),
    chapters: reader.list(fields['chapters'], MAX_ITEMS, readChapter),
    createdMs: reader.amount(fields['createdMs']),
    updatedMs: reader.amount(fields['updatedMs']),
    ...(isDownloadable === undefined ? {} : { isDownloadable }),
    ...(recording === undefined ? {} : { recording }),
  };
}

function readRecording(reader: RecordReader, value: unknown): TitleRecording {
  const fields = reader.object(value);
  return {
    stream: reader.match(fields['stream'], ID),
    firstNumber: reader.whole(fields['firstNumber']),
    lastNumber: reader.whole(fields['lastNumber']),
    isAutomatic: reader.flag(fields['isAutomatic']),
  };
}

function readRendition(reader: RecordReader, value: unknown): TitleRendition {
  const fields = reader.object(value);
  return {
    id: reader.match(fields['id'], ID),
    kind: reader.oneOf(fields['kind'], ['video', 'audio']),
    language: reader.optionalText(fields['language'], MAX_TEXT),
    label: reader.optionalText(fields['label'], MAX_TEXT),
    isDefault: reader.flag(fields['isDefault']),
    peakBps: reader.amount(fields['peakBps']),
    averageBps: reader.amount(fields['averageBps']),
  };
}

function periodRecord({ tracks, ...period }: TitlePeriod) {
  return {
    ...period,
    tracks: Object.fromEntries([...tracks].map(([id, track]) => [id, titleTrackRecord(track)])),
  };
}

function titleTrackRecord({ track, init, protection, offsetTicks, segments }: TitleTrack) {
  return {
    track: trackRecord(track),
    init: toBase64(init),
    protection: protection && protectionRecord(protection),
    offsetTicks,
    segments: segmentsRecord(segments),
  };
}

function readPeriod(
  reader: RecordReader,
  value: unknown,
  kinds: ReadonlyMap<string, TitleRendition['kind']>,
): TitlePeriod {
  const fields = reader.object(value);
  const tracks = new Map<string, TitleTrack>();
  for (const [id, each] of Object.entries(reader.object(fields['tracks']))) {
    const track = readTitleTrack(reader, each);
    if (kinds.get(id) !== track.track.kind) reader.fail();
    tracks.set(id, track);
    if (reader.failed) break;
  }
  const liveMs = reader.optional(fields['liveMs'], (own, each) => own.amount(each));
  return {
    id: reader.match(fields['id'], ID),
    startMs: reader.amount(fields['startMs']),
    continues: reader.flag(fields['continues']),
    ...(liveMs === undefined ? {} : { liveMs }),
    tracks,
  };
}

function readTitleTrack(reader: RecordReader, value: unknown): TitleTrack {
  const fields = reader.object(value);
  return {
    track: readTrack(reader, fields['track']),
    init: reader.bytes(fields['init']),
    protection: reader.optional(fields['protection'], readProtection),
    offsetTicks: reader.amount(fields['offsetTicks']),
    segments: readSegments(reader, fields['segments']),
  };
}

function readText(reader: RecordReader, value: unknown): TitleText {
  const fields = reader.object(value);
  return {
    id: reader.match(fields['id'], ID),
    language: reader.text(fields['language'], MAX_TEXT),
    label: reader.text(fields['label'], MAX_TEXT),
    isDefault: reader.flag(fields['isDefault']),
    isForced: reader.flag(fields['isForced']),
    sizeBytes: reader.whole(fields['sizeBytes']),
  };
}

const MAX_SHEETS = 100_000;

function readThumbnails(reader: RecordReader, value: unknown): TitleThumbnails {
  const fields = reader.object(value);
  return {
    columns: reader.positive(fields['columns']),
    rows: reader.positive(fields['rows']),
    width: reader.positive(fields['width']),
    height: reader.positive(fields['height']),
    intervalMs: reader.positive(fields['intervalMs']),
    sheetBytes: reader.list(fields['sheetBytes'], MAX_SHEETS, (own, each) => own.whole(each)),
  };
}

function readChapter(reader: RecordReader, value: unknown): TitleChapter {
  const fields = reader.object(value);
  return { startMs: reader.amount(fields['startMs']), name: reader.text(fields['name'], MAX_TEXT) };
}
