import type { BitReader } from './bit-reader.ts';
import type { AvcConfig } from './h264.ts';
import {
  type AvcSlicePps,
  type AvcSliceSps,
  MAX_REFERENCES,
  readAvcSlicePps,
  readAvcSliceSps,
} from './h264-slice-sets.ts';
import { bitsBelow, headerEnd, type SliceHeaders } from './slice-window.ts';

const NAL_SLICE = 1;
const NAL_IDR_SLICE = 5;
const NAL_SPS = 7;
const NAL_PPS = 8;
/**
 * Coded pictures that are not read here: data partitions (Extended profile), auxiliary pictures, and slices of SVC, MVC
 * and 3D-AVC, whose headers differ.
 */
const OTHER_SLICES = new Set([2, 3, 4, 19, 20, 21]);

const B = 1;
const I = 2;
const SP = 3;
const SI = 4;

/** More commands than a picture can use: two fields of 16 frames in two lists, and the end. */
const MAX_COMMANDS = 67;

/** Reads slice headers of H.264 by the parameter sets of its configuration and those between the slices. */
export class AvcSliceHeaders implements SliceHeaders {
  readonly nalHeaderBytes = 1;
  /** By id: at most 32 and 256. */
  readonly #sps = new Map<number, AvcSliceSps>();
  readonly #pps = new Map<number, AvcSlicePps>();

  constructor(config: Pick<AvcConfig, 'sps' | 'pps'>) {
    for (const unit of config.sps) this.#noteSps(unit);
    for (const unit of config.pps) this.#notePps(unit);
  }

  /** True when there is a picture parameter set to read slices with. */
  get usable(): boolean {
    return [...this.#pps.values()].some((pps) => this.#sps.has(pps.spsId));
  }

  clearBytes(unit: Uint8Array): number | undefined {
    const type = (unit[0] ?? 0) & 0x1f;
    if (type === NAL_SLICE || type === NAL_IDR_SLICE) {
      return headerEnd(unit, 1, (reader) => this.#readHeader(reader, unit[0] ?? 0));
    }
    if (OTHER_SLICES.has(type)) return undefined;
    if (type === NAL_SPS) this.#noteSps(unit);
    if (type === NAL_PPS) this.#notePps(unit);
    return unit.length;
  }

  /** A set that cannot be read leaves the one before it in place: a decoder drops it, too. */
  #noteSps(unit: Uint8Array): void {
    const sps = readAvcSliceSps(unit);
    if (sps) this.#sps.set(sps.id, sps);
  }

  #notePps(unit: Uint8Array): void {
    const pps = readAvcSlicePps(unit);
    if (pps) this.#pps.set(pps.id, pps);
  }

  /** slice_header (ISO/IEC 14496-10 7.3.3), and the alignment of CABAC data behind it, which must be ones. */
  #readHeader(reader: BitReader, nalHeader: number): boolean {
    reader.unsignedExpGolomb();
    const sliceType = reader.unsignedExpGolomb();
    const pps = this.#pps.get(reader.unsignedExpGolomb());
    const sps = pps && this.#sps.get(pps.spsId);
    if (!sps || sliceType > 9) return false;
    const type = sliceType % 5;
    const idr = (nalHeader & 0x1f) === NAL_IDR_SLICE;
    readPicture(reader, sps, pps, idr);
    if (type === B) reader.skip(1);
    const references = readReferenceCounts(reader, pps, type);
    if (!references || !skipListModifications(reader, type)) return false;
    const weighted = type === B ? pps.weightedBipredIdc === 1 : pps.weightedPrediction && !isIntra(type);
    if (weighted) skipWeights(reader, sps.chroma, references);
    if ((nalHeader & 0x60) !== 0 && !skipReferenceMarking(reader, idr)) return false;
    skipCoding(reader, pps, type);
    if (pps.sliceGroupChangeRate !== undefined) {
      reader.skip(bitsBelow(Math.ceil(sps.mapUnits / pps.sliceGroupChangeRate) + 1));
    }
    return !pps.cabac || onesToByteEnd(reader);
  }
}

function isIntra(type: number): boolean {
  return type === I || type === SI;
}

/** What tells the picture of the slice: from colour_plane_id to redundant_pic_cnt. */
function readPicture(reader: BitReader, sps: AvcSliceSps, pps: AvcSlicePps, idr: boolean): void {
  if (sps.separatePlanes) reader.skip(2);
  reader.skip(sps.frameNumBits);
  const field = !sps.framesOnly && reader.flag();
  if (field) reader.skip(1);
  if (idr) reader.unsignedExpGolomb();
  const bothFields = pps.fieldOrderPresent && !field;
  if (sps.pictureOrder.type === 'lsb') {
    reader.skip(sps.pictureOrder.bits);
    if (bothFields) reader.signedExpGolomb();
  } else if (sps.pictureOrder.type === 'deltas') {
    reader.signedExpGolomb();
    if (bothFields) reader.signedExpGolomb();
  }
  if (pps.redundantPictures) reader.unsignedExpGolomb();
}

/** Active references of each list; undefined when there are too many. */
function readReferenceCounts(
  reader: BitReader,
  pps: AvcSlicePps,
  type: number,
): readonly number[] | undefined {
  if (isIntra(type)) return [];
  const lists = type === B ? 2 : 1;
  if (!reader.flag()) return pps.referencesByDefault.slice(0, lists);
  const counts = Array.from({ length: lists }, () => reader.unsignedExpGolomb() + 1);
  return counts.every((count) => count <= MAX_REFERENCES) ? counts : undefined;
}

/** ref_pic_list_modification (7.3.3.1). */
function skipListModifications(reader: BitReader, type: number): boolean {
  const lists = isIntra(type) ? 0 : type === B ? 2 : 1;
  for (let list = 0; list < lists; list++) {
    if (!reader.flag()) continue;
    let operation = 0;
    for (let command = 0; operation !== 3 && !reader.overrun; command++) {
      operation = reader.unsignedExpGolomb();
      if (operation > 3 || command > MAX_COMMANDS) return false;
      if (operation !== 3) reader.unsignedExpGolomb();
    }
  }
  return true;
}

/** pred_weight_table (7.3.3.2). */
function skipWeights(reader: BitReader, chroma: boolean, references: readonly number[]): void {
  reader.unsignedExpGolomb();
  if (chroma) reader.unsignedExpGolomb();
  for (const count of references) {
    for (let picture = 0; picture < count && !reader.overrun; picture++) {
      if (reader.flag()) skipSigned(reader, 2);
      if (chroma && reader.flag()) skipSigned(reader, 4);
    }
  }
}

function skipSigned(reader: BitReader, count: number): void {
  for (let field = 0; field < count; field++) reader.signedExpGolomb();
}

/** Numbers that follow each memory_management_control_operation (7.3.3.3). */
const MARKING_FIELDS = [0, 1, 1, 2, 1, 0, 1] as const;

/** dec_ref_pic_marking. */
function skipReferenceMarking(reader: BitReader, idr: boolean): boolean {
  if (idr) {
    reader.skip(2);
    return true;
  }
  if (!reader.flag()) return true;
  for (let command = 0; command <= MAX_COMMANDS && !reader.overrun; command++) {
    const operation = reader.unsignedExpGolomb();
    if (operation === 0) return true;
    const fields = MARKING_FIELDS[operation];
    if (fields === undefined) return false;
    for (let field = 0; field < fields; field++) reader.unsignedExpGolomb();
  }
  return reader.overrun;
}

/** From cabac_init_idc to the deblocking offsets. */
function skipCoding(reader: BitReader, pps: AvcSlicePps, type: number): void {
  if (pps.cabac && !isIntra(type)) reader.unsignedExpGolomb();
  reader.signedExpGolomb();
  if (type === SP) reader.skip(1);
  if (type === SP || type === SI) reader.signedExpGolomb();
  if (pps.deblockingControl && reader.unsignedExpGolomb() !== 1) skipSigned(reader, 2);
}

/** cabac_alignment_one_bit (7.3.4): where they are not, the header was misread. */
function onesToByteEnd(reader: BitReader): boolean {
  const bits = reader.remainingBits & 7;
  return reader.bits(bits) === 2 ** bits - 1;
}
