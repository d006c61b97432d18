import { type H264Sps, parseH264Sps } from './h264-sps.ts';

export type { H264Sps } from './h264-sps.ts';

/** A parsed AVCDecoderConfigurationRecord (ISO/IEC 14496-15 5.3.3.1). */
export interface AvcConfig {
  /** Bytes of the length before each NAL unit: 1, 2 or 4. */
  readonly lengthSize: number;
  readonly sps: readonly Uint8Array[];
  readonly pps: readonly Uint8Array[];
  /** RFC 6381, e.g. `avc1.64001f`. */
  readonly codecString: string;
  /** The first sequence parameter set. */
  readonly picture: H264Sps;
  /** The record with a 4-byte NAL length declared: what goes into `avcC`. */
  readonly record: Uint8Array;
}

/** A record larger than this is not read: real ones are below 1 kB. */
const MAX_RECORD_BYTES = 64 * 1024;
const HEADER_BYTES = 5;

/** Parses an AVCDecoderConfigurationRecord. Undefined when malformed, or without an SPS or a PPS. */
export function parseAvcConfig(bytes: Uint8Array): AvcConfig | undefined {
  if (bytes.length < HEADER_BYTES + 2 || bytes.length > MAX_RECORD_BYTES || bytes[0] !== 1) return undefined;
  const lengthSize = ((bytes[4] ?? 0) & 3) + 1;
  if (lengthSize === 3) return undefined;
  const sps = readParameterSets(bytes, HEADER_BYTES, 0x1f);
  const pps = sps && readParameterSets(bytes, sps.end, 0xff);
  const first = sps?.units[0];
  const picture = first && parseH264Sps(first);
  if (!sps || !pps || !picture || pps.units.length === 0) return undefined;
  return {
    lengthSize,
    sps: sps.units,
    pps: pps.units,
    codecString: `avc1.${hex(picture.profile)}${hex(picture.constraints)}${hex(picture.level)}`,
    picture,
    record: withFourByteLength(bytes),
  };
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

function readParameterSets(
  bytes: Uint8Array,
  start: number,
  countMask: number,
): { units: Uint8Array[]; end: number } | undefined {
  const units: Uint8Array[] = [];
  const count = (bytes[start] ?? 0) & countMask;
  let at = start + 1;
  if (at > bytes.length) return undefined;
  for (let index = 0; index < count; index++) {
    const length = readLength(bytes, at, 2);
    const end = at + 2 + length;
    if (at + 2 > bytes.length || end > bytes.length || length === 0) return undefined;
    units.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return { units, end: at };
}

/** Always a copy: the record outlives the buffer it came in. */
function withFourByteLength(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy[4] = (copy[4] ?? 0) | 0b1111_1111;
  return copy;
}

function readLength(bytes: Uint8Array, at: number, size: number): number {
  let length = 0;
  for (let index = 0; index < size; index++) length = length * 256 + (bytes[at + index] ?? 0);
  return length;
}

/** NAL unit types 1 to 5 carry slices (ISO/IEC 14496-10 table 7-1). */
const FIRST_SLICE_TYPE = 1;
const IDR_TYPE = 5;

/** What one access unit holds; see {@link inspectAccessUnit}. */
export interface AccessUnitFacts {
  /** Has an IDR slice: decoding may start here. */
  readonly idr: boolean;
  /** Has any slice. Without one it is no picture. */
  readonly picture: boolean;
  /** NAL units that are not empty. */
  readonly units: number;
  /** Has NAL units of no bytes, which decoders dislike. */
  readonly emptyUnits: boolean;
}

/** Walks the length-prefixed NAL units of an access unit. Undefined when a length runs past the end. */
export function inspectAccessUnit(data: Uint8Array, lengthSize: number): AccessUnitFacts | undefined {
  let idr = false;
  let picture = false;
  let emptyUnits = false;
  let units = 0;
  for (let at = 0; at < data.length; ) {
    const start = at + lengthSize;
    if (start > data.length) return undefined;
    const length = readLength(data, at, lengthSize);
    at = start + length;
    if (at > data.length) return undefined;
    if (length === 0) {
      emptyUnits = true;
      continue;
    }
    units++;
    const type = (data[start] ?? 0) & 0x1f;
    if (type === IDR_TYPE) idr = true;
    if (type >= FIRST_SLICE_TYPE && type <= IDR_TYPE) picture = true;
  }
  return { idr, picture, units, emptyUnits };
}

/**
 * Rewrites an access unit that {@link inspectAccessUnit} found well-formed: 4-byte lengths, no empty NAL units. Gives
 * `data` itself back when it is so already.
 */
export function normalizeAccessUnit(
  data: Uint8Array,
  lengthSize: number,
  facts: AccessUnitFacts,
): Uint8Array {
  if (lengthSize === 4 && !facts.emptyUnits) return data;
  const out = new Uint8Array(data.length + (4 - lengthSize) * facts.units);
  const view = new DataView(out.buffer);
  let to = 0;
  for (let at = 0; at < data.length; ) {
    const length = readLength(data, at, lengthSize);
    const start = at + lengthSize;
    at = start + length;
    if (length === 0) continue;
    view.setUint32(to, length);
    out.set(data.subarray(start, at), to + 4);
    to += 4 + length;
  }
  return out.subarray(0, to);
}
