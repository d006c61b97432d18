import { type Box, BoxCursor, findBox, readBoxes } from '../../media/isobmff/box-reader.ts';
import { parseAvcConfig } from '../../media/h264.ts';
import type { ProtectionFacts } from '../contracts.ts';
import { hevcCodecString } from './hevc-codec-string.ts';
import { readProtection } from './track-encryption.ts';

/** What the first sample entry of a track says of its codec. */
export interface SampleEntry {
  /** Four characters; for protected media those of the original format. */
  readonly format: string;
  /** Undefined when the entry is that of a clear track. */
  readonly protection: ProtectionFacts | undefined;
  /** RFC 6381; the four characters alone for codecs whose configuration is not read. */
  readonly codec: string | undefined;
  readonly nalLengthSize: number | undefined;
  /** Of visual entries. */
  readonly width: number | undefined;
  readonly height: number | undefined;
  /** Picture size after cropping by the parameter sets in the entry, when they were read. */
  readonly codedSize: { readonly width: number; readonly height: number } | undefined;
}

/** Four characters that stand for those of the codec when its samples are protected (ISO/IEC 14496-12 8.12). */
const PROTECTED_FORMAT = /^enc[a-z0-9]$/;

/** Bytes of the fixed fields before the boxes in an entry (ISO/IEC 14496-12 12.1.3, 12.2.3). */
const FIXED_FIELDS = { vide: 78, soun: 28 } as const;

/** Reads a sample entry; `handler` is the track's handler_type. */
export function readSampleEntry(bytes: Uint8Array, entry: Box, handler: string): SampleEntry {
  const fixed = handler === 'vide' || handler === 'soun' ? FIXED_FIELDS[handler] : undefined;
  const body =
    fixed === undefined ? bytes.subarray(0, 0) : bytes.subarray(entry.bodyStart + fixed, entry.end);
  const boxes = readBoxes(body).boxes;
  const original = originalFormat(body, boxes);
  const format = original ?? entry.type;
  const encrypted = format !== entry.type || PROTECTED_FORMAT.test(entry.type);
  const config = (type: string): Uint8Array | undefined => {
    const box = boxes.find((child) => child.type === type);
    return box && body.subarray(box.bodyStart, box.end);
  };
  return {
    format,
    protection: encrypted ? readProtection(body, boxes) : undefined,
    codec: encrypted && original === undefined ? undefined : codecString(format, config),
    nalLengthSize: encrypted ? undefined : nalLengthSize(config),
    ...(handler === 'vide' ? visualSize(bytes, entry) : { width: undefined, height: undefined }),
    codedSize: avcPictureSize(config('avcC')),
  };
}

type ConfigOf = (type: string) => Uint8Array | undefined;

/** data_format of sinf/frma (ISO/IEC 14496-12 8.12.2). */
function originalFormat(body: Uint8Array, boxes: readonly Box[]): string | undefined {
  const frma = findBox(boxes, ['sinf', 'frma']);
  return frma && new BoxCursor(body, frma).fourCc();
}

function visualSize(bytes: Uint8Array, entry: Box): { width: number; height: number } {
  const cursor = new BoxCursor(bytes, entry);
  cursor.skip(24);
  return { width: cursor.u16(), height: cursor.u16() };
}

function avcPictureSize(avcC: Uint8Array | undefined): { width: number; height: number } | undefined {
  const picture = avcC && parseAvcConfig(avcC)?.picture;
  return picture && { width: picture.width, height: picture.height };
}

function nalLengthSize(config: ConfigOf): number | undefined {
  const avcC = config('avcC');
  if (avcC) return ((avcC[4] ?? 0) & 3) + 1;
  const hvcC = config('hvcC');
  return hvcC && ((hvcC[21] ?? 0) & 3) + 1;
}

/** How the configuration of each codec family becomes the part behind the four characters. */
const CODEC_SUFFIXES: readonly { config: string; suffix: (bytes: Uint8Array) => string | undefined }[] = [
  { config: 'avcC', suffix: (bytes) => (bytes.length < 4 ? undefined : hexBytes(bytes.subarray(1, 4))) },
  { config: 'hvcC', suffix: hevcCodecString },
  { config: 'av1C', suffix: av1Suffix },
  { config: 'vpcC', suffix: vpSuffix },
  { config: 'esds', suffix: mpeg4Suffix },
];

function codecString(format: string, config: ConfigOf): string | undefined {
  for (const { config: type, suffix } of CODEC_SUFFIXES) {
    const bytes = config(type);
    if (!bytes) continue;
    const text = suffix(bytes);
    return text === undefined ? undefined : `${format}.${text}`;
  }
  return format;
}

/** AV1 codec ISO media file format binding 5: profile, level with tier, bit depth. */
function av1Suffix(bytes: Uint8Array): string | undefined {
  const [, first, second] = bytes;
  if (first === undefined || second === undefined) return undefined;
  const depth = second & 0x40 ? (second & 0x20 ? 12 : 10) : 8;
  return `${first >> 5}.${twoDigits(first & 0x1f)}${second & 0x80 ? 'H' : 'M'}.${twoDigits(depth)}`;
}

/** VP codec ISO media file format binding: profile, level, bit depth; vpcC is a FullBox. */
function vpSuffix(bytes: Uint8Array): string | undefined {
  const [, , , , profile, level, depths] = bytes;
  if (profile === undefined || level === undefined || depths === undefined) return undefined;
  return `${twoDigits(profile)}.${twoDigits(level)}.${twoDigits(depths >> 4)}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

function hexBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

const MPEG4_AUDIO = 0x40;
const AOT_ESCAPE = 31;

/** RFC 6381 3.3: the object type indication in hex and, for MPEG-4 audio, the audio object type in decimal. */
function mpeg4Suffix(bytes: Uint8Array): string | undefined {
  const descriptor = readDecoderConfig(bytes);
  if (!descriptor) return undefined;
  if (descriptor.objectType !== MPEG4_AUDIO) return hexBytes(Uint8Array.of(descriptor.objectType));
  const [first, second = 0] = descriptor.specific;
  if (first === undefined) return '40';
  const type = first >> 3;
  return `40.${type === AOT_ESCAPE ? 32 + (first & 7) * 8 + (second >> 5) : type}`;
}

interface DecoderConfig {
  readonly objectType: number;
  /** DecoderSpecificInfo; empty when there is none. */
  readonly specific: Uint8Array;
}

/** Walks ES_Descriptor and DecoderConfigDescriptor (ISO/IEC 14496-1 7.2.6); esds is a FullBox. */
function readDecoderConfig(bytes: Uint8Array): DecoderConfig | undefined {
  let at = 4;
  const header = (tag: number): number | undefined => {
    if (bytes[at] !== tag) return undefined;
    let size = 0;
    at += 1;
    for (let i = 0; i < 4; i++) {
      const byte = bytes[at] ?? 0;
      at += 1;
      size = size * 128 + (byte & 0x7f);
      if ((byte & 0x80) === 0) break;
    }
    return size;
  };
  if (header(3) === undefined) return undefined;
  const flags = bytes[at + 2] ?? 0;
  at += 3 + (flags & 0x80 ? 2 : 0);
  if (flags & 0x40) at += 1 + (bytes[at] ?? 0);
  if (flags & 0x20) at += 2;
  if (header(4) === undefined) return undefined;
  const objectType = bytes[at];
  if (objectType === undefined) return undefined;
  at += 13;
  const size = header(5) ?? 0;
  return { objectType, specific: bytes.subarray(at, at + size) };
}
