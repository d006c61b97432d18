import { fourCc } from '../media/isobmff/box-writer.ts';
import type { ProtectionScheme } from '../media/protection.ts';

/** What a Widevine `pssh` says (WidevinePsshData). */
export interface WidevineHeader {
  readonly kids: readonly Uint8Array[];
  readonly scheme: ProtectionScheme;
  /** Name of the content owner at the licence service; empty: left out. */
  readonly provider: string;
  /** Empty: left out. */
  readonly contentId: Uint8Array;
}

/** Protocol Buffers: field number and wire type of the fields we write. */
const TAGS = { keyId: 0x12, provider: 0x1a, contentId: 0x22, protectionScheme: 0x48 } as const;

/** The data of a Widevine `pssh` box: WidevinePsshData in Protocol Buffers, fields in ascending order. */
export function widevineData({ kids, scheme, provider, contentId }: WidevineHeader): Uint8Array {
  const fields = kids.map((kid) => bytesField(TAGS.keyId, kid));
  if (provider !== '') fields.push(bytesField(TAGS.provider, Buffer.from(provider)));
  if (contentId.length > 0) fields.push(bytesField(TAGS.contentId, contentId));
  fields.push(Buffer.from([TAGS.protectionScheme, ...varint(fourCc(scheme))]));
  return Buffer.concat(fields);
}

function bytesField(tag: number, value: Uint8Array): Buffer {
  return Buffer.concat([Uint8Array.from([tag, ...varint(value.length)]), value]);
}

/** Base 128, least significant group first. */
function varint(value: number): number[] {
  const groups: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) groups.push((rest & 0x7f) | 0x80);
  groups.push(rest);
  return groups;
}
