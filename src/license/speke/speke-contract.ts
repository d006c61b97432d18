import type { KeyOwner } from '../../drm/content-key.ts';
import { ENDLESS_MS } from '../../drm/crypto-period.ts';
import type { CryptoPeriod } from '../../drm/content-key.ts';
import {
  CPIX_VERSION,
  type CpixContentKey,
  type CpixDocument,
  type CpixDrmSystem,
  type CpixKeyPeriod,
  type CpixRange,
  type CpixRefusal,
  type CpixUsageRule,
} from '../../drm/cpix/cpix-document.ts';
import { tierOfRules } from '../../drm/cpix/usage-rules.ts';
import { SYSTEM_IDS } from '../../drm/drm-system-ids.ts';
import { kidHex, kidText } from '../../drm/kid.ts';
import type { KeyTier } from '../tiers.ts';

export type SpekeSystem = 'clearkey' | 'widevine' | 'playready' | 'fairplay';
export type SpekeScheme = 'cbcs' | 'cenc';

/** One key of a request that keeps to the contract. */
export interface OrderedKey {
  readonly entry: CpixContentKey;
  readonly kid: Uint8Array;
  readonly scheme: SpekeScheme;
  readonly tier: KeyTier;
  /** Undefined: the key does not rotate. */
  readonly period: CryptoPeriod | undefined;
}

/** A system that a request asks to be filled in. */
export interface OrderedSystem {
  readonly entry: CpixDrmSystem;
  readonly system: SpekeSystem;
}

export interface SpekeOrder {
  readonly owner: KeyOwner;
  readonly contentId: string;
  readonly keys: readonly OrderedKey[];
  readonly systems: readonly OrderedSystem[];
}

const CONTENT_ID = /^[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?$/;

/** Track types of SPEKE 2.0; a key for pictures and sound alike is not given out: it would have no tier. */
const VIDEO_TYPES = /^(VIDEO|SD|HD|UHD|SD\+HD1|HD1|HD2|UHD1|UHD2)$/;
const AUDIO_TYPES = /^(AUDIO|STEREO_AUDIO|MULTICHANNEL_AUDIO(_3_6|_7)?)$/;

const SYSTEMS: ReadonlyMap<string, SpekeSystem> = new Map(
  (['clearkey', 'widevine', 'playready', 'fairplay'] as const).map((system) => [SYSTEM_IDS[system], system]),
);

/** `live/<name>` is a live stream, `vod/<name>` a title; anything else is a title of that name. */
export function ownerOfContent(contentId: string): KeyOwner {
  const named = /^(?<kind>live|vod)\/(?<id>.+)$/.exec(contentId)?.groups;
  if (named?.['id'] === undefined) return { kind: 'vod', id: contentId };
  return { kind: named['kind'] === 'live' ? 'live' : 'vod', id: named['id'] };
}

/** What a request of a packager asks for, or why it does not keep to the contract of SPEKE 2.0. */
export function readOrder(document: CpixDocument): SpekeOrder | CpixRefusal {
  const { contentId, version } = document;
  if (version !== CPIX_VERSION) return { refused: `CPIX@version must be ${CPIX_VERSION}` };
  if (contentId === undefined || !CONTENT_ID.test(contentId))
    return { refused: 'CPIX@contentId must be 1 to 255 printable characters' };
  const problem = PROBLEMS.map((find) => find(document)).find((found) => found !== undefined);
  if (problem !== undefined) return { refused: problem };
  const keys: OrderedKey[] = [];
  for (const entry of document.contentKeys) {
    const key = readKey(entry, document);
    if ('refused' in key) return key;
    keys.push(key);
  }
  const systems: OrderedSystem[] = [];
  for (const entry of document.drmSystems) {
    const system = SYSTEMS.get(entry.systemId);
    if (!system) return { refused: `the DRM system ${entry.systemId} is not supported` };
    if (system === 'fairplay' && keys.some(({ kid, scheme }) => isSame(kid, entry.kid) && scheme !== 'cbcs'))
      return { refused: 'FairPlay knows the scheme cbcs only' };
    systems.push({ entry, system });
  }
  return { owner: ownerOfContent(contentId), contentId, keys, systems };
}

function readKey(entry: CpixContentKey, document: CpixDocument): OrderedKey | CpixRefusal {
  const { kid, scheme } = entry;
  if (scheme !== 'cbcs' && scheme !== 'cenc')
    return { refused: 'ContentKey@commonEncryptionScheme must be cbcs or cenc' };
  const rules = document.usageRules.filter((rule) => isSame(rule.kid, kid));
  const tier = tierOfRules(rules);
  if (!tier) return { refused: `the usage rules of the key ${kidText(kid)} belong to no one track type` };
  const ids = new Set(rules.flatMap(({ periodIds }) => periodIds));
  const period = spanOf(document.periods.filter(({ id }) => ids.has(id)));
  return { entry, kid, scheme, tier, period };
}

/** From the begin of the first to the end of the last; by number alone a period has no times that we know. */
function spanOf(periods: readonly CpixKeyPeriod[]): CryptoPeriod | undefined {
  const [first] = periods;
  if (!first) return undefined;
  const starts = periods.flatMap(({ startMs }) => startMs ?? []);
  const ends = periods.flatMap(({ endMs }) => endMs ?? []);
  if (starts.length === 0) return { index: first.index ?? 0, startMs: 0, endMs: ENDLESS_MS };
  const [startMs, endMs] = [Math.min(...starts), Math.max(...ends)];
  return { index: first.index ?? Math.floor(startMs / (endMs - startMs)), startMs, endMs };
}

type FindProblem = (document: CpixDocument) => string | undefined;

const PROBLEMS: readonly FindProblem[] = [
  ({ contentKeys, drmSystems, usageRules }) =>
    contentKeys.length === 0 || drmSystems.length === 0 || usageRules.length === 0
      ? 'ContentKeyList, DRMSystemList and ContentKeyUsageRuleList must each have an entry'
      : undefined,
  ({ contentKeys }) =>
    isUnique(contentKeys.map(({ kid }) => kidHex(kid))) ? undefined : 'ContentKey@kid must be unique',
  ({ contentKeys }) =>
    contentKeys.some(({ secret }) => secret)
      ? 'the request must not have keys: they are made here'
      : undefined,
  ({ drmSystems }) =>
    isUnique(drmSystems.map(({ kid, systemId }) => `${kidHex(kid)} ${systemId}`))
      ? undefined
      : 'a DRMSystem may be there once for each key',
  ({ drmSystems }) =>
    drmSystems.every(({ hls }) => isUnique(hls.map(({ playlist = 'media' }) => playlist)))
      ? undefined
      : 'HLSSignalingData may be there once for each playlist',
  ({ contentKeys, drmSystems, usageRules }) => {
    const known = new Set(contentKeys.map(({ kid }) => kidHex(kid)));
    return [...drmSystems, ...usageRules].every(({ kid }) => known.has(kidHex(kid)))
      ? undefined
      : 'a DRMSystem or usage rule is of a key that is not in ContentKeyList';
  },
  ({ contentKeys, usageRules }) => {
    const ruled = new Set(usageRules.map(({ kid }) => kidHex(kid)));
    return contentKeys.every(({ kid }) => ruled.has(kidHex(kid))) ? undefined : 'a key has no usage rule';
  },
  ({ usageRules }) =>
    usageRules.every(hasKnownType)
      ? undefined
      : 'intendedTrackType must be one of SPEKE 2.0, with a VideoFilter or an AudioFilter to fit',
  ({ usageRules }) =>
    usageRules.every(({ unknownFilters }) => unknownFilters.length === 0)
      ? undefined
      : 'a usage rule has a filter that is not known',
  ({ periods }) => (isUnique(periods.map(({ id }) => id)) ? undefined : 'ContentKeyPeriod@id must be unique'),
  ({ periods, usageRules }) => {
    const known = new Set(periods.map(({ id }) => id));
    const fits = usageRules.every(
      ({ periodIds }) => periodIds.every((id) => known.has(id)) && (known.size === 0 || periodIds.length > 0),
    );
    return fits ? undefined : 'with key periods every usage rule must have a KeyPeriodFilter of one of them';
  },
  ({ usageRules }) =>
    usageRules.some((rule, at) => usageRules.slice(at + 1).some((other) => isAmbiguous(rule, other)))
      ? 'the usage rules give one track several keys'
      : undefined,
];

function hasKnownType({ intendedTrackType = '', video, audio }: CpixUsageRule): boolean {
  if (VIDEO_TYPES.test(intendedTrackType)) return video.length > 0 && audio.length === 0;
  return AUDIO_TYPES.test(intendedTrackType) && audio.length > 0 && video.length === 0;
}

/** Whether a track could have both keys: some filter of each type fits together. */
function isAmbiguous(a: CpixUsageRule, b: CpixUsageRule): boolean {
  if (isSame(a.kid, b.kid)) return false;
  return (
    meet(a.periodIds, b.periodIds, (x, y) => x === y) &&
    meet(a.labels, b.labels, (x, y) => x === y) &&
    meet(a.bitrate, b.bitrate, overlap) &&
    meetOfKind(a.audio, b.audio, overlap) &&
    meetOfKind(
      a.video,
      b.video,
      (x, y) =>
        overlap(x.pixels, y.pixels) &&
        overlap(openBelow(x.framesPerSecond), openBelow(y.framesPerSecond)) &&
        (x.hdr === undefined || y.hdr === undefined || x.hdr === y.hdr) &&
        (x.wcg === undefined || y.wcg === undefined || x.wcg === y.wcg),
    )
  );
}

/** No filter of a type lets everything pass. */
function meet<T>(a: readonly T[], b: readonly T[], fit: (x: T, y: T) => boolean): boolean {
  return a.length === 0 || b.length === 0 || meetOfKind(a, b, fit);
}

/** A rule has filters of one kind of track only: rules of different kinds never meet. */
function meetOfKind<T>(a: readonly T[], b: readonly T[], fit: (x: T, y: T) => boolean): boolean {
  if (a.length === 0 && b.length === 0) return true;
  return a.some((x) => b.some((y) => fit(x, y)));
}

function overlap(a: CpixRange, b: CpixRange): boolean {
  return (
    (a.min ?? 0) <= (b.max ?? Number.POSITIVE_INFINITY) && (b.min ?? 0) <= (a.max ?? Number.POSITIVE_INFINITY)
  );
}

/** Rates of frames may be fractions: just above the lower bound. */
function openBelow({ min, max }: CpixRange): CpixRange {
  return { min: min === undefined ? undefined : min + 0.001, max };
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.from(a).equals(b);
}

function isUnique(texts: readonly string[]): boolean {
  return new Set(texts).size === texts.length;
}
