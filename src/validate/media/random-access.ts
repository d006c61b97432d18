import { inspectAccessUnit } from '../../media/h264.ts';

/** H.265 nal_unit_type of slices: BLA, IDR and CRA are those of intra random access points (ITU-T H.265 7.4.2.2). */
const FIRST_IRAP = 16;
const LAST_IRAP = 21;
const LAST_SLICE = 31;

export type AccessUnitKind = 'random-access' | 'dependent' | 'no-picture' | 'broken';

/**
 * What the NAL units of a sample say it is (ISO/IEC 14496-15: a sync sample is an IDR picture in H.264, an IRAP
 * picture in H.265). `codec` begins with the sample entry's four characters. Undefined for other codecs.
 */
export function accessUnitKind(
  codec: string,
  lengthSize: number,
  data: Uint8Array,
): AccessUnitKind | undefined {
  if (/^avc[1-4]/.test(codec)) return avcKind(data, lengthSize);
  if (/^(hvc1|hev1)/.test(codec)) return hevcKind(data, lengthSize);
  return undefined;
}

function avcKind(data: Uint8Array, lengthSize: number): AccessUnitKind {
  const facts = inspectAccessUnit(data, lengthSize);
  if (!facts) return 'broken';
  if (!facts.picture) return 'no-picture';
  return facts.idr ? 'random-access' : 'dependent';
}

function hevcKind(data: Uint8Array, lengthSize: number): AccessUnitKind {
  let kind: AccessUnitKind = 'no-picture';
  for (let at = 0; at < data.length; ) {
    const start = at + lengthSize;
    const length = readLength(data, at, lengthSize);
    if (length === undefined || start + length > data.length) return 'broken';
    const type = ((data[start] ?? 0) >> 1) & 0x3f;
    if (length > 0 && type >= FIRST_IRAP && type <= LAST_IRAP) return 'random-access';
    if (length > 0 && type <= LAST_SLICE) kind = 'dependent';
    at = start + length;
  }
  return kind;
}

function readLength(data: Uint8Array, at: number, lengthSize: number): number | undefined {
  if (at + lengthSize > data.length) return undefined;
  let value = 0;
  for (let i = 0; i < lengthSize; i++) value = value * 256 + (data[at + i] ?? 0);
  return value;
}
