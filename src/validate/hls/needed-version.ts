import { attribute, type PlaylistText, type Tag } from './playlist.ts';

/** The protocol version that a playlist's tags need (RFC 8216bis 8). */
export interface NeededVersion {
  readonly version: number;
  /** The tag or attribute that needs it. */
  readonly why: string;
  /** The highest version that nobody can complain about. */
  readonly allowed: number;
}

type Need = readonly [version: number, why: string, isUsed: (tag: Tag, iFramesOnly: boolean) => boolean];

const named =
  (name: string) =>
  (tag: Tag): boolean =>
    tag.name === name;
const has =
  (name: string, ...attributes: readonly string[]) =>
  (tag: Tag): boolean =>
    tag.name === name && attributes.some((key) => tag.attributes.has(key));

const NEEDS: readonly Need[] = [
  [2, 'the IV of an EXT-X-KEY', has('EXT-X-KEY', 'IV')],
  [3, 'an EXTINF with a fraction', (tag) => tag.name === 'EXTINF' && /^\d+\./.test(tag.value)],
  [4, 'EXT-X-BYTERANGE', named('EXT-X-BYTERANGE')],
  [4, 'EXT-X-I-FRAMES-ONLY', named('EXT-X-I-FRAMES-ONLY')],
  [5, 'KEYFORMAT', has('EXT-X-KEY', 'KEYFORMAT', 'KEYFORMATVERSIONS')],
  [5, 'SAMPLE-AES', (tag) => tag.name === 'EXT-X-KEY' && attribute(tag, 'METHOD') === 'SAMPLE-AES'],
  [5, 'EXT-X-MAP', named('EXT-X-MAP')],
  [
    6,
    'EXT-X-MAP without EXT-X-I-FRAMES-ONLY',
    (tag, iFramesOnly) => tag.name === 'EXT-X-MAP' && !iFramesOnly,
  ],
  [
    7,
    'INSTREAM-ID="SERVICEn"',
    (tag) => tag.name === 'EXT-X-MEDIA' && (attribute(tag, 'INSTREAM-ID') ?? '').startsWith('SERVICE'),
  ],
  [8, 'EXT-X-DEFINE', named('EXT-X-DEFINE')],
  [9, 'EXT-X-SKIP', named('EXT-X-SKIP')],
  [11, 'QUERYPARAM', has('EXT-X-DEFINE', 'QUERYPARAM')],
  [12, 'an attribute REQ-…', (tag) => [...tag.attributes.keys()].some((key) => key.startsWith('REQ-'))],
  [
    13,
    'INSTREAM-ID of other than closed captions',
    (tag) =>
      tag.name === 'EXT-X-MEDIA' &&
      tag.attributes.has('INSTREAM-ID') &&
      attribute(tag, 'TYPE') !== 'CLOSED-CAPTIONS',
  ],
];

/** With groups a server may say 4, though nothing needs it (8). */
const GROUPS_VERSION = 4;
/** KEYFORMAT needs 5 on EXT-X-KEY; a server may say so for EXT-X-SESSION-KEY, too. */
const SESSION_KEYS_VERSION = 5;
/** A delta that leaves out date ranges is 10; whether it left any out cannot be seen from outside. */
const SKIPPED_DATERANGES_VERSION = 10;

/** The version a playlist needs, and the most it may say. */
export function neededVersion({ tags }: PlaylistText): NeededVersion {
  let version = 1;
  let why = 'what is in it';
  const iFramesOnly = tags.some(named('EXT-X-I-FRAMES-ONLY'));
  for (const tag of tags) {
    for (const [needs, what, isUsed] of NEEDS) {
      if (needs <= version || !isUsed(tag, iFramesOnly)) continue;
      version = needs;
      why = what;
    }
  }
  const groups = tags.some(named('EXT-X-MEDIA')) ? GROUPS_VERSION : 1;
  const sessionKeys = tags.some(has('EXT-X-SESSION-KEY', 'KEYFORMAT')) ? SESSION_KEYS_VERSION : 1;
  const skipped = tags.some(has('EXT-X-SKIP', 'RECENTLY-REMOVED-DATERANGES'))
    ? SKIPPED_DATERANGES_VERSION
    : 1;
  return { version, why, allowed: Math.max(version, groups, sessionKeys, skipped) };
}
