import type { BitReader } from './bit-reader.ts';
import { HEVC_NAL, type HevcConfig, hevcNalType } from './h265.ts';
import { readShortTermSet, usedPictures } from './h265-slice-pictures.ts';
import {
  type HevcSlicePps,
  type HevcSliceSps,
  MAX_REFERENCES,
  readHevcSlicePps,
  readHevcSliceSps,
  skipSigned,
} from './h265-slice-sets.ts';
import { bitsBelow, headerEnd, type SliceHeaders } from './slice-window.ts';

const NAL_HEADER_BYTES = 2;
/** Types 10 to 15 and 24 to 31 have no slices yet (table 7-1). */
const LAST_NON_IRAP = 9;

const B = 0;
const I = 2;

/** More long-term pictures than the decoded picture buffer holds. */
const MAX_LONG_TERM_PICTURES = 33;
/** Rows of the largest picture in blocks of 16, times columns of tiles: more than any level allows. */
const MAX_ENTRY_POINTS = 22_440;

/** Reads slice headers of HEVC by the parameter sets of its configuration and those between the slices. */
export class HevcSliceHeaders implements SliceHeaders {
  readonly nalHeaderBytes = NAL_HEADER_BYTES;
  /** By id: at most 16 and 64. */
  readonly #sps = new Map<number, HevcSliceSps>();
  readonly #pps = new Map<number, HevcSlicePps>();

  constructor(config: Pick<HevcConfig, 'sps' | 'pps'>) {
    for (const unit of config.sps) this.#noteSps(unit);
    for (const unit of config.pps) this.#notePps(unit);
  }

  /** True when there is a picture parameter set to read slices with. */
  get usable(): boolean {
    return [...this.#pps.values()].some((pps) => this.#sps.has(pps.spsId));
  }

  clearBytes(unit: Uint8Array): number | undefined {
    const type = hevcNalType(unit[0] ?? 0);
    const baseLayer = ((unit[0] ?? 0) & 1) === 0 && (unit[1] ?? 0) < 8;
    if (type <= HEVC_NAL.lastVcl) {
      const known = type <= LAST_NON_IRAP || (type >= HEVC_NAL.blaWLp && type <= HEVC_NAL.cra);
      if (!known || !baseLayer) return undefined;
      return headerEnd(unit, NAL_HEADER_BYTES, (reader) => this.#readHeader(reader, type));
    }
    if (type === HEVC_NAL.sps && baseLayer) this.#noteSps(unit);
    if (type === HEVC_NAL.pps && baseLayer) this.#notePps(unit);
    return unit.length;
  }

  /** A set that cannot be read leaves the one before it in place: a decoder drops it, too. */
  #noteSps(unit: Uint8Array): void {
    const sps = readHevcSliceSps(unit);
    if (sps) this.#sps.set(sps.id, sps);
  }

  #notePps(unit: Uint8Array): void {
    const pps = readHevcSlicePps(unit);
    if (pps) this.#pps.set(pps.id, pps);
  }

  /** slice_segment_header (ISO/IEC 23008-2 7.3.6.1) with the alignment at its end. */
  #readHeader(reader: BitReader, nalType: number): boolean {
    const first = reader.flag();
    if (nalType >= HEVC_NAL.blaWLp && nalType <= HEVC_NAL.lastIrap) reader.skip(1);
    const pps = this.#pps.get(reader.unsignedExpGolomb());
    const sps = pps && this.#sps.get(pps.spsId);
    if (!sps) return false;
    const dependent = !first && pps.dependentSlices && reader.flag();
    if (!first) reader.skip(bitsBelow(sps.codingTreeBlocks));
    if (!dependent && !readSlice(reader, sps, pps, nalType)) return false;
    if (pps.entryPoints && !skipEntryPoints(reader)) return false;
    if (pps.headerExtension) reader.skip(8 * reader.unsignedExpGolomb());
    return isAligned(reader);
  }
}

/** byte_alignment (7.3.6.1): a one, then zeros. Where they are not, the header was misread. */
function isAligned(reader: BitReader): boolean {
  return reader.flag() && reader.bits(reader.remainingBits & 7) === 0;
}

/** The part that only independent slice segments have; false when it is malformed. */
function readSlice(reader: BitReader, sps: HevcSliceSps, pps: HevcSlicePps, nalType: number): boolean {
  reader.skip(pps.extraHeaderBits);
  const type = reader.unsignedExpGolomb();
  if (type > I) return false;
  if (pps.outputFlag) reader.skip(1);
  if (sps.separatePlanes) reader.skip(2);
  const pictures = isIdr(nalType) ? NO_PICTURES : readPictures(reader, sps);
  if (!pictures) return false;
  const saoLuma = sps.sampleAdaptiveOffset && reader.flag();
  const saoChroma = sps.sampleAdaptiveOffset && sps.chroma && reader.flag();
  if (type !== I && !readPrediction(reader, sps, pps, pictures, type)) return false;
  reader.signedExpGolomb();
  if (pps.chromaQpOffsets) skipSigned(reader, 2);
  if (pps.chromaQpOffsetList) reader.skip(1);
  const deblocking = readDeblocking(reader, pps);
  if (pps.loopFilterAcrossSlices && (saoLuma || saoChroma || deblocking)) reader.skip(1);
  return true;
}

function isIdr(nalType: number): boolean {
  return nalType === HEVC_NAL.idrWRadl || nalType === HEVC_NAL.idrNLp;
}

/** What a slice says of the pictures it may refer to. */
interface Pictures {
  /** NumPicTotalCurr. */
  readonly used: number;
  readonly temporalMotion: boolean;
}

const NO_PICTURES: Pictures = { used: 0, temporalMotion: false };

/** From slice_pic_order_cnt_lsb to slice_temporal_mvp_enabled_flag. */
function readPictures(reader: BitReader, sps: HevcSliceSps): Pictures | undefined {
  reader.skip(sps.pocBits);
  const sets = sps.shortTermSets;
  const set = reader.flag()
    ? sets[reader.bits(bitsBelow(sets.length))]
    : readShortTermSet(reader, sets, true);
  const longTerm = sps.longTermUsed ? readLongTerm(reader, sps, sps.longTermUsed) : 0;
  const temporalMotion = sps.temporalMotion && reader.flag();
  return set && longTerm !== undefined ? { used: usedPictures(set) + longTerm, temporalMotion } : undefined;
}

/** Gives how many long-term pictures are used; undefined when there are too many. */
function readLongTerm(
  reader: BitReader,
  sps: HevcSliceSps,
  candidates: readonly boolean[],
): number | undefined {
  const fromSps = candidates.length > 0 ? reader.unsignedExpGolomb() : 0;
  const count = fromSps + reader.unsignedExpGolomb();
  if (count > MAX_LONG_TERM_PICTURES) return undefined;
  let used = 0;
  for (let picture = 0; picture < count; picture++) {
    if (picture < fromSps) {
      if (candidates[reader.bits(bitsBelow(candidates.length))]) used++;
    } else {
      reader.skip(sps.pocBits);
      if (reader.flag()) used++;
    }
    if (reader.flag()) reader.unsignedExpGolomb();
  }
  return used;
}

/** What only P and B slices have; false when it is malformed. */
function readPrediction(
  reader: BitReader,
  sps: HevcSliceSps,
  pps: HevcSlicePps,
  pictures: Pictures,
  type: number,
): boolean {
  const lists = type === B ? 2 : 1;
  const references = reader.flag()
    ? Array.from({ length: lists }, () => reader.unsignedExpGolomb() + 1)
    : pps.referencesByDefault.slice(0, lists);
  if (references.some((count) => count > MAX_REFERENCES)) return false;
  if (pps.listsModification && pictures.used > 1) {
    for (const count of references) if (reader.flag()) reader.skip(count * bitsBelow(pictures.used));
  }
  if (type === B) reader.skip(1);
  if (pps.cabacInit) reader.skip(1);
  if (pictures.temporalMotion) skipCollocated(reader, references);
  if (type === B ? pps.weightedBipred : pps.weightedPrediction) skipWeights(reader, sps.chroma, references);
  reader.unsignedExpGolomb();
  return true;
}

function skipCollocated(reader: BitReader, references: readonly number[]): void {
  const list = references.length === 1 || reader.flag() ? 0 : 1;
  if ((references[list] ?? 0) > 1) reader.unsignedExpGolomb();
}

/** pred_weight_table (7.3.6.3): the flags of all pictures of a list stand before their weights. */
function skipWeights(reader: BitReader, chroma: boolean, references: readonly number[]): void {
  reader.unsignedExpGolomb();
  if (chroma) reader.signedExpGolomb();
  for (const count of references) {
    const luma = reader.bits(count);
    const chromas = chroma ? reader.bits(count) : 0;
    for (let bit = 2 ** (count - 1); bit >= 1; bit /= 2) {
      if (luma & bit) skipSigned(reader, 2);
      if (chromas & bit) skipSigned(reader, 4);
    }
  }
}

/** Gives whether the slice is deblocked. */
function readDeblocking(reader: BitReader, pps: HevcSlicePps): boolean {
  const override = pps.deblockingOverride && reader.flag();
  if (!override) return !pps.deblockingDisabled;
  const disabled = reader.flag();
  if (!disabled) skipSigned(reader, 2);
  return !disabled;
}

function skipEntryPoints(reader: BitReader): boolean {
  const count = reader.unsignedExpGolomb();
  if (count > MAX_ENTRY_POINTS) return false;
  if (count > 0) reader.skip((reader.unsignedExpGolomb() + 1) * count);
  return true;
}
