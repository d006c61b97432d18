import { type Box, BoxCursor, findBox, readBoxes } from './box-reader.ts';
import { readDecoderSpecificInfo } from './decoder-specific-info.ts';

/** What samples of a track are when a fragment does not say (trex, ISO/IEC 14496-12 8.8.3). */
export interface StreamSampleDefaults {
  readonly duration: number;
  readonly size: number;
  readonly flags: number;
}

/** A track of a fragmented file that comes as a stream. */
export interface StreamTrack {
  readonly id: number;
  /** hdlr handler_type: `vide`, `soun`, `meta`, `text`, `subt`, … */
  readonly handler: string;
  /** Ticks a second; never 0. */
  readonly timescale: number;
  /** Sample entry type: `avc1`, `hev1`, `mp4a`, `encv`, … */
  readonly entry: string;
  /**
   * Body of the codec's box (`avcC`, `hvcC`, `av1C`, `vpcC`, `dac3`, `dec3`, `dOps`, `dfLa`), or the AudioSpecificConfig
   * inside `esds`. A copy. Undefined when there is none.
   */
  readonly config: Uint8Array | undefined;
  /** Pixels; 0 for audio. */
  readonly width: number;
  readonly height: number;
  /** Mean or, without it, highest bit rate of `btrt`; 0 when not told. */
  readonly bitrateBps: number;
  /** Ticks to add to a decode time to get from media time to presentation time: the edit list. */
  readonly editTicks: number;
  readonly defaults: StreamSampleDefaults;
}

/** Tracks of one movie that are read; a movie with more is refused. */
export const MAX_MOVIE_TRACKS = 16;

const VISUAL_ENTRY_BYTES = 78;
const AUDIO_ENTRY_BYTES = 28;
/** QuickTime's versions of the audio entry have this much more in front of the boxes. */
const AUDIO_EXTENSION_BYTES: readonly number[] = [0, 16, 36];
const CONFIG_BOXES: ReadonlySet<string> = new Set([
  'avcC',
  'hvcC',
  'av1C',
  'vpcC',
  'esds',
  'dac3',
  'dec3',
  'dOps',
  'dfLa',
]);

/**
 * Reads the tracks of a whole `moov` box. Undefined when it cannot be read, has no track or too many, or is not of a
 * fragmented file (no `mvex`). Never throws.
 */
export function readStreamInit(moov: Uint8Array): readonly StreamTrack[] | undefined {
  // A fault in what is not needed (user data of QuickTime files ends in odd bytes) does no harm.
  const movie = readBoxes(moov).boxes[0];
  if (movie?.type !== 'moov' || !findBox(movie.children, ['mvex'])) return undefined;
  const traks = movie.children.filter(({ type }) => type === 'trak');
  if (traks.length === 0 || traks.length > MAX_MOVIE_TRACKS) return undefined;
  const movieTimescale = readTimescale(moov, findBox(movie.children, ['mvhd']));
  const tracks: StreamTrack[] = [];
  for (const trak of traks) {
    const track = readTrack(moov, trak, movie, movieTimescale);
    if (!track || tracks.some(({ id }) => id === track.id)) return undefined;
    tracks.push(track);
  }
  return tracks;
}

function readTrack(
  bytes: Uint8Array,
  trak: Box,
  movie: Box,
  movieTimescale: number,
): StreamTrack | undefined {
  const tkhd = findBox(trak.children, ['tkhd']);
  const hdlr = findBox(trak.children, ['mdia', 'hdlr']);
  const stsd = findBox(trak.children, ['mdia', 'minf', 'stbl', 'stsd']);
  const timescale = readTimescale(bytes, findBox(trak.children, ['mdia', 'mdhd']));
  const entry = stsd?.children[0];
  if (!tkhd || !hdlr || !entry || timescale === 0) return undefined;
  const id = readTrackId(new BoxCursor(bytes, tkhd));
  const handlerCursor = new BoxCursor(bytes, hdlr);
  handlerCursor.skip(8);
  const handler = handlerCursor.fourCc();
  if (id === 0 || handlerCursor.overrun) return undefined;
  return {
    id,
    handler,
    timescale,
    entry: entry.type,
    ...readEntry(bytes, entry, handler),
    editTicks: readEdit(bytes, findBox(trak.children, ['edts', 'elst']), timescale, movieTimescale),
    defaults: readDefaults(bytes, movie, id),
  };
}

/** The track id of a `tkhd`: behind creation and modification time, which version 1 has with 64 bits. */
function readTrackId(cursor: BoxCursor): number {
  const version = cursor.u8();
  cursor.skip(version === 1 ? 19 : 11);
  return cursor.overrun ? 0 : cursor.u32();
}

/** The timescale of an `mdhd` or `mvhd`, which have it at the same place; 0 when there is none. */
function readTimescale(bytes: Uint8Array, box: Box | undefined): number {
  if (!box) return 0;
  const cursor = new BoxCursor(bytes, box);
  const version = cursor.u8();
  cursor.skip(version === 1 ? 19 : 11);
  const timescale = cursor.u32();
  return cursor.overrun ? 0 : timescale;
}

type EntryFields = Pick<StreamTrack, 'config' | 'width' | 'height' | 'bitrateBps'>;

function readEntry(bytes: Uint8Array, entry: Box, handler: string): EntryFields {
  const cursor = new BoxCursor(bytes, entry);
  if (handler === 'vide') {
    cursor.skip(24);
    const [width, height] = [cursor.u16(), cursor.u16()];
    return { width, height, ...readEntryBoxes(bytes, entry, VISUAL_ENTRY_BYTES) };
  }
  if (handler !== 'soun') return { config: undefined, width: 0, height: 0, bitrateBps: 0 };
  cursor.skip(8);
  const extension = AUDIO_EXTENSION_BYTES[cursor.u16()] ?? 0;
  return { width: 0, height: 0, ...readEntryBoxes(bytes, entry, AUDIO_ENTRY_BYTES + extension) };
}

/** Reads the boxes inside a sample entry, whatever its type: they begin after its fixed fields. */
function readEntryBoxes(
  bytes: Uint8Array,
  entry: Box,
  fixedBytes: number,
): Pick<EntryFields, 'config' | 'bitrateBps'> {
  const start = entry.bodyStart + fixedBytes;
  if (start > entry.end) return { config: undefined, bitrateBps: 0 };
  const inside = bytes.subarray(start, entry.end);
  const { boxes } = readBoxes(inside);
  const config = boxes.find(({ type }) => CONFIG_BOXES.has(type));
  const btrt = boxes.find(({ type }) => type === 'btrt');
  return {
    config: config && configOf(inside, config),
    bitrateBps: btrt ? readBitrate(new BoxCursor(inside, btrt)) : 0,
  };
}

function configOf(bytes: Uint8Array, box: Box): Uint8Array | undefined {
  if (box.type !== 'esds') return new Uint8Array(bytes.subarray(box.bodyStart, box.end));
  const info = readDecoderSpecificInfo(bytes, box);
  return info && new Uint8Array(info);
}

/** `btrt` (8.5.2.2): buffer size, highest and mean rate. */
function readBitrate(cursor: BoxCursor): number {
  cursor.skip(4);
  const highest = cursor.u32();
  const mean = cursor.u32();
  return cursor.overrun ? 0 : mean || highest;
}

/** Entries of an edit list that are looked at: an empty one and the one that begins the media. */
const MAX_EDITS = 2;

/**
 * What an edit list adds to media time: minus the media time that is shown first, plus an empty edit before it.
 * CMAF (ISO/IEC 23000-19 7.5.13) and encoders use it for composition offsets and for audio priming, nothing else.
 */
function readEdit(
  bytes: Uint8Array,
  elst: Box | undefined,
  timescale: number,
  movieTimescale: number,
): number {
  if (!elst) return 0;
  const cursor = new BoxCursor(bytes, elst);
  const wide = cursor.u8() === 1;
  cursor.skip(3);
  const count = Math.min(cursor.u32(), MAX_EDITS);
  let emptyTicks = 0;
  for (let i = 0; i < count; i++) {
    const duration = wide ? cursor.u64() : cursor.u32();
    const high = wide ? cursor.i32() : 0;
    const mediaTime = wide ? high * 2 ** 32 + cursor.u32() : cursor.i32();
    cursor.skip(4);
    if (cursor.overrun) return 0;
    if (mediaTime >= 0) return withinReason(emptyTicks - mediaTime);
    if (movieTimescale > 0) emptyTicks += Math.round((duration / movieTimescale) * timescale);
  }
  return 0;
}

/** Beyond 2^32 ticks an edit list is damage: it is left out. */
function withinReason(ticks: number): number {
  return Math.abs(ticks) < 2 ** 32 ? ticks : 0;
}

function readDefaults(bytes: Uint8Array, movie: Box, trackId: number): StreamSampleDefaults {
  for (const box of findBox(movie.children, ['mvex'])?.children ?? []) {
    if (box.type !== 'trex') continue;
    const cursor = new BoxCursor(bytes, box);
    cursor.skip(4);
    if (cursor.u32() !== trackId) continue;
    cursor.skip(4);
    return { duration: cursor.u32(), size: cursor.u32(), flags: cursor.u32() };
  }
  return { duration: 0, size: 0, flags: 0 };
}
