import { AppError } from '../../base/errors.ts';
import type { MasterDemuxer } from './master-input.ts';

/** Reads `length` bytes from `position`; fewer at the end of the file. */
export type ReadAt = (position: number, length: number) => Promise<Uint8Array>;

/** Of the file's beginning, for its signature. */
const HEAD_BYTES = 1024;
const TS_PACKET = 188;
/** A Blu-ray's packets have a time stamp of four bytes in front. */
const M2TS_PACKET = 192;
const TS_SYNC = 0x47;
/** Boxes a QuickTime or MP4 file may begin with. */
const FIRST_BOXES = new Set(['ftyp', 'moov', 'mdat', 'free', 'skip', 'wide', 'pnot', 'uuid']);
const IMAGE_BRANDS = new Set([
  'heic',
  'heix',
  'hevc',
  'hevx',
  'heim',
  'heis',
  'avif',
  'avis',
  'mif1',
  'msf1',
  'crx ',
]);
/** Boxes at the top level that are looked at: a fragmented file of a day has no more. */
const MAX_BOXES = 200_000;
const BOX_HEADER = 16;
const MXF_KEY = [0x06, 0x0e, 0x2b, 0x34, 0x02, 0x05, 0x01, 0x01, 0x0d, 0x01, 0x02, 0x01];
const EBML_MAGIC = [0x1a, 0x45, 0xdf, 0xa3];
const SEGMENT_ID = [0x18, 0x53, 0x80, 0x67];

/**
 * What a file is by its own bytes, whatever its name says, and whether it is all there. The demuxer follows from it, so
 * that none has to be guessed: guessing is how playlists and scripts get read.
 * @throws AppError VOD_MASTER_REFUSED, VOD_MASTER_UNREADABLE
 */
export async function identifyContainer(readAt: ReadAt, sizeBytes: number): Promise<MasterDemuxer> {
  const head = await readAt(0, Math.min(HEAD_BYTES, sizeBytes));
  if (FIRST_BOXES.has(ascii(head, 4, 4))) {
    await checkBoxes(readAt, sizeBytes, head);
    return 'mov';
  }
  if (EBML_MAGIC.every((byte, at) => head[at] === byte)) {
    checkSegment(head, sizeBytes);
    return 'matroska';
  }
  if (isTransportStream(head)) return 'mpegts';
  if (MXF_KEY.every((byte, at) => head[at] === byte)) return 'mxf';
  throw refused(`${whatItIs(head)} Masters are MP4, QuickTime, Matroska, WebM, MPEG-TS or MXF files.`);
}

/** What a person may have taken for a master. */
const OTHERS: readonly (readonly [RegExp, string])[] = [
  [/^\uFEFF?#EXTM3U/, 'The file is an HLS playlist, not media.'],
  [/^\uFEFF?ffconcat/, 'The file is a script for ffmpeg, not media.'],
  [/^\uFEFF?;FFMETADATA/, 'The file is metadata for ffmpeg, not media.'],
  [/^\uFEFF?v=0\r?\n/, 'The file is an SDP description, not media.'],
  [/^\uFEFF?\s*<(\?xml|MPD|smil|asx)/i, 'The file is XML, not media.'],
  [/^(\x89PNG|\xff\xd8\xff|GIF8|BM|II\*\0|MM\0\*)/, 'The file is a picture.'],
  [/^RIFF....WEBP/s, 'The file is a picture.'],
  [/^RIFF....AVI /s, 'The file is an AVI, a container that is not taken.'],
  [/^FLV/, 'The file is an FLV, a container that is not taken.'],
  [/^(PK|7z|Rar!)/, 'The file is an archive.'],
  [/^\uFEFF?[\t\n\r\x20-\x7e]{8}/, 'The file is text, not media.'],
];

function whatItIs(head: Uint8Array): string {
  const text = Buffer.from(head)
    .toString('latin1')
    .replace(/^\xef\xbb\xbf/, '\uFEFF');
  return OTHERS.find(([pattern]) => pattern.test(text))?.[1] ?? 'The file is of no kind that is known here.';
}

/** Two packets in a row, or as many as there are. */
function isTransportStream(head: Uint8Array): boolean {
  const plain = [0, TS_PACKET, 2 * TS_PACKET].every((at) => head[at] === TS_SYNC);
  return plain || [4, 4 + M2TS_PACKET, 4 + 2 * M2TS_PACKET].every((at) => head[at] === TS_SYNC);
}

/** Boxes of the top level follow each other to the very end, and one of them is the movie (ISO/IEC 14496-12 4.2). */
async function checkBoxes(readAt: ReadAt, sizeBytes: number, head: Uint8Array): Promise<void> {
  if (ascii(head, 4, 4) === 'ftyp' && IMAGE_BRANDS.has(ascii(head, 8, 4)))
    throw refused('The file is a picture.');
  let hasMovie = false;
  let at = 0;
  for (let boxes = 0; at < sizeBytes; boxes += 1) {
    if (boxes === MAX_BOXES) throw refused(`The file has more than ${MAX_BOXES} boxes.`);
    const header = await readAt(at, Math.min(BOX_HEADER, sizeBytes - at));
    const size = boxSize(header, sizeBytes - at);
    // What follows the last whole box may be padding.
    if (size === undefined) break;
    hasMovie ||= ascii(header, 4, 4) === 'moov';
    if (at + size > sizeBytes) throw unreadable('The file is cut short: it ends within its media.');
    at += size;
  }
  if (!hasMovie)
    throw unreadable('The file has no index (moov box): it is cut short, or was never finished.');
}

/** Undefined: this is no box. */
function boxSize(header: Uint8Array, left: number): number | undefined {
  if (header.length < 8 || !/^[\x20-\x7e\xa9]{4}$/.test(ascii(header, 4, 4))) return undefined;
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const short = view.getUint32(0);
  if (short === 0) return left;
  if (short !== 1) return short >= 8 ? short : undefined;
  if (header.length < BOX_HEADER) return undefined;
  const long = Number(view.getBigUint64(8));
  return long >= BOX_HEADER ? long : undefined;
}

/** The segment, when it says how long it is, must be there (RFC 8794 6.2, RFC 9559). */
function checkSegment(head: Uint8Array, sizeBytes: number): void {
  const header = ebmlSize(head, 4);
  if (header === undefined) throw unreadable('The Matroska header is damaged.');
  const at = header.next + header.size;
  if (!SEGMENT_ID.every((byte, index) => head[at + index] === byte)) return;
  const segment = ebmlSize(head, at + 4);
  if (segment === undefined || segment.unknown) return;
  if (segment.next + segment.size > sizeBytes)
    throw unreadable('The file is cut short: it ends within its media.');
}

function ebmlSize(
  bytes: Uint8Array,
  at: number,
): { readonly size: number; readonly next: number; readonly unknown: boolean } | undefined {
  const first = bytes[at] ?? 0;
  const length = Math.clz32(first) - 23;
  if (first === 0 || at + length > bytes.length) return undefined;
  let size = first & (0xff >> length);
  let unknown = size === 0xff >> length;
  for (let index = 1; index < length; index++) {
    const byte = bytes[at + index] ?? 0;
    unknown &&= byte === 0xff;
    size = size * 256 + byte;
  }
  return { size, next: at + length, unknown };
}

function ascii(bytes: Uint8Array, at: number, length: number): string {
  return Buffer.from(bytes.subarray(at, at + length)).toString('latin1');
}

function refused(message: string): AppError {
  return new AppError('VOD_MASTER_REFUSED', message);
}

function unreadable(message: string): AppError {
  return new AppError('VOD_MASTER_UNREADABLE', message);
}
