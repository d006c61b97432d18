import { BoxWriter, fourCc } from '../media/isobmff/box-writer.ts';
import { SYSTEM_IDS, uuidBytes } from './drm-system-ids.ts';

const PSSH = fourCc('pssh');
const HEADER_BYTES = 12;
const ID_BYTES = 16;
const LENGTH_BYTES = 4;

/** A `pssh` box of version 0 (ISO/IEC 23001-7 8.1): a system's own data. */
export function writePssh(systemId: string, data: Uint8Array): Uint8Array {
  const writer = new BoxWriter(HEADER_BYTES + ID_BYTES + LENGTH_BYTES + data.length);
  const box = writer.beginFull(PSSH, 0, 0);
  writer.raw(uuidBytes(systemId));
  writer.u32(data.length);
  writer.raw(data);
  writer.end(box);
  return writer.bytes;
}

/** The W3C common `pssh` box, version 1: KIDs and no data. */
export function writeCommonPssh(kids: readonly Uint8Array[]): Uint8Array {
  const writer = new BoxWriter(HEADER_BYTES + ID_BYTES + LENGTH_BYTES * 2 + kids.length * ID_BYTES);
  const box = writer.beginFull(PSSH, 1, 0);
  writer.raw(uuidBytes(SYSTEM_IDS.common));
  writer.u32(kids.length);
  for (const kid of kids) writer.raw(kid);
  writer.u32(0);
  writer.end(box);
  return writer.bytes;
}
