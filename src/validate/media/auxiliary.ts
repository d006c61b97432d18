import { type Box, BoxCursor } from '../../media/isobmff/box-reader.ts';
import type { SampleEncryption } from '../contracts.ts';
import { readSampleEncryption } from './track-encryption.ts';

/** What a player is told of one sample (ISO/IEC 23001-7 7). */
export interface AuxiliaryEntry {
  /** Empty with a constant IV. */
  readonly iv: Uint8Array;
  /** Undefined: the sample is encrypted as a whole. */
  readonly subsamples:
    | readonly { readonly clearBytes: number; readonly protectedBytes: number }[]
    | undefined;
  readonly sizeBytes: number;
}

/** `senc` (7.2). */
export interface SampleEncryptionBox {
  /** Samples that it says it has. */
  readonly count: number;
  /** Offset in the buffer of what stands behind the count. */
  readonly dataStart: number;
  readonly entries: readonly AuxiliaryEntry[];
  /** Bytes behind the last entry; undefined when it ends within one. */
  readonly left: number | undefined;
}

/** `saiz` (ISO/IEC 14496-12 8.7.8). */
export interface AuxiliarySizes {
  readonly count: number;
  readonly sizeOf: (index: number) => number;
}

/** `saio` (8.7.9). */
export interface AuxiliaryOffsets {
  readonly count: number;
  readonly first: number | undefined;
}

/** More than one segment of anything has; a hostile box may claim it. */
const MAX_ENTRIES = 200_000;
const USES_SUBSAMPLES = 0x2;
const SUBSAMPLE_BYTES = 6;

/** IV size of the sample of an index: what `tenc` or its group says. */
export type IvBytesOf = (index: number) => number;

export function readSenc(bytes: Uint8Array, senc: Box, ivBytesOf: IvBytesOf): SampleEncryptionBox {
  const cursor = new BoxCursor(bytes, senc);
  const flags = cursor.u32() % 0x1000000;
  const count = cursor.u32();
  const dataStart = cursor.offset;
  const entries: AuxiliaryEntry[] = [];
  while (entries.length < Math.min(count, MAX_ENTRIES)) {
    const ivBytes = ivBytesOf(entries.length);
    const entry = readEntry(bytes, cursor, ivBytes, (flags & USES_SUBSAMPLES) !== 0);
    if (!entry) return { count, dataStart, entries, left: undefined };
    entries.push(entry);
  }
  return { count, dataStart, entries, left: cursor.overrun ? undefined : cursor.remaining };
}

function readEntry(
  bytes: Uint8Array,
  cursor: BoxCursor,
  ivBytes: number,
  hasSubsamples: boolean,
): AuxiliaryEntry | undefined {
  const from = cursor.offset;
  cursor.skip(ivBytes);
  const iv = bytes.subarray(from, from + ivBytes);
  if (!hasSubsamples) return cursor.overrun ? undefined : { iv, subsamples: undefined, sizeBytes: ivBytes };
  const count = cursor.u16();
  if (cursor.overrun || count * SUBSAMPLE_BYTES > cursor.remaining) return undefined;
  const subsamples = Array.from({ length: count }, () => ({
    clearBytes: cursor.u16(),
    protectedBytes: cursor.u32(),
  }));
  return { iv, subsamples, sizeBytes: cursor.offset - from };
}

/** The `saiz` of the encryption; one of other auxiliary information is passed over. */
export function readSaiz(bytes: Uint8Array, traf: Box, scheme: string): AuxiliarySizes | undefined {
  for (const box of traf.children) {
    if (box.type !== 'saiz') continue;
    const cursor = new BoxCursor(bytes, box);
    if (!isOfScheme(cursor, scheme)) continue;
    const defaultBytes = cursor.u8();
    const count = cursor.u32();
    const table = cursor.offset;
    if (defaultBytes === 0) cursor.skip(count);
    if (cursor.overrun) return { count: 0, sizeOf: () => 0 };
    return { count, sizeOf: (index) => (defaultBytes === 0 ? (bytes[table + index] ?? 0) : defaultBytes) };
  }
  return undefined;
}

export function readSaio(bytes: Uint8Array, traf: Box, scheme: string): AuxiliaryOffsets | undefined {
  for (const box of traf.children) {
    if (box.type !== 'saio') continue;
    const cursor = new BoxCursor(bytes, box);
    const long = bytes[box.bodyStart] === 1;
    if (!isOfScheme(cursor, scheme)) continue;
    const count = cursor.u32();
    const first = count === 0 ? undefined : long ? cursor.u64() : cursor.u32();
    return { count, first: cursor.overrun ? undefined : first };
  }
  return undefined;
}

/** Reads version, flags and aux_info_type; without a type it is that of the scheme (ISO/IEC 14496-12 8.7.8.3). */
function isOfScheme(cursor: BoxCursor, scheme: string): boolean {
  const typed = (cursor.u32() & 1) !== 0;
  if (!typed) return true;
  const type = cursor.fourCc();
  cursor.skip(4);
  return type === scheme;
}

/** The entries that `saiz` and `saio` lead to, for files without `senc`; undefined when they lie elsewhere. */
export function readIndirect(
  bytes: Uint8Array,
  moof: Box,
  { count, sizeOf }: AuxiliarySizes,
  { first }: AuxiliaryOffsets,
  ivBytesOf: IvBytesOf,
): readonly AuxiliaryEntry[] | undefined {
  if (first === undefined) return undefined;
  const entries: AuxiliaryEntry[] = [];
  let at = moof.start + first;
  for (let index = 0; index < Math.min(count, MAX_ENTRIES); index++) {
    const sizeBytes = sizeOf(index);
    if (at + sizeBytes > bytes.length) return undefined;
    const cursor = new BoxCursor(bytes, { ...moof, bodyStart: at, end: at + sizeBytes });
    const ivBytes = ivBytesOf(index);
    const entry = readEntry(bytes, cursor, ivBytes, sizeBytes > ivBytes);
    if (!entry) return undefined;
    entries.push(entry);
    at += sizeBytes;
  }
  return entries;
}

/** Entries of a `seig` group in the same traf are counted from here (ISO/IEC 14496-12 8.9.4). */
const LOCAL_GROUP = 0x10000;

/**
 * How the sample of an index is encrypted when `seig` groups have a say (ISO/IEC 23001-7 6): undefined for samples of
 * no group. `elsewhere` when a group is meant that stands in the initialization segment.
 */
export function readGroups(
  bytes: Uint8Array,
  traf: Box,
): ((index: number) => SampleEncryption | 'elsewhere' | undefined) | undefined {
  const sbgp = traf.children.find((box) => box.type === 'sbgp' && isSeig(bytes, box));
  if (!sbgp) return undefined;
  const sgpd = traf.children.find((box) => box.type === 'sgpd' && isSeig(bytes, box));
  const entries = sgpd ? readGroupEntries(bytes, sgpd) : [];
  const runs = readGroupRuns(bytes, sbgp);
  return (index) => {
    let end = 0;
    for (const { samples, group } of runs) {
      end += samples;
      if (index >= end) continue;
      if (group === 0) return undefined;
      return group > LOCAL_GROUP ? entries[group - LOCAL_GROUP - 1] : 'elsewhere';
    }
    return undefined;
  };
}

function isSeig(bytes: Uint8Array, box: Box): boolean {
  const cursor = new BoxCursor(bytes, box);
  cursor.skip(4);
  return cursor.fourCc() === 'seig';
}

const MAX_GROUP_RUNS = 10_000;

function readGroupRuns(bytes: Uint8Array, sbgp: Box): { samples: number; group: number }[] {
  const cursor = new BoxCursor(bytes, sbgp);
  const version = cursor.u8();
  cursor.skip(version === 1 ? 11 : 7);
  const count = Math.min(cursor.u32(), MAX_GROUP_RUNS);
  const runs: { samples: number; group: number }[] = [];
  while (runs.length < count && !cursor.overrun) {
    runs.push({ samples: cursor.u32(), group: cursor.u32() });
  }
  return runs;
}

function readGroupEntries(bytes: Uint8Array, sgpd: Box): SampleEncryption[] {
  const cursor = new BoxCursor(bytes, sgpd);
  const version = cursor.u8();
  cursor.skip(7);
  const defaultLength = version === 0 ? 0 : cursor.u32();
  if (version >= 2) cursor.skip(4);
  const count = Math.min(cursor.u32(), MAX_GROUP_RUNS);
  const entries: SampleEncryption[] = [];
  while (entries.length < count && !cursor.overrun) {
    const length = version === 1 && defaultLength === 0 ? cursor.u32() : defaultLength;
    const from = cursor.offset;
    const entry = readSampleEncryption(bytes, cursor);
    if (!entry) break;
    entries.push(entry);
    if (length > 0) cursor.skip(Math.max(0, length - (cursor.offset - from)));
  }
  return entries;
}
