import { type Box, walkBoxes } from '../../media/isobmff/box-reader.ts';
import type { SampleEncryption, TrackFacts } from '../contracts.ts';
import type { InitTrack } from './init-tracks.ts';
import type { TellMedia } from './media-rules.ts';
import { readSystemHeader } from './system-header.ts';

/** Schemes of ISO/IEC 23001-7 4.2, and those that CMAF has taken over. */
const SCHEMES = ['cenc', 'cbc1', 'cens', 'cbcs'];
const CMAF_SCHEMES = ['cenc', 'cbcs'];
/** Sizes that an IV may have: in counter mode the rest of the block counts, CBC needs a whole one. */
const IV_BYTES: Readonly<Record<string, readonly number[]>> = {
  cenc: [8, 16],
  cens: [8, 16],
  cbc1: [16],
  cbcs: [8, 16],
};
const CMAF_CENC_IV_BYTES = 8;
const CONSTANT_IV_BYTES = [8, 16];

/** Judges what the `sinf` of a track says of its encryption. */
export function checkProtection({ facts, entry }: InitTrack, cmaf: boolean, tell: TellMedia): void {
  const { protection, trackId, codec } = facts;
  if (!protection) return;
  const { scheme, encryption } = protection;
  const where = `the sample entry of track ${trackId}`;
  const missing = [
    ...(codec === undefined && entry.format.startsWith('enc') ? ['frma'] : []),
    ...(scheme === undefined ? ['schm'] : []),
    ...(encryption === undefined ? ['tenc'] : []),
  ];
  if (missing.length > 0) {
    tell('media-protection-incomplete', `${where} is a protected one without ${missing.join(', ')}`);
  }
  if (scheme === undefined) return;
  const known = cmaf ? CMAF_SCHEMES : SCHEMES;
  if (!known.includes(scheme)) {
    const what = SCHEMES.includes(scheme) ? 'which CMAF does not have' : 'which nothing knows';
    tell('media-protection-scheme', `${where} says the scheme ${JSON.stringify(scheme)}, ${what}`);
    return;
  }
  if (!encryption) return;
  for (const message of contradictions(scheme, encryption, cmaf)) {
    tell('media-tenc-scheme', `tenc of track ${trackId} ${message}`);
  }
  if (encryption.isProtected) checkDefaults(facts, scheme, encryption, tell);
}

/** What an encryption says that its scheme does not allow. */
export function contradictions(scheme: string, encryption: SampleEncryption, cmaf: boolean): string[] {
  const sizes = IV_BYTES[scheme];
  if (!encryption.isProtected || !sizes) return [];
  const { ivBytes, constantIvBytes, cryptBlocks, skipBlocks } = encryption;
  const found: string[] = [];
  if (ivBytes > 0 && !sizes.includes(ivBytes)) found.push(`has IVs of ${ivBytes} bytes with ${scheme}`);
  if (scheme === 'cenc' && cmaf && ivBytes === 16) {
    found.push(`has IVs of 16 bytes, with CMAF they have ${CMAF_CENC_IV_BYTES}`);
  }
  if (ivBytes === 0 && scheme !== 'cbcs') found.push(`has a constant IV with ${scheme}`);
  if (ivBytes === 0 && !CONSTANT_IV_BYTES.includes(constantIvBytes)) {
    found.push(`has a constant IV of ${constantIvBytes} bytes`);
  }
  if ((cryptBlocks > 0 || skipBlocks > 0) && (scheme === 'cenc' || scheme === 'cbc1')) {
    found.push(`has the pattern ${cryptBlocks}:${skipBlocks} with ${scheme}`);
  }
  return found;
}

function checkDefaults(
  { trackId, kind }: TrackFacts,
  scheme: string,
  { kid, cryptBlocks, skipBlocks }: SampleEncryption,
  tell: TellMedia,
): void {
  if (/^0*$/.test(kid)) tell('media-kid-zero', `the default KID of track ${trackId} is all zeros`);
  if (scheme !== 'cbcs') return;
  const pattern = `${cryptBlocks}:${skipBlocks}`;
  if (kind === 'video' && pattern !== '1:9') {
    tell('media-cbcs-pattern', `video track ${trackId} has the pattern ${pattern}, players expect 1:9`);
  } else if (kind === 'audio' && skipBlocks > 0) {
    tell('media-cbcs-pattern', `audio track ${trackId} has the pattern ${pattern}, players expect none`);
  }
}

/** Judges every `pssh` in a `moov` or `moof`. */
export function checkSystemHeaders(bytes: Uint8Array, parent: Box, tell: TellMedia): void {
  walkBoxes(parent.children, (box) => {
    if (box.type !== 'pssh') return;
    const header = readSystemHeader(bytes, box);
    if (typeof header === 'string') tell('media-pssh', `the pssh at byte ${box.start} ${header}`);
  });
}
