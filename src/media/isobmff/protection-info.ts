import type { TrackProtection } from '../protection.ts';
import { type BoxWriter, fourCc } from './box-writer.ts';

/** The sample entry of a protected track, in place of the codec's own (ISO/IEC 14496-12 8.12). */
export const PROTECTED_ENTRY = { video: 'encv', audio: 'enca' } as const;

/** 1:9: one block of ten is encrypted. Audio has no pattern: every whole block is. */
const PATTERN = { video: 0x19, audio: 0 } as const;

const SCHEME_VERSION = 0x00010000;
/** Of CMAF's `cenc`; 16 would be allowed by Common Encryption only (ISO/IEC 23000-19 8.2.3.1). */
export const CENC_IV_BYTES = 8;
export const KEY_BYTES = 16;
export const CONSTANT_IV_BYTES = 16;
/** No `sinf` is longer: frma 12, schm 20, tenc 49, and the headers of schi and sinf. */
export const PROTECTION_INFO_BYTES = 97;

/**
 * Writes the `sinf` of a protected sample entry: frma, schm, and schi with tenc (ISO/IEC 23001-7 8.2).
 * Throws RangeError when the KID or the constant IV does not fit the scheme.
 */
export function writeProtectionInfo(
  writer: BoxWriter,
  kind: 'video' | 'audio',
  originalEntry: string,
  protection: Pick<TrackProtection, 'scheme' | 'kid' | 'constantIv'>,
): void {
  const sinf = writer.begin(fourCc('sinf'));
  const frma = writer.begin(fourCc('frma'));
  writer.u32(fourCc(originalEntry));
  writer.end(frma);
  const schm = writer.beginFull(fourCc('schm'), 0, 0);
  writer.u32(fourCc(protection.scheme));
  writer.u32(SCHEME_VERSION);
  writer.end(schm);
  const schi = writer.begin(fourCc('schi'));
  writeTrackEncryption(writer, kind, protection);
  writer.end(schi);
  writer.end(sinf);
}

function writeTrackEncryption(
  writer: BoxWriter,
  kind: 'video' | 'audio',
  { scheme, kid, constantIv }: Pick<TrackProtection, 'scheme' | 'kid' | 'constantIv'>,
): void {
  if (kid.length !== KEY_BYTES) throw new RangeError(`a KID has 16 bytes, not ${kid.length}`);
  const tenc = writer.beginFull(fourCc('tenc'), scheme === 'cbcs' ? 1 : 0, 0);
  writer.u8(0);
  writer.u8(scheme === 'cbcs' ? PATTERN[kind] : 0);
  writer.u8(1);
  writer.u8(scheme === 'cbcs' ? 0 : CENC_IV_BYTES);
  writer.raw(kid);
  if (scheme === 'cbcs') {
    if (constantIv?.length !== CONSTANT_IV_BYTES)
      throw new RangeError('cbcs needs a constant IV of 16 bytes');
    writer.u8(CONSTANT_IV_BYTES);
    writer.raw(constantIv);
  }
  writer.end(tenc);
}
