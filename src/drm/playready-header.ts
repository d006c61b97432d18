import type { ProtectionScheme } from '../media/protection.ts';

const NAMESPACE = 'http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader';
/** cbcs came with 4.3; for cenc, clients that know 4.2 only are served too. */
const VERSIONS = { cbcs: '4.3.0.0', cenc: '4.2.0.0' } as const;
const ALGORITHMS = { cbcs: 'AESCBC', cenc: 'AESCTR' } as const;
const WRM_HEADER_RECORD = 1;
const OBJECT_HEADER_BYTES = 6;
const RECORD_HEADER_BYTES = 4;
/** PlayReady Header Object, 2.1: a PlayReady Object is at most 15 KiB. */
export const MAX_PLAYREADY_OBJECT_BYTES = 15 * 1024;

/** What a WRMHEADER says. */
export interface PlayReadyHeader {
  readonly kid: Uint8Array;
  readonly scheme: ProtectionScheme;
  /** Absolute; undefined: players are told in another way. */
  readonly licenseUrl: string | undefined;
  /** Default: the oldest that knows the scheme. */
  readonly version?: '4.2.0.0' | '4.3.0.0';
}

/** The WRMHEADER: nothing between the elements, no short end tags, as PlayReady clients want it. */
export function wrmHeader({ kid, scheme, licenseUrl, version = VERSIONS[scheme] }: PlayReadyHeader): string {
  const value = Buffer.from(guidBytes(kid)).toString('base64');
  const url = licenseUrl === undefined ? '' : `<LA_URL>${escapeText(licenseUrl)}</LA_URL>`;
  return (
    `<WRMHEADER xmlns="${NAMESPACE}" version="${version}"><DATA><PROTECTINFO><KIDS>` +
    `<KID ALGID="${ALGORITHMS[scheme]}" VALUE="${value}"></KID></KIDS></PROTECTINFO>${url}</DATA></WRMHEADER>`
  );
}

/**
 * The PlayReady Object: one record with the WRMHEADER in UTF-16, little-endian.
 * @throws RangeError when it is over {@link MAX_PLAYREADY_OBJECT_BYTES}: the URL is far too long
 */
export function playReadyObject(header: PlayReadyHeader): Uint8Array {
  const text = Buffer.from(wrmHeader(header), 'utf16le');
  const size = OBJECT_HEADER_BYTES + RECORD_HEADER_BYTES + text.length;
  if (size > MAX_PLAYREADY_OBJECT_BYTES) throw new RangeError(`a PlayReady Object of ${size} bytes`);
  const object = Buffer.alloc(size);
  object.writeUInt32LE(size, 0);
  object.writeUInt16LE(1, 4);
  object.writeUInt16LE(WRM_HEADER_RECORD, 6);
  object.writeUInt16LE(text.length, 8);
  text.copy(object, OBJECT_HEADER_BYTES + RECORD_HEADER_BYTES);
  return object;
}

/** A KID as a GUID lies in memory on Windows: the first three groups little-endian. */
export function guidBytes(kid: Uint8Array): Uint8Array {
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  return Uint8Array.from(order, (from) => kid[from] ?? 0);
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
