import { describe, expect, it } from 'vitest';
import {
  broken,
  LOW,
  media,
  MULTIVARIANT,
  multivariant,
  PLAIN,
  URL_BASE,
} from '../../../test/support/hls-texts.ts';
import { PRESENTATION_RULES } from './presentation-rules.ts';
import type { RenditionRole } from './rendition.ts';

const ROLE: RenditionRole = {
  url: `${URL_BASE}a.m3u8`,
  kind: 'video',
  codecs: undefined,
  height: undefined,
  iFrames: false,
  independentSegments: true,
};

/** Rules broken by two renditions with these texts. */
function brokenAcross(first: string, second: string, role: Partial<RenditionRole> = {}): string[] {
  const other: RenditionRole = { ...ROLE, url: `${URL_BASE}b.m3u8`, kind: 'audio', ...role };
  return broken(PRESENTATION_RULES, {
    multivariant: multivariant(MULTIVARIANT),
    renditions: [
      { role: ROLE, playlist: media(first) },
      { role: other, playlist: media(second) },
    ],
  });
}

const VOD = `${PLAIN.replace('#EXT-X-MAP', '#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MAP')}#EXT-X-ENDLIST\n`;
const WITH_RANGE = VOD.replace(
  '#EXTINF',
  '#EXT-X-DATERANGE:ID="a",START-DATE="2026-11-22T12:00:01Z"\n#EXTINF',
);

describe('the renditions of a presentation', () => {
  it.each([
    ['the same', PLAIN, PLAIN],
    [
      'attributes in another order',
      LOW,
      LOW.replace('CAN-SKIP-UNTIL=12,PART-HOLD-BACK=1.5', 'PART-HOLD-BACK=1.5,CAN-SKIP-UNTIL=12'),
    ],
    ['boundaries a little apart', PLAIN, PLAIN.replaceAll('.000Z', '.013Z')],
    ['other media sequence numbers', PLAIN, PLAIN.replace('SEQUENCE:100', 'SEQUENCE:7')],
    [
      'a discontinuity in the same place',
      PLAIN.replace(/#EXTINF:2.00000,\n102/, '#EXT-X-DISCONTINUITY\n#EXTINF:2.00000,\n102'),
      PLAIN.replaceAll('.000Z', '.013Z').replace(
        /#EXTINF:2.00000,\n102/,
        '#EXT-X-DISCONTINUITY\n#EXTINF:2.00000,\n102',
      ),
    ],
  ])('have no finding: %s', (_what, first, second) => {
    expect(brokenAcross(first, second)).toEqual([]);
  });

  it('are told of an I-frame playlist that is none', () => {
    expect(brokenAcross(PLAIN, PLAIN, { iFrames: true })).toEqual(['hls-i-frames-only-missing']);
    const only = PLAIN.replace('#EXT-X-MAP', '#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP');
    expect(brokenAcross(PLAIN, only, { iFrames: true })).toEqual([]);
  });

  it('are told of a session key that is not that of the segments', () => {
    const key =
      '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://1",KEYFORMAT="com.apple.streamingkeydelivery"\n#EXT-X-MAP';
    const text = PLAIN.replace('#EXT-X-MAP', key);
    const session = (method: string) =>
      `${MULTIVARIANT}#EXT-X-SESSION-KEY:METHOD=${method},URI="skd://1",KEYFORMAT="com.apple.streamingkeydelivery"\n`;
    const found = (method: string) =>
      broken(PRESENTATION_RULES, {
        multivariant: multivariant(session(method)),
        renditions: [{ role: ROLE, playlist: media(text) }],
      });
    expect(found('SAMPLE-AES')).toEqual([]);
    expect(found('AES-128')).toEqual(['hls-session-key-differs']);
  });

  it('may have subtitles with a target duration of their own on demand, not live', () => {
    const long = (text: string): string => text.replace('DURATION:2', 'DURATION:30');
    expect(brokenAcross(VOD, long(VOD), { kind: 'text' })).toEqual([]);
    expect(brokenAcross(PLAIN, long(PLAIN), { kind: 'text' })).toEqual(['hls-target-durations-differ']);
  });

  it.each([
    ['target durations', ['hls-target-durations-differ'], PLAIN, PLAIN.replace('DURATION:2', 'DURATION:3')],
    [
      'hold-backs',
      ['hls-server-controls-differ'],
      LOW,
      LOW.replace('PART-HOLD-BACK=1.5', 'PART-HOLD-BACK=1.6'),
    ],
    ['types', ['hls-playlist-types-differ'], VOD, VOD.replace(':VOD', ':EVENT')],
    [
      'a hold-back for the shorter parts only',
      ['hls-part-hold-back-below-others'],
      LOW,
      LOW.replace('PART-TARGET=0.5', 'PART-TARGET=0.6').replace('PART-HOLD-BACK=1.5', 'PART-HOLD-BACK=1.5'),
    ],
    [
      'parts in one of them',
      ['hls-parts-in-some'],
      LOW,
      LOW.replaceAll(/#EXT-X-(PART|PRELOAD).*\n/g, '').replace(/#EXT-X-PROGRAM.*12:00:08.*\n/, ''),
    ],
    ['dates in one of them', ['hls-dates-in-some'], PLAIN, PLAIN.replaceAll(/#EXT-X-PROGRAM.*\n/g, '')],
    [
      'a discontinuity in one of them',
      ['hls-discontinuities-differ'],
      PLAIN,
      PLAIN.replace(/#EXTINF:2.00000,\n102/, '#EXT-X-DISCONTINUITY\n#EXTINF:2.00000,\n102'),
    ],
    [
      'a VOD that ends early',
      ['hls-durations-differ'],
      VOD,
      VOD.replace(/#EXT-X-PROGRAM.*12:00:04[^]*/, '#EXT-X-ENDLIST\n'),
    ],
    ['date ranges', ['hls-date-ranges-differ'], WITH_RANGE, WITH_RANGE.replace('ID="a"', 'ID="b"')],
    [
      'a tag that the multivariant has',
      ['hls-independent-repeated'],
      PLAIN,
      PLAIN.replace('#EXT-X-MAP', '#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP'),
    ],
  ])('are told of %s', (_what, rules, first, second) => {
    expect(second).not.toBe(first);
    expect(brokenAcross(first, second)).toEqual(rules);
  });
});
