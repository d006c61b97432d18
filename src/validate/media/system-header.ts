import { type Box, BoxCursor, readBoxes } from '../../media/isobmff/box-reader.ts';
import { playReadyKids, widevineKids } from './system-data.ts';
import { takeHex } from './track-encryption.ts';

/** A `pssh` box (ISO/IEC 23001-7 8.1). */
export interface SystemHeader {
  /** 32 hex digits, lower case. */
  readonly systemId: string;
  /** Key ids it is for, 32 hex digits each: of the box, else of its data; undefined when they cannot be told. */
  readonly kids: readonly string[] | undefined;
}

export const WIDEVINE = 'edef8ba979d64acea3c827dcd51d21ed';
export const PLAYREADY = '9a04f07998404286ab92e65be0885f95';

const UUID_BYTES = 16;

/** Key ids that one box may claim to list; more are a damaged one. */
const MAX_KIDS = 4096;

/** Reads a `pssh`; what is wrong with it as a text. */
export function readSystemHeader(bytes: Uint8Array, box: Box): SystemHeader | string {
  const cursor = new BoxCursor(bytes, box);
  const version = cursor.u8();
  cursor.skip(3);
  if (version > 1) return `is of version ${version}`;
  const systemId = takeHex(bytes, cursor, UUID_BYTES);
  const kidCount = version === 0 ? 0 : cursor.u32();
  if (kidCount > MAX_KIDS) return `lists ${kidCount} key ids`;
  const kids = Array.from({ length: kidCount }, () => takeHex(bytes, cursor, UUID_BYTES));
  const dataBytes = cursor.u32();
  if (cursor.overrun) return 'is cut short';
  if (dataBytes !== cursor.remaining)
    return `says that its data have ${dataBytes} bytes, ${cursor.remaining} follow`;
  const data = bytes.subarray(cursor.offset, cursor.offset + dataBytes);
  return { systemId, kids: version === 1 ? kids : kidsOfData(systemId, data) };
}

/** A text of base64 that should be one `pssh`, as manifests carry it; what is wrong with it as a text. */
export function readEncodedHeader(text: string): SystemHeader | string {
  const compact = text.replaceAll(/\s+/g, '');
  if (compact === '' || !/^[a-z0-9+/]+={0,2}$/i.test(compact)) return 'is no base64';
  const bytes = new Uint8Array(Buffer.from(compact, 'base64'));
  const { boxes, fault } = readBoxes(bytes);
  const [box] = boxes;
  if (fault !== undefined || box?.type !== 'pssh' || boxes.length > 1) return 'is not one pssh box';
  return readSystemHeader(bytes, box);
}

function kidsOfData(systemId: string, data: Uint8Array): readonly string[] | undefined {
  if (systemId === WIDEVINE) return widevineKids(data);
  return systemId === PLAYREADY ? playReadyKids(data) : undefined;
}

/** A UUID as manifests write it. */
export function uuidText(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
