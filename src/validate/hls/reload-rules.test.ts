import { describe, expect, it } from 'vitest';
import { brokenByReload, LOW, PLAIN } from '../../../test/support/hls-texts.ts';

/** The next version: one segment more, one less. */
function slide(text: string): string {
  return text
    .replace('SEQUENCE:100', 'SEQUENCE:101')
    .replace(/#EXT-X-PROGRAM.*\n#EXTINF.*\n100.m4s\n/, '')
    .concat('#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:08.000Z\n#EXTINF:2.00000,\n104.m4s\n');
}

function grow(text: string): string {
  return text.concat('#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:08.000Z\n#EXTINF:2.00000,\n104.m4s\n');
}

/** The next part, as it was hinted, and the hint after it. */
const NEXT_PART = LOW.replace(
  '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="104.2.m4s"',
  '#EXT-X-PART:DURATION=0.50000,URI="104.2.m4s"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="104.3.m4s"',
);
const EVENT = PLAIN.replace('#EXT-X-MAP', '#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-MAP');
const VOD = `${PLAIN.replace('#EXT-X-MAP', '#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MAP')}#EXT-X-ENDLIST\n`;
/** With a date range that began with the first segment. */
const dated = (attributes: string): string =>
  PLAIN.replace(
    '#EXTINF',
    `#EXT-X-DATERANGE:ID="a",START-DATE="2026-11-22T12:00:00Z",${attributes}\n#EXTINF`,
  );
const SHORT = PLAIN.replace(/#EXT-X-PROGRAM.*12:00:06[^]*/, '');

describe('a reload of a media playlist', () => {
  it.each([
    ['the same', PLAIN, PLAIN],
    ['a segment more', PLAIN, grow(PLAIN)],
    ['a segment more and one less', PLAIN, slide(PLAIN)],
    ['a part more', LOW, NEXT_PART],
    ['the end', grow(PLAIN), `${grow(PLAIN)}#EXT-X-ENDLIST\n`],
    ['a segment more of an event', EVENT, grow(EVENT)],
    [
      'a discontinuity that left with its segment',
      slide(PLAIN).replace('#EXT-X-PROGRAM', '#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM'),
      slide(PLAIN).replace('SEQUENCE:3', 'SEQUENCE:4'),
    ],
    [
      'another first part after a discontinuity',
      LOW,
      LOW.replace(
        /#EXT-X-PRELOAD[^]*/,
        '#EXTINF:1,\n104.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-PART:DURATION=0.5,URI="x.m4s",INDEPENDENT=YES\n',
      ),
    ],
    ['a date range whose time is over', dated('DURATION=1'), slide(PLAIN)],
    [
      'a date range whose end became known',
      dated('PLANNED-DURATION=5'),
      dated('PLANNED-DURATION=5,DURATION=4'),
    ],
    [
      'a segment that ends sooner than the hint foresaw',
      LOW,
      LOW.replace(
        /#EXT-X-PRELOAD[^]*/,
        '#EXTINF:1,\n104.m4s\n#EXT-X-PART:DURATION=0.5,URI="x.m4s",INDEPENDENT=YES\n',
      ),
    ],
    [
      'names that come again',
      PLAIN.replaceAll(/10\d\.m4s/g, 'live.m4s'),
      slide(PLAIN).replaceAll(/10\d\.m4s/g, 'live.m4s'),
    ],
  ])('brings no finding: %s', (_what, before, after) => {
    expect(brokenByReload(before, after)).toEqual([]);
  });

  it.each([
    ['TARGETDURATION', ['hls-target-duration-changed'], PLAIN, PLAIN.replace('DURATION:2', 'DURATION:3')],
    ['PART-TARGET', ['hls-part-target-changed'], LOW, LOW.replace('TARGET=0.5', 'TARGET=0.6')],
    ['PART-HOLD-BACK', ['hls-server-control-changed'], LOW, LOW.replace('BACK=1.5', 'BACK=2')],
    ['the type', ['hls-playlist-type-changed'], PLAIN, EVENT],
    ['an end withdrawn', ['hls-end-withdrawn'], `${PLAIN}#EXT-X-ENDLIST\n`, PLAIN],
    [
      'numbers that go back',
      ['hls-sequence-back'],
      slide(PLAIN),
      PLAIN.replace(/#EXT-X-PROGRAM.*\n#EXTINF.*\n100.m4s\n/, 'x')
        .replace('x', '#EXTINF:2,\n99.m4s\n')
        .concat('#EXTINF:2,\n104.m4s\n'),
    ],
    [
      'DISCONTINUITY-SEQUENCE that goes back',
      ['hls-discontinuity-number-changed', 'hls-discontinuity-sequence-back'],
      PLAIN,
      PLAIN.replace('SEQUENCE:3', 'SEQUENCE:2'),
    ],
    [
      'a segment removed uncounted',
      ['hls-sequence-unmatched'],
      PLAIN,
      slide(PLAIN).replace('SEQUENCE:101', 'SEQUENCE:100'),
    ],
    ['another URI', ['hls-segment-changed'], PLAIN, PLAIN.replace('102.m4s', '102b.m4s')],
    ['another duration', ['hls-segment-changed'], PLAIN, PLAIN.replace(/2.00000,\n102/, '1.90000,\n102')],
    ['another date', ['hls-segment-changed'], PLAIN, PLAIN.replace('12:00:04.000', '12:00:04.020')],
    ['another map', ['hls-segment-changed'], PLAIN, PLAIN.replace('init.mp4', 'init2.mp4')],
    [
      'a segment that became a gap',
      ['hls-segment-changed'],
      PLAIN,
      PLAIN.replace(/#EXTINF:2.00000,\n102/, '#EXT-X-GAP\n#EXTINF:2,\n102'),
    ],
    [
      'a discontinuity put in later',
      ['hls-discontinuity-number-changed'],
      PLAIN,
      PLAIN.replace(/#EXTINF:2.00000,\n102/, '#EXT-X-DISCONTINUITY\n#EXTINF:2.00000,\n102'),
    ],
    ['the newest segment gone', ['hls-segment-withdrawn'], PLAIN, SHORT],
    ['another name of a part', ['hls-part-changed'], LOW, LOW.replace('103.1.m4s', '103.x.m4s')],
    [
      'another duration of a part',
      ['hls-part-changed'],
      LOW,
      LOW.replace('0.50000,URI="104.1', '0.49000,URI="104.1'),
    ],
    ['an event that forgets', ['hls-removed-in-vod-or-event'], EVENT, slide(EVENT)],
    [
      'a VOD that grows',
      ['hls-appended-after-end', 'hls-vod-changed'],
      VOD,
      VOD.replace('#EXT-X-ENDLIST', '#EXTINF:2,\n104.m4s\n#EXT-X-ENDLIST'),
    ],
    [
      'a segment after the end',
      ['hls-appended-after-end'],
      `${PLAIN}#EXT-X-ENDLIST\n`,
      `${grow(PLAIN)}#EXT-X-ENDLIST\n`,
    ],
    [
      'a window of two target durations',
      ['hls-window-too-short'],
      PLAIN,
      slide(slide(PLAIN))
        .replace('SEQUENCE:101', 'SEQUENCE:102')
        .replace(/#EXT-X-PROGRAM.*\n#EXTINF.*\n10[1]\.m4s\n/, '')
        .replace(/#EXT-X-PROGRAM[^\n]*12:00:08[^]*/, ''),
    ],
    [
      'a date range that is gone too early',
      ['hls-daterange-removed-early'],
      dated('DURATION=5'),
      slide(PLAIN),
    ],
    ['a date range of another time', ['hls-daterange-reused'], dated('DURATION=5'), dated('DURATION=6')],
    [
      'MEDIA-SEQUENCE gone',
      ['hls-sequence-back', 'hls-sequence-tag-missing'],
      PLAIN,
      PLAIN.replace('#EXT-X-MEDIA-SEQUENCE:100\n', ''),
    ],
    ['a part that was not hinted', ['hls-hint-missing'], LOW.replace(/#EXT-X-PRELOAD.*\n/, ''), NEXT_PART],
    [
      'another first part of the next segment than the hinted',
      ['hls-hint-not-kept'],
      LOW.replace(/(#EXT-X-PROGRAM.*12:00:08[^]*)(#EXT-X-PRELOAD.*)104.2[^]*/, '$2104.0.m4s"\n'),
      LOW.replace('"104.0.m4s"', '"x.m4s"'),
    ],
    [
      'another part than the hinted',
      ['hls-hint-not-kept'],
      LOW,
      NEXT_PART.replace('PART:DURATION=0.50000,URI="104.2.m4s"', 'PART:DURATION=0.50000,URI="other.m4s"'),
    ],
  ])('is told of %s', (_what, rules, before, after) => {
    expect(after).not.toBe(before);
    expect(brokenByReload(before, after)).toEqual(rules);
  });
});
