/** Common Encryption schemes (ISO/IEC 23001-7): AES-CBC in a 1:9 pattern, or AES-CTR over whole ranges. */
export type ProtectionScheme = 'cbcs' | 'cenc';

/**
 * What a key opens. A licence gives or withholds whole tiers: renditions of one tier share a key, no two tiers do.
 * SD up to 854x480, HD up to 1920x1080, by the number of pixels.
 */
export type KeyTier = 'AUDIO' | 'SD' | 'HD' | 'UHD';

export const KEY_TIERS: readonly KeyTier[] = ['AUDIO', 'SD', 'HD', 'UHD'];

/** DRM systems that a player may be told of. */
export type DrmSystem = 'clearkey' | 'widevine' | 'playready' | 'fairplay';

/** How one track of one period is encrypted, and what players are told of it. Holds no key. */
export interface TrackProtection {
  readonly scheme: ProtectionScheme;
  readonly tier: KeyTier;
  /** 16 bytes, in the order of the UUID's text. */
  readonly kid: Uint8Array;
  /** `cbcs`: the IV of every sample, 16 bytes, as `tenc` carries it. `cenc`: undefined. */
  readonly constantIv: Uint8Array | undefined;
  /** The same for all tracks with this key. */
  readonly systems: readonly SystemData[];
}

/** What players of one DRM system are told of a key. */
export interface SystemData {
  readonly system: DrmSystem;
  /** A whole `pssh` box; FairPlay has none. */
  readonly pssh: Uint8Array | undefined;
  /** PlayReady: the PlayReady Object inside the box. */
  readonly playReadyObject: Uint8Array | undefined;
  /** Where its licences come from, absolute or from the server's root; FairPlay: the `skd://` URI of the key. */
  readonly licenseUrl: string | undefined;
}

const SD_PIXELS = 854 * 480;
const HD_PIXELS = 1920 * 1080;

/** The tier of a picture of that size, or of sound. */
export function tierOf(track: { kind: 'video'; width: number; height: number } | { kind: 'audio' }): KeyTier {
  if (track.kind === 'audio') return 'AUDIO';
  const pixels = track.width * track.height;
  if (pixels <= SD_PIXELS) return 'SD';
  return pixels <= HD_PIXELS ? 'HD' : 'UHD';
}
