import type { DrmSystem, ProtectionScheme, SystemData } from '../media/protection.ts';
import { SYSTEM_IDS } from './drm-system-ids.ts';
import { kidHex } from './kid.ts';
import { playReadyObject } from './playready-header.ts';
import { writeCommonPssh, writePssh } from './pssh.ts';
import { widevineData } from './widevine-header.ts';

/** In a URL of the configuration it stands for the KID, 32 hex digits. */
export const KID_PLACEHOLDER = '{kid}';
/** The skd URI must have the KID: hls.js finds the key of a segment by it. */
export const DEFAULT_SKD_URI = `skd://${KID_PLACEHOLDER}`;

/** Which DRM systems players are told of, and what. */
export interface SignallingOptions {
  /** In the order they are listed. */
  readonly systems: readonly DrmSystem[];
  /**
   * Where licences come from, absolute or from the server's root; undefined: players must know. FairPlay: the skd
   * URI, {@link DEFAULT_SKD_URI} when undefined.
   */
  readonly licenseUrls: Readonly<Partial<Record<DrmSystem, string>>>;
  /** Name of the content owner at the Widevine service; empty: not told. */
  readonly widevineProvider: string;
}

/** The key that players are told of. */
export interface SignalledKey {
  readonly scheme: ProtectionScheme;
  readonly kid: Uint8Array;
  /** Name of the stream or title, for licence services that want one. */
  readonly contentId: string;
}

/** What players of each configured system are told of a key. FairPlay knows `cbcs` only. */
export function signalledSystems(key: SignalledKey, options: SignallingOptions): readonly SystemData[] {
  const systems = options.systems.filter((system) => system !== 'fairplay' || key.scheme === 'cbcs');
  return systems.map((system) => DESCRIBERS[system](key, options));
}

type Describe = (key: SignalledKey, options: SignallingOptions) => SystemData;

const DESCRIBERS: Readonly<Record<DrmSystem, Describe>> = {
  clearkey: (key, options) => ({
    system: 'clearkey',
    pssh: writeCommonPssh([key.kid]),
    playReadyObject: undefined,
    licenseUrl: urlOf('clearkey', key, options),
  }),
  widevine: (key, options) => ({
    system: 'widevine',
    pssh: writePssh(
      SYSTEM_IDS.widevine,
      widevineData({
        kids: [key.kid],
        scheme: key.scheme,
        provider: options.widevineProvider,
        contentId: Buffer.from(key.contentId),
      }),
    ),
    playReadyObject: undefined,
    licenseUrl: urlOf('widevine', key, options),
  }),
  playready: (key, options) => {
    const licenseUrl = urlOf('playready', key, options);
    const object = playReadyObject({
      kid: key.kid,
      scheme: key.scheme,
      // A client reads the header apart from any page: a URL without a host means nothing to it.
      licenseUrl: licenseUrl !== undefined && URL.canParse(licenseUrl) ? licenseUrl : undefined,
    });
    return {
      system: 'playready',
      pssh: writePssh(SYSTEM_IDS.playready, object),
      playReadyObject: object,
      licenseUrl,
    };
  },
  fairplay: (key, options) => ({
    system: 'fairplay',
    pssh: undefined,
    playReadyObject: undefined,
    licenseUrl: urlOf('fairplay', key, options) ?? withKid(DEFAULT_SKD_URI, key),
  }),
};

function urlOf(system: DrmSystem, key: SignalledKey, { licenseUrls }: SignallingOptions): string | undefined {
  const url = licenseUrls[system];
  return url === undefined || url === '' ? undefined : withKid(url, key);
}

function withKid(url: string, { kid }: SignalledKey): string {
  return url.replaceAll(KID_PLACEHOLDER, kidHex(kid));
}
