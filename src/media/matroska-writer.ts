/**
 * Writes Matroska (RFC 9559) for a program that reads a pipe: one video track of any codec, milliseconds. Every frame
 * is a cluster of its own, whole as soon as it is written, so that a reader waits for nothing behind it.
 */
import type { VideoCodecName } from './video-config.ts';

const CODEC_IDS: Readonly<Record<VideoCodecName, string>> = {
  avc1: 'V_MPEG4/ISO/AVC',
  hvc1: 'V_MPEGH/ISO/HEVC',
  av01: 'V_AV1',
  vp09: 'V_VP9',
};

/** Element ids with their length markers (RFC 9559 27.1). */
const ID = {
  ebml: 0x1a45dfa3,
  ebmlVersion: 0x4286,
  ebmlReadVersion: 0x42f7,
  ebmlMaxIdLength: 0x42f2,
  ebmlMaxSizeLength: 0x42f3,
  docType: 0x4282,
  docTypeVersion: 0x4287,
  docTypeReadVersion: 0x4285,
  segment: 0x18538067,
  info: 0x1549a966,
  timestampScale: 0x2ad7b1,
  muxingApp: 0x4d80,
  writingApp: 0x5741,
  tracks: 0x1654ae6b,
  trackEntry: 0xae,
  trackNumber: 0xd7,
  trackUid: 0x73c5,
  trackType: 0x83,
  flagLacing: 0x9c,
  codecId: 0x86,
  codecPrivate: 0x63a2,
  defaultDuration: 0x23e383,
  video: 0xe0,
  pixelWidth: 0xb0,
  pixelHeight: 0xba,
  cluster: 0x1f43b675,
  timestamp: 0xe7,
  simpleBlock: 0xa3,
} as const;

const NANOSECONDS_PER_MS = 1_000_000;
const NANOSECONDS_PER_SECOND = 1_000_000_000;
const VIDEO_TRACK = 1;
const APP = 'headwater';
/** A live segment: its size is not known (RFC 8794 6.2). */
const UNKNOWN_SIZE = Uint8Array.of(0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);

export interface MatroskaStart {
  readonly codec: VideoCodecName;
  /** What the codec's box holds. VP9 needs none of it here. */
  readonly config: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** Frames a second, when they are evenly spaced. */
  readonly frameRate: number | undefined;
}

/** What stands before the first frame. */
export function writeMatroskaStart(start: MatroskaStart): Uint8Array {
  const { codec, config, width, height, frameRate } = start;
  const header = element(
    ID.ebml,
    number(ID.ebmlVersion, 1),
    number(ID.ebmlReadVersion, 1),
    number(ID.ebmlMaxIdLength, 4),
    number(ID.ebmlMaxSizeLength, 8),
    text(ID.docType, 'matroska'),
    number(ID.docTypeVersion, 4),
    number(ID.docTypeReadVersion, 2),
  );
  const info = element(
    ID.info,
    number(ID.timestampScale, NANOSECONDS_PER_MS),
    text(ID.muxingApp, APP),
    text(ID.writingApp, APP),
  );
  const track = element(
    ID.trackEntry,
    number(ID.trackNumber, VIDEO_TRACK),
    number(ID.trackUid, VIDEO_TRACK),
    number(ID.trackType, 1),
    number(ID.flagLacing, 0),
    text(ID.codecId, CODEC_IDS[codec]),
    ...(codec === 'vp09' ? [] : [element(ID.codecPrivate, config)]),
    ...(frameRate ? [number(ID.defaultDuration, Math.round(NANOSECONDS_PER_SECOND / frameRate))] : []),
    element(ID.video, number(ID.pixelWidth, width), number(ID.pixelHeight, height)),
  );
  return joined([header, idBytes(ID.segment), UNKNOWN_SIZE, info, element(ID.tracks, track)]);
}

export interface MatroskaFrame {
  /** When it is shown, milliseconds, not negative. Matroska has no decode times: frames stand in decode order. */
  readonly ptsMs: number;
  readonly key: boolean;
  /** As a sample of the codec's sample entry. */
  readonly data: Uint8Array;
}

/** Track number, time relative to the cluster's, flags. */
const BLOCK_HEADER_BYTES = 4;
const KEY_FLAG = 0x80;
/** Two ids of one byte and one of four, three sizes, and a time of eight bytes. */
const MAX_CLUSTER_OVERHEAD = 64;

/** One frame, ready to be written behind the last: one buffer, one copy of the data. */
export function writeMatroskaFrame({ ptsMs, key, data }: MatroskaFrame): Uint8Array {
  const time = number(ID.timestamp, ptsMs);
  const blockBytes = BLOCK_HEADER_BYTES + data.length;
  const blockSize = sizeBytes(blockBytes);
  const clusterSize = sizeBytes(time.length + 1 + blockSize.length + blockBytes);
  const out = new Uint8Array(MAX_CLUSTER_OVERHEAD + data.length);
  let at = 0;
  const put = (bytes: Uint8Array): void => {
    out.set(bytes, at);
    at += bytes.length;
  };
  put(idBytes(ID.cluster));
  put(clusterSize);
  put(time);
  put(idBytes(ID.simpleBlock));
  put(blockSize);
  put(Uint8Array.of(0x80 | VIDEO_TRACK, 0, 0, key ? KEY_FLAG : 0));
  put(data);
  return out.subarray(0, at);
}

function element(id: number, ...content: readonly Uint8Array[]): Uint8Array {
  const body = joined(content);
  return joined([idBytes(id), sizeBytes(body.length), body]);
}

function number(id: number, value: number): Uint8Array {
  return element(id, bigEndian(value));
}

function text(id: number, value: string): Uint8Array {
  return element(
    id,
    Uint8Array.from(value, (letter) => letter.charCodeAt(0)),
  );
}

/** The id as it is written: its leading bits tell its length. */
function idBytes(id: number): Uint8Array {
  return bigEndian(id);
}

/** Without leading zeros; at least one byte. */
function bigEndian(value: number): Uint8Array {
  let length = 1;
  while (value >= 256 ** length) length++;
  return Uint8Array.from({ length }, (_, index) => Math.floor(value / 256 ** (length - 1 - index)) % 256);
}

/** A size in as few bytes as hold it (RFC 8794 4); all ones is reserved for an unknown size. */
function sizeBytes(size: number): Uint8Array {
  let length = 1;
  while (size >= 2 ** (7 * length) - 1) length++;
  const bytes = Uint8Array.from(
    { length },
    (_, index) => Math.floor(size / 256 ** (length - 1 - index)) % 256,
  );
  bytes[0] = (bytes[0] ?? 0) | (0x80 >> (length - 1));
  return bytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
