import { sameBytes } from '../base/same-bytes.ts';
import { type HevcProfile, type HevcSps, parseHevcSps } from './h265-sps.ts';
import { isLengthSize, readLength, rewriteNalUnits, walkNalUnits } from './nal-units.ts';

export type { HevcSps } from './h265-sps.ts';

/** NAL unit types (ISO/IEC 23008-2 table 7-1). */
export const HEVC_NAL = {
  raslN: 8,
  raslR: 9,
  blaWLp: 16,
  idrWRadl: 19,
  idrNLp: 20,
  cra: 21,
  lastIrap: 23,
  lastVcl: 31,
  vps: 32,
  sps: 33,
  pps: 34,
  accessUnitDelimiter: 35,
  endOfSequence: 36,
  endOfBitstream: 37,
  fillerData: 38,
  prefixSei: 39,
  suffixSei: 40,
} as const;

/** The type of a NAL unit by its first header byte. */
export function hevcNalType(firstByte: number): number {
  return (firstByte >> 1) & 0x3f;
}

/** Parameter sets as NAL units, with their headers. */
export interface HevcParameterSets {
  readonly vps: readonly Uint8Array[];
  readonly sps: readonly Uint8Array[];
  readonly pps: readonly Uint8Array[];
  /** Declarative SEI (mastering display, content light) that belongs to the whole stream. */
  readonly sei: readonly Uint8Array[];
}

/** A parsed HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 8.3.3.1). */
export interface HevcConfig extends HevcParameterSets {
  readonly codec: 'hvc1';
  /** Bytes of the length before each NAL unit in what the source sends: 1, 2 or 4. */
  readonly lengthSize: number;
  /** RFC 6381 by ISO/IEC 14496-15 annex E.3, e.g. `hvc1.1.6.L93.B0`. */
  readonly codecString: string;
  /** The first sequence parameter set. */
  readonly picture: HevcSps;
  /** The record written anew from its parameter sets, 4-byte NAL lengths, all arrays complete: what `hvcC` holds. */
  readonly record: Uint8Array;
}

/** A record larger than this is not read: real ones are below 3 kB. */
const MAX_RECORD_BYTES = 64 * 1024;
const HEADER_BYTES = 23;
/** The most sets of each kind that ids allow: 16 VPS, 16 SPS, 64 PPS; and as many SEI as are kept. */
const MAX_UNITS = { vps: 16, sps: 16, pps: 64, sei: 8 } as const;
const ARRAYS = [
  ['vps', HEVC_NAL.vps],
  ['sps', HEVC_NAL.sps],
  ['pps', HEVC_NAL.pps],
  ['sei', HEVC_NAL.prefixSei],
] as const;

/** Parses an HEVCDecoderConfigurationRecord. Undefined when malformed, or without a VPS, an SPS or a PPS. */
export function parseHevcConfig(bytes: Uint8Array): HevcConfig | undefined {
  if (bytes.length < HEADER_BYTES || bytes.length > MAX_RECORD_BYTES || bytes[0] !== 1) return undefined;
  const lengthSize = ((bytes[21] ?? 0) & 3) + 1;
  const sets = isLengthSize(lengthSize) ? readArrays(bytes) : undefined;
  return sets && describe(sets, lengthSize);
}

/** Writes an `hvcC` body (4-byte NAL lengths) of raw NAL units. Undefined without a VPS, a readable SPS and a PPS. */
export function buildHevcConfig(
  vps: readonly Uint8Array[],
  sps: readonly Uint8Array[],
  pps: readonly Uint8Array[],
): Uint8Array | undefined {
  return describe({ vps, sps, pps, sei: [] }, 4)?.record;
}

function describe(sets: HevcParameterSets, lengthSize: number): HevcConfig | undefined {
  const [first] = sets.sps;
  const picture = first && parseHevcSps(first);
  if (!picture || sets.vps.length === 0 || sets.pps.length === 0) return undefined;
  const record = writeRecord(sets, picture);
  const codecString = hevcCodecString(picture.profile);
  return record && { codec: 'hvc1', lengthSize, codecString, picture, record, ...sets };
}

function readArrays(bytes: Uint8Array): HevcParameterSets | undefined {
  const sets: Record<keyof HevcParameterSets, Uint8Array[]> = { vps: [], sps: [], pps: [], sei: [] };
  let at = HEADER_BYTES;
  for (let array = bytes[22] ?? 0; array > 0; array--) {
    if (at + 3 > bytes.length) return undefined;
    const type = (bytes[at] ?? 0) & 0x3f;
    const name = ARRAYS.find(([, known]) => known === type)?.[0];
    let count = readLength(bytes, at + 1, 2);
    for (at += 3; count > 0; count--) {
      const end = at + 2 + readLength(bytes, at, 2);
      if (end < at + 4 || end > bytes.length) return undefined;
      if (name && sets[name].length < MAX_UNITS[name])
        sets[name].push(new Uint8Array(bytes.subarray(at + 2, end)));
      at = end;
    }
  }
  return sets;
}

function writeRecord(sets: HevcParameterSets, sps: HevcSps): Uint8Array | undefined {
  const arrays = ARRAYS.filter(([name]) => sets[name].length > 0);
  let size = HEADER_BYTES;
  for (const [name] of arrays) {
    size += 3;
    for (const unit of sets[name]) size += 2 + unit.length;
    if (sets[name].length > MAX_UNITS[name]) return undefined;
  }
  if (size > MAX_RECORD_BYTES) return undefined;
  const record = new Uint8Array(size);
  const view = new DataView(record.buffer);
  writeHeader(view, sps, arrays.length);
  let at = HEADER_BYTES;
  for (const [name, type] of arrays) {
    // array_completeness: mandatory for parameter sets under the name hvc1, never for SEI (8.4.1).
    view.setUint8(at, (name === 'sei' ? 0 : 0x80) | type);
    view.setUint16(at + 1, sets[name].length);
    at += 3;
    for (const unit of sets[name]) {
      view.setUint16(at, unit.length);
      record.set(unit, at + 2);
      at += 2 + unit.length;
    }
  }
  return record;
}

/** Segmentation, parallelism and average frame rate are left unsaid, which 0 says. */
function writeHeader(view: DataView, sps: HevcSps, arrays: number): void {
  const { profile } = sps;
  view.setUint8(0, 1);
  view.setUint8(1, (profile.space << 6) | (profile.highTier ? 0x20 : 0) | profile.profile);
  view.setUint32(2, profile.compatibility);
  profile.constraints.forEach((byte, index) => view.setUint8(6 + index, byte));
  view.setUint8(12, profile.level);
  view.setUint16(13, 0xf000);
  view.setUint8(15, 0xfc);
  view.setUint8(16, 0xfc | sps.chromaFormat);
  view.setUint8(17, 0xf8 | (sps.bitDepthLuma - 8));
  view.setUint8(18, 0xf8 | (sps.bitDepthChroma - 8));
  view.setUint16(19, 0);
  view.setUint8(21, (sps.temporalLayers << 3) | (sps.temporalIdNested ? 4 : 0) | 3);
  view.setUint8(22, arrays);
}

/** ISO/IEC 14496-15 annex E.3: profile, compatibility flags in reverse bit order, tier and level, constraint bytes. */
function hevcCodecString(profile: HevcProfile): string {
  const space = ['', 'A', 'B', 'C'][profile.space] ?? '';
  const tier = profile.highTier ? 'H' : 'L';
  const compatibility = reverseBits(profile.compatibility).toString(16).toUpperCase();
  const used = profile.constraints.findLastIndex((byte) => byte !== 0) + 1;
  const constraints = Array.from(profile.constraints.subarray(0, used), (byte) =>
    byte.toString(16).toUpperCase(),
  );
  return [
    'hvc1',
    `${space}${profile.profile}`,
    compatibility,
    `${tier}${profile.level}`,
    ...constraints,
  ].join('.');
}

function reverseBits(value: number): number {
  let reversed = 0;
  for (let bit = 0; bit < 32; bit++) reversed = reversed * 2 + ((value >>> bit) & 1);
  return reversed;
}

/** What one access unit holds; see {@link inspectHevcAccessUnit}. */
export interface HevcAccessUnitFacts {
  /** Has an IRAP picture (IDR, CRA, BLA): decoding may start here. */
  readonly key: boolean;
  /** The IRAP picture is a CRA: pictures that follow may need what came before it. */
  readonly cra: boolean;
  /** Random access skipped leading picture: cannot be decoded when decoding started at its CRA or BLA. */
  readonly rasl: boolean;
  /** Has any slice. Without one it is no picture. */
  readonly picture: boolean;
  /** Has VPS, SPS or PPS, which `hvc1` keeps in the sample entry only. */
  readonly parameterSets: boolean;
  /** NAL units that are not empty. */
  readonly units: number;
  /** Has NAL units of no bytes, which decoders dislike. */
  readonly emptyUnits: boolean;
}

/** Walks the length-prefixed NAL units of an access unit. Undefined when a length runs past the end. */
export function inspectHevcAccessUnit(data: Uint8Array, lengthSize: number): HevcAccessUnitFacts | undefined {
  const facts = {
    key: false,
    cra: false,
    rasl: false,
    picture: false,
    parameterSets: false,
    units: 0,
    emptyUnits: false,
  };
  const empty = walkNalUnits(data, lengthSize, (start) => {
    const type = hevcNalType(data[start] ?? 0);
    facts.units++;
    if (type <= HEVC_NAL.lastVcl) facts.picture = true;
    if (type >= HEVC_NAL.blaWLp && type <= HEVC_NAL.lastIrap) facts.key = true;
    if (type === HEVC_NAL.cra) facts.cra = true;
    if (type === HEVC_NAL.raslN || type === HEVC_NAL.raslR) facts.rasl = true;
    if (isParameterSet(type)) facts.parameterSets = true;
  });
  if (empty === undefined) return undefined;
  return { ...facts, emptyUnits: empty > 0 };
}

function isParameterSet(type: number): boolean {
  return type >= HEVC_NAL.vps && type <= HEVC_NAL.pps;
}

/**
 * Rewrites an access unit that {@link inspectHevcAccessUnit} found well-formed as `hvc1` wants it: 4-byte lengths, no
 * parameter sets, no empty NAL units. Gives `data` itself back when it is so already.
 */
export function normalizeHevcAccessUnit(
  data: Uint8Array,
  lengthSize: number,
  facts: HevcAccessUnitFacts,
): Uint8Array {
  if (lengthSize === 4 && !facts.emptyUnits && !facts.parameterSets) return data;
  return rewriteNalUnits(data, lengthSize, (start) => !isParameterSet(hevcNalType(data[start] ?? 0)));
}

/**
 * The configuration that the parameter sets inside an access unit make of `config`: sets with the id of one that is
 * there replace it. `config` itself when all are there already, undefined when they cannot be used.
 */
export function hevcConfigAfter(config: HevcConfig, data: Uint8Array): HevcConfig | undefined {
  const sets = { vps: [...config.vps], sps: [...config.sps], pps: [...config.pps], sei: config.sei };
  let changed = false;
  walkNalUnits(data, config.lengthSize, (start, end) => {
    const type = hevcNalType(data[start] ?? 0);
    if (!isParameterSet(type)) return;
    const list = type === HEVC_NAL.vps ? sets.vps : type === HEVC_NAL.sps ? sets.sps : sets.pps;
    if (replaceSet(list, data.subarray(start, end))) changed = true;
  });
  return changed ? describe(sets, config.lengthSize) : config;
}

/** True when the set was not in the list as it is. */
function replaceSet(list: Uint8Array[], unit: Uint8Array): boolean {
  if (list.some((known) => sameBytes(known, unit))) return false;
  const id = parameterSetId(unit);
  const same = list.findIndex((known) => parameterSetId(known) === id);
  if (same >= 0) list[same] = new Uint8Array(unit);
  else list.push(new Uint8Array(unit));
  return true;
}

/** The set's own id, by which a later one replaces it (7.3.2). -1 when it cannot be read. */
function parameterSetId(unit: Uint8Array): number {
  const type = hevcNalType(unit[0] ?? 0);
  if (type === HEVC_NAL.vps) return (unit[2] ?? 0) >> 4;
  if (type === HEVC_NAL.sps) return parseHevcSps(unit)?.id ?? -1;
  return leadingExpGolomb(unit.subarray(2, 8));
}

/** ue(v) at the start of a PPS: an id is below 64, so emulation prevention cannot come in between. */
function leadingExpGolomb(bytes: Uint8Array): number {
  const first = (readLength(bytes, 0, 2) << 16) >>> 0;
  const zeros = Math.clz32(first);
  return zeros > 6 ? -1 : (first >>> (31 - 2 * zeros)) - 1;
}
