import { type Box, BoxCursor, findBox, readBoxes } from './box-reader.ts';
import { readDecoderSpecificInfo } from './decoder-specific-info.ts';

/** What the sample flags and times fall back to when a fragment does not say (trex, ISO/IEC 14496-12 8.8.3). */
export interface SampleDefaults {
  readonly duration: number;
  readonly size: number;
  readonly flags: number;
}

/** A track as an initialization segment describes it. */
export interface InitTrack {
  readonly id: number;
  /** hdlr handler_type: `vide`, `soun`, … */
  readonly handler: string;
  readonly timescale: number;
  /** Sample entry type: `avc1`, `mp4a`, … */
  readonly entry: string;
  /**
   * Body of avcC, hvcC, av1C, vpcC, dac3, dec3, dOps or dfLa (of a FullBox with its version and flags), or the
   * AudioSpecificConfig inside esds; undefined for other codecs.
   */
  readonly config: Uint8Array | undefined;
  /** Pixels; 0 for audio. */
  readonly width: number;
  readonly height: number;
  /** 0 for video. */
  readonly channels: number;
  readonly defaults: SampleDefaults;
}

/** One sample of a fragment. `data` is a view of the bytes read. */
export interface FragmentSample {
  readonly dts: number;
  readonly pts: number;
  readonly duration: number;
  readonly flags: number;
  /** sample_is_non_sync_sample is not set. */
  readonly key: boolean;
  readonly data: Uint8Array;
}

/** One moof with its samples, track by track. */
export interface Fragment {
  readonly sequence: number;
  readonly tracks: readonly {
    readonly id: number;
    readonly baseTicks: number;
    readonly samples: readonly FragmentSample[];
  }[];
}

/** A sample table a hostile file may claim; far above one second of anything. */
const MAX_SAMPLES = 200_000;

const NO_DEFAULTS: SampleDefaults = { duration: 0, size: 0, flags: 0 };
const NON_SYNC = 0x10000;

/** Reads the tracks of a `moov`; undefined when there is none or it cannot be read. */
export function readInitSegment(bytes: Uint8Array): readonly InitTrack[] | undefined {
  const moov = findBox(readBoxes(bytes).boxes, ['moov']);
  if (!moov) return undefined;
  const tracks: InitTrack[] = [];
  for (const trak of moov.children.filter((box) => box.type === 'trak')) {
    const track = readTrack(bytes, trak, moov);
    if (!track) return undefined;
    tracks.push(track);
  }
  return tracks;
}

/**
 * Reads every moof of `bytes` with its samples. `tracks` gives the defaults of trex.
 * undefined when a fragment cannot be read or points outside the buffer.
 */
export function readFragments(bytes: Uint8Array, tracks: readonly InitTrack[] = []): Fragment[] | undefined {
  const { boxes, fault } = readBoxes(bytes);
  if (fault) return undefined;
  const fragments: Fragment[] = [];
  for (const moof of boxes.filter((box) => box.type === 'moof')) {
    const fragment = readFragment(bytes, moof, tracks);
    if (!fragment) return undefined;
    fragments.push(fragment);
  }
  return fragments;
}

function readTrack(bytes: Uint8Array, trak: Box, moov: Box): InitTrack | undefined {
  const tkhd = findBox(trak.children, ['tkhd']);
  const mdhd = findBox(trak.children, ['mdia', 'mdhd']);
  const hdlr = findBox(trak.children, ['mdia', 'hdlr']);
  const entry = findBox(trak.children, ['mdia', 'minf', 'stbl', 'stsd'])?.children[0];
  if (!tkhd || !mdhd || !hdlr || !entry) return undefined;
  const id = readTrackId(new BoxCursor(bytes, tkhd));
  const handler = new BoxCursor(bytes, hdlr);
  handler.skip(8);
  return {
    id,
    handler: handler.fourCc(),
    timescale: readTimescale(new BoxCursor(bytes, mdhd)),
    entry: entry.type,
    config: readConfig(bytes, entry),
    ...readEntryFields(bytes, entry),
    defaults: readTrackDefaults(bytes, moov, id),
  };
}

function readTrackId(cursor: BoxCursor): number {
  const version = cursor.u8();
  cursor.skip(version === 1 ? 19 : 11);
  return cursor.u32();
}

function readTimescale(cursor: BoxCursor): number {
  const version = cursor.u8();
  cursor.skip(version === 1 ? 19 : 11);
  return cursor.u32();
}

const AUDIO_ENTRIES = new Set(['mp4a', 'enca', 'ac-3', 'ec-3', 'Opus', 'fLaC']);
const CONFIG_BOXES = new Set(['avcC', 'hvcC', 'av1C', 'vpcC', 'dac3', 'dec3', 'dOps', 'dfLa']);

function readEntryFields(bytes: Uint8Array, entry: Box): { width: number; height: number; channels: number } {
  const cursor = new BoxCursor(bytes, entry);
  if (AUDIO_ENTRIES.has(entry.type)) {
    cursor.skip(16);
    return { width: 0, height: 0, channels: cursor.u16() };
  }
  cursor.skip(24);
  return { width: cursor.u16(), height: cursor.u16(), channels: 0 };
}

function readConfig(bytes: Uint8Array, entry: Box): Uint8Array | undefined {
  const config = entry.children.find((box) => CONFIG_BOXES.has(box.type));
  if (config) return bytes.subarray(config.bodyStart, config.end);
  const esds = findBox(entry.children, ['esds']);
  return esds ? readDecoderSpecificInfo(bytes, esds) : undefined;
}

function readTrackDefaults(bytes: Uint8Array, moov: Box, trackId: number): SampleDefaults {
  const mvex = findBox(moov.children, ['mvex']);
  for (const trex of mvex?.children ?? []) {
    if (trex.type !== 'trex') continue;
    const cursor = new BoxCursor(bytes, trex);
    cursor.skip(4);
    if (cursor.u32() !== trackId) continue;
    cursor.skip(4);
    return { duration: cursor.u32(), size: cursor.u32(), flags: cursor.u32() };
  }
  return NO_DEFAULTS;
}

function readFragment(bytes: Uint8Array, moof: Box, tracks: readonly InitTrack[]): Fragment | undefined {
  const mfhd = findBox(moof.children, ['mfhd']);
  if (!mfhd) return undefined;
  const header = new BoxCursor(bytes, mfhd);
  header.skip(4);
  const sequence = header.u32();
  const read: { id: number; baseTicks: number; samples: FragmentSample[] }[] = [];
  for (const traf of moof.children.filter((box) => box.type === 'traf')) {
    const track = readTrackFragment(bytes, moof, traf, tracks);
    if (!track) return undefined;
    read.push(track);
  }
  return { sequence, tracks: read };
}

interface TrackFragmentHeader extends SampleDefaults {
  readonly id: number;
  /** Where data offsets count from. */
  readonly base: number;
}

function readTrackFragment(
  bytes: Uint8Array,
  moof: Box,
  traf: Box,
  tracks: readonly InitTrack[],
): { id: number; baseTicks: number; samples: FragmentSample[] } | undefined {
  const tfhd = findBox(traf.children, ['tfhd']);
  const tfdt = findBox(traf.children, ['tfdt']);
  if (!tfhd || !tfdt) return undefined;
  const header = readFragmentHeader(new BoxCursor(bytes, tfhd), moof, tracks);
  const time = new BoxCursor(bytes, tfdt);
  const version = time.u8();
  time.skip(3);
  const baseTicks = version === 1 ? time.u64() : time.u32();
  const samples: FragmentSample[] = [];
  const position = { dts: baseTicks, offset: header.base };
  for (const trun of traf.children.filter((box) => box.type === 'trun')) {
    if (!readRun(bytes, new BoxCursor(bytes, trun), header, position, samples)) return undefined;
  }
  return { id: header.id, baseTicks, samples };
}

function readFragmentHeader(cursor: BoxCursor, moof: Box, tracks: readonly InitTrack[]): TrackFragmentHeader {
  const flags = cursor.u32();
  const id = cursor.u32();
  const defaults = tracks.find((track) => track.id === id)?.defaults ?? NO_DEFAULTS;
  const base = flags & 0x1 ? cursor.u64() : moof.start;
  if (flags & 0x2) cursor.skip(4);
  return {
    id,
    base,
    duration: flags & 0x8 ? cursor.u32() : defaults.duration,
    size: flags & 0x10 ? cursor.u32() : defaults.size,
    flags: flags & 0x20 ? cursor.u32() : defaults.flags,
  };
}

/** Appends the samples of one trun and moves `position` behind them; false when it cannot be read. */
function readRun(
  bytes: Uint8Array,
  cursor: BoxCursor,
  header: TrackFragmentHeader,
  position: { dts: number; offset: number },
  samples: FragmentSample[],
): boolean {
  const flags = cursor.u32() % 0x1000000;
  const count = cursor.u32();
  if (count > MAX_SAMPLES) return false;
  if (flags & 0x1) position.offset = header.base + cursor.i32();
  const firstFlags = flags & 0x4 ? cursor.u32() : undefined;
  for (let i = 0; i < count; i++) {
    const duration = flags & 0x100 ? cursor.u32() : header.duration;
    const size = flags & 0x200 ? cursor.u32() : header.size;
    const ownFlags = flags & 0x400 ? cursor.u32() : header.flags;
    const sampleFlags = i === 0 && firstFlags !== undefined ? firstFlags : ownFlags;
    const compositionOffset = flags & 0x800 ? cursor.i32() : 0;
    const end = position.offset + size;
    if (cursor.overrun || position.offset < 0 || end > bytes.length) return false;
    samples.push({
      dts: position.dts,
      pts: position.dts + compositionOffset,
      duration,
      flags: sampleFlags,
      key: (sampleFlags & NON_SYNC) === 0,
      data: bytes.subarray(position.offset, end),
    });
    position.dts += duration;
    position.offset = end;
  }
  return true;
}
