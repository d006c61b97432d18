import { describe, expect, it } from 'vitest';
import {
  brokenInMultivariant,
  brokenInText,
  LOW,
  MULTIVARIANT,
  PLAIN,
  URL_BASE,
} from '../../../test/support/hls-texts.ts';
import { isMultivariant, parsePlaylist } from './parse-playlist.ts';
import { TAGS } from './tag-table.ts';

type Change = readonly [what: string, rules: readonly string[], text: string | Uint8Array];

/** One replacement that must have found what it replaces. */
function swap(text: string, from: string | RegExp, to: string): string {
  const changed = text.replace(from, to);
  if (changed === text) throw new Error(`nothing to replace: ${from}`);
  return changed;
}

const plain = (from: string | RegExp, to: string): string => swap(PLAIN, from, to);
const low = (from: string | RegExp, to: string): string => swap(LOW, from, to);
const multi = (from: string | RegExp, to: string): string => swap(MULTIVARIANT, from, to);
const withTag = (tag: string): string => plain('#EXTINF', `${tag}\n#EXTINF`);
/** Before the first EXT-X-MAP. */
const withKeys = (...keys: readonly string[]): string =>
  plain('#EXT-X-MAP', `${keys.map((key) => `#EXT-X-KEY:${key}\n`).join('')}#EXT-X-MAP`);
const range = (attributes: string): string => withTag(`#EXT-X-DATERANGE:ID="ad1",${attributes}`);
const START = 'START-DATE="2026-11-22T12:00:01Z"';
/** A splice_insert out of SCTE 35's own examples, whole; and with its last byte changed. */
const SPLICE =
  '0xFC302F000000000000FFFFF014054800008F7FEFFE7369C02EFE0052CCF500000000000A0008435545490000013562DBA30A';

const IN_TEXT: readonly Change[] = [
  ['another first line', ['hls-no-header'], plain('#EXTM3U', '#EXTM4U')],
  ['a space behind the header', ['hls-no-header'], plain('#EXTM3U\n', '#EXTM3U \n')],
  ['a byte order mark', ['hls-byte-order-mark'], `\uFEFF${PLAIN}`],
  [
    'bytes that are not UTF-8',
    ['hls-not-utf8'],
    Buffer.concat([Buffer.from(PLAIN), Buffer.from([0x23, 0xff, 0x0a])]),
  ],
  ['a number that is none', ['hls-tag-malformed'], plain('SEQUENCE:100', 'SEQUENCE:-1')],
  ['an attribute list cut short', ['hls-tag-malformed'], plain('URI="init.mp4"', 'URI="init.mp4",')],
  ['a value that a tag must not have', ['hls-tag-malformed'], withTag('#EXT-X-GAP:1')],
  ['a segment without EXTINF', ['hls-tag-malformed'], plain('#EXTINF:2.00000,\n101', '101')],
  ['a byte range without a number', ['hls-tag-malformed'], withTag('#EXT-X-BYTERANGE:x')],
  ['an attribute twice', ['hls-attribute-twice'], plain('"init.mp4"', '"init.mp4",URI="b.mp4"')],
  ['no URI in a map', ['hls-attribute-missing'], plain('URI="init.mp4"', 'X-OTHER=1')],
  ['a URI without quotes', ['hls-attribute-form'], plain('"init.mp4"', 'init.mp4')],
  ['YES in quotes', ['hls-attribute-form'], low('INDEPENDENT=YES', 'INDEPENDENT="YES"')],
  ['NO where only YES may be', ['hls-attribute-form'], low('INDEPENDENT=YES', 'INDEPENDENT=NO')],
  ['a URI that is none', ['hls-uri-invalid'], plain('102.m4s', 'http://[/102.m4s')],
  ['TARGETDURATION twice', ['hls-tag-twice'], plain('#EXT-X-MAP', '#EXT-X-TARGETDURATION:2\n#EXT-X-MAP')],
  ['a multivariant tag', ['hls-tag-misplaced'], withTag('#EXT-X-SESSION-DATA:DATA-ID="a",VALUE="b"')],
  ['a map in version 5', ['hls-version-too-low'], plain('VERSION:6', 'VERSION:5')],
  ['no version with a map', ['hls-version-too-low'], plain('#EXT-X-VERSION:6\n', '')],
  [
    'a skip in version 6',
    ['hls-version-too-low'],
    low('#EXT-X-MAP', '#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXT-X-MAP'),
  ],
  ['version 7 for nothing', ['hls-version-too-high'], plain('VERSION:6', 'VERSION:7')],
  ['version 9 without a skip', ['hls-version-too-high'], low('VERSION:6', 'VERSION:9')],

  ['no TARGETDURATION', ['hls-target-duration-missing'], plain('#EXT-X-TARGETDURATION:2\n', '')],
  [
    'a segment of 2.6 s',
    ['hls-date-drift', 'hls-segment-too-long'],
    plain('#EXTINF:2.00000,\n102', '#EXTINF:2.60000,\n102'),
  ],
  [
    'MEDIA-SEQUENCE at the end',
    ['hls-sequence-late'],
    `${plain('#EXT-X-MEDIA-SEQUENCE:100\n', '')}#EXT-X-MEDIA-SEQUENCE:100\n`,
  ],
  [
    'DISCONTINUITY-SEQUENCE after a discontinuity',
    ['hls-discontinuity-sequence-late'],
    plain('#EXT-X-DISCONTINUITY-SEQUENCE:3\n', '#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY-SEQUENCE:3\n'),
  ],
  [
    'MEDIA-SEQUENCE behind SKIP',
    ['hls-skip-before-sequence'],
    low(
      /#EXT-X-VERSION:6([^]*)(#EXT-X-MEDIA-SEQUENCE:100\n)/,
      '#EXT-X-VERSION:9$1#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n$2',
    ),
  ],
  [
    'a discontinuity without DISCONTINUITY-SEQUENCE',
    ['hls-discontinuity-sequence-missing'],
    swap(
      plain('#EXT-X-DISCONTINUITY-SEQUENCE:3\n', ''),
      '#EXT-X-PROGRAM',
      '#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM',
    ),
  ],
  [
    'an unknown type',
    ['hls-playlist-type-unknown'],
    plain('#EXT-X-MAP', '#EXT-X-PLAYLIST-TYPE:LIVE\n#EXT-X-MAP'),
  ],
  ['a range that follows nothing', ['hls-range-without-offset'], withTag('#EXT-X-BYTERANGE:1000')],
  ['a key without a URI', ['hls-key-invalid'], withTag('#EXT-X-KEY:METHOD=AES-128')],
  ['no key, but a URI', ['hls-key-invalid'], withTag('#EXT-X-KEY:METHOD=NONE,URI="k"')],
  ['counter mode', ['hls-key-counter-mode'], withKeys('METHOD=SAMPLE-AES-CTR,URI="k"')],
  ['a key behind its map', ['hls-key-after-map'], withTag('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"')],
  [
    'two keys of one format',
    ['hls-key-format-twice'],
    withKeys('METHOD=SAMPLE-AES,URI="k",KEYFORMAT="a"', 'METHOD=SAMPLE-AES,URI="l",KEYFORMAT="a"'),
  ],
  [
    'two keys without a format',
    ['hls-key-format-twice'],
    withKeys('METHOD=SAMPLE-AES,URI="k"', 'METHOD=SAMPLE-AES,URI="l",KEYFORMAT="identity"'),
  ],
  [
    'an IV in counter mode',
    ['hls-key-counter-mode', 'hls-key-iv-forbidden'],
    withKeys('METHOD=SAMPLE-AES-CTR,URI="k",IV=0x00000000000000000000000000000001'),
  ],
  [
    'an IV beside tenc',
    ['hls-key-iv-needless'],
    withKeys('METHOD=SAMPLE-AES,URI="k",IV=0x00000000000000000000000000000001'),
  ],
  [
    'KEYFORMAT in version 4',
    ['hls-version-too-low'],
    '#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:3\n#EXT-X-KEY:METHOD=AES-128,URI="k",KEYFORMAT="a"\n#EXTINF:3,\na.ts\n#EXT-X-ENDLIST\n',
  ],
  [
    'a part of a gap',
    ['hls-gap-part-unmarked'],
    low(/#EXTINF:2.00000,\n102/, '#EXT-X-GAP\n#EXTINF:2.00000,\n102').replaceAll(
      /(102\.[0-2].*)/g,
      '$1,GAP=YES',
    ),
  ],
  ['no dates', ['hls-date-missing'], plain(/#EXT-X-PROGRAM.*\n/g, '')],
  [
    'no date at a discontinuity',
    ['hls-date-missing-at-discontinuity'],
    plain(/#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:02.*/, '#EXT-X-DISCONTINUITY'),
  ],
  ['the same date twice', ['hls-date-ambiguous', 'hls-date-drift'], plain('12:00:04', '12:00:02')],
  ['a date in the middle of the segment before', ['hls-date-drift'], plain('12:00:04.000', '12:00:03.500')],
  ['dates half a second apart', ['hls-date-drift'], plain('12:00:06.000', '12:00:06.500')],
  [
    'a long window without delta updates',
    ['hls-delta-not-offered'],
    swap(
      low(',CAN-SKIP-UNTIL=12', ''),
      '#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:00.000Z\n',
      '#EXTINF:2.00000,\nx.m4s\n'.repeat(60),
    ),
  ],

  ['parts without PART-INF', ['hls-part-inf-missing'], low('#EXT-X-PART-INF:PART-TARGET=0.5\n', '')],
  ['PART-INF without parts', ['hls-parts-missing'], low(/#EXT-X-PART:.*\n/g, '')],
  [
    'a part a hair too long',
    ['hls-part-too-long'],
    low('DURATION=0.50000,URI="103.1', 'DURATION=0.50001,URI="103.1'),
  ],
  [
    'a part too short',
    ['hls-part-too-short'],
    low('0.50000,URI="104.1.m4s"', '0.42000,URI="104.1.m4s"\n#EXT-X-PART:DURATION=0.5,URI="b.m4s"'),
  ],
  [
    'parts that do not add up',
    ['hls-parts-sum'],
    low('DURATION=0.50000,URI="103.3', 'DURATION=0.40000,URI="103.3'),
  ],
  [
    'a date behind the first part',
    ['hls-parent-tag-after-part'],
    low(/(#EXT-X-PROGRAM.*12:00:08.*\n)(#EXT-X-PART.*\n)/, '$2$1'),
  ],
  [
    'parts that ended four target durations ago',
    ['hls-parts-kept'],
    low(
      '#EXTINF:2.00000,\n100',
      '#EXT-X-PART:DURATION=0.5,URI="p.m4s",INDEPENDENT=YES\n#EXTINF:2.00000,\n100',
    ),
  ],
  [
    'parts of I-frames',
    ['hls-parts-of-i-frames'],
    swap(low('VERSION:6', 'VERSION:5'), '#EXT-X-MAP', '#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP'),
  ],
  ['no PART-HOLD-BACK', ['hls-part-hold-back-missing'], low(',PART-HOLD-BACK=1.5', '')],
  ['PART-HOLD-BACK below two parts', ['hls-part-hold-back-too-small'], low('BACK=1.5', 'BACK=0.9')],
  ['PART-HOLD-BACK below three parts', ['hls-part-hold-back-low'], low('BACK=1.5', 'BACK=1.4')],
  ['HOLD-BACK below three segments', ['hls-hold-back-too-small'], low('HOLD-BACK=6', 'HOLD-BACK=5')],
  ['CAN-SKIP-UNTIL below six segments', ['hls-skip-boundary-too-small'], low('UNTIL=12', 'UNTIL=8')],
  [
    'CAN-SKIP-DATERANGES alone',
    ['hls-skip-dateranges-alone'],
    low('CAN-SKIP-UNTIL=12', 'CAN-SKIP-DATERANGES=YES'),
  ],
  ['no blocking reload', ['hls-block-reload-not-offered'], low('CAN-BLOCK-RELOAD=YES,', '')],
  ['two hints', ['hls-hint-twice'], low(/(#EXT-X-PRELOAD.*\n)/, '$1$1')],
  ['a hint after the end', ['hls-hint-after-end'], `${LOW}#EXT-X-ENDLIST\n`],
  ['an absolute report', ['hls-report-uri-absolute'], low('"audio.m3u8"', '"http://a.test/audio.m3u8"')],

  [
    'a date range without dates',
    ['hls-date-missing', 'hls-daterange-without-date'],
    swap(range(START), /#EXT-X-PROGRAM.*\n/g, ''),
  ],
  ['a date range that never begins', ['hls-daterange-start-missing'], range('DURATION=3')],
  ['an end before the start', ['hls-daterange-end-wrong'], range(`${START},END-DATE="2026-11-22T11:00:00Z"`)],
  [
    'an end that is not the start and the duration',
    ['hls-daterange-end-wrong'],
    range(`${START},DURATION=5,END-DATE="2026-11-22T12:00:07Z"`),
  ],
  ['END-ON-NEXT without CLASS', ['hls-daterange-end-on-next'], range(`${START},END-ON-NEXT=YES`)],
  [
    'END-ON-NEXT with DURATION',
    ['hls-daterange-end-on-next'],
    range(`${START},CLASS="a",END-ON-NEXT=YES,DURATION=2`),
  ],
  [
    'a date range that changes its mind',
    ['hls-daterange-changed'],
    range(`${START}\n#EXT-X-DATERANGE:ID="ad1",START-DATE="2026-11-22T12:00:02Z"`),
  ],
  ['a damaged splice', ['hls-splice-damaged'], range(`${START},SCTE35-OUT=${SPLICE.slice(0, -2)}0B`)],
  ['a splice cut short', ['hls-splice-damaged'], range(`${START},SCTE35-OUT=${SPLICE.slice(0, -2)}`)],
  [
    'date ranges that deltas cannot skip',
    ['hls-skip-dateranges-not-offered'],
    low('#EXT-X-PART:', `#EXT-X-DATERANGE:ID="a",${START}\n#EXT-X-PART:`),
  ],
];

describe('the text of a media playlist', () => {
  it.each([
    ['plain', PLAIN],
    ['low latency', LOW],
    ['ended', `${PLAIN}#EXT-X-ENDLIST\n`],
    ['without anything but segments', '#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\na.ts\n#EXT-X-ENDLIST\n'],
    [
      'with CRLF, comments and unknown tags',
      PLAIN.replaceAll('\n', '\r\n').replace('#EXTINF', '# a comment\r\n#EXT-X-OWN:1\r\n\r\n#EXTINF'),
    ],
    [
      'with a date range and a splice',
      range(`${START},DURATION=2,END-DATE="2026-11-22T12:00:03.000Z",SCTE35-OUT=${SPLICE}`),
    ],
    [
      'with a key for each of two formats, and later ones',
      swap(
        withKeys('METHOD=SAMPLE-AES,URI="k",KEYFORMAT="a"', 'METHOD=SAMPLE-AES,URI="l",KEYFORMAT="b"'),
        '#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:04',
        '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="m",KEYFORMAT="a"\n#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:04',
      ),
    ],
    ['with a key behind a map that is in the clear', withTag('#EXT-X-KEY:METHOD=AES-128,URI="k"')],
    ['with a short last part', low('0.50000,URI="104.1', '0.10000,URI="104.1')],
    [
      'with a short part before a gap',
      low(
        '#EXT-X-PRELOAD',
        '#EXT-X-PART:DURATION=0.1,URI="c.m4s"\n#EXT-X-PART:DURATION=0.5,URI="d.m4s",GAP=YES\n#EXT-X-PRELOAD',
      ),
    ],
    [
      'with a variable in a URI',
      swap(
        plain('VERSION:6', 'VERSION:8\n#EXT-X-DEFINE:NAME="p",VALUE="http://cdn.test"'),
        '101.m4s',
        '{$p}/101.m4s',
      ),
    ],
    [
      'with ranges of one resource',
      swap(plain(/10\d\.m4s/g, 'all.mp4'), '#EXTINF', '#EXT-X-BYTERANGE:1000@0\n#EXTINF'),
    ],
    [
      'of a broadcast that is away',
      LOW.replace(/#EXT-X-PROGRAM.*12:00:08[^]*/, '#EXT-X-GAP\n#EXTINF:2.00000,\n104.m4s\n'),
    ],
  ])('has no finding: %s', (_what, text) => {
    expect(brokenInText(text)).toEqual([]);
  });

  it.each(IN_TEXT)('is told of %s', (_what, rules, text) => {
    expect(brokenInText(text)).toEqual(rules);
  });

  it('is cut after half a million lines', () => {
    expect(brokenInText(`${PLAIN}${'\n'.repeat(500_001)}`)).toEqual(['hls-playlist-too-long']);
  });

  it('is read whatever the bytes are', () => {
    const names = Object.keys(TAGS);
    for (let seed = 1; seed < 600; seed++) {
      const at = (seed * 7919) % LOW.length;
      const noise = `#${names[seed % names.length]}:${String.fromCharCode(seed % 128, (seed * 31) % 128)}="${seed},=`;
      const text = `#EXTM3U\n#EXTINF:1,\n${LOW.slice(0, at)}${noise}${LOW.slice(at + (seed % 40))}`;
      const playlist = parsePlaylist(Buffer.from(text), URL_BASE);
      expect(isMultivariant(playlist) || brokenInText(text).length > 0).toBe(true);
    }
  });

  it('is judged in reasonable time, however long it is', () => {
    const startedMs = performance.now();
    const long = `#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:URI="a"\n#EXT-X-DISCONTINUITY\n#EXTINF:2.0,\nx.m4s\n`;
    brokenInText(LOW + long.repeat(20_000));
    brokenInMultivariant(
      MULTIVARIANT + MULTIVARIANT.split('\n').slice(3, 7).join('\n').concat('\n').repeat(20_000),
    );
    expect(performance.now() - startedMs).toBeLessThan(20_000);
  }, 30_000);
});

const VARIANT = '#EXT-X-STREAM-INF:BANDWIDTH=2000000,';
const IN_MULTIVARIANT: readonly Change[] = [
  ['no CODECS', ['hls-codecs-missing'], multi('CODECS="avc1.64001f,mp4a.40.2",', '')],
  ['an AVC codec with five digits', ['hls-codecs-malformed'], multi('avc1.64001f', 'avc1.6401f')],
  ['no AVERAGE-BANDWIDTH', ['hls-average-bandwidth-missing'], multi('AVERAGE-BANDWIDTH=1500000,', '')],
  [
    'an average above the peak',
    ['hls-average-above-peak'],
    multi('AVERAGE-BANDWIDTH=1500000', 'AVERAGE-BANDWIDTH=2500000'),
  ],
  [
    'BANDWIDTH 0',
    ['hls-average-above-peak', 'hls-bandwidth-zero'],
    multi('BANDWIDTH=2000000', 'BANDWIDTH=0'),
  ],
  ['no BANDWIDTH', ['hls-attribute-missing'], multi('BANDWIDTH=2000000,', '')],
  ['no RESOLUTION', ['hls-resolution-missing'], multi('RESOLUTION=1280x720,', '')],
  ['no FRAME-RATE', ['hls-frame-rate-missing'], multi('FRAME-RATE=30.000,', '')],
  [
    'HDR without FRAME-RATE, beside variants that do not say',
    ['hls-frame-rate-missing-hdr', 'hls-video-range-missing'],
    multi('FRAME-RATE=30.000,', 'VIDEO-RANGE=PQ,'),
  ],
  ['a frame rate of six decimals', ['hls-frame-rate-form'], multi('30.000', '29.970030')],
  ['one SCORE', ['hls-score-partial'], multi(VARIANT, `${VARIANT}SCORE=1,`)],
  ['a group that is not there', ['hls-group-undefined'], multi('AUDIO="aac"', 'AUDIO="ac3"')],
  ['captions declared on one only', ['hls-closed-captions-mixed'], multi(',CLOSED-CAPTIONS=NONE', '')],
  [
    'a name twice',
    ['hls-default-twice', 'hls-rendition-name-twice'],
    multi(/(#EXT-X-MEDIA:TYPE=AUDIO.*\n)/, '$1$1'),
  ],
  [
    'two defaults',
    ['hls-default-twice'],
    multi(/(#EXT-X-MEDIA:TYPE=AUDIO.*)NAME="English"(.*\n)/, '$1NAME="English"$2$1NAME="Other"$2'),
  ],
  [
    'groups of different members',
    ['hls-groups-differ'],
    multi(
      /(#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=)"aac",NAME="English"(.*\n)/,
      '$1"aac",NAME="English"$2$1"ac3",NAME="French"$2',
    ),
  ],
  [
    'a default that is never selected',
    ['hls-default-not-autoselect'],
    multi('AUTOSELECT=YES', 'AUTOSELECT=NO'),
  ],
  ['FORCED audio', ['hls-forced-not-subtitles'], multi('DEFAULT=YES', 'DEFAULT=YES,FORCED=NO')],
  ['subtitles without a URI', ['hls-subtitles-uri-missing'], multi(',URI="subs.m3u8"', '')],
  [
    'captions with a URI',
    ['hls-captions-attributes'],
    multi(
      '#EXT-X-STREAM',
      '#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC",LANGUAGE="en",INSTREAM-ID="CC1",URI="x"\n#EXT-X-STREAM',
    ),
  ],
  ['no LANGUAGE', ['hls-language-missing'], multi(',LANGUAGE="en",DEFAULT', ',DEFAULT')],
  ['no CHANNELS', ['hls-channels-missing'], multi(',CHANNELS="2"', '')],
  [
    'a session key twice, with another KEYID',
    ['hls-session-key-invalid'],
    swap(
      multi(
        '#EXT-X-STREAM',
        '#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="k",KEYFORMAT="a",KEYID=0x01\n#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="k",KEYFORMAT="a"\n#EXT-X-STREAM',
      ),
      'VERSION:4',
      'VERSION:5',
    ),
  ],
  [
    'a session key of no method',
    ['hls-session-key-invalid'],
    multi('#EXT-X-STREAM', '#EXT-X-SESSION-KEY:METHOD=NONE\n#EXT-X-STREAM'),
  ],
  [
    'a pathway that no variant has',
    ['hls-pathway-unknown'],
    multi('#EXT-X-STREAM', '#EXT-X-CONTENT-STEERING:SERVER-URI="/s",PATHWAY-ID="east"\n#EXT-X-STREAM'),
  ],
  [
    'a media playlist tag',
    ['hls-tag-misplaced'],
    multi('#EXT-X-STREAM', '#EXT-X-TARGETDURATION:2\n#EXT-X-STREAM'),
  ],
  ['a variant without its URI', ['hls-tag-malformed'], multi('360p.m3u8\n', '')],
  ['a URI of nothing', ['hls-tag-malformed'], `${MULTIVARIANT}180p.m3u8\n`],
  ['version 7', ['hls-version-too-high'], multi('VERSION:4', 'VERSION:7')],
];

describe('the text of a multivariant playlist', () => {
  it.each([
    ['video and audio', MULTIVARIANT],
    [
      'audio alone',
      '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=64000,AVERAGE-BANDWIDTH=64000,CODECS="mp4a.40.2"\na.m3u8\n',
    ],
    ['with SCORE everywhere', MULTIVARIANT.replaceAll('INF:BANDWIDTH', 'INF:SCORE=1,BANDWIDTH')],
    [
      'steered to the pathway of all',
      multi('#EXT-X-STREAM', '#EXT-X-CONTENT-STEERING:SERVER-URI="/s",PATHWAY-ID="."\n#EXT-X-STREAM'),
    ],
  ])('has no finding: %s', (_what, text) => {
    expect(brokenInMultivariant(text)).toEqual([]);
  });

  it.each(IN_MULTIVARIANT)('is told of %s', (_what, rules, text) => {
    expect(brokenInMultivariant(String(text))).toEqual(rules);
  });
});
