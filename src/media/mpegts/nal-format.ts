import { buildAvcConfig } from '../h264.ts';
import { parseH264Sps } from '../h264-sps.ts';
import { buildHevcConfig } from '../h265.ts';
import { parseHevcSps } from '../h265-sps.ts';
import { BitReader } from '../bit-reader.ts';

/** What a NAL unit is to the one who cuts a byte stream into access units. */
export type NalRole =
  | 'slice'
  /** Begins an access unit and is not kept: samples have bounds of their own. */
  | 'delimiter'
  /** Goes into the configuration. A parameter set behind a slice begins the next access unit. */
  | 'parameter'
  /** SEI: kept; behind a slice it begins the next access unit. */
  | 'prefix'
  /** Kept; belongs to the access unit before it. */
  | 'suffix'
  /** Not kept: filler data, ends of stream, and layers beyond the base. */
  | 'discard';

/** The kinds of parameter sets, in the order in which they go into a record. */
export type ParameterSetKind = 'vps' | 'sps' | 'pps';

/** What H.264 and HEVC do differently. NAL units have their header and no start code. */
export interface NalFormat {
  readonly codec: 'avc1' | 'hvc1';
  readonly headerBytes: number;
  type(bytes: Uint8Array, at: number): number;
  role(bytes: Uint8Array, at: number): NalRole;
  /** The slice at `at` is the first of its picture (one byte behind the header is there). */
  isFirstSlice(bytes: Uint8Array, at: number): boolean;
  setKind(type: number): ParameterSetKind;
  /** The set's own id, by which a later one replaces it; -1 when it cannot be read. */
  setId(kind: ParameterSetKind, unit: Uint8Array): number;
  /** Frames a second by the SPS, where it says. */
  frameRate(sps: Uint8Array): number | undefined;
  config(
    vps: readonly Uint8Array[],
    sps: readonly Uint8Array[],
    pps: readonly Uint8Array[],
  ): Uint8Array | undefined;
}

/** ISO/IEC 14496-10 table 7-1. Layered and auxiliary pictures (14, 15, 19 to 21) are not part of `avc1`. */
const AVC_ROLES = new Map<number, NalRole>([
  [1, 'slice'],
  [2, 'slice'],
  [3, 'suffix'],
  [4, 'suffix'],
  [5, 'slice'],
  [6, 'prefix'],
  [7, 'parameter'],
  [8, 'parameter'],
  [9, 'delimiter'],
  [10, 'suffix'],
]);
const AVC_SPS = 7;
/** profile_idc, constraint flags and level_idc come before the id. */
const AVC_SPS_ID_AT = 4;
const MAX_ID_BYTES = 8;

export const AVC_FORMAT: NalFormat = {
  codec: 'avc1',
  headerBytes: 1,
  type: (bytes, at) => (bytes[at] ?? 0) & 0x1f,
  role: (bytes, at) => AVC_ROLES.get((bytes[at] ?? 0) & 0x1f) ?? 'discard',
  isFirstSlice: (bytes, at) => ((bytes[at + 1] ?? 0) & 0x80) !== 0,
  setKind: (type) => (type === AVC_SPS ? 'sps' : 'pps'),
  setId: (kind, unit) => leadingId(unit, kind === 'sps' ? AVC_SPS_ID_AT : 1),
  frameRate: (sps) => ratio(parseH264Sps(sps)?.frameRate),
  config: (_vps, sps, pps) => buildAvcConfig(sps, pps),
};

/** ISO/IEC 23008-2 table 7-1. */
const HEVC_VPS = 32;
const HEVC_SPS = 33;
const HEVC_ROLES = new Map<number, NalRole>([
  [HEVC_VPS, 'parameter'],
  [HEVC_SPS, 'parameter'],
  [34, 'parameter'],
  [35, 'delimiter'],
  [36, 'suffix'],
  [39, 'prefix'],
  [40, 'suffix'],
]);
const HEVC_RESERVED_VCL = 10;
const HEVC_FIRST_IRAP = 16;
const HEVC_LAST_IRAP = 21;

export const HEVC_FORMAT: NalFormat = {
  codec: 'hvc1',
  headerBytes: 2,
  type: hevcType,
  role(bytes, at) {
    const layer = ((bytes[at] ?? 0) & 1) * 32 + ((bytes[at + 1] ?? 0) >> 3);
    if (layer > 0) return 'discard';
    const type = hevcType(bytes, at);
    if (type < HEVC_RESERVED_VCL || isIrap(type)) return 'slice';
    return HEVC_ROLES.get(type) ?? 'discard';
  },
  isFirstSlice: (bytes, at) => ((bytes[at + 2] ?? 0) & 0x80) !== 0,
  setKind: (type) => (type === HEVC_VPS ? 'vps' : type === HEVC_SPS ? 'sps' : 'pps'),
  setId(kind, unit) {
    if (kind === 'vps') return (unit[2] ?? 0) >> 4;
    return kind === 'sps' ? (parseHevcSps(unit)?.id ?? -1) : leadingId(unit, 2);
  },
  frameRate: (sps) => ratio(parseHevcSps(sps)?.frameRate),
  config: buildHevcConfig,
};

function ratio(
  rate: { readonly numerator: number; readonly denominator: number } | undefined,
): number | undefined {
  return rate && rate.numerator / rate.denominator;
}

function hevcType(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) >> 1) & 0x3f;
}

/** A picture at which decoding may start: IDR, BLA or CRA. */
export function isIrap(type: number): boolean {
  return type >= HEVC_FIRST_IRAP && type <= HEVC_LAST_IRAP;
}

/** ue(v). Ids are small: emulation prevention cannot come in between. */
function leadingId(unit: Uint8Array, at: number): number {
  const reader = new BitReader(unit.subarray(at, at + MAX_ID_BYTES));
  const id = reader.unsignedExpGolomb();
  return reader.overrun ? -1 : id;
}
