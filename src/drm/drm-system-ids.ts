import type { DrmSystem } from '../media/protection.ts';

/** SystemIDs of `pssh` boxes and ContentProtection descriptors (DASH-IF identifiers, content protection), as UUIDs. */
export const SYSTEM_IDS = {
  /** W3C common `pssh` box format: what Clear Key reads in an initialization segment. */
  common: '1077efec-c0b2-4d02-ace3-3c1e52e2fb4b',
  /** Clear Key in an MPD. */
  clearkey: 'e2719d58-a985-b3c9-781a-b030af78d30e',
  widevine: 'edef8ba9-79d6-4ace-a3c8-27dcd51d21ed',
  playready: '9a04f079-9840-4286-ab92-e65be0885f95',
  fairplay: '94ce86fb-07ff-4f43-adb8-93d2fa968ca2',
} as const satisfies Record<DrmSystem | 'common', string>;

/** A UUID's 16 bytes in the order of its text. */
export function uuidBytes(uuid: string): Uint8Array {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}
