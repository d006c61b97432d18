import { createDecipheriv } from 'node:crypto';

/**
 * Decrypts Common Encryption by the standard's words (ISO/IEC 23001-7), one sample and one cipher at a time. It shares
 * nothing with the code that encrypts, boxes included, so that it cannot share its mistakes.
 */

/** What `sinf` says of a track. */
export interface ProtectedTrack {
  /** Sample entry: encv or enca. */
  readonly entry: string;
  readonly originalEntry: string;
  readonly scheme: string;
  readonly cryptBlocks: number;
  readonly skipBlocks: number;
  readonly ivBytes: number;
  readonly kid: Buffer;
  readonly constantIv: Buffer | undefined;
}

export interface DecryptedSample {
  readonly data: Buffer;
  readonly cipherData: Buffer;
  readonly iv: Buffer | undefined;
  readonly subsamples: readonly (readonly [clear: number, cipher: number])[] | undefined;
}

interface Found {
  readonly type: string;
  readonly start: number;
  readonly body: number;
  readonly end: number;
}

function boxesIn(bytes: Buffer, start: number, end: number): Found[] {
  const found: Found[] = [];
  for (let at = start; at + 8 <= end; ) {
    const size = bytes.readUInt32BE(at);
    if (size < 8 || at + size > end) throw new Error(`a box of ${size} bytes at ${at}`);
    found.push({ type: bytes.toString('latin1', at + 4, at + 8), start: at, body: at + 8, end: at + size });
    at += size;
  }
  return found;
}

function box(bytes: Buffer, inside: Found, type: string, skip = 0): Found {
  const found = boxesIn(bytes, inside.body + skip, inside.end).find((each) => each.type === type);
  if (!found) throw new Error(`no ${type}`);
  return found;
}

function optionalBox(bytes: Buffer, inside: Found, type: string): Found | undefined {
  return boxesIn(bytes, inside.body, inside.end).find((each) => each.type === type);
}

const ENTRY_FIELDS: Readonly<Record<string, number>> = { encv: 78, enca: 28 };

/** Reads the protection of the only track of an initialization segment. */
export function readProtectedTrack(init: Uint8Array): ProtectedTrack {
  const bytes = Buffer.from(init);
  const file: Found = { type: '', start: 0, body: 0, end: bytes.length };
  const path = ['moov', 'trak', 'mdia', 'minf', 'stbl', 'stsd'];
  const stsd = path.reduce((inside, type) => box(bytes, inside, type), file);
  const [entry] = boxesIn(bytes, stsd.body + 8, stsd.end);
  if (!entry) throw new Error('no sample entry');
  const fields = ENTRY_FIELDS[entry.type];
  if (fields === undefined) throw new Error(`${entry.type} is not protected`);
  const sinf = box(bytes, entry, 'sinf', fields);
  const frma = box(bytes, sinf, 'frma');
  const schm = box(bytes, sinf, 'schm');
  const tenc = box(bytes, box(bytes, sinf, 'schi'), 'tenc');
  const pattern = bytes[tenc.body + 5] ?? 0;
  const ivBytes = bytes[tenc.body + 7] ?? 0;
  if (bytes[tenc.body + 6] !== 1) throw new Error('not protected by default');
  const ivLength = ivBytes === 0 ? (bytes[tenc.body + 24] ?? 0) : 0;
  return {
    entry: entry.type,
    originalEntry: bytes.toString('latin1', frma.body, frma.end),
    scheme: bytes.toString('latin1', schm.body + 4, schm.body + 8),
    cryptBlocks: pattern >> 4,
    skipBlocks: pattern & 15,
    ivBytes,
    kid: bytes.subarray(tenc.body + 8, tenc.body + 24),
    constantIv: ivLength > 0 ? bytes.subarray(tenc.body + 25, tenc.body + 25 + ivLength) : undefined,
  };
}

interface Auxiliary {
  readonly iv: Buffer | undefined;
  readonly subsamples: readonly (readonly [number, number])[] | undefined;
}

/** Decrypts every sample of every moof in `chunks` (whole chunks, one track). */
export function decryptChunks(chunks: Uint8Array, track: ProtectedTrack, key: Uint8Array): DecryptedSample[] {
  const bytes = Buffer.from(chunks);
  return boxesIn(bytes, 0, bytes.length)
    .filter(({ type }) => type === 'moof')
    .flatMap((moof) => {
      const traf = box(bytes, moof, 'traf');
      const samples = samplesOf(bytes, moof, box(bytes, traf, 'trun'));
      const auxiliary = auxiliaryOf(bytes, moof, traf, track, samples.length);
      return samples.map((cipherData, index) => {
        const { iv, subsamples } = auxiliary[index] ?? { iv: undefined, subsamples: undefined };
        return { data: decryptSample(cipherData, track, key, iv, subsamples), cipherData, iv, subsamples };
      });
    });
}

function samplesOf(bytes: Buffer, moof: Found, trun: Found): Buffer[] {
  const flags = bytes.readUInt32BE(trun.body) & 0xffffff;
  const count = bytes.readUInt32BE(trun.body + 4);
  if ((flags & 0x201) !== 0x201) throw new Error('trun without an offset or sizes');
  let offset = moof.start + bytes.readInt32BE(trun.body + 8);
  let at = trun.body + 12 + (flags & 4 ? 4 : 0);
  const samples: Buffer[] = [];
  for (let index = 0; index < count; index++) {
    if (flags & 0x100) at += 4;
    const size = bytes.readUInt32BE(at);
    at += 4 + (flags & 0x400 ? 4 : 0) + (flags & 0x800 ? 4 : 0);
    if (offset + size > bytes.length) throw new Error('a sample behind the end');
    samples.push(bytes.subarray(offset, offset + size));
    offset += size;
  }
  return samples;
}

/** Reads `senc`, and asserts that `saiz` and `saio`, where they are, say the same. */
function auxiliaryOf(
  bytes: Buffer,
  moof: Found,
  traf: Found,
  track: ProtectedTrack,
  samples: number,
): Auxiliary[] {
  const senc = optionalBox(bytes, traf, 'senc');
  if (!senc) return [];
  const withSubsamples = (bytes.readUInt32BE(senc.body) & 2) !== 0;
  if (bytes.readUInt32BE(senc.body + 4) !== samples) throw new Error('senc has another number of samples');
  const starts: number[] = [];
  let at = senc.body + 8;
  const list = Array.from({ length: samples }, (): Auxiliary => {
    starts.push(at);
    const iv = track.ivBytes > 0 ? bytes.subarray(at, at + track.ivBytes) : undefined;
    at += track.ivBytes;
    if (!withSubsamples) return { iv, subsamples: undefined };
    const count = bytes.readUInt16BE(at);
    const subsamples = Array.from(
      { length: count },
      (_, index) => [bytes.readUInt16BE(at + 2 + 6 * index), bytes.readUInt32BE(at + 4 + 6 * index)] as const,
    );
    at += 2 + 6 * count;
    return { iv, subsamples };
  });
  if (at !== senc.end) throw new Error('senc has other bytes');
  checkSizes(bytes, moof, traf, [...starts, at]);
  return list;
}

function checkSizes(bytes: Buffer, moof: Found, traf: Found, starts: readonly number[]): void {
  const saiz = optionalBox(bytes, traf, 'saiz');
  const saio = optionalBox(bytes, traf, 'saio');
  if (!saiz && !saio) return;
  if (!saiz || !saio) throw new Error('saiz and saio come together');
  const count = starts.length - 1;
  const same = bytes[saiz.body + 4] ?? 0;
  if (bytes.readUInt32BE(saiz.body + 5) !== count) throw new Error('saiz has another number of samples');
  for (let index = 0; index < count; index++) {
    const size = same || bytes[saiz.body + 9 + index];
    if (size !== (starts[index + 1] ?? 0) - (starts[index] ?? 0))
      throw new Error(`saiz is wrong at ${index}`);
  }
  if (saiz.end !== saiz.body + 9 + (same ? 0 : count)) throw new Error('saiz has other bytes');
  if (bytes.readUInt32BE(saio.body + 4) !== 1) throw new Error('saio has several entries');
  if (moof.start + bytes.readUInt32BE(saio.body + 8) !== starts[0]) throw new Error('saio points elsewhere');
}

/** One sample; without subsamples it is encrypted as a whole. */
export function decryptSample(
  sample: Buffer,
  track: ProtectedTrack,
  key: Uint8Array,
  iv: Buffer | undefined,
  subsamples: readonly (readonly [number, number])[] | undefined,
): Buffer {
  const total = subsamples?.reduce((sum, [clear, cipher]) => sum + clear + cipher, 0) ?? sample.length;
  if (total !== sample.length)
    throw new Error(`subsamples of ${total} bytes in a sample of ${sample.length}`);
  const ranges: Buffer[] = [];
  const out = Buffer.from(sample);
  let at = 0;
  for (const [clear, cipher] of subsamples ?? [[0, sample.length] as const]) {
    ranges.push(out.subarray(at + clear, at + clear + cipher));
    at += clear + cipher;
  }
  if (track.scheme === 'cenc') decryptCounter(ranges, key, iv);
  else for (const range of ranges) decryptPattern(range, track, key);
  return out;
}

function decryptCounter(ranges: readonly Buffer[], key: Uint8Array, iv: Buffer | undefined): void {
  if (iv?.length !== 8) throw new Error('no IV of 8 bytes');
  const cipher = createDecipheriv('aes-128-ctr', key, Buffer.concat([iv, Buffer.alloc(8)]));
  for (const range of ranges) cipher.update(range).copy(range);
}

function decryptPattern(range: Buffer, track: ProtectedTrack, key: Uint8Array): void {
  const cipher = createDecipheriv('aes-128-cbc', key, track.constantIv ?? Buffer.alloc(0));
  cipher.setAutoPadding(false);
  const { cryptBlocks, skipBlocks } = track;
  const cycle = cryptBlocks + skipBlocks;
  for (let block = 0; (block + 1) * 16 <= range.length; block++) {
    if (cycle > 0 && block % cycle >= cryptBlocks) continue;
    const bytes = range.subarray(block * 16, block * 16 + 16);
    cipher.update(bytes).copy(bytes);
  }
}
