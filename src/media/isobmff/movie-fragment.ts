import { type Box, BoxCursor, findBox, readBoxes } from './box-reader.ts';
import type { StreamTrack } from './stream-init.ts';

/** Where one sample of a fragment lies and what it is; its bytes are still to come. */
export interface FragmentEntry {
  readonly track: StreamTrack;
  /** Decode time of the track's first sample in this fragment: tfdt, media ticks, exact however large. */
  readonly baseTicks: bigint;
  /** Decode time behind `baseTicks`, media ticks. */
  readonly offsetTicks: number;
  readonly durationTicks: number;
  /** pts − dts, media ticks. */
  readonly compositionOffset: number;
  readonly key: boolean;
  /** Of the first byte, counted as `moofStart` is. */
  readonly position: number;
  readonly sizeBytes: number;
}

/** A movie fragment, its samples in the order of their bytes. */
export interface MovieFragment {
  readonly sequence: number;
  /** Track and tfdt of the first track fragment. */
  readonly first: { readonly track: StreamTrack; readonly baseTicks: bigint };
  readonly entries: readonly FragmentEntry[];
}

export type FragmentFault = 'malformed' | 'unknown_track' | 'too_many_samples' | 'sample_too_large';

export interface FragmentLimits {
  /** Samples of all tracks of one fragment. */
  readonly maxSamples: number;
  readonly maxSampleBytes: number;
}

const NON_SYNC = 0x10000;
const MAX_SAFE_POSITION = 2 ** 52;

/** Mutable while one moof is read. */
interface Reading {
  readonly bytes: Uint8Array;
  readonly moofStart: number;
  readonly limits: FragmentLimits;
  readonly entries: FragmentEntry[];
  /** Where the data of the track fragment before this one ends. */
  dataEnd: number;
}

/**
 * Reads a whole `moof` box. `moofStart` is where it began, counted in whatever the caller counts positions in;
 * `findTrack` names the tracks by their id. Never throws.
 */
export function readMovieFragment(
  moof: Uint8Array,
  moofStart: number,
  findTrack: (id: number) => StreamTrack | undefined,
  limits: FragmentLimits,
): MovieFragment | FragmentFault {
  const { boxes, fault } = readBoxes(moof);
  const root = boxes[0];
  const mfhd = root && findBox(root.children, ['mfhd']);
  if (fault || !root || !mfhd) return 'malformed';
  const header = new BoxCursor(moof, mfhd);
  header.skip(4);
  const sequence = header.u32();
  const reading: Reading = { bytes: moof, moofStart, limits, entries: [], dataEnd: moofStart };
  let first: MovieFragment['first'] | undefined;
  for (const traf of root.children) {
    if (traf.type !== 'traf') continue;
    const read = readTrackFragment(reading, traf, first === undefined, findTrack);
    if (typeof read === 'string') return read;
    first ??= read;
  }
  if (!first || header.overrun) return 'malformed';
  return { sequence, first, entries: inByteOrder(reading.entries) };
}

/** Nearly always they are in order already. */
function inByteOrder(entries: FragmentEntry[]): readonly FragmentEntry[] {
  for (let i = 1; i < entries.length; i++) {
    if ((entries[i]?.position ?? 0) < (entries[i - 1]?.position ?? 0)) {
      return entries.sort((a, b) => a.position - b.position);
    }
  }
  return entries;
}

interface TrackFragmentHeader {
  readonly track: StreamTrack;
  readonly baseTicks: bigint;
  /** What data offsets count from. */
  readonly base: number;
  readonly duration: number;
  readonly size: number;
  readonly flags: number;
}

function readTrackFragment(
  reading: Reading,
  traf: Box,
  isFirst: boolean,
  findTrack: (id: number) => StreamTrack | undefined,
): MovieFragment['first'] | FragmentFault {
  const { bytes } = reading;
  const tfhd = findBox(traf.children, ['tfhd']);
  const tfdt = findBox(traf.children, ['tfdt']);
  if (!tfhd || !tfdt) return 'malformed';
  const baseTicks = readDecodeTime(new BoxCursor(bytes, tfdt));
  if (baseTicks === undefined) return 'malformed';
  const header = readHeader(reading, new BoxCursor(bytes, tfhd), isFirst, baseTicks, findTrack);
  if (typeof header === 'string') return header;
  const at = { offsetTicks: 0, position: header.base };
  for (const trun of traf.children) {
    if (trun.type !== 'trun') continue;
    const fault = readRun(reading, new BoxCursor(bytes, trun), header, at);
    if (fault) return fault;
  }
  reading.dataEnd = at.position;
  return { track: header.track, baseTicks };
}

function readDecodeTime(cursor: BoxCursor): bigint | undefined {
  const version = cursor.u8();
  cursor.skip(3);
  const high = version === 1 ? cursor.u32() : 0;
  const low = cursor.u32();
  return cursor.overrun ? undefined : (BigInt(high) << 32n) | BigInt(low);
}

/** tfhd (8.8.7): what it does not say is the track's default; what offsets count from depends on its flags. */
function readHeader(
  reading: Reading,
  cursor: BoxCursor,
  isFirst: boolean,
  baseTicks: bigint,
  findTrack: (id: number) => StreamTrack | undefined,
): TrackFragmentHeader | FragmentFault {
  const flags = cursor.u32() % 0x1000000;
  const track = findTrack(cursor.u32());
  if (!track) return 'unknown_track';
  const fromMoof = (flags & 0x20000) !== 0 || isFirst;
  const base = flags & 0x1 ? cursor.u64() : fromMoof ? reading.moofStart : reading.dataEnd;
  if (flags & 0x2) cursor.skip(4);
  const header = {
    track,
    baseTicks,
    base,
    duration: flags & 0x8 ? cursor.u32() : track.defaults.duration,
    size: flags & 0x10 ? cursor.u32() : track.defaults.size,
    flags: flags & 0x20 ? cursor.u32() : track.defaults.flags,
  };
  return cursor.overrun || base > MAX_SAFE_POSITION ? 'malformed' : header;
}

/** Appends the samples of one trun (8.8.8) and moves `at` behind them. */
function readRun(
  { entries, limits }: Reading,
  cursor: BoxCursor,
  header: TrackFragmentHeader,
  at: { offsetTicks: number; position: number },
): FragmentFault | undefined {
  const flags = cursor.u32() % 0x1000000;
  const count = cursor.u32();
  if (entries.length + count > limits.maxSamples) return 'too_many_samples';
  if (flags & 0x1) at.position = header.base + cursor.i32();
  const firstFlags = flags & 0x4 ? cursor.u32() : undefined;
  for (let i = 0; i < count; i++) {
    const durationTicks = flags & 0x100 ? cursor.u32() : header.duration;
    const sizeBytes = flags & 0x200 ? cursor.u32() : header.size;
    const ownFlags = flags & 0x400 ? cursor.u32() : header.flags;
    const sampleFlags = i === 0 && firstFlags !== undefined ? firstFlags : ownFlags;
    // Version 0 is unsigned by the letter; every encoder that needs the top bit means a negative offset.
    const compositionOffset = flags & 0x800 ? cursor.i32() : 0;
    if (cursor.overrun || at.position < 0) return 'malformed';
    if (sizeBytes > limits.maxSampleBytes) return 'sample_too_large';
    entries.push({
      track: header.track,
      baseTicks: header.baseTicks,
      offsetTicks: at.offsetTicks,
      durationTicks,
      compositionOffset,
      key: (sampleFlags & NON_SYNC) === 0,
      position: at.position,
      sizeBytes,
    });
    at.offsetTicks += durationTicks;
    at.position += sizeBytes;
  }
  return cursor.overrun ? 'malformed' : undefined;
}
