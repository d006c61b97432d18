import { describe, expect, it } from 'vitest';
import { editBoxes, withAnswer, withMpd } from '../../test/support/dash-mutations.ts';
import {
  FakePresentation,
  LiveBackend,
  type LiveOptions,
  type Mutation,
  rewriting,
  rulesOf,
  told,
} from '../../test/support/presentation.ts';

const TIMEOUT_MS = 60_000;
/** Two changes of keys. */
const SECONDS = 24;

describe('our own encrypted presentation', () => {
  it.each<readonly [string, NonNullable<LiveOptions['encryption']>, string]>([
    ['HLS, cbcs', { scheme: 'cbcs', rotationSeconds: 10 }, 'index.m3u8'],
    ['HLS, cenc', { scheme: 'cenc', rotationSeconds: 10 }, 'index.m3u8'],
    ['HLS, sound in the clear', { scheme: 'cbcs', rotationSeconds: 10, clearAudio: true }, 'index.m3u8'],
    ['DASH, cbcs', { scheme: 'cbcs', rotationSeconds: 10 }, 'index.mpd'],
    ['DASH, cenc', { scheme: 'cenc', rotationSeconds: 10 }, 'index.mpd'],
  ])(
    'has no finding: %s',
    async (_what, encryption, manifest) => {
      const presentation = new FakePresentation(new LiveBackend({ encryption }));
      const report = await presentation.validate(manifest, SECONDS);
      expect(told(report).filter((line) => !line.includes('hls-key-counter-mode'))).toEqual([]);
      expect(rulesOf(report)).toEqual(
        manifest.endsWith('m3u8') && encryption.scheme === 'cenc' ? ['hls-key-counter-mode'] : [],
      );
      expect(report.watched.renditions.every(({ segments }) => segments > 9)).toBe(true);
    },
    TIMEOUT_MS,
  );
});

/** One thing broken, and every rule that must be found: no more, no less. */
interface Golden {
  readonly what: string;
  readonly manifest: 'index.m3u8' | 'index.mpd';
  readonly rules: readonly string[];
  readonly mutation: () => Mutation;
  readonly encryption?: NonNullable<LiveOptions['encryption']>;
}

const CBCS = { scheme: 'cbcs', rotationSeconds: 10 } as const;
const CENC = { scheme: 'cenc', rotationSeconds: 10 } as const;
const CLEAR_SOUND = { scheme: 'cbcs', rotationSeconds: 10, clearAudio: true } as const;
const AUDIO = /^audio\.m3u8$/;
const VIDEO = /^video\.m3u8$/;
const MEDIA = /\.m4s$/;
const NO_KID = '0'.repeat(32);
const SAMPLE_KEY = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://key",KEYFORMAT="com.apple.streamingkeydelivery"';
const COMMON =
  '<ContentProtection schemeIdUri="urn:mpeg:dash:mp4protection:2011" value="cbcs" cenc:default_KID="10111213-1415-1617-1819-1a1b1c1d1e1f" xmlns:cenc="urn:mpeg:cenc:2013"/>';

const hls = (from: RegExp | string, to: string, path?: RegExp): (() => Mutation) => {
  return () => rewriting((text) => text.replaceAll(from, to), path);
};
const dash = (from: RegExp | string, to: string): (() => Mutation) => {
  return () => withMpd((text) => text.replaceAll(from, to));
};

/** One map for ever. */
function firstMapOnly(): Mutation {
  let first: string | undefined;
  return rewriting((text) => {
    first ??= /#EXT-X-MAP.*/.exec(text)?.[0];
    return text.replaceAll(/#EXT-X-MAP.*/g, first ?? '');
  }, VIDEO);
}

/** Every sample of `senc` has one IV: that of the table's first place. */
function oneIv(): Mutation {
  return withAnswer(MEDIA, (answer) => {
    answer.body = editBoxes(Buffer.from(answer.body), 'senc', (view, at) => view.setBigUint64(at + 8, 0x77n));
  });
}

/** Every table in `senc` says a sample more. */
function oneSampleMore(): Mutation {
  return withAnswer(MEDIA, (answer) => {
    answer.body = editBoxes(Buffer.from(answer.body), 'senc', (view, at) =>
      view.setUint32(at + 4, view.getUint32(at + 4) + 1),
    );
  });
}

/** The key id in every `tenc` is another. */
function otherKid(): Mutation {
  return withAnswer(/init\.mp4$/, (answer) => {
    answer.body = editBoxes(Buffer.from(answer.body), 'tenc', (view, at) =>
      view.setUint8(at + 8, view.getUint8(at + 8) ^ 0xff),
    );
  });
}

const GOLDEN: readonly Golden[] = [
  {
    what: 'the METHOD of another scheme',
    manifest: 'index.m3u8',
    rules: ['hls-key-counter-mode', 'hls-key-method-wrong', 'hls-session-key-differs'],
    mutation: hls('#EXT-X-KEY:METHOD=SAMPLE-AES,', '#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,'),
  },
  {
    what: 'a KEYID of zeros',
    manifest: 'index.m3u8',
    rules: ['hls-key-id-wrong'],
    mutation: hls(/KEYID=0x[0-9a-f]+/g, `KEYID=0x${NO_KID}`),
  },
  {
    what: 'no keys',
    manifest: 'index.m3u8',
    rules: ['hls-key-missing'],
    mutation: hls(/#EXT-X-KEY.*\n/g, ''),
  },
  {
    what: 'METHOD=NONE for what is encrypted',
    manifest: 'index.m3u8',
    rules: ['hls-key-missing'],
    mutation: hls(/(?:#EXT-X-KEY.*\n)+/g, '#EXT-X-KEY:METHOD=NONE\n'),
  },
  {
    what: 'keys behind their map',
    manifest: 'index.m3u8',
    rules: ['hls-key-after-map'],
    mutation: hls(/((?:#EXT-X-KEY.*\n)+)(#EXT-X-MAP.*\n)/g, '$2$1'),
  },
  {
    what: 'keys that change without a new map',
    manifest: 'index.m3u8',
    rules: ['hls-key-change-without-map', 'hls-key-data-wrong', 'hls-key-id-wrong'],
    mutation: firstMapOnly,
  },
  {
    what: 'a key for sound in the clear',
    manifest: 'index.m3u8',
    rules: ['hls-key-changes-apart', 'hls-key-on-clear'],
    mutation: hls(/#EXT-X-KEY:METHOD=NONE|(?=#EXT-X-MAP)/g, `${SAMPLE_KEY}\n`, AUDIO),
    encryption: CLEAR_SOUND,
  },
  {
    what: 'a pssh of another key',
    manifest: 'index.m3u8',
    rules: ['hls-key-data-wrong'],
    // The last bytes of the box are those of the key id.
    mutation: hls(/(base64,AAAA[^"]{60,})[^"]{4}"/g, '$1AAAA"'),
  },
  {
    what: 'an init of another key',
    manifest: 'index.m3u8',
    rules: ['hls-key-data-wrong', 'hls-key-id-wrong'],
    mutation: otherKid,
  },
  {
    what: 'one IV for many samples',
    manifest: 'index.m3u8',
    rules: ['hls-key-counter-mode', 'media-iv-reused'],
    mutation: oneIv,
    encryption: CENC,
  },
  {
    what: 'a senc that is cut short',
    manifest: 'index.m3u8',
    rules: ['media-senc', 'media-senc-count'],
    mutation: oneSampleMore,
  },

  {
    what: 'a default_KID of zeros',
    manifest: 'index.mpd',
    rules: ['dash-kid-mismatch', 'dash-protection-differs', 'dash-pssh'],
    mutation: dash(/default_KID="[^"]*"/g, 'default_KID="00000000-0000-0000-0000-000000000000"'),
  },
  {
    what: 'no default_KID',
    manifest: 'index.mpd',
    rules: ['dash-default-kid'],
    mutation: dash(/ cenc:default_KID="[^"]*"/g, ''),
  },
  {
    what: 'no ContentProtection',
    manifest: 'index.mpd',
    rules: ['dash-protection-missing'],
    mutation: dash(/<ContentProtection[^>]*\/>|<ContentProtection[\s\S]*?<\/ContentProtection>/g, ''),
  },
  {
    what: 'no common descriptor',
    manifest: 'index.mpd',
    rules: ['dash-protection-common-missing'],
    mutation: dash(/<ContentProtection schemeIdUri="urn:mpeg[^>]*\/>/g, ''),
  },
  {
    what: 'the scheme of others',
    manifest: 'index.mpd',
    rules: ['dash-protection-mismatch'],
    mutation: dash('value="cbcs"', 'value="cenc"'),
  },
  {
    what: 'ContentProtection of sound in the clear',
    manifest: 'index.mpd',
    rules: ['dash-protection-on-clear'],
    mutation: dash(/(<AdaptationSet[^>]*contentType="audio"[^>]*>)/g, `$1${COMMON}`),
    encryption: CLEAR_SOUND,
  },
  {
    what: 'an init of another key',
    manifest: 'index.mpd',
    rules: ['dash-kid-mismatch'],
    mutation: otherKid,
  },
  {
    what: 'one IV for many samples',
    manifest: 'index.mpd',
    rules: ['media-iv-reused'],
    mutation: oneIv,
    encryption: CENC,
  },
];

describe('a broken encrypted presentation', () => {
  it.each(GOLDEN)(
    'is told of $what ($manifest)',
    async ({ manifest, rules, mutation, encryption = CBCS }) => {
      const presentation = new FakePresentation(new LiveBackend({ encryption }), mutation());
      const report = await presentation.validate(manifest, 12);
      expect(rulesOf(report), told(report).join('\n')).toEqual(rules);
      expect(presentation.openRequests).toBe(0);
    },
    TIMEOUT_MS,
  );
});
