import { type Box, BoxCursor, findBox } from '../../media/isobmff/box-reader.ts';
import type { ProtectionFacts, SampleEncryption } from '../contracts.ts';

const KID_BYTES = 16;

/** Reads the `sinf` among the boxes of a protected sample entry (ISO/IEC 14496-12 8.12). */
export function readProtection(bytes: Uint8Array, boxes: readonly Box[]): ProtectionFacts {
  const sinf = findBox(boxes, ['sinf']);
  const schm = sinf && findBox(sinf.children, ['schm']);
  const tenc = sinf && findBox(sinf.children, ['schi', 'tenc']);
  return { scheme: schm && readScheme(bytes, schm), encryption: tenc && readTrackEncryption(bytes, tenc) };
}

function readScheme(bytes: Uint8Array, schm: Box): string | undefined {
  const cursor = new BoxCursor(bytes, schm);
  cursor.skip(4);
  const scheme = cursor.fourCc();
  return cursor.overrun ? undefined : scheme;
}

function readTrackEncryption(bytes: Uint8Array, tenc: Box): SampleEncryption | undefined {
  const cursor = new BoxCursor(bytes, tenc);
  const version = cursor.u8();
  cursor.skip(3);
  const encryption = readSampleEncryption(bytes, cursor);
  // Version 0 has no pattern: the byte is reserved.
  return version === 0 && encryption ? { ...encryption, cryptBlocks: 0, skipBlocks: 0 } : encryption;
}

/** The fields that `tenc` and an entry of a `seig` group share; undefined when they are cut short. */
export function readSampleEncryption(bytes: Uint8Array, cursor: BoxCursor): SampleEncryption | undefined {
  cursor.skip(1);
  const pattern = cursor.u8();
  const isProtected = cursor.u8() !== 0;
  const ivBytes = cursor.u8();
  const kid = takeHex(bytes, cursor, KID_BYTES);
  const constantIvBytes = isProtected && ivBytes === 0 ? cursor.u8() : 0;
  cursor.skip(constantIvBytes);
  if (cursor.overrun) return undefined;
  return { isProtected, cryptBlocks: pattern >> 4, skipBlocks: pattern & 15, ivBytes, kid, constantIvBytes };
}

/** The next bytes in hex digits; '' when there are not as many. */
export function takeHex(bytes: Uint8Array, cursor: BoxCursor, count: number): string {
  const from = cursor.offset;
  cursor.skip(count);
  return cursor.overrun ? '' : Buffer.from(bytes.subarray(from, from + count)).toString('hex');
}
