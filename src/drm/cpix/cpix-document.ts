/** Namespaces of a CPIX document. */
export const CPIX_NAMESPACES = {
  cpix: 'urn:dashif:org:cpix',
  pskc: 'urn:ietf:params:xml:ns:keyprov:pskc',
  ds: 'http://www.w3.org/2000/09/xmldsig#',
  enc: 'http://www.w3.org/2001/04/xmlenc#',
} as const;

/** The algorithms that CPIX prescribes (2.3, section 7.1.4). */
export const CPIX_ALGORITHMS = {
  /** Content keys under the document key: AES-256-CBC, the IV in front, PKCS #7. */
  contentKey: 'http://www.w3.org/2001/04/xmlenc#aes256-cbc',
  /** The document's keys under the recipient's: RSA-OAEP, MGF1, SHA-1. */
  documentKey: 'http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p',
  mac: 'http://www.w3.org/2001/04/xmldsig-more#hmac-sha512',
} as const;

/** The version of CPIX that SPEKE 2.0 prescribes. */
export const CPIX_VERSION = '2.3';

/** A secret as it stands in a document. */
export type CpixSecret =
  | { readonly kind: 'plain'; readonly value: Uint8Array }
  | {
      readonly kind: 'encrypted';
      /** What it was encrypted with, as its URI says. */
      readonly algorithm: string;
      readonly cipher: Uint8Array;
      /** HMAC over `cipher`. */
      readonly mac: Uint8Array | undefined;
    };

/** One who may read the keys of the document. */
export interface CpixDelivery {
  readonly id: string | undefined;
  readonly name: string | undefined;
  /** DER. */
  readonly certificate: Uint8Array;
  /** AES-256 key of the document, for this recipient only. */
  readonly documentKey: Extract<CpixSecret, { kind: 'encrypted' }> | undefined;
  /** Key of the MACs, for this recipient only. */
  readonly macKey: Extract<CpixSecret, { kind: 'encrypted' }> | undefined;
}

export interface CpixContentKey {
  /** 16 bytes. */
  readonly kid: Uint8Array;
  /** `cenc`, `cbcs` or another scheme, as written. */
  readonly scheme: string | undefined;
  /** 16 bytes. */
  readonly explicitIv: Uint8Array | undefined;
  readonly secret: CpixSecret | undefined;
}

/** Where HLS tags belong; CPIX 2.4 says `multiVariant` for `master`. */
export type CpixPlaylist = 'media' | 'master' | 'multiVariant';

/** What players of a system are told of a key. Undefined: not asked for; empty: asked for, not filled in. */
export interface CpixDrmSystem {
  readonly kid: Uint8Array;
  /** UUID, lower case. */
  readonly systemId: string;
  readonly name: string | undefined;
  /** A whole `pssh` box. */
  readonly pssh: Uint8Array | undefined;
  /** UTF-8 text of one XML element. */
  readonly contentProtectionData: Uint8Array | undefined;
  /** Tag lines, UTF-8. An undefined playlist: the media playlist. */
  readonly hls: readonly { readonly playlist: CpixPlaylist | undefined; readonly data: Uint8Array }[];
  /** Text of the ProtectionHeader of Smooth Streaming. */
  readonly smoothStreaming: string | undefined;
}

/** A crypto period, by number or by wall clock. */
export interface CpixKeyPeriod {
  readonly id: string;
  readonly index: number | undefined;
  /** Ms since the Unix epoch. */
  readonly startMs: number | undefined;
  readonly endMs: number | undefined;
}

/** A closed interval; undefined: without that bound. */
export interface CpixRange {
  readonly min: number | undefined;
  readonly max: number | undefined;
}

export interface CpixVideoFilter {
  readonly pixels: CpixRange;
  /** Open at its lower end, unlike all others. */
  readonly framesPerSecond: CpixRange;
  readonly hdr: boolean | undefined;
  readonly wcg: boolean | undefined;
}

/** What a key is for. Filters of one type are alternatives; those of different types must all fit. */
export interface CpixUsageRule {
  readonly kid: Uint8Array;
  readonly intendedTrackType: string | undefined;
  readonly periodIds: readonly string[];
  readonly labels: readonly string[];
  readonly video: readonly CpixVideoFilter[];
  /** Channels. */
  readonly audio: readonly CpixRange[];
  /** Mbit/s. */
  readonly bitrate: readonly CpixRange[];
  /** Names of filters that are not known: the rule cannot be used. */
  readonly unknownFilters: readonly string[];
}

/** A CPIX document (DASH-IF CPIX 2.3) as far as SPEKE 2.0 uses it. */
export interface CpixDocument {
  readonly contentId: string | undefined;
  readonly version: string | undefined;
  readonly deliveries: readonly CpixDelivery[];
  readonly contentKeys: readonly CpixContentKey[];
  readonly drmSystems: readonly CpixDrmSystem[];
  readonly periods: readonly CpixKeyPeriod[];
  readonly usageRules: readonly CpixUsageRule[];
}

/** Why a document cannot be used, in words for the peer's operator; without anything secret. */
export interface CpixRefusal {
  readonly refused: string;
}
