import { BitReader } from './bit-reader.ts';
import { skipScalingLists } from './h264-sps.ts';
import { withoutEmulationPrevention } from './nal-units.ts';
import { bitsBelow } from './slice-window.ts';

/** What a sequence parameter set says about how slice headers are read (ISO/IEC 14496-10 7.3.2.1.1). */
export interface AvcSliceSps {
  readonly id: number;
  readonly separatePlanes: boolean;
  /** Slices have weights for chroma: ChromaArrayType is not 0. */
  readonly chroma: boolean;
  readonly frameNumBits: number;
  readonly pictureOrder: PictureOrder;
  readonly framesOnly: boolean;
  /** PicSizeInMapUnits. */
  readonly mapUnits: number;
}

/** What a slice header tells of the order of pictures. */
type PictureOrder =
  | { readonly type: 'lsb'; readonly bits: number }
  | { readonly type: 'deltas' }
  | { readonly type: 'none' };

/** What a picture parameter set says about it (7.3.2.2). */
export interface AvcSlicePps {
  readonly id: number;
  readonly spsId: number;
  /** entropy_coding_mode_flag: CABAC. */
  readonly cabac: boolean;
  readonly fieldOrderPresent: boolean;
  /** Slice groups of a changing shape, with slice_group_change_rate_minus1 + 1; else undefined. */
  readonly sliceGroupChangeRate: number | undefined;
  /** num_ref_idx_l0/l1_default_active_minus1 + 1. */
  readonly referencesByDefault: readonly [number, number];
  readonly weightedPrediction: boolean;
  readonly weightedBipredIdc: number;
  readonly deblockingControl: boolean;
  readonly redundantPictures: boolean;
}

const CHROMA_PROFILES = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);
const MAX_SPS_ID = 31;
const MAX_PPS_ID = 255;
export const MAX_REFERENCES = 32;
const MAX_REF_FRAMES_IN_CYCLE = 255;
/** Largest picture side the level table could ever allow (level 6.2), macroblocks. */
const MAX_SIDE_MACROBLOCKS = 1056;
const MAX_SLICE_GROUPS = 8;
/** A set longer than this is not read. */
const MAX_SET_BYTES = 4096;

/** Reads an SPS NAL unit (with its header byte). Undefined when malformed. */
export function readAvcSliceSps(unit: Uint8Array): AvcSliceSps | undefined {
  if (unit.length > MAX_SET_BYTES) return undefined;
  const reader = new BitReader(withoutEmulationPrevention(unit.subarray(1)));
  const profile = reader.bits(8);
  reader.skip(16);
  const id = reader.unsignedExpGolomb();
  const { format, separatePlanes } = readChroma(reader, profile);
  const frameNumBits = reader.unsignedExpGolomb() + 4;
  const pictureOrder = readPictureOrder(reader);
  reader.unsignedExpGolomb();
  reader.skip(1);
  const width = reader.unsignedExpGolomb() + 1;
  const height = reader.unsignedExpGolomb() + 1;
  const framesOnly = reader.flag();
  if (reader.overrun || !pictureOrder || id > MAX_SPS_ID || format > 3 || frameNumBits > 16) return undefined;
  if (width > MAX_SIDE_MACROBLOCKS || height > MAX_SIDE_MACROBLOCKS) return undefined;
  const chroma = format !== 0 && !separatePlanes;
  return { id, separatePlanes, chroma, frameNumBits, pictureOrder, framesOnly, mapUnits: width * height };
}

function readChroma(reader: BitReader, profile: number): { format: number; separatePlanes: boolean } {
  if (!CHROMA_PROFILES.has(profile)) return { format: 1, separatePlanes: false };
  const format = reader.unsignedExpGolomb();
  const separatePlanes = format === 3 && reader.flag();
  reader.unsignedExpGolomb();
  reader.unsignedExpGolomb();
  reader.skip(1);
  if (reader.flag()) skipScalingLists(reader, format === 3 ? 12 : 8);
  return { format, separatePlanes };
}

function readPictureOrder(reader: BitReader): PictureOrder | undefined {
  const type = reader.unsignedExpGolomb();
  if (type === 0) {
    const bits = reader.unsignedExpGolomb() + 4;
    return bits > 16 ? undefined : { type: 'lsb', bits };
  }
  if (type === 2) return { type: 'none' };
  if (type !== 1) return undefined;
  const alwaysZero = reader.flag();
  reader.signedExpGolomb();
  reader.signedExpGolomb();
  const cycle = reader.unsignedExpGolomb();
  if (cycle > MAX_REF_FRAMES_IN_CYCLE) return undefined;
  for (let frame = 0; frame < cycle; frame++) reader.signedExpGolomb();
  return { type: alwaysZero ? 'none' : 'deltas' };
}

/** Reads a PPS NAL unit (with its header byte). Undefined when malformed. */
export function readAvcSlicePps(unit: Uint8Array): AvcSlicePps | undefined {
  if (unit.length > MAX_SET_BYTES) return undefined;
  const reader = new BitReader(withoutEmulationPrevention(unit.subarray(1)));
  const id = reader.unsignedExpGolomb();
  const spsId = reader.unsignedExpGolomb();
  const cabac = reader.flag();
  const fieldOrderPresent = reader.flag();
  const groups = readSliceGroups(reader);
  const references = [reader.unsignedExpGolomb() + 1, reader.unsignedExpGolomb() + 1] as const;
  const weightedPrediction = reader.flag();
  const weightedBipredIdc = reader.bits(2);
  for (let field = 0; field < 3; field++) reader.signedExpGolomb();
  const deblockingControl = reader.flag();
  reader.skip(1);
  const redundantPictures = reader.flag();
  if (reader.overrun || !groups || id > MAX_PPS_ID || spsId > MAX_SPS_ID) return undefined;
  if (references[0] > MAX_REFERENCES || references[1] > MAX_REFERENCES) return undefined;
  return {
    id,
    spsId,
    cabac,
    fieldOrderPresent,
    sliceGroupChangeRate: groups.changeRate,
    referencesByDefault: references,
    weightedPrediction,
    weightedBipredIdc,
    deblockingControl,
    redundantPictures,
  };
}

/** Slice groups (flexible macroblock ordering) and how they change; undefined when they cannot be. */
function readSliceGroups(reader: BitReader): { changeRate: number | undefined } | undefined {
  const groups = reader.unsignedExpGolomb() + 1;
  if (groups > MAX_SLICE_GROUPS) return undefined;
  if (groups === 1) return { changeRate: undefined };
  const mapType = reader.unsignedExpGolomb();
  if (mapType > 6) return undefined;
  if (mapType === 0) for (let group = 0; group < groups; group++) reader.unsignedExpGolomb();
  if (mapType === 2) for (let corner = 0; corner < 2 * (groups - 1); corner++) reader.unsignedExpGolomb();
  if (mapType === 6) {
    const units = reader.unsignedExpGolomb() + 1;
    reader.skip(Math.min(units, reader.remainingBits + 1) * bitsBelow(groups));
  }
  if (mapType < 3 || mapType > 5) return { changeRate: undefined };
  reader.skip(1);
  return { changeRate: reader.unsignedExpGolomb() + 1 };
}
