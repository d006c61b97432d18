import type { DrmSystem, SystemData, TrackProtection } from '../media/protection.ts';
import { SYSTEM_IDS } from './drm-system-ids.ts';
import { kidHex } from './kid.ts';

/**
 * What players ask for by `?kf=`: `identity` gives the line that Shaka needs for Clear Key, and no other; hls.js with
 * cbcs would take it before all others and fail.
 */
export type HlsKeyFormat = 'systems' | 'identity';

export interface HlsKeyTagOptions {
  readonly keyFormat: HlsKeyFormat;
  /**
   * `identity`: where the 16 bytes of a key are, by its KID (32 hex digits); under the same rules as licences. Undefined:
   * they are not given out so.
   */
  readonly identityKeyUrl?: ((kidHex: string) => string) | undefined;
}

/** HLS 4.4.4.4: SAMPLE-AES is cbcs, SAMPLE-AES-CTR cenc; neither has an IV attribute, the `tenc` box has the IV. */
const METHODS = { cbcs: 'SAMPLE-AES', cenc: 'SAMPLE-AES-CTR' } as const;

/**
 * The attribute lists of the EXT-X-KEY lines (or EXT-X-SESSION-KEY) for a track, one a DRM system, without the tag's
 * name: `METHOD=SAMPLE-AES,URI="…",…`. All lines with one key say the same in every playlist.
 */
export function hlsKeyAttributes(
  protection: TrackProtection,
  options: HlsKeyTagOptions = { keyFormat: 'systems' },
): readonly string[] {
  if (options.keyFormat === 'identity') return identityAttributes(protection, options);
  return protection.systems
    .map((system) => systemAttributes(protection, system))
    .filter((line) => line !== undefined);
}

/** EXT-X-SESSION-KEY may not stand twice with the same values; renditions of one tier share their key. */
export function hlsSessionKeyAttributes(
  protections: Iterable<TrackProtection>,
  options: HlsKeyTagOptions = { keyFormat: 'systems' },
): readonly string[] {
  const lines = new Set<string>();
  for (const protection of protections)
    for (const line of hlsKeyAttributes(protection, options)) lines.add(line);
  return [...lines];
}

function identityAttributes(
  { scheme, kid }: TrackProtection,
  { identityKeyUrl }: HlsKeyTagOptions,
): readonly string[] {
  if (identityKeyUrl === undefined) return [];
  return [`METHOD=${METHODS[scheme]},URI=${quoted(identityKeyUrl(kidHex(kid)))},KEYFORMAT="identity"`];
}

type Attributes = (kid: Uint8Array, data: SystemData) => readonly string[] | undefined;

/** URI, KEYFORMAT and what else a system's players read. KEYID is no standard attribute: hls.js and Shaka read it. */
const ATTRIBUTES: Readonly<Record<DrmSystem, Attributes>> = {
  clearkey: (kid) => [
    `URI="data:text/plain;base64,${base64(kid)}"`,
    'KEYFORMAT="org.w3.clearkey"',
    'KEYFORMATVERSIONS="1"',
    `KEYID=0x${kidHex(kid)}`,
  ],
  widevine: (kid, { pssh }) =>
    pssh && [
      `URI="data:text/plain;base64,${base64(pssh)}"`,
      `KEYFORMAT="urn:uuid:${SYSTEM_IDS.widevine}"`,
      'KEYFORMATVERSIONS="1"',
      `KEYID=0x${kidHex(kid)}`,
    ],
  playready: (kid, { playReadyObject }) =>
    playReadyObject && [
      `URI="data:text/plain;charset=UTF-16;base64,${base64(playReadyObject)}"`,
      'KEYFORMAT="com.microsoft.playready"',
      'KEYFORMATVERSIONS="1"',
      `KEYID=0x${kidHex(kid)}`,
    ],
  fairplay: (_kid, { licenseUrl }) =>
    licenseUrl === undefined
      ? undefined
      : [`URI=${quoted(licenseUrl)}`, 'KEYFORMAT="com.apple.streamingkeydelivery"', 'KEYFORMATVERSIONS="1"'],
};

function systemAttributes({ scheme, kid }: TrackProtection, data: SystemData): string | undefined {
  const attributes = ATTRIBUTES[data.system](kid, data);
  return attributes && [`METHOD=${METHODS[scheme]}`, ...attributes].join(',');
}

/** HLS 4.2: a quoted string has no quote and no line break. */
function quoted(text: string): string {
  return `"${text.replaceAll(/["\r\n]/g, encodeURIComponent)}"`;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
