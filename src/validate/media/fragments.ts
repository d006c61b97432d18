import { type Box, BoxCursor } from '../../media/isobmff/box-reader.ts';
import type { SampleDefaults } from '../contracts.ts';

/** One sample as a fragment describes it. */
export interface FragmentSample {
  /** First byte in the buffer read; undefined where the fragment's offsets cannot be resolved. */
  readonly offset: number | undefined;
  readonly sizeBytes: number;
  readonly durationTicks: number;
  /** sample_flags (ISO/IEC 14496-12 8.8.3.1). */
  readonly flags: number;
  readonly compositionTicks: number;
}

/** One `traf`. */
export interface TrackFragment {
  readonly trackId: number;
  /** tfhd flags. */
  readonly headerFlags: number;
  /** `tfdt`; undefined when there is none. */
  readonly baseTicks: number | undefined;
  readonly runVersions: readonly number[];
  readonly samples: readonly FragmentSample[];
  /** It could not be read to its end: no tfhd, a box too short, too many samples. */
  readonly malformed: boolean;
}

/** One `moof`. */
export interface Fragment {
  readonly moof: Box;
  /** `mfhd`; undefined when there is none. */
  readonly sequence: number | undefined;
  readonly tracks: readonly TrackFragment[];
}

/** A sample table a hostile file may claim; far above one segment of anything. */
const MAX_SAMPLES = 200_000;
const NO_DEFAULTS: SampleDefaults = { durationTicks: 0, sizeBytes: 0, flags: 0 };

/** tfhd flags (ISO/IEC 14496-12 8.8.7). */
export const TFHD = {
  baseDataOffset: 0x1,
  descriptionIndex: 0x2,
  duration: 0x8,
  size: 0x10,
  flags: 0x20,
  baseIsMoof: 0x20000,
} as const;

const TRUN = {
  dataOffset: 0x1,
  firstFlags: 0x4,
  duration: 0x100,
  size: 0x200,
  flags: 0x400,
  composition: 0x800,
} as const;

/** Bits of sample_flags. */
const NON_SYNC = 0x10000;

/** sample_is_non_sync_sample is not set. */
export function isSync(sample: FragmentSample): boolean {
  return (sample.flags & NON_SYNC) === 0;
}

/** sample_depends_on: 0 unknown, 1 on others, 2 on none. */
export function dependsOn(sample: FragmentSample): number {
  return (sample.flags >>> 24) & 3;
}

/** Reads one moof as far as it can be read. Never throws on any bytes. */
export function readFragment(
  bytes: Uint8Array,
  moof: Box,
  defaults: ReadonlyMap<number, SampleDefaults>,
): Fragment {
  const mfhd = moof.children.find(({ type }) => type === 'mfhd');
  const header = mfhd && new BoxCursor(bytes, mfhd);
  header?.skip(4);
  const tracks: TrackFragment[] = [];
  let end: number | undefined = moof.start;
  for (const traf of moof.children) {
    if (traf.type !== 'traf') continue;
    const read = readTrackFragment(bytes, traf, { moofStart: moof.start, previousEnd: end }, defaults);
    tracks.push(read.track);
    end = read.endOffset;
  }
  return { moof, sequence: header?.u32(), tracks };
}

interface Origin {
  readonly moofStart: number;
  /** Where the data of the traf before end: the base of the next one that does not say (8.8.7). */
  readonly previousEnd: number | undefined;
}

interface Header extends SampleDefaults {
  readonly trackId: number;
  readonly headerFlags: number;
  readonly base: number | undefined;
}

function readTrackFragment(
  bytes: Uint8Array,
  traf: Box,
  origin: Origin,
  defaults: ReadonlyMap<number, SampleDefaults>,
): { track: TrackFragment; endOffset: number | undefined } {
  const tfhd = traf.children.find(({ type }) => type === 'tfhd');
  if (!tfhd) {
    const track = { trackId: 0, headerFlags: 0, baseTicks: undefined, runVersions: [], samples: [] };
    return { track: { ...track, malformed: true }, endOffset: undefined };
  }
  const cursor = new BoxCursor(bytes, tfhd);
  const header = readHeader(cursor, origin, defaults);
  const reader = new RunReader(bytes, header);
  for (const box of traf.children) {
    if (box.type === 'trun') reader.read(box);
  }
  return {
    track: {
      trackId: header.trackId,
      headerFlags: header.headerFlags,
      baseTicks: readDecodeTime(bytes, traf),
      runVersions: reader.versions,
      samples: reader.samples,
      malformed: cursor.overrun || reader.malformed,
    },
    endOffset: reader.offset,
  };
}

function readDecodeTime(bytes: Uint8Array, traf: Box): number | undefined {
  const tfdt = traf.children.find(({ type }) => type === 'tfdt');
  if (!tfdt) return undefined;
  const cursor = new BoxCursor(bytes, tfdt);
  const long = cursor.u8() === 1;
  cursor.skip(3);
  const ticks = long ? cursor.u64() : cursor.u32();
  return cursor.overrun ? undefined : ticks;
}

function readHeader(
  cursor: BoxCursor,
  { moofStart, previousEnd }: Origin,
  byTrack: ReadonlyMap<number, SampleDefaults>,
): Header {
  const headerFlags = cursor.u32() % 0x1000000;
  const trackId = cursor.u32();
  const defaults = byTrack.get(trackId) ?? NO_DEFAULTS;
  const absolute = (headerFlags & TFHD.baseDataOffset) !== 0;
  if (absolute) cursor.skip(8);
  if (headerFlags & TFHD.descriptionIndex) cursor.skip(4);
  return {
    trackId,
    headerFlags,
    // An absolute offset counts from the start of a file that is not at hand.
    base: absolute ? undefined : headerFlags & TFHD.baseIsMoof ? moofStart : previousEnd,
    durationTicks: headerFlags & TFHD.duration ? cursor.u32() : defaults.durationTicks,
    sizeBytes: headerFlags & TFHD.size ? cursor.u32() : defaults.sizeBytes,
    flags: headerFlags & TFHD.flags ? cursor.u32() : defaults.flags,
  };
}

/** Reads the truns of one traf, one after the other. */
class RunReader {
  readonly versions: number[] = [];
  readonly samples: FragmentSample[] = [];
  malformed = false;
  /** Where the next sample lies. */
  offset: number | undefined;
  readonly #bytes: Uint8Array;
  readonly #header: Header;

  constructor(bytes: Uint8Array, header: Header) {
    this.#bytes = bytes;
    this.#header = header;
    this.offset = header.base;
  }

  read(trun: Box): void {
    const cursor = new BoxCursor(this.#bytes, trun);
    const version = cursor.u8();
    const flags = cursor.u8() * 0x10000 + cursor.u16();
    const count = cursor.u32();
    const { base } = this.#header;
    this.versions.push(version);
    if (flags & TRUN.dataOffset) {
      const offset = cursor.i32();
      this.offset = base === undefined ? undefined : base + offset;
    }
    const firstFlags = flags & TRUN.firstFlags ? cursor.u32() : undefined;
    if (this.samples.length + count > MAX_SAMPLES) {
      this.malformed = true;
      return;
    }
    for (let i = 0; i < count && !cursor.overrun; i++) {
      this.#readSample(cursor, flags, version, i === 0 ? firstFlags : undefined);
    }
    this.malformed ||= cursor.overrun;
  }

  #readSample(cursor: BoxCursor, flags: number, version: number, firstFlags: number | undefined): void {
    const header = this.#header;
    const durationTicks = flags & TRUN.duration ? cursor.u32() : header.durationTicks;
    const sizeBytes = flags & TRUN.size ? cursor.u32() : header.sizeBytes;
    const ownFlags = flags & TRUN.flags ? cursor.u32() : header.flags;
    const raw = flags & TRUN.composition ? (version === 0 ? cursor.u32() : cursor.i32()) : 0;
    if (cursor.overrun) return;
    this.samples.push({
      offset: this.offset,
      sizeBytes,
      durationTicks,
      flags: firstFlags ?? ownFlags,
      compositionTicks: raw,
    });
    if (this.offset !== undefined) this.offset += sizeBytes;
  }
}
