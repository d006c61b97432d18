import {
  attribute,
  numberAttribute,
  type MediaRendition,
  type MultivariantPlaylist,
  type Variant,
} from './playlist.ts';
import { apple, rfc, type Problem, type Rule } from './rule.ts';

/** Attributes of a variant that name a group, and the TYPE of its members. */
const GROUP_ATTRIBUTES = [
  ['AUDIO', 'AUDIO'],
  ['VIDEO', 'VIDEO'],
  ['SUBTITLES', 'SUBTITLES'],
  ['CLOSED-CAPTIONS', 'CLOSED-CAPTIONS'],
] as const;

/** Sample entries of pictures (RFC 6381). */
const VIDEO_CODEC = /^(avc[1-4]|hvc1|hev1|dvh1|dvhe|av01|vp09|vvc1|mjpg|dav1|dva1|dvav)/;
const AVC_CODEC = /^avc[1-4]\./;
const WELL_FORMED_AVC = /^avc[1-4]\.[0-9A-Fa-f]{6}$/;

/** Codecs a variant declares. */
export function codecsOf({ tag }: Variant): readonly string[] | undefined {
  return attribute(tag, 'CODECS')
    ?.split(',')
    .map((codec) => codec.trim());
}

export function isVideoCodec(codec: string): boolean {
  return VIDEO_CODEC.test(codec);
}

/** Has pictures: it says so by a resolution or a codec. */
function hasVideo(variant: Variant): boolean {
  return variant.tag.attributes.has('RESOLUTION') || (codecsOf(variant) ?? []).some(isVideoCodec);
}

function regular(playlist: MultivariantPlaylist): readonly Variant[] {
  return playlist.variants.filter(({ iFrames }) => !iFrames);
}

/** A check of each variant by itself; `check` returns what is wrong. */
function eachVariant(
  variants: (playlist: MultivariantPlaylist) => readonly Variant[],
  check: (variant: Variant) => string | undefined,
): (playlist: MultivariantPlaylist) => Iterable<Problem> {
  return function* (playlist) {
    for (const variant of variants(playlist)) {
      const message = check(variant);
      if (message !== undefined) yield { line: variant.tag.line, message };
    }
  };
}

function eachRendition(
  check: (rendition: MediaRendition) => string | undefined,
): (playlist: MultivariantPlaylist) => Iterable<Problem> {
  return function* ({ renditions }) {
    for (const rendition of renditions) {
      const message = check(rendition);
      if (message !== undefined) yield { line: rendition.tag.line, message };
    }
  };
}

/** Members of each group, by type and group id. */
function groupsOf({ renditions }: MultivariantPlaylist): Map<string, MediaRendition[]> {
  const groups = new Map<string, MediaRendition[]>();
  for (const rendition of renditions) {
    const key = `${rendition.type} ${JSON.stringify(rendition.groupId)}`;
    const members = groups.get(key);
    if (members) members.push(rendition);
    else groups.set(key, [rendition]);
  }
  return groups;
}

/** Rules of the multivariant playlist's text (RFC 8216bis 4.4.6; Apple 9). */
export const MULTIVARIANT_RULES: readonly Rule<MultivariantPlaylist>[] = [
  {
    rule: 'hls-codecs-missing',
    severity: 'warning',
    clause: `${rfc('4.4.6.2')}; ${apple('9.1')}`,
    check: eachVariant(
      (playlist) => playlist.variants,
      ({ tag }) => (tag.attributes.has('CODECS') ? undefined : `${tag.name} has no CODECS`),
    ),
  },
  {
    rule: 'hls-codecs-malformed',
    severity: 'error',
    clause: `${rfc('4.4.6.2')}; RFC 6381 3.3`,
    check: eachVariant(
      (playlist) => playlist.variants,
      (variant) => {
        const bad = codecsOf(variant)?.find((codec) => AVC_CODEC.test(codec) && !WELL_FORMED_AVC.test(codec));
        return bad === undefined
          ? undefined
          : `CODECS has ${JSON.stringify(bad)}, not avc1. and six hex digits`;
      },
    ),
  },
  {
    rule: 'hls-average-bandwidth-missing',
    severity: 'warning',
    clause: apple('9.14'),
    check: eachVariant(regular, ({ tag }) =>
      tag.attributes.has('AVERAGE-BANDWIDTH') ? undefined : 'a variant without AVERAGE-BANDWIDTH',
    ),
  },
  {
    rule: 'hls-average-above-peak',
    severity: 'error',
    clause: rfc('4.4.6.2'),
    check: eachVariant(
      (playlist) => playlist.variants,
      ({ tag }) => {
        const peak = numberAttribute(tag, 'BANDWIDTH');
        const average = numberAttribute(tag, 'AVERAGE-BANDWIDTH');
        if (peak === undefined || average === undefined || average <= peak) return undefined;
        return `AVERAGE-BANDWIDTH ${average} is above BANDWIDTH ${peak}`;
      },
    ),
  },
  {
    rule: 'hls-bandwidth-zero',
    severity: 'error',
    clause: rfc('4.4.6.2'),
    check: eachVariant(
      (playlist) => playlist.variants,
      ({ tag }) => (numberAttribute(tag, 'BANDWIDTH') === 0 ? 'BANDWIDTH is 0' : undefined),
    ),
  },
  {
    rule: 'hls-resolution-missing',
    severity: 'warning',
    clause: apple('9.2'),
    check: eachVariant(
      (playlist) => playlist.variants,
      (variant) =>
        (hasVideo(variant) || variant.iFrames) && !variant.tag.attributes.has('RESOLUTION')
          ? 'a variant with video without RESOLUTION'
          : undefined,
    ),
  },
  {
    rule: 'hls-frame-rate-missing',
    severity: 'warning',
    clause: apple('9.15'),
    check: eachVariant(regular, (variant) =>
      hasVideo(variant) && !variant.tag.attributes.has('FRAME-RATE') && !isHighRange(variant)
        ? 'a variant with video without FRAME-RATE'
        : undefined,
    ),
  },
  {
    rule: 'hls-frame-rate-missing-hdr',
    severity: 'error',
    clause: `${apple('9.15')}; AVPlayer drops such variants`,
    check: eachVariant(regular, (variant) =>
      isHighRange(variant) && !variant.tag.attributes.has('FRAME-RATE')
        ? `a VIDEO-RANGE=${attribute(variant.tag, 'VIDEO-RANGE')} variant without FRAME-RATE`
        : undefined,
    ),
  },
  {
    rule: 'hls-frame-rate-form',
    severity: 'warning',
    clause: rfc('4.4.6.2'),
    check: eachVariant(regular, ({ tag }) => {
      const text = attribute(tag, 'FRAME-RATE');
      if (text === undefined || /^\d+(\.\d{1,3})?$/.test(text)) return undefined;
      return `FRAME-RATE is ${text}: it must be rounded to three decimals`;
    }),
  },
  {
    rule: 'hls-video-range-missing',
    severity: 'warning',
    clause: apple('9.16'),
    *check(playlist) {
      if (!regular(playlist).some(isHighRange)) return;
      for (const { tag } of regular(playlist).filter(hasVideo)) {
        if (!tag.attributes.has('VIDEO-RANGE'))
          yield { line: tag.line, message: 'a variant without VIDEO-RANGE beside HDR ones' };
      }
    },
  },
  {
    rule: 'hls-score-partial',
    severity: 'warning',
    clause: apple('9.19'),
    *check(playlist) {
      const without = regular(playlist).filter(({ tag }) => !tag.attributes.has('SCORE'));
      if (without.length === 0 || without.length === regular(playlist).length) return;
      for (const { tag } of without)
        yield { line: tag.line, message: 'a variant without SCORE: all scores are ignored' };
    },
  },

  {
    rule: 'hls-group-undefined',
    severity: 'error',
    clause: rfc('4.4.6.2'),
    *check(playlist) {
      const groups = groupsOf(playlist);
      for (const { tag } of playlist.variants) {
        for (const [name, type] of GROUP_ATTRIBUTES) {
          const value = tag.attributes.get(name);
          if (!value?.quoted || groups.has(`${type} ${JSON.stringify(value.text)}`)) continue;
          yield {
            line: tag.line,
            message: `${name}=${JSON.stringify(value.text)} names no EXT-X-MEDIA group of TYPE=${type}`,
          };
        }
      }
    },
  },
  {
    rule: 'hls-closed-captions-mixed',
    severity: 'error',
    clause: rfc('4.4.6.2'),
    *check(playlist) {
      const none = regular(playlist).filter(({ tag }) => {
        const value = tag.attributes.get('CLOSED-CAPTIONS');
        return value?.text === 'NONE' && !value.quoted;
      });
      if (none.length === 0) return;
      const silent = new Set(none);
      for (const variant of regular(playlist)) {
        if (silent.has(variant)) continue;
        yield {
          line: variant.tag.line,
          message: 'CLOSED-CAPTIONS is NONE on other variants, but not on this one',
        };
      }
    },
  },
  {
    rule: 'hls-rendition-name-twice',
    severity: 'error',
    clause: rfc('4.4.6.1.1'),
    *check(playlist) {
      for (const [group, members] of groupsOf(playlist)) {
        const seen = new Set<string>();
        for (const { name, tag } of members) {
          if (seen.has(name))
            yield { line: tag.line, message: `group ${group} has NAME=${JSON.stringify(name)} twice` };
          seen.add(name);
        }
      }
    },
  },
  {
    rule: 'hls-default-twice',
    severity: 'error',
    clause: rfc('4.4.6.1.1'),
    *check(playlist) {
      for (const [group, members] of groupsOf(playlist)) {
        const defaults = members.filter(({ tag }) => attribute(tag, 'DEFAULT') === 'YES');
        for (const { tag } of defaults.slice(1))
          yield { line: tag.line, message: `group ${group} has a second DEFAULT=YES` };
      }
    },
  },
  {
    rule: 'hls-groups-differ',
    severity: 'error',
    clause: rfc('4.4.6.1.1'),
    *check(playlist) {
      const firstOfType = new Map<string, readonly MediaRendition[]>();
      for (const [group, members] of groupsOf(playlist)) {
        const type = members[0]?.type ?? '';
        const first = firstOfType.get(type);
        if (!first) firstOfType.set(type, members);
        else if (namesOf(first) !== namesOf(members)) {
          yield {
            line: members[0]?.tag.line,
            message: `group ${group} has other members than ${JSON.stringify(first[0]?.groupId)}`,
          };
        }
      }
    },
  },
  {
    rule: 'hls-default-not-autoselect',
    severity: 'error',
    clause: rfc('4.4.6.1'),
    check: eachRendition(({ tag }) =>
      attribute(tag, 'DEFAULT') === 'YES' && attribute(tag, 'AUTOSELECT') === 'NO'
        ? 'DEFAULT=YES with AUTOSELECT=NO'
        : undefined,
    ),
  },
  {
    rule: 'hls-forced-not-subtitles',
    severity: 'error',
    clause: rfc('4.4.6.1'),
    check: eachRendition(({ tag, type }) =>
      tag.attributes.has('FORCED') && type !== 'SUBTITLES' ? `FORCED on TYPE=${type}` : undefined,
    ),
  },
  {
    rule: 'hls-subtitles-uri-missing',
    severity: 'error',
    clause: rfc('4.4.6.1'),
    check: eachRendition(({ type, url }) =>
      type === 'SUBTITLES' && url === undefined ? 'TYPE=SUBTITLES without URI' : undefined,
    ),
  },
  {
    rule: 'hls-captions-attributes',
    severity: 'error',
    clause: rfc('4.4.6.1'),
    check: eachRendition(({ type, url, tag }) => {
      if (type !== 'CLOSED-CAPTIONS') return undefined;
      if (url !== undefined) return 'TYPE=CLOSED-CAPTIONS with a URI';
      return tag.attributes.has('INSTREAM-ID') ? undefined : 'TYPE=CLOSED-CAPTIONS without INSTREAM-ID';
    }),
  },
  {
    rule: 'hls-language-missing',
    severity: 'warning',
    clause: apple('8.10'),
    check: eachRendition(({ type, tag }) =>
      type !== 'VIDEO' && !tag.attributes.has('LANGUAGE') ? `TYPE=${type} without LANGUAGE` : undefined,
    ),
  },
  {
    rule: 'hls-channels-missing',
    severity: 'warning',
    clause: rfc('4.4.6.1'),
    check: eachRendition(({ type, tag }) =>
      type === 'AUDIO' && !tag.attributes.has('CHANNELS') ? 'TYPE=AUDIO without CHANNELS' : undefined,
    ),
  },

  {
    rule: 'hls-session-key-invalid',
    severity: 'error',
    clause: rfc('4.4.6.5'),
    *check({ tags }) {
      const seen = new Set<string>();
      for (const tag of tags.filter(({ name }) => name === 'EXT-X-SESSION-KEY')) {
        if (attribute(tag, 'METHOD') === 'NONE')
          yield { line: tag.line, message: 'EXT-X-SESSION-KEY with METHOD=NONE' };
        const same = JSON.stringify(SESSION_KEY_NAMES.map((name) => attribute(tag, name)));
        if (seen.has(same)) yield { line: tag.line, message: 'the same EXT-X-SESSION-KEY twice' };
        seen.add(same);
      }
    },
  },
  {
    rule: 'hls-pathway-unknown',
    severity: 'error',
    clause: rfc('4.4.6.6'),
    *check({ tags, variants }) {
      const steering = tags.find(({ name }) => name === 'EXT-X-CONTENT-STEERING');
      const pathway = steering && attribute(steering, 'PATHWAY-ID');
      if (!steering || pathway === undefined) return;
      // A variant without the attribute is of the pathway ".".
      if (variants.some(({ tag }) => (attribute(tag, 'PATHWAY-ID') ?? '.') === pathway)) return;
      yield { line: steering.line, message: `PATHWAY-ID=${JSON.stringify(pathway)} is that of no variant` };
    },
  },
];

/** What tells EXT-X-SESSION-KEY tags apart (4.4.6.5). */
const SESSION_KEY_NAMES = ['METHOD', 'URI', 'IV', 'KEYFORMAT', 'KEYFORMATVERSIONS'] as const;

function isHighRange({ tag }: Variant): boolean {
  const range = attribute(tag, 'VIDEO-RANGE');
  return range === 'PQ' || range === 'HLG';
}

function namesOf(members: readonly MediaRendition[]): string {
  return JSON.stringify(members.map(({ name }) => name).toSorted());
}
