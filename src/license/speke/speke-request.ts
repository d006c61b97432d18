import {
  CPIX_VERSION,
  type CpixDocument,
  type CpixDrmSystem,
  type CpixUsageRule,
  type CpixVideoFilter,
} from '../../drm/cpix/cpix-document.ts';
import { ENDLESS_MS } from '../../drm/crypto-period.ts';
import { SYSTEM_IDS } from '../../drm/drm-system-ids.ts';
import type { KeyRequest } from '../../drm/key-source.ts';
import type { KeyTier } from '../tiers.ts';
import type { SpekeSystem } from './speke-contract.ts';

const NO_RANGE = { min: undefined, max: undefined };
const SD_PIXELS = 854 * 480;
const HD_PIXELS = 1920 * 1080;

/** What each tier is for, in the words of a usage rule. */
const FILTERS: Readonly<Record<KeyTier, Pick<CpixUsageRule, 'video' | 'audio'>>> = {
  AUDIO: { video: [], audio: [NO_RANGE] },
  SD: { video: [pixels(undefined, SD_PIXELS)], audio: [] },
  HD: { video: [pixels(SD_PIXELS + 1, HD_PIXELS)], audio: [] },
  UHD: { video: [pixels(HD_PIXELS + 1, undefined)], audio: [] },
};

function pixels(min: number | undefined, max: number | undefined): CpixVideoFilter {
  return { pixels: { min, max }, framesPerSecond: NO_RANGE, hdr: undefined, wcg: undefined };
}

/** The request for the keys of one crypto period: a key and a rule a tier, and each system for each key. */
export function spekeRequest(
  { scheme, period, keys }: KeyRequest,
  contentId: string,
  systems: readonly SpekeSystem[],
  certificate: Uint8Array | undefined,
): CpixDocument {
  const rotates = period.endMs !== ENDLESS_MS;
  const id = `keyPeriod_${period.index}`;
  // Clear Key needs nothing from a key server: its licences are ours.
  const asked = systems.filter(
    (system) => system !== 'clearkey' && (system !== 'fairplay' || scheme === 'cbcs'),
  );
  return {
    contentId,
    version: CPIX_VERSION,
    deliveries: certificate
      ? [{ id: undefined, name: undefined, certificate, documentKey: undefined, macKey: undefined }]
      : [],
    contentKeys: keys.map(({ kid }) => ({ kid, scheme, explicitIv: undefined, secret: undefined })),
    drmSystems: asked.flatMap((system) => keys.map(({ kid }) => emptySystem(kid, system))),
    periods: rotates ? [{ id, index: period.index, startMs: undefined, endMs: undefined }] : [],
    usageRules: keys.map(({ kid, tier }) => ({
      kid,
      intendedTrackType: tier,
      periodIds: rotates ? [id] : [],
      labels: [],
      ...FILTERS[tier],
      bitrate: [],
      unknownFilters: [],
    })),
  };
}

/** FairPlay has no box and nothing in an MPD. */
function emptySystem(kid: Uint8Array, system: SpekeSystem): CpixDrmSystem {
  const asked = system === 'fairplay' ? undefined : new Uint8Array();
  return {
    kid,
    systemId: SYSTEM_IDS[system],
    name: undefined,
    pssh: asked,
    contentProtectionData: asked,
    hls: [
      { playlist: 'media', data: new Uint8Array() },
      { playlist: 'master', data: new Uint8Array() },
    ],
    smoothStreaming: undefined,
  };
}
