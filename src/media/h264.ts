import { type H264Sps, parseH264Sps } from './h264-sps.ts';
import { isLengthSize, readLength, rewriteNalUnits, walkNalUnits } from './nal-units.ts';

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
  if (!isLengthSize(lengthSize)) return undefined;
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

/** All other profiles' records tell chroma format and bit depths behind the PPS (5.3.3.1.2). */
const PLAIN_PROFILES = new Set([66, 77, 88]);
const MAX_SPS = 31;
const MAX_PPS = 255;

/**
 * Writes an `avcC` body (4-byte NAL lengths) of raw NAL units with their headers. Undefined without a readable SPS and
 * a PPS.
 */
export function buildAvcConfig(
  sps: readonly Uint8Array[],
  pps: readonly Uint8Array[],
): Uint8Array | undefined {
  const [first] = sps;
  const picture = first && parseH264Sps(first);
  if (!picture || pps.length === 0 || sps.length > MAX_SPS || pps.length > MAX_PPS) return undefined;
  const extended = !PLAIN_PROFILES.has(picture.profile);
  const unitBytes = [...sps, ...pps].reduce((sum, unit) => sum + 2 + unit.length, 0);
  const sizeBytes = HEADER_BYTES + 2 + unitBytes + (extended ? 4 : 0);
  if (sizeBytes > MAX_RECORD_BYTES) return undefined;
  const record = new Uint8Array(sizeBytes);
  record.set([1, picture.profile, picture.constraints, picture.level, 0xff, 0xe0 | sps.length]);
  let at = writeUnits(record, HEADER_BYTES + 1, sps);
  record[at] = pps.length;
  at = writeUnits(record, at + 1, pps);
  if (extended) {
    const { chromaFormat, bitDepthLuma, bitDepthChroma } = picture;
    record.set([0xfc | chromaFormat, 0xf8 | (bitDepthLuma - 8), 0xf8 | (bitDepthChroma - 8), 0], at);
  }
  return record;
}

function writeUnits(record: Uint8Array, start: number, units: readonly Uint8Array[]): number {
  let at = start;
  for (const unit of units) {
    record.set([unit.length >> 8, unit.length & 0xff], at);
    record.set(unit, at + 2);
    at += 2 + unit.length;
  }
  return at;
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
  let units = 0;
  const empty = walkNalUnits(data, lengthSize, (start) => {
    units++;
    const type = (data[start] ?? 0) & 0x1f;
    if (type === IDR_TYPE) idr = true;
    if (type >= FIRST_SLICE_TYPE && type <= IDR_TYPE) picture = true;
  });
  return empty === undefined ? undefined : { idr, picture, units, emptyUnits: empty > 0 };
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
  return rewriteNalUnits(data, lengthSize, () => true);
}
