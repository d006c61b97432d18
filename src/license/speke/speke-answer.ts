import {
  CPIX_VERSION,
  type CpixContentKey,
  type CpixDocument,
  type CpixDrmSystem,
  type CpixRefusal,
} from '../../drm/cpix/cpix-document.ts';
import { type CpixRecipient, keyOpener } from '../../drm/cpix/key-wrapping.ts';
import { type KeyContext, keyFor } from '../../drm/cpix/usage-rules.ts';
import { SYSTEM_IDS, uuidBytes } from '../../drm/drm-system-ids.ts';
import type { KeyRequest, SourcedKey } from '../../drm/key-source.ts';
import { kidHex } from '../../drm/kid.ts';
import { signalledSystems, type SignallingOptions } from '../../drm/signalling.ts';
import type { KeyTier } from '../tiers.ts';

export interface SpekeAnswerOptions {
  readonly recipient: CpixRecipient | undefined;
  readonly signalling: SignallingOptions;
}

type Systems = NonNullable<SourcedKey['systems']>;
type System = Systems[number];

/** A track of each tier, at both ends: each must have exactly the key that was asked for it. */
const TRACKS: Readonly<Record<KeyTier, readonly KeyContext['track'][]>> = {
  AUDIO: [
    { kind: 'audio', channels: 2 },
    { kind: 'audio', channels: 8 },
  ],
  SD: [
    { kind: 'video', pixels: 16_384 },
    { kind: 'video', pixels: 409_920 },
  ],
  HD: [
    { kind: 'video', pixels: 409_921 },
    { kind: 'video', pixels: 2_073_600 },
  ],
  UHD: [
    { kind: 'video', pixels: 2_073_601 },
    { kind: 'video', pixels: 8_294_400 },
  ],
};

/**
 * The keys of an answer, in the order of the request; or why it cannot be used. It must be our request again with every
 * key filled in: no other keys, no changed rules, no key twice.
 */
export function readSpekeAnswer(
  answer: CpixDocument,
  asked: CpixDocument,
  request: KeyRequest,
  { recipient, signalling }: SpekeAnswerOptions,
): readonly SourcedKey[] | CpixRefusal {
  const problem = mismatch(answer, asked) ?? wrongRule(answer, request);
  if (problem !== undefined) return { refused: problem };
  const open = keyOpener(answer, recipient);
  if ('refused' in open) return open;
  const keys: SourcedKey[] = [];
  for (const { kid } of request.keys) {
    const entry = answer.contentKeys.find((each) => isSame(each.kid, kid));
    if (!entry) return { refused: 'a key that was asked for is missing' };
    const opened = open(entry);
    if ('refused' in opened) return opened;
    const systems = systemsOf(entry, answer, asked, request, signalling);
    if ('refused' in systems) return systems;
    keys.push({ kid, key: opened.key, constantIv: entry.explicitIv, systems: systems.systems });
  }
  // One key for two tiers would give a device that may have SD the key of HD.
  const different = new Set(keys.map(({ key }) => Buffer.from(key).toString('hex')));
  return different.size === keys.length ? keys : { refused: 'the same key was given for two tiers' };
}

function mismatch(answer: CpixDocument, asked: CpixDocument): string | undefined {
  if (answer.version !== CPIX_VERSION) return `CPIX@version is not ${CPIX_VERSION}`;
  if (answer.contentId !== asked.contentId) return 'CPIX@contentId is not ours';
  const kids = answer.contentKeys.map(({ kid }) => kidHex(kid)).sort();
  const askedKids = asked.contentKeys.map(({ kid }) => kidHex(kid)).sort();
  if (kids.join() !== askedKids.join()) return 'the key ids are not those asked for';
  const [{ scheme } = { scheme: undefined }] = asked.contentKeys;
  return answer.contentKeys.every((key) => key.scheme === undefined || key.scheme === scheme)
    ? undefined
    : 'the encryption scheme is not the one asked for';
}

function wrongRule(answer: CpixDocument, { keys, period }: KeyRequest): string | undefined {
  for (const { tier, kid } of keys)
    for (const track of TRACKS[tier]) {
      const found = keyFor({ track, period }, answer);
      if (found === undefined || 'refused' in found || !isSame(found, kid))
        return `the usage rules do not give ${tier} the key that was asked for it`;
    }
  return undefined;
}

/** As we are configured, with what the key server has filled in, where it has. */
function systemsOf(
  { kid }: CpixContentKey,
  answer: CpixDocument,
  asked: CpixDocument,
  request: KeyRequest,
  signalling: SignallingOptions,
): { readonly systems: Systems } | CpixRefusal {
  const own = signalledSystems({ scheme: request.scheme, kid, contentId: asked.contentId ?? '' }, signalling);
  const systems: System[] = [];
  for (const data of own) {
    const given = answer.drmSystems.filter(
      (each) => isSame(each.kid, kid) && each.systemId === SYSTEM_IDS[data.system],
    );
    if (given.length > 1) return { refused: 'a DRM system is there twice for one key' };
    const [entry] = given;
    const merged = entry ? merge(data, entry) : data;
    if ('refused' in merged) return merged;
    systems.push(merged);
  }
  return { systems };
}

function merge(own: System, given: CpixDrmSystem): System | CpixRefusal {
  if (own.system === 'fairplay') return { ...own, licenseUrl: skdUri(given) ?? own.licenseUrl };
  if (own.system === 'clearkey' || !given.pssh || given.pssh.length === 0) return own;
  const data = psshData(given.pssh, given.systemId);
  if (!data) return { refused: 'a PSSH is no box of its DRM system' };
  return { ...own, pssh: given.pssh, playReadyObject: own.system === 'playready' ? data : undefined };
}

const PSSH_HEADER_BYTES = 32;

/** What is in a `pssh` box of that system (ISO/IEC 23001-7 8.1); undefined when it is not exactly one. */
function psshData(box: Uint8Array, systemId: string): Uint8Array | undefined {
  if (box.length < PSSH_HEADER_BYTES) return undefined;
  const view = new DataView(box.buffer, box.byteOffset, box.byteLength);
  const isPssh =
    view.getUint32(0) === box.length && Buffer.from(box.subarray(4, 8)).toString('latin1') === 'pssh';
  if (!isPssh || !isSame(box.subarray(12, 28), uuidBytes(systemId))) return undefined;
  let at = 28;
  if (box[8] === 1) at += 4 + view.getUint32(at) * 16;
  if (at + 4 > box.length || at + 4 + view.getUint32(at) !== box.length) return undefined;
  return box.subarray(at + 4);
}

/** Of the tag lines for media playlists; only what may stand in quotes there again. */
function skdUri({ hls }: CpixDrmSystem): string | undefined {
  const media = hls.find(({ playlist = 'media' }) => playlist === 'media');
  const text = Buffer.from(media?.data ?? []).toString('utf8');
  return /[:,]URI="(skd:\/\/[\x21\x23-\x7e]{1,512})"/.exec(text)?.[1];
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.from(a).equals(b);
}
