import {
  type AvcSlice,
  type AvcSliceForm,
  readRecoveryPoint,
  readSlice,
  readSliceForm,
} from './avc-picture.ts';
import { isIrap } from './nal-format.ts';

/** How a picture stands to the others. */
export interface PictureFacts {
  readonly key: boolean;
  /** A key picture that others, shown before it, follow which need pictures from before it. */
  readonly openGop: boolean;
  /** Such a picture, where the NAL unit type tells (HEVC RASL); in H.264 only the time does. */
  readonly skipped: boolean;
  /** Its field, when it is one. */
  readonly field: AvcSlice | undefined;
}

/** The NAL units of an access unit that tell what it is: slices and SEI, in order, with their headers. */
export interface PictureUnits {
  readonly slices: readonly Uint8Array[];
  readonly prefixes: readonly Uint8Array[];
  /** random_access_indicator of the transport packet it began in. */
  readonly randomAccess: boolean;
  /** The first SPS in force. */
  readonly sps: Uint8Array | undefined;
}

export interface PictureInspector {
  inspect(units: PictureUnits): PictureFacts;
}

const IDR = 5;
const FIRST_RASL = 8;
const LAST_RASL = 9;
const FIRST_IDR = 19;
const LAST_IDR = 20;

/** H.264: needs the SPS for fields and for pictures that may be random access points without being IDR. */
export class AvcInspector implements PictureInspector {
  #sps: Uint8Array | undefined;
  #form: AvcSliceForm | undefined;

  inspect(units: PictureUnits): PictureFacts {
    const form = this.#formOf(units.sps);
    const first = units.slices[0];
    const slice = form && !form.framesOnly && first ? readSlice(first, form) : undefined;
    const field = slice && slice.picture !== 'frame' ? slice : undefined;
    const idr = units.slices.some((unit) => ((unit[0] ?? 0) & 0x1f) === IDR);
    const openGop = !idr && isRecoveryPoint(units, form);
    return { key: idr || openGop, openGop, skipped: false, field };
  }

  #formOf(sps: Uint8Array | undefined): AvcSliceForm | undefined {
    if (sps !== this.#sps) {
      this.#sps = sps;
      this.#form = sps && readSliceForm(sps);
    }
    return this.#form;
  }
}

/** A whole picture of intra slices that says, in an SEI or in its transport packet, that decoding may start at it. */
function isRecoveryPoint(units: PictureUnits, form: AvcSliceForm | undefined): boolean {
  if (!form || (!units.randomAccess && units.prefixes.length === 0)) return false;
  const frames = units.prefixes.map(readRecoveryPoint).find((count) => count !== undefined);
  if (frames === undefined ? !units.randomAccess : frames > 0) return false;
  return units.slices.every((unit) => readSlice(unit, form)?.intra === true);
}

/** HEVC: the NAL unit type of the slices tells all. Its fields are pictures, and samples, of their own. */
export class HevcInspector implements PictureInspector {
  inspect({ slices }: PictureUnits): PictureFacts {
    const type = ((slices[0]?.[0] ?? 0) >> 1) & 0x3f;
    const key = isIrap(type);
    return {
      key,
      openGop: key && (type < FIRST_IDR || type > LAST_IDR),
      skipped: type >= FIRST_RASL && type <= LAST_RASL,
      field: undefined,
    };
  }
}

/** Do two fields, one after the other, make one frame (ISO/IEC 14496-10 3.30, 7.4.1.2.4)? */
export function areOneFrame(first: PictureFacts, second: PictureFacts): boolean {
  if (!first.field || !second.field) return false;
  const opposite = first.field.picture !== second.field.picture;
  return opposite && first.field.frameNum === second.field.frameNum && (!second.key || first.key);
}
