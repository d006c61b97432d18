/**
 * What stands before the media in an audio or video body of Enhanced RTMP v2: packet type, modifiers, the codec's
 * FourCC, and the split into tracks. Audio and video differ only in which number means "several tracks".
 */

/** One track's part of a body. */
export interface ExTrack {
  /** 0 to 255; 0 where the sender numbers none. */
  readonly track: number;
  /** Four bytes in one big-endian number. */
  readonly fourCc: number;
  readonly body: Uint8Array;
}

export interface ExPacket {
  /** The same for all tracks. */
  readonly packetType: number;
  /** From a TimestampOffsetNano modifier; 0 without. */
  readonly offsetNs: number;
  /** In a body with track numbers there may be several. */
  readonly tracks: ExTrack | readonly ExTrack[];
}

/** AudioPacketType and VideoPacketType of a modifier. */
const MOD_EX = 7;
/** The only kind of modifier that is defined. */
const TIMESTAMP_OFFSET_NANO = 0;
const TIMESTAMP_OFFSET_BYTES = 3;
/** A modifier's length is a byte, or, when that is full, two more. */
const LONG_MOD_EX = 256;
/** Modifiers before one packet type; a body with more is not meant well. */
const MAX_MOD_EX = 16;

/** AvMultitrackType. */
const ONE_TRACK = 0;
const MANY_TRACKS = 1;
const MANY_TRACKS_MANY_CODECS = 2;
const FOURCC_BYTES = 4;
const TRACK_SIZE_BYTES = 3;
/** There are no more track numbers than this. */
const MAX_TRACKS = 256;

/** Reads the head of a body. Undefined when it is cut short or of a form that is not defined. Never throws. */
export function readExPacket(bytes: Uint8Array, multitrackType: number): ExPacket | undefined {
  const modifiers = readModifiers(bytes);
  if (modifiers === undefined) return undefined;
  const { packetType, offsetNs, at } = modifiers;
  if (packetType === multitrackType) return readMultitrack(bytes, at, offsetNs);
  const fourCc = uint32(bytes, at);
  if (fourCc === undefined) return undefined;
  return { packetType, offsetNs, tracks: { track: 0, fourCc, body: bytes.subarray(at + FOURCC_BYTES) } };
}

interface Modifiers {
  readonly packetType: number;
  readonly offsetNs: number;
  /** Where what follows begins. */
  readonly at: number;
}

/** The packet type is the low half of the body's first byte, and of the byte behind each modifier. */
function readModifiers(bytes: Uint8Array): Modifiers | undefined {
  let packetType = (bytes[0] ?? 0) & 0x0f;
  let offsetNs = 0;
  let at = 1;
  for (let count = 0; packetType === MOD_EX; count++) {
    let sizeBytes = (bytes[at++] ?? 0) + 1;
    if (sizeBytes === LONG_MOD_EX) {
      sizeBytes = (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0) + 1;
      at += 2;
    }
    const types = bytes[at + sizeBytes];
    if (types === undefined || count >= MAX_MOD_EX) return undefined;
    if (types >> 4 === TIMESTAMP_OFFSET_NANO) {
      if (sizeBytes < TIMESTAMP_OFFSET_BYTES) return undefined;
      offsetNs = uint24(bytes, at);
    }
    packetType = types & 0x0f;
    at += sizeBytes + 1;
  }
  return { packetType, offsetNs, at };
}

function readMultitrack(bytes: Uint8Array, typesAt: number, offsetNs: number): ExPacket | undefined {
  const types = bytes[typesAt];
  if (types === undefined) return undefined;
  const form = types >> 4;
  const packetType = types & 0x0f;
  if (form > MANY_TRACKS_MANY_CODECS) return undefined;
  const tracks = form === ONE_TRACK ? oneTrack(bytes, typesAt + 1) : manyTracks(bytes, typesAt + 1, form);
  return tracks && { packetType, offsetNs, tracks };
}

function oneTrack(bytes: Uint8Array, at: number): ExTrack | undefined {
  const fourCc = uint32(bytes, at);
  const track = bytes[at + FOURCC_BYTES];
  if (fourCc === undefined || track === undefined) return undefined;
  return { track, fourCc, body: bytes.subarray(at + FOURCC_BYTES + 1) };
}

/** Each track has its number and size; the codec stands before all of them, or before each. */
function manyTracks(bytes: Uint8Array, start: number, form: number): ExTrack[] | undefined {
  const tracks: ExTrack[] = [];
  let fourCc = form === MANY_TRACKS ? uint32(bytes, start) : 0;
  let at = form === MANY_TRACKS ? start + FOURCC_BYTES : start;
  do {
    if (form === MANY_TRACKS_MANY_CODECS) {
      fourCc = uint32(bytes, at);
      at += FOURCC_BYTES;
    }
    const track = bytes[at];
    const bodyAt = at + 1 + TRACK_SIZE_BYTES;
    const end = bodyAt + uint24(bytes, at + 1);
    if (fourCc === undefined || track === undefined || end > bytes.length) return undefined;
    if (bodyAt > bytes.length || tracks.length >= MAX_TRACKS) return undefined;
    tracks.push({ track, fourCc, body: bytes.subarray(bodyAt, end) });
    at = end;
  } while (at < bytes.length);
  return tracks;
}

function uint32(bytes: Uint8Array, at: number): number | undefined {
  const last = bytes[at + 3];
  if (last === undefined) return undefined;
  return uint24(bytes, at) * 256 + last;
}

/** What lies behind the end counts as zeros. */
function uint24(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 0x10000 + (bytes[at + 1] ?? 0) * 0x100 + (bytes[at + 2] ?? 0);
}
