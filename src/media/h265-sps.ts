import { BitReader } from './bit-reader.ts';
import type { Colour } from './colour.ts';
import { withoutEmulationPrevention } from './nal-units.ts';

/** general_ fields of profile_tier_level (ISO/IEC 23008-2 7.3.3). */
export interface HevcProfile {
  readonly space: number;
  readonly highTier: boolean;
  readonly profile: number;
  /** general_profile_compatibility_flag[0] is the most significant bit. */
  readonly compatibility: number;
  /** The six bytes from general_progressive_source_flag on. */
  readonly constraints: Uint8Array;
  /** Thirty times the level. */
  readonly level: number;
}

/** What Headwater needs of a sequence parameter set (ISO/IEC 23008-2 7.3.2.2.1). */
export interface HevcSps {
  readonly id: number;
  readonly profile: HevcProfile;
  /** Size after the conformance window, pixels. */
  readonly width: number;
  readonly height: number;
  readonly chromaFormat: number;
  readonly bitDepthLuma: number;
  readonly bitDepthChroma: number;
  readonly temporalLayers: number;
  readonly temporalIdNested: boolean;
  /** sps_max_num_reorder_pics of the highest layer: 0 says that there are no B-frames. */
  readonly maxReorderFrames: number;
  /** Frames a second as a fraction, when the VUI has timing; a hint only. */
  readonly frameRate: { readonly numerator: number; readonly denominator: number } | undefined;
  readonly colour: Colour | undefined;
}

/** An SPS longer than this is not read: real ones are below 200 bytes. */
const MAX_SPS_BYTES = 4096;
const SPS_TYPE = 33;
/** Largest picture side any level allows: sqrt(8 × MaxLumaPs) of level 6.2, samples. */
const MAX_SIDE = 16_888;
const EXTENDED_SAR = 255;
/** Clause 7.4.3.2.1: no more than 64 and 32 of these. */
const MAX_SHORT_TERM_SETS = 64;
const MAX_LONG_TERM_PICTURES = 32;
/** A set holds no more pictures than the decoded picture buffer, 16 (7.4.8). */
const MAX_SET_PICTURES = 16;

/** Parses an SPS NAL unit (with its two header bytes). Undefined when it is not one or is malformed. */
export function parseHevcSps(nal: Uint8Array): HevcSps | undefined {
  if (nal.length < 16 || nal.length > MAX_SPS_BYTES || (((nal[0] ?? 0) >> 1) & 0x3f) !== SPS_TYPE) {
    return undefined;
  }
  const reader = new BitReader(withoutEmulationPrevention(nal.subarray(2)));
  reader.skip(4);
  const subLayers = reader.bits(3);
  const temporalIdNested = reader.flag();
  const profile = readProfile(reader, subLayers);
  const id = reader.unsignedExpGolomb();
  const format = readFormat(reader);
  const pocBits = reader.unsignedExpGolomb() + 4;
  const maxReorderFrames = readOrdering(reader, subLayers);
  if (!format || reader.overrun || id > 15 || subLayers > 6 || pocBits > 16) return undefined;
  return {
    id,
    profile,
    ...format,
    temporalLayers: subLayers + 1,
    temporalIdNested,
    maxReorderFrames,
    ...readToVui(reader, pocBits),
  };
}

/** profile_tier_level (7.3.3). */
export function readProfile(reader: BitReader, subLayers: number): HevcProfile {
  const space = reader.bits(2);
  const highTier = reader.flag();
  const profile = reader.bits(5);
  const compatibility = reader.bits(32);
  const constraints = Uint8Array.from({ length: 6 }, () => reader.bits(8));
  const level = reader.bits(8);
  const present = Array.from({ length: subLayers }, () => [reader.flag(), reader.flag()] as const);
  if (subLayers > 0) reader.skip(2 * (8 - subLayers));
  for (const [hasProfile, hasLevel] of present) reader.skip((hasProfile ? 88 : 0) + (hasLevel ? 8 : 0));
  return { space, highTier, profile, compatibility, constraints, level };
}

type Format = Pick<HevcSps, 'width' | 'height' | 'chromaFormat' | 'bitDepthLuma' | 'bitDepthChroma'>;

function readFormat(reader: BitReader): Format | undefined {
  const chromaFormat = reader.unsignedExpGolomb();
  const separatePlanes = chromaFormat === 3 && reader.flag();
  const codedWidth = reader.unsignedExpGolomb();
  const codedHeight = reader.unsignedExpGolomb();
  const window = reader.flag() ? [0, 0, 0, 0].map(() => reader.unsignedExpGolomb()) : [0, 0, 0, 0];
  const bitDepthLuma = reader.unsignedExpGolomb() + 8;
  const bitDepthChroma = reader.unsignedExpGolomb() + 8;
  if (chromaFormat > 3 || codedWidth > MAX_SIDE || codedHeight > MAX_SIDE) return undefined;
  if (bitDepthLuma > 16 || bitDepthChroma > 16) return undefined;
  const unitX = !separatePlanes && (chromaFormat === 1 || chromaFormat === 2) ? 2 : 1;
  const unitY = !separatePlanes && chromaFormat === 1 ? 2 : 1;
  const [left = 0, right = 0, top = 0, bottom = 0] = window;
  const width = codedWidth - unitX * (left + right);
  const height = codedHeight - unitY * (top + bottom);
  return width > 0 && height > 0 ? { width, height, chromaFormat, bitDepthLuma, bitDepthChroma } : undefined;
}

/** sps_max_num_reorder_pics of the highest sub-layer. */
function readOrdering(reader: BitReader, subLayers: number): number {
  const layers = reader.flag() ? subLayers + 1 : 1;
  let reorder = 0;
  for (let layer = 0; layer < layers; layer++) {
    reader.unsignedExpGolomb();
    reorder = reader.unsignedExpGolomb();
    reader.unsignedExpGolomb();
  }
  return reorder;
}

type Vui = Pick<HevcSps, 'frameRate' | 'colour'>;
const NO_VUI: Vui = { frameRate: undefined, colour: undefined };

/** All between the ordering information and the VUI is walked only to get there. */
function readToVui(reader: BitReader, pocBits: number): Vui {
  for (let field = 0; field < 6; field++) reader.unsignedExpGolomb();
  if (reader.flag() && reader.flag()) skipScalingLists(reader);
  reader.skip(2);
  if (reader.flag()) skipPcm(reader);
  if (!skipShortTermSets(reader)) return NO_VUI;
  if (reader.flag()) {
    const pictures = reader.unsignedExpGolomb();
    if (pictures > MAX_LONG_TERM_PICTURES) return NO_VUI;
    reader.skip(pictures * (pocBits + 1));
  }
  reader.skip(2);
  return !reader.overrun && reader.flag() ? readVui(reader) : NO_VUI;
}

/** scaling_list_data (7.3.4). */
export function skipScalingLists(reader: BitReader): void {
  for (let size = 0; size < 4; size++) {
    const coefficients = Math.min(64, 1 << (4 + size * 2));
    for (let matrix = 0; matrix < 6; matrix += size === 3 ? 3 : 1) {
      if (!reader.flag()) {
        reader.unsignedExpGolomb();
        continue;
      }
      if (size > 1) reader.signedExpGolomb();
      for (let entry = 0; entry < coefficients && !reader.overrun; entry++) reader.signedExpGolomb();
    }
  }
}

function skipPcm(reader: BitReader): void {
  reader.skip(8);
  reader.unsignedExpGolomb();
  reader.unsignedExpGolomb();
  reader.skip(1);
}

/** st_ref_pic_set (7.3.7) of every index; false when one cannot be. */
function skipShortTermSets(reader: BitReader): boolean {
  const sets = reader.unsignedExpGolomb();
  if (sets > MAX_SHORT_TERM_SETS) return false;
  let pictures = 0;
  for (let index = 0; index < sets && !reader.overrun; index++) {
    const predicted = index > 0 && reader.flag();
    pictures = predicted ? skipPredictedSet(reader, pictures) : skipExplicitSet(reader);
    if (pictures > MAX_SET_PICTURES) return false;
  }
  return !reader.overrun;
}

/** Gives the count of pictures in the set. */
function skipPredictedSet(reader: BitReader, referencePictures: number): number {
  reader.skip(1);
  reader.unsignedExpGolomb();
  let pictures = 0;
  for (let entry = 0; entry <= referencePictures; entry++) {
    const used = reader.flag();
    if (used || reader.flag()) pictures++;
  }
  return pictures;
}

function skipExplicitSet(reader: BitReader): number {
  const pictures = reader.unsignedExpGolomb() + reader.unsignedExpGolomb();
  for (let entry = 0; entry < Math.min(pictures, MAX_SET_PICTURES); entry++) {
    reader.unsignedExpGolomb();
    reader.skip(1);
  }
  return pictures;
}

/** E.2.1. What is cut short is not told. */
function readVui(reader: BitReader): Vui {
  if (reader.flag() && reader.bits(8) === EXTENDED_SAR) reader.skip(32);
  if (reader.flag()) reader.skip(1);
  const colour = reader.flag() ? readColour(reader) : undefined;
  if (reader.flag()) {
    reader.unsignedExpGolomb();
    reader.unsignedExpGolomb();
  }
  reader.skip(3);
  if (reader.flag()) for (let side = 0; side < 4; side++) reader.unsignedExpGolomb();
  if (reader.overrun) return NO_VUI;
  const frameRate = reader.flag() ? readTiming(reader) : undefined;
  return { frameRate: reader.overrun ? undefined : frameRate, colour };
}

function readColour(reader: BitReader): Colour | undefined {
  reader.skip(3);
  const fullRange = reader.flag();
  if (!reader.flag()) return undefined;
  return { primaries: reader.bits(8), transfer: reader.bits(8), matrix: reader.bits(8), fullRange };
}

function readTiming(reader: BitReader): HevcSps['frameRate'] {
  const unitsInTick = reader.bits(32);
  const timeScale = reader.bits(32);
  return unitsInTick > 0 && timeScale > 0 ? { numerator: timeScale, denominator: unitsInTick } : undefined;
}
