import type { InitFacts, MediaFacts } from '../contracts.ts';
import { playReadyKids } from '../media/system-data.ts';
import { readEncodedHeader } from '../media/system-header.ts';
import { allSegments, attribute, type Key, type MediaPlaylist, type Segment, type Tag } from './playlist.ts';
import { apple, rfc, type Problem, type Rule } from './rule.ts';

/** Schemes of Common Encryption by METHOD (4.4.4.4). */
const SCHEMES: Readonly<Record<string, string>> = { 'SAMPLE-AES': 'cbcs', 'SAMPLE-AES-CTR': 'cenc' };

const isKey = ({ name }: Tag): boolean => name === 'EXT-X-KEY';
const isSampleTag = (tag: Tag): boolean =>
  isKey(tag) && Object.hasOwn(SCHEMES, attribute(tag, 'METHOD') ?? '');
const isSampleKey = ({ method }: Pick<Key, 'method'>): boolean => Object.hasOwn(SCHEMES, method);

/** Rules of the EXT-X-KEY tags of one media playlist. */
export const KEY_TEXT_RULES: readonly Rule<MediaPlaylist>[] = [
  {
    rule: 'hls-key-after-map',
    severity: 'warning',
    clause: `${rfc('4.4.4.5')}; a key holds for the EXT-X-MAP behind it`,
    *check(playlist) {
      for (const { openingTags, msn } of allSegments(playlist)) {
        const map = openingTags.findIndex((tag) => !isKey(tag));
        // With AES-128 the place says whether the initialization section itself is encrypted.
        const late = map < 0 ? undefined : openingTags.slice(map).find(isSampleTag);
        if (late)
          yield { line: late.line, message: `EXT-X-KEY of segment ${msn} stands behind its EXT-X-MAP` };
      }
    },
  },
  {
    rule: 'hls-key-format-twice',
    severity: 'error',
    clause: rfc('4.4.4.4'),
    *check(playlist) {
      for (const { openingTags, msn } of allSegments(playlist)) {
        const seen = new Set<string>();
        for (const tag of openingTags.filter(isKey)) {
          const format = attribute(tag, 'KEYFORMAT') ?? 'identity';
          if (seen.has(format)) {
            const message = `segment ${msn} has two keys of KEYFORMAT ${JSON.stringify(format)}: only the last counts`;
            yield { line: tag.line, message };
          }
          seen.add(format);
        }
      }
    },
  },
  {
    rule: 'hls-key-iv-forbidden',
    severity: 'error',
    clause: rfc('4.4.4.4'),
    *check({ tags }) {
      for (const tag of tags.filter(isKey)) {
        if (attribute(tag, 'METHOD') !== 'SAMPLE-AES-CTR' || !tag.attributes.has('IV')) continue;
        yield { line: tag.line, message: 'IV with METHOD=SAMPLE-AES-CTR: every sample has its own' };
      }
    },
  },
  {
    rule: 'hls-key-iv-needless',
    severity: 'warning',
    clause: apple('13.4'),
    *check(playlist) {
      for (const { openingTags, map } of allSegments(playlist)) {
        if (!map) continue;
        for (const tag of openingTags.filter(isKey)) {
          if (attribute(tag, 'METHOD') !== 'SAMPLE-AES' || !tag.attributes.has('IV')) continue;
          yield { line: tag.line, message: 'IV with SAMPLE-AES of fragmented MP4: tenc has it' };
        }
      }
    },
  },
];

/** One segment as it was fetched, as far as its keys are concerned. */
export interface KeyedSegment {
  readonly segment: Segment;
  readonly init: InitFacts | undefined;
  readonly facts: MediaFacts | undefined;
}

/** A check of each Common Encryption key of a segment whose samples need keys. */
function eachKey(
  find: (key: Key, kids: readonly string[], init: InitFacts) => string | undefined,
): (read: KeyedSegment) => Iterable<Problem> {
  return function* ({ segment, init, facts }) {
    if (!init || !facts || facts.kids.length === 0) return;
    for (const key of segment.keys.filter(isSampleKey)) {
      const message = find(key, facts.kids, init);
      if (message !== undefined) yield { line: key.line, message: `${message} (segment ${segment.msn})` };
    }
  };
}

/** Rules of the keys in force beside the media they are for. */
export const KEY_MEDIA_RULES: readonly Rule<KeyedSegment>[] = [
  {
    rule: 'hls-key-missing',
    severity: 'error',
    clause: rfc('4.4.4.4'),
    *check({ segment, facts }) {
      if (!facts || facts.kids.length === 0) return;
      if (segment.keys.some(({ method }) => method !== 'NONE')) return;
      const said = segment.keys.length > 0 ? 'EXT-X-KEY says METHOD=NONE' : 'there is no EXT-X-KEY';
      const message = `segment ${segment.msn} needs the key ${facts.kids.join(', ')}, ${said}`;
      yield { line: segment.line, message };
    },
  },
  {
    rule: 'hls-key-on-clear',
    severity: 'error',
    clause: rfc('4.4.4.4'),
    *check({ segment, init }) {
      const key = segment.keys.find(isSampleKey);
      if (!key || !init || init.tracks.some(({ protection }) => protection)) return;
      const message = `METHOD=${key.method} for segment ${segment.msn}, whose EXT-X-MAP is that of clear media`;
      yield { line: key.line, message };
    },
  },
  {
    rule: 'hls-key-method-wrong',
    severity: 'error',
    clause: rfc('4.4.4.4'),
    check: eachKey(({ method }, _kids, { tracks }) => {
      const schemes = tracks.flatMap(({ protection }) => protection?.scheme ?? []);
      const wrong = schemes.find((scheme) => scheme !== SCHEMES[method]);
      return wrong && `METHOD=${method} is ${SCHEMES[method]}, the media are ${wrong}`;
    }),
  },
  {
    rule: 'hls-key-id-wrong',
    severity: 'error',
    clause: 'ISO/IEC 23001-7 8.2; hls.js and Shaka ask for the key of KEYID',
    check: eachKey(({ keyId }, kids) =>
      keyId === undefined || kids.includes(keyId)
        ? undefined
        : `KEYID is ${keyId}, the media need ${kids.join(', ')}`,
    ),
  },
  {
    rule: 'hls-key-data-wrong',
    severity: 'error',
    clause: `ISO/IEC 23001-7 8.1; ${rfc('4.4.4.4')}`,
    check: eachKey(keyDataFault),
  },
];

const DATA_URI = /^data:[^,]*;base64,(.*)$/s;
const SYSTEM_FORMAT = /^urn:uuid:([0-9a-f-]{36})$/i;

/** What is wrong with the system's data that a URI carries, beside the key ids of the media. */
function keyDataFault({ uri, keyFormat }: Key, kids: readonly string[]): string | undefined {
  const data = DATA_URI.exec(uri ?? '')?.[1];
  if (data === undefined) return undefined;
  if (keyFormat === 'com.microsoft.playready') {
    const told = playReadyKids(Buffer.from(data, 'base64'));
    return told && lacking('the PlayReady Object', told, kids);
  }
  const system = SYSTEM_FORMAT.exec(keyFormat)?.[1]?.replaceAll('-', '').toLowerCase();
  if (system === undefined) return undefined;
  const header = readEncodedHeader(data);
  if (typeof header === 'string') return `what the URI of ${keyFormat} carries ${header}`;
  if (header.systemId !== system) return `the pssh of ${keyFormat} is of the system ${header.systemId}`;
  return header.kids && lacking(`the pssh of ${keyFormat}`, header.kids, kids);
}

function lacking(what: string, told: readonly string[], kids: readonly string[]): string | undefined {
  if (kids.some((kid) => told.includes(kid))) return undefined;
  return `${what} is for ${told.join(', ')}, the media need ${kids.join(', ')}`;
}

/** Key ids that the keys of a segment name, each once. */
export function keyIdsOf({ keys }: Segment): string[] {
  return [...new Set(keys.filter(isSampleKey).flatMap(({ keyId }) => keyId ?? []))];
}

/** Rules from one segment of a rendition to the next. */
export const KEY_CHANGE_RULES = [
  {
    rule: 'hls-key-change-without-map',
    severity: 'error',
    clause: `ISO/IEC 23001-7 8.2; ${rfc('4.4.4.5')}`,
  },
] as const;
