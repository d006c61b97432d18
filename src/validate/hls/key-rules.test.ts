import { describe, expect, it } from 'vitest';
import { KID, systemBox } from '../../../test/support/encrypted-media.ts';
import {
  broken,
  media,
  multivariant,
  MULTIVARIANT,
  PLAIN,
  URL_BASE,
} from '../../../test/support/hls-texts.ts';
import type { InitFacts, MediaFacts, TrackFacts } from '../contracts.ts';
import { FindingLog } from '../finding.ts';
import { PLAYREADY, WIDEVINE } from '../media/system-header.ts';
import { KEY_MEDIA_RULES } from './key-rules.ts';
import { KeyWatch } from './key-watch.ts';
import { PRESENTATION_RULES } from './presentation-rules.ts';
import type { RenditionRole } from './rendition.ts';

const KID_HEX = Buffer.from(KID).toString('hex');
const OTHER = Buffer.alloc(16, 0x0a);
const OTHER_HEX = OTHER.toString('hex');
const WIDEVINE_FORMAT = 'KEYFORMAT="urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"';

function init(scheme: string | undefined): InitFacts {
  const track: TrackFacts = {
    trackId: 1,
    kind: 'video',
    timescale: 90_000,
    codec: 'avc1.42c00d',
    width: 320,
    height: 240,
    nalLengthSize: undefined,
    protection: scheme === undefined ? undefined : { scheme, encryption: undefined },
  };
  return { tracks: [track], defaults: new Map(), cmaf: true };
}

function facts(...kids: readonly string[]): MediaFacts {
  return { references: [], tracks: [], fragmentCount: 1, brands: [], kids };
}

/** The playlist with these keys before its first map. */
function withKeys(...keys: readonly string[]): string {
  return PLAIN.replace('#EXT-X-MAP', `${keys.map((key) => `#EXT-X-KEY:${key}\n`).join('')}#EXT-X-MAP`);
}

/** Rules that the first segment of a playlist breaks beside its bytes. */
function brokenWith(keys: readonly string[], scheme: string | undefined, ...kids: string[]): string[] {
  const [segment] = media(withKeys(...keys)).segments;
  if (!segment) throw new Error('no segment');
  return broken(KEY_MEDIA_RULES, { segment, init: init(scheme), facts: facts(...kids) });
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const dataUri = (bytes: Uint8Array): string => `URI="data:text/plain;base64,${base64(bytes)}"`;
const widevine = (kid: Uint8Array, system = WIDEVINE): Uint8Array =>
  systemBox(system, undefined, Buffer.concat([Buffer.from([0x08, 1, 0x12, 16]), kid]));
/** A PlayReady Object around a header of version 4.0: the GUID has its first three numbers the other way round. */
const playReady = (guid: Buffer): Uint8Array =>
  Buffer.concat([
    Buffer.alloc(10),
    Buffer.from(`<WRMHEADER><DATA><KID>${base64(guid)}</KID></DATA></WRMHEADER>`, 'utf16le'),
  ]);
const PLAYREADY_KEY = 'METHOD=SAMPLE-AES,KEYFORMAT="com.microsoft.playready",';

describe('the keys of a segment', () => {
  it.each<readonly [string, readonly string[], string | undefined, readonly string[]]>([
    ['cbcs with SAMPLE-AES', [`METHOD=SAMPLE-AES,URI="k",KEYID=0x${KID_HEX}`], 'cbcs', [KID_HEX]],
    [
      'cenc with SAMPLE-AES-CTR',
      [`METHOD=SAMPLE-AES-CTR,URI="k",KEYID=0x${KID_HEX.toUpperCase()}`],
      'cenc',
      [KID_HEX],
    ],
    [
      'without KEYID',
      ['METHOD=SAMPLE-AES,URI="skd://k",KEYFORMAT="com.apple.streamingkeydelivery"'],
      'cbcs',
      [KID_HEX],
    ],
    ['clear media without a key', [], undefined, []],
    ['clear samples of an encrypted track', ['METHOD=NONE'], 'cbcs', []],
    ['a Widevine box', [`METHOD=SAMPLE-AES,${dataUri(widevine(KID))},${WIDEVINE_FORMAT}`], 'cbcs', [KID_HEX]],
    [
      'a PlayReady Object',
      [`${PLAYREADY_KEY}${dataUri(playReady(Buffer.from('131211101514171618191a1b1c1d1e1f', 'hex')))}`],
      'cbcs',
      [KID_HEX],
    ],
  ])('are right: %s', (_, keys, scheme, kids) => {
    expect(brokenWith(keys, scheme, ...kids)).toEqual([]);
  });

  it.each<readonly [string, readonly string[], string | undefined, readonly string[]]>([
    ['hls-key-missing', [], 'cbcs', [KID_HEX]],
    ['hls-key-missing', ['METHOD=NONE'], 'cbcs', [KID_HEX]],
    ['hls-key-on-clear', ['METHOD=SAMPLE-AES,URI="k"'], undefined, []],
    ['hls-key-method-wrong', ['METHOD=SAMPLE-AES,URI="k"'], 'cenc', [KID_HEX]],
    ['hls-key-method-wrong', ['METHOD=SAMPLE-AES-CTR,URI="k"'], 'cbcs', [KID_HEX]],
    ['hls-key-id-wrong', [`METHOD=SAMPLE-AES,URI="k",KEYID=0x${OTHER_HEX}`], 'cbcs', [KID_HEX]],
    ['hls-key-id-wrong', ['METHOD=SAMPLE-AES,URI="k",KEYID="none"'], 'cbcs', [KID_HEX]],
    [
      'hls-key-data-wrong',
      [`METHOD=SAMPLE-AES,${dataUri(widevine(OTHER))},${WIDEVINE_FORMAT}`],
      'cbcs',
      [KID_HEX],
    ],
    [
      'hls-key-data-wrong',
      [`METHOD=SAMPLE-AES,${dataUri(widevine(KID, PLAYREADY))},${WIDEVINE_FORMAT}`],
      'cbcs',
      [KID_HEX],
    ],
    ['hls-key-data-wrong', [`METHOD=SAMPLE-AES,${dataUri(OTHER)},${WIDEVINE_FORMAT}`], 'cbcs', [KID_HEX]],
    ['hls-key-data-wrong', [`${PLAYREADY_KEY}${dataUri(playReady(Buffer.from(KID)))}`], 'cbcs', [KID_HEX]],
  ])('are told: %s', (rule, keys, scheme, kids) => {
    expect(brokenWith(keys, scheme, ...kids)).toEqual([rule]);
  });

  it('hold until the next of their format, or until METHOD=NONE', () => {
    const text = withKeys(
      'METHOD=SAMPLE-AES,URI="a1",KEYFORMAT="a"',
      'METHOD=SAMPLE-AES,URI="b1",KEYFORMAT="b"',
    )
      .replace('101.m4s\n', '101.m4s\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI="a2",KEYFORMAT="a"\n')
      .replace('102.m4s\n', '102.m4s\n#EXT-X-KEY:METHOD=NONE\n');
    const { segments } = media(text);
    const uris = segments.map(({ keys }) => keys.map(({ uri, method }) => uri ?? method).toSorted());
    expect(uris).toEqual([['a1', 'b1'], ['a1', 'b1'], ['a2', 'b1'], ['NONE']]);
  });
});

describe('the keys of a rendition', () => {
  /** Rules broken by going from the first segment's keys to those of the third. */
  function brokenBy(change: string, ...kids: readonly string[]): string[] {
    const log = new FindingLog();
    const watch = new KeyWatch({ log, url: URL_BASE });
    const text = withKeys(`METHOD=SAMPLE-AES,URI="k",KEYID=0x${KID_HEX}`).replace(
      '101.m4s\n',
      `101.m4s\n${change}`,
    );
    for (const segment of media(text).segments) {
      watch.note({ segment, init: init('cbcs'), facts: facts(...kids) });
    }
    return log.findings.map(({ rule }) => rule);
  }
  const key = `#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k",KEYID=0x${OTHER_HEX}\n`;

  it('may change with a new map, or where the samples say so themselves', () => {
    expect(brokenBy('', KID_HEX)).toEqual([]);
    expect(brokenBy(`${key}#EXT-X-MAP:URI="next.mp4"\n`, KID_HEX)).toEqual([]);
    expect(brokenBy(key, OTHER_HEX)).toEqual([]);
    expect(brokenBy('#EXT-X-KEY:METHOD=NONE\n', KID_HEX)).toEqual([]);
  });

  it('must not change with the old map: hls-key-change-without-map', () => {
    expect(brokenBy(key, KID_HEX)).toEqual(['hls-key-change-without-map']);
  });
});

describe('the keys of two renditions', () => {
  const key = (id: number): string =>
    `#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k${id}"\n#EXT-X-MAP:URI="${id}.mp4"\n`;
  /** Twelve segments of two seconds; the keys change before the one of this index. */
  const text = (changeAt: number | undefined, dates = true): string => {
    const segments = Array.from({ length: 12 }, (_, i) => {
      const tags = i === 0 ? key(0) : i === changeAt ? key(1) : '';
      const date = `2026-11-22T12:00:${String(i * 2).padStart(2, '0')}Z`;
      return `${tags}${dates ? `#EXT-X-PROGRAM-DATE-TIME:${date}\n` : ''}#EXTINF:2.0,\n${i}.m4s\n`;
    });
    return `#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n${segments.join('')}`;
  };
  const brokenTogether = (...texts: readonly string[]): string[] =>
    broken(PRESENTATION_RULES, {
      multivariant: multivariant(MULTIVARIANT),
      renditions: texts.map((each, i) => {
        const role: RenditionRole = {
          url: `${URL_BASE}${i}.m3u8`,
          kind: 'video',
          codecs: undefined,
          height: undefined,
          iFrames: false,
          independentSegments: undefined,
        };
        return { role, playlist: media(each) };
      }),
    });

  it('change at the same segment', () => {
    expect(brokenTogether(text(5), text(5))).toEqual([]);
    expect(brokenTogether(text(undefined), text(undefined))).toEqual([]);
  });

  it('that do not are told: hls-key-changes-apart', () => {
    const rule = 'hls-key-changes-apart';
    expect(brokenTogether(text(5), text(7))).toEqual([rule, rule]);
    expect(brokenTogether(text(5), text(undefined))).toEqual([rule]);
    expect(brokenTogether(text(undefined), text(5))).toEqual([rule]);
  });

  it('say nothing at the ends of what both list, without dates, or of clear ones', () => {
    expect(brokenTogether(text(11), text(undefined))).toEqual([]);
    expect(brokenTogether(text(5, false), text(7, false))).toEqual([]);
    expect(brokenTogether(text(5), text(undefined).replace(/#EXT-X-KEY.*\n/, ''))).toEqual([]);
  });
});
