import { BitReader } from './bit-reader.ts';
import { withoutEmulationPrevention } from './nal-units.ts';

/** What Headwater needs of a sequence parameter set (ISO/IEC 14496-10 7.3.2.1.1). */
export interface H264Sps {
  readonly profile: number;
  /** profile_compatibility / constraint_set flags, as in the codec string. */
  readonly constraints: number;
  readonly level: number;
  readonly chromaFormat: number;
  readonly bitDepthLuma: number;
  readonly bitDepthChroma: number;
  /** Size after cropping, pixels. */
  readonly width: number;
  readonly height: number;
  /** Frames a second as a fraction, when the VUI has timing; a hint only, encoders often write nonsense. */
  readonly frameRate: { readonly numerator: number; readonly denominator: number } | undefined;
  /** max_num_reorder_frames, when the VUI has bitstream restrictions: 0 says that there are no B-frames. */
  readonly maxReorderFrames: number | undefined;
}

/** Profiles whose SPS has the chroma format and scaling lists (7.3.2.1.1). */
const HIGH_PROFILES = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);
const EXTENDED_SAR = 255;
/** Largest picture side the level table could ever allow (level 6.2), macroblocks. */
const MAX_SIDE_MACROBLOCKS = 1056;
const MAX_REF_FRAMES_IN_CYCLE = 255;
/** An SPS longer than this is not read: real ones are below 100 bytes. */
const MAX_SPS_BYTES = 4096;

/** Parses an SPS NAL unit (with its header byte). Undefined when it is not one or is malformed. */
export function parseH264Sps(nal: Uint8Array): H264Sps | undefined {
  if (nal.length < 4 || nal.length > MAX_SPS_BYTES || ((nal[0] ?? 0) & 0x1f) !== 7) return undefined;
  const reader = new BitReader(withoutEmulationPrevention(nal.subarray(1)));
  const profile = reader.bits(8);
  const constraints = reader.bits(8);
  const level = reader.bits(8);
  reader.unsignedExpGolomb();
  const chroma = readChroma(reader, profile);
  reader.unsignedExpGolomb();
  skipPictureOrder(reader);
  reader.unsignedExpGolomb();
  reader.skip(1);
  const size = readSize(reader, chroma);
  const vui = reader.flag() ? readVui(reader) : { frameRate: undefined, maxReorderFrames: undefined };
  const { format: chromaFormat, bitDepthLuma, bitDepthChroma } = chroma;
  if (size === undefined || chromaFormat > 3 || bitDepthLuma > 14 || bitDepthChroma > 14) return undefined;
  return { profile, constraints, level, chromaFormat, bitDepthLuma, bitDepthChroma, ...size, ...vui };
}

interface Chroma {
  /** chroma_format_idc, or 0 when the planes are coded apart (ChromaArrayType). */
  readonly arrayType: number;
  readonly format: number;
  readonly bitDepthLuma: number;
  readonly bitDepthChroma: number;
}

function readChroma(reader: BitReader, profile: number): Chroma {
  if (!HIGH_PROFILES.has(profile)) return { arrayType: 1, format: 1, bitDepthLuma: 8, bitDepthChroma: 8 };
  const format = reader.unsignedExpGolomb();
  const separatePlanes = format === 3 && reader.flag();
  const bitDepthLuma = reader.unsignedExpGolomb() + 8;
  const bitDepthChroma = reader.unsignedExpGolomb() + 8;
  reader.skip(1);
  if (reader.flag()) skipScalingLists(reader, format === 3 ? 12 : 8);
  return { arrayType: separatePlanes ? 0 : format, format, bitDepthLuma, bitDepthChroma };
}

/** 7.3.2.1.1.1: so many scaling lists, each with its flag. */
export function skipScalingLists(reader: BitReader, lists: number): void {
  for (let list = 0; list < lists; list++) {
    if (!reader.flag()) continue;
    let next = 8;
    for (let entry = 0, last = 8; entry < (list < 6 ? 16 : 64); entry++) {
      if (next !== 0) next = (last + reader.signedExpGolomb() + 256) & 0xff;
      last = next === 0 ? last : next;
    }
  }
}

/** pic_order_cnt_type and what belongs to it. */
export function skipPictureOrder(reader: BitReader): void {
  const type = reader.unsignedExpGolomb();
  if (type === 0) reader.unsignedExpGolomb();
  if (type !== 1) return;
  reader.skip(1);
  reader.signedExpGolomb();
  reader.signedExpGolomb();
  const cycle = Math.min(reader.unsignedExpGolomb(), MAX_REF_FRAMES_IN_CYCLE);
  for (let frame = 0; frame < cycle; frame++) reader.signedExpGolomb();
}

function readSize(reader: BitReader, chroma: Chroma): { width: number; height: number } | undefined {
  const widthMacroblocks = reader.unsignedExpGolomb() + 1;
  const heightMapUnits = reader.unsignedExpGolomb() + 1;
  const frameOnly = reader.flag();
  if (!frameOnly) reader.skip(1);
  reader.skip(1);
  const crop = reader.flag() ? [0, 0, 0, 0].map(() => reader.unsignedExpGolomb()) : [0, 0, 0, 0];
  const fieldFactor = frameOnly ? 1 : 2;
  const heightMacroblocks = heightMapUnits * fieldFactor;
  if (reader.overrun) return undefined;
  if (widthMacroblocks > MAX_SIDE_MACROBLOCKS || heightMacroblocks > MAX_SIDE_MACROBLOCKS) return undefined;
  const cropUnitX = chroma.arrayType === 1 || chroma.arrayType === 2 ? 2 : 1;
  const cropUnitY = (chroma.arrayType === 1 ? 2 : 1) * fieldFactor;
  const [left = 0, right = 0, top = 0, bottom = 0] = crop;
  const width = widthMacroblocks * 16 - cropUnitX * (left + right);
  const height = heightMacroblocks * 16 - cropUnitY * (top + bottom);
  return width > 0 && height > 0 ? { width, height } : undefined;
}

/** E.1.1. A VUI cut short loses what it would have told, not the picture size before it. */
function readVui(reader: BitReader): Pick<H264Sps, 'frameRate' | 'maxReorderFrames'> {
  if (reader.flag() && reader.bits(8) === EXTENDED_SAR) reader.skip(32);
  if (reader.flag()) reader.skip(1);
  if (reader.flag()) {
    reader.skip(4);
    if (reader.flag()) reader.skip(24);
  }
  if (reader.flag()) {
    reader.unsignedExpGolomb();
    reader.unsignedExpGolomb();
  }
  const frameRate = reader.flag() ? readTiming(reader) : undefined;
  const timing = reader.overrun ? undefined : frameRate;
  const nalHrd = reader.flag();
  if (nalHrd) skipHrd(reader);
  const vclHrd = reader.flag();
  if (vclHrd) skipHrd(reader);
  if (nalHrd || vclHrd) reader.skip(1);
  reader.skip(1);
  const maxReorderFrames = reader.flag() ? readMaxReorderFrames(reader) : undefined;
  return { frameRate: timing, maxReorderFrames: reader.overrun ? undefined : maxReorderFrames };
}

/** A frame is two of the VUI's ticks (E.2.1). */
function readTiming(reader: BitReader): H264Sps['frameRate'] {
  const unitsInTick = reader.bits(32);
  const timeScale = reader.bits(32);
  reader.skip(1);
  return unitsInTick > 0 && timeScale > 0
    ? { numerator: timeScale, denominator: unitsInTick * 2 }
    : undefined;
}

function skipHrd(reader: BitReader): void {
  const count = Math.min(reader.unsignedExpGolomb(), 31) + 1;
  reader.skip(8);
  for (let entry = 0; entry < count; entry++) {
    reader.unsignedExpGolomb();
    reader.unsignedExpGolomb();
    reader.skip(1);
  }
  reader.skip(20);
}

function readMaxReorderFrames(reader: BitReader): number {
  reader.skip(1);
  for (let field = 0; field < 4; field++) reader.unsignedExpGolomb();
  return reader.unsignedExpGolomb();
}
