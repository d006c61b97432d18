import { BitReader } from '../bit-reader.ts';
import { skipPictureOrder, skipScalingLists } from '../h264-sps.ts';
import { withoutEmulationPrevention } from '../nal-units.ts';

/** What an SPS says about how slice headers are read (ISO/IEC 14496-10 7.3.2.1.1). */
export interface AvcSliceForm {
  readonly frameNumBits: number;
  /** No fields: every picture is a frame. */
  readonly framesOnly: boolean;
  readonly separatePlanes: boolean;
}

/** The beginning of a slice header (7.3.3). */
export interface AvcSlice {
  /** Only intra macroblocks: I or SI. */
  readonly intra: boolean;
  readonly frameNum: number;
  readonly picture: 'frame' | 'top' | 'bottom';
}

const CHROMA_PROFILES = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);
/** More than the fields read of a slice header can take, emulation prevention counted. */
const SLICE_HEAD_BYTES = 32;
const SEI_RECOVERY_POINT = 6;
/** A message further in than this is not found: a recovery point comes early, in a short unit. */
const MAX_SEI_BYTES = 1024;

/** Undefined when the SPS (with its header byte) is malformed. */
export function readSliceForm(sps: Uint8Array): AvcSliceForm | undefined {
  const reader = new BitReader(withoutEmulationPrevention(sps.subarray(1)));
  const profile = reader.bits(8);
  reader.skip(16);
  reader.unsignedExpGolomb();
  const separatePlanes = CHROMA_PROFILES.has(profile) && readChroma(reader);
  const frameNumBits = reader.unsignedExpGolomb() + 4;
  skipPictureOrder(reader);
  reader.unsignedExpGolomb();
  reader.skip(1);
  reader.unsignedExpGolomb();
  reader.unsignedExpGolomb();
  const framesOnly = reader.flag();
  return reader.overrun || frameNumBits > 16 ? undefined : { frameNumBits, framesOnly, separatePlanes };
}

/** Gives separate_colour_plane_flag. */
function readChroma(reader: BitReader): boolean {
  const format = reader.unsignedExpGolomb();
  const separatePlanes = format === 3 && reader.flag();
  reader.unsignedExpGolomb();
  reader.unsignedExpGolomb();
  reader.skip(1);
  if (reader.flag()) skipScalingLists(reader, format === 3 ? 12 : 8);
  return separatePlanes;
}

/** Reads the beginning of a slice (with its header byte). Undefined when it is malformed. */
export function readSlice(unit: Uint8Array, form: AvcSliceForm): AvcSlice | undefined {
  const reader = new BitReader(withoutEmulationPrevention(unit.subarray(1, SLICE_HEAD_BYTES)));
  reader.unsignedExpGolomb();
  const type = reader.unsignedExpGolomb() % 5;
  reader.unsignedExpGolomb();
  if (form.separatePlanes) reader.skip(2);
  const frameNum = reader.bits(form.frameNumBits);
  const field = !form.framesOnly && reader.flag();
  const bottom = field && reader.flag();
  if (reader.overrun) return undefined;
  return {
    intra: type === 2 || type === 4,
    frameNum,
    picture: field ? (bottom ? 'bottom' : 'top') : 'frame',
  };
}

/**
 * recovery_frame_cnt of the recovery point message in an SEI NAL unit (with its header byte), undefined without one
 * (D.1.8).
 */
export function readRecoveryPoint(unit: Uint8Array): number | undefined {
  const sei = withoutEmulationPrevention(unit.subarray(1, MAX_SEI_BYTES));
  for (let at = 0; at + 2 < sei.length; ) {
    const type = readSeiNumber(sei, at);
    const size = readSeiNumber(sei, type.next);
    if (type.value === SEI_RECOVERY_POINT) {
      const reader = new BitReader(sei.subarray(size.next, size.next + size.value));
      const frames = reader.unsignedExpGolomb();
      return reader.overrun ? undefined : frames;
    }
    at = size.next + size.value;
  }
  return undefined;
}

/** A payload type or size: 255 as often as it fits, then the rest (7.3.2.3.1). */
function readSeiNumber(sei: Uint8Array, from: number): { value: number; next: number } {
  let at = from;
  let value = 0;
  while (sei[at] === 255) {
    value += 255;
    at++;
  }
  return { value: value + (sei[at] ?? 0), next: at + 1 };
}
