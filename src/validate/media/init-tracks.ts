import { type Box, BoxCursor, findBox } from '../../media/isobmff/box-reader.ts';
import type { SampleDefaults, TrackFacts } from '../contracts.ts';
import { readSampleEntry, type SampleEntry } from './sample-entry.ts';

/** One `trak` as it was read. */
export interface InitTrack {
  readonly facts: TrackFacts;
  readonly entry: SampleEntry;
  /** 16.16 of tkhd, whole pixels: the size to present the picture at. */
  readonly presentedSize: { readonly width: number; readonly height: number };
  readonly durationTicks: number;
  /** Entries of stts, stsc, stsz, stz2, stco and co64 together. */
  readonly tableEntries: number;
}

/** Reads a `trak`; undefined when a box it needs is missing (mdhd, hdlr, stsd with an entry). */
export function readInitTrack(bytes: Uint8Array, trak: Box): InitTrack | undefined {
  const tkhd = findBox(trak.children, ['tkhd']);
  const mdhd = findBox(trak.children, ['mdia', 'mdhd']);
  const hdlr = findBox(trak.children, ['mdia', 'hdlr']);
  const stbl = findBox(trak.children, ['mdia', 'minf', 'stbl']);
  const stsdEntry = stbl && findBox(stbl.children, ['stsd'])?.children[0];
  if (!tkhd || !mdhd || !hdlr || !stsdEntry) return undefined;
  const handler = new BoxCursor(bytes, hdlr);
  handler.skip(8);
  const handlerType = handler.fourCc();
  const entry = readSampleEntry(bytes, stsdEntry, handlerType);
  const header = readTrackHeader(new BoxCursor(bytes, tkhd));
  return {
    facts: {
      trackId: header.trackId,
      kind: KINDS[handlerType] ?? 'other',
      timescale: readMediaTimescale(new BoxCursor(bytes, mdhd)),
      codec: entry.codec,
      width: entry.width,
      height: entry.height,
      nalLengthSize: entry.nalLengthSize,
      protection: entry.protection,
    },
    entry,
    presentedSize: header,
    durationTicks: header.durationTicks,
    tableEntries: countTableEntries(bytes, stbl),
  };
}

const KINDS: Readonly<Record<string, TrackFacts['kind']>> = {
  vide: 'video',
  soun: 'audio',
  text: 'text',
  subt: 'text',
  sbtl: 'text',
  clcp: 'text',
};

interface TrackHeader {
  readonly trackId: number;
  readonly durationTicks: number;
  readonly width: number;
  readonly height: number;
}

/** tkhd (ISO/IEC 14496-12 8.3.2). */
function readTrackHeader(cursor: BoxCursor): TrackHeader {
  const long = cursor.u8() === 1;
  cursor.skip(long ? 19 : 11);
  const trackId = cursor.u32();
  cursor.skip(4);
  const durationTicks = long ? cursor.u64() : cursor.u32();
  cursor.skip(8 + 8 + 36);
  const width = cursor.u32() / 0x10000;
  return { trackId, durationTicks, width, height: cursor.u32() / 0x10000 };
}

function readMediaTimescale(cursor: BoxCursor): number {
  cursor.skip(cursor.u8() === 1 ? 19 : 11);
  return cursor.u32();
}

/** Bytes from the start of a table's body to its entry count (version and flags; stsz and stz2 have a size first). */
const COUNT_OFFSETS: Readonly<Record<string, number>> = {
  stts: 4,
  stsc: 4,
  stco: 4,
  co64: 4,
  stsz: 8,
  stz2: 8,
};

function countTableEntries(bytes: Uint8Array, stbl: Box): number {
  let entries = 0;
  for (const table of stbl.children) {
    const offset = COUNT_OFFSETS[table.type];
    if (offset === undefined) continue;
    const cursor = new BoxCursor(bytes, table);
    cursor.skip(offset);
    entries += cursor.u32();
  }
  return entries;
}

/** mvhd duration; 0 when there is no mvhd. */
export function readMovieDuration(bytes: Uint8Array, moov: Box): number {
  const mvhd = findBox(moov.children, ['mvhd']);
  if (!mvhd) return 0;
  const cursor = new BoxCursor(bytes, mvhd);
  const long = cursor.u8() === 1;
  cursor.skip(long ? 19 + 4 : 11 + 4);
  return long ? cursor.u64() : cursor.u32();
}

/** The trex of every track, by track id (ISO/IEC 14496-12 8.8.3). */
export function readTrackDefaults(bytes: Uint8Array, mvex: Box): Map<number, SampleDefaults> {
  const defaults = new Map<number, SampleDefaults>();
  for (const trex of mvex.children) {
    if (trex.type !== 'trex') continue;
    const cursor = new BoxCursor(bytes, trex);
    cursor.skip(4);
    const trackId = cursor.u32();
    cursor.skip(4);
    defaults.set(trackId, { durationTicks: cursor.u32(), sizeBytes: cursor.u32(), flags: cursor.u32() });
  }
  return defaults;
}

/** Major and compatible brands of an ftyp or styp. */
export function readBrands(bytes: Uint8Array, box: Box): string[] {
  const cursor = new BoxCursor(bytes, box);
  const major = cursor.fourCc();
  cursor.skip(4);
  const brands = new Set([major]);
  while (cursor.remaining >= 4) brands.add(cursor.fourCc());
  return [...brands];
}
