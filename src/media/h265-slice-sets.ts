import { BitReader } from './bit-reader.ts';
import { readProfile, skipScalingLists } from './h265-sps.ts';
import { readShortTermSet, type ShortTermSet } from './h265-slice-pictures.ts';
import { withoutEmulationPrevention } from './nal-units.ts';

/** What a sequence parameter set says about how slice headers are read (ISO/IEC 23008-2 7.3.2.2.1). */
export interface HevcSliceSps {
  readonly id: number;
  readonly separatePlanes: boolean;
  /** Slices have chroma: ChromaArrayType is not 0. */
  readonly chroma: boolean;
  /** PicSizeInCtbsY. */
  readonly codingTreeBlocks: number;
  readonly pocBits: number;
  readonly sampleAdaptiveOffset: boolean;
  readonly shortTermSets: readonly ShortTermSet[];
  /** used_by_curr_pic_lt_sps_flag of each candidate; undefined when there are no long-term pictures. */
  readonly longTermUsed: readonly boolean[] | undefined;
  readonly temporalMotion: boolean;
}

/** What a picture parameter set says about it (7.3.2.3). */
export interface HevcSlicePps {
  readonly id: number;
  readonly spsId: number;
  readonly dependentSlices: boolean;
  readonly outputFlag: boolean;
  readonly extraHeaderBits: number;
  readonly cabacInit: boolean;
  /** num_ref_idx_l0/l1_default_active_minus1 + 1. */
  readonly referencesByDefault: readonly [number, number];
  readonly chromaQpOffsets: boolean;
  readonly chromaQpOffsetList: boolean;
  readonly weightedPrediction: boolean;
  readonly weightedBipred: boolean;
  /** Slices list where tiles or rows of blocks begin: tiles or entropy coding in step. */
  readonly entryPoints: boolean;
  readonly loopFilterAcrossSlices: boolean;
  readonly deblockingOverride: boolean;
  readonly deblockingDisabled: boolean;
  readonly listsModification: boolean;
  readonly headerExtension: boolean;
}

const MAX_SPS_ID = 15;
const MAX_PPS_ID = 63;
/** num_ref_idx_active_minus1 is at most 14 (7.4.7.1). */
export const MAX_REFERENCES = 15;
const MAX_SHORT_TERM_SETS = 64;
const MAX_LONG_TERM_PICTURES = 32;
/** Largest picture side any level allows: sqrt(8 × MaxLumaPs) of level 6.2, samples. */
const MAX_SIDE = 16_888;
/** Columns and rows of tiles at level 6.2 (table A.8): 20 and 22. */
const MAX_TILE_LINES = 64;
const MAX_CTB_LOG2 = 6;
const MAX_SET_BYTES = 4096;

/** Reads an SPS NAL unit (with its two header bytes). Undefined when malformed. */
export function readHevcSliceSps(unit: Uint8Array): HevcSliceSps | undefined {
  if (unit.length > MAX_SET_BYTES) return undefined;
  const reader = new BitReader(withoutEmulationPrevention(unit.subarray(2)));
  reader.skip(4);
  const subLayers = reader.bits(3);
  reader.skip(1);
  if (subLayers > 6) return undefined;
  readProfile(reader, subLayers);
  const id = reader.unsignedExpGolomb();
  const chromaFormat = reader.unsignedExpGolomb();
  const separatePlanes = chromaFormat === 3 && reader.flag();
  const width = reader.unsignedExpGolomb();
  const height = reader.unsignedExpGolomb();
  if (reader.flag()) skipUnsigned(reader, 4);
  skipUnsigned(reader, 2);
  const pocBits = reader.unsignedExpGolomb() + 4;
  skipUnsigned(reader, 3 * (reader.flag() ? subLayers + 1 : 1));
  const codingTreeBlocks = readCodingTreeBlocks(reader, width, height);
  const sampleAdaptiveOffset = readTools(reader);
  const shortTermSets = readShortTermSets(reader);
  const longTermUsed = reader.flag() ? readLongTermUsed(reader, pocBits) : undefined;
  const temporalMotion = reader.flag();
  if (reader.overrun || id > MAX_SPS_ID || chromaFormat > 3 || pocBits > 16) return undefined;
  if (!codingTreeBlocks || !shortTermSets) return undefined;
  return {
    id,
    separatePlanes,
    chroma: chromaFormat !== 0 && !separatePlanes,
    codingTreeBlocks,
    pocBits,
    sampleAdaptiveOffset,
    shortTermSets,
    longTermUsed,
    temporalMotion,
  };
}

/** The sizes of coding and transform blocks; gives how many coding tree blocks a picture has. */
function readCodingTreeBlocks(reader: BitReader, width: number, height: number): number | undefined {
  const log2Size = reader.unsignedExpGolomb() + 3 + reader.unsignedExpGolomb();
  skipUnsigned(reader, 4);
  if (log2Size > MAX_CTB_LOG2 || width > MAX_SIDE || height > MAX_SIDE) return undefined;
  const side = 2 ** log2Size;
  return Math.ceil(width / side) * Math.ceil(height / side);
}

/** From scaling_list_enabled_flag to the PCM fields; gives sample_adaptive_offset_enabled_flag. */
function readTools(reader: BitReader): boolean {
  if (reader.flag() && reader.flag()) skipScalingLists(reader);
  reader.skip(1);
  const sampleAdaptiveOffset = reader.flag();
  if (reader.flag()) {
    reader.skip(8);
    skipUnsigned(reader, 2);
    reader.skip(1);
  }
  return sampleAdaptiveOffset;
}

function readShortTermSets(reader: BitReader): ShortTermSet[] | undefined {
  const count = reader.unsignedExpGolomb();
  if (count > MAX_SHORT_TERM_SETS) return undefined;
  const sets: ShortTermSet[] = [];
  for (let index = 0; index < count; index++) {
    const set = readShortTermSet(reader, sets, false);
    if (!set) return undefined;
    sets.push(set);
  }
  return sets;
}

function readLongTermUsed(reader: BitReader, pocBits: number): boolean[] {
  const count = Math.min(reader.unsignedExpGolomb(), MAX_LONG_TERM_PICTURES);
  return Array.from({ length: count }, () => {
    reader.skip(pocBits);
    return reader.flag();
  });
}

/**
 * Reads a PPS NAL unit (with its two header bytes). Undefined when malformed, or with the extension for screen content,
 * whose slices are not read here.
 */
export function readHevcSlicePps(unit: Uint8Array): HevcSlicePps | undefined {
  if (unit.length > MAX_SET_BYTES) return undefined;
  const reader = new BitReader(withoutEmulationPrevention(unit.subarray(2)));
  const id = reader.unsignedExpGolomb();
  const spsId = reader.unsignedExpGolomb();
  const dependentSlices = reader.flag();
  const outputFlag = reader.flag();
  const extraHeaderBits = reader.bits(3);
  reader.skip(1);
  const cabacInit = reader.flag();
  const references = [reader.unsignedExpGolomb() + 1, reader.unsignedExpGolomb() + 1] as const;
  reader.signedExpGolomb();
  reader.skip(1);
  const transformSkip = reader.flag();
  if (reader.flag()) reader.unsignedExpGolomb();
  skipSigned(reader, 2);
  const chromaQpOffsets = reader.flag();
  const weightedPrediction = reader.flag();
  const weightedBipred = reader.flag();
  reader.skip(1);
  const tiles = reader.flag();
  const entropySync = reader.flag();
  if (tiles && !skipTiles(reader)) return undefined;
  const loopFilterAcrossSlices = reader.flag();
  const deblocking = readDeblocking(reader);
  if (reader.flag()) skipScalingLists(reader);
  const listsModification = reader.flag();
  reader.unsignedExpGolomb();
  const headerExtension = reader.flag();
  const extensions = reader.flag() ? reader.bits(8) : 0;
  const chromaQpOffsetList =
    (extensions & RANGE_EXTENSION) !== 0 && readRangeExtension(reader, transformSkip);
  if (reader.overrun || id > MAX_PPS_ID || spsId > MAX_SPS_ID) return undefined;
  if (references[0] > MAX_REFERENCES || references[1] > MAX_REFERENCES) return undefined;
  if ((extensions & SCREEN_CONTENT_EXTENSION) !== 0) return undefined;
  return {
    id,
    spsId,
    dependentSlices,
    outputFlag,
    extraHeaderBits,
    cabacInit,
    referencesByDefault: references,
    chromaQpOffsets,
    chromaQpOffsetList,
    weightedPrediction,
    weightedBipred,
    entryPoints: tiles || entropySync,
    loopFilterAcrossSlices,
    ...deblocking,
    listsModification,
    headerExtension,
  };
}

/** Bits of pps_range_extension_flag and pps_scc_extension_flag among the eight extension flags. */
const RANGE_EXTENSION = 0x80;
const SCREEN_CONTENT_EXTENSION = 0x10;

function skipTiles(reader: BitReader): boolean {
  const columns = reader.unsignedExpGolomb();
  const rows = reader.unsignedExpGolomb();
  if (columns > MAX_TILE_LINES || rows > MAX_TILE_LINES) return false;
  if (!reader.flag()) skipUnsigned(reader, columns + rows);
  reader.skip(1);
  return true;
}

function readDeblocking(reader: BitReader): Pick<HevcSlicePps, 'deblockingOverride' | 'deblockingDisabled'> {
  if (!reader.flag()) return { deblockingOverride: false, deblockingDisabled: false };
  const deblockingOverride = reader.flag();
  const deblockingDisabled = reader.flag();
  if (!deblockingDisabled) skipSigned(reader, 2);
  return { deblockingOverride, deblockingDisabled };
}

/** Gives chroma_qp_offset_list_enabled_flag (7.3.2.3.2); what follows it is of no use here. */
function readRangeExtension(reader: BitReader, transformSkip: boolean): boolean {
  if (transformSkip) reader.unsignedExpGolomb();
  reader.skip(1);
  return reader.flag();
}

function skipUnsigned(reader: BitReader, count: number): void {
  for (let field = 0; field < count; field++) reader.unsignedExpGolomb();
}

export function skipSigned(reader: BitReader, count: number): void {
  for (let field = 0; field < count; field++) reader.signedExpGolomb();
}
