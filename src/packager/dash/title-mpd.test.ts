import { describe, expect, it } from 'vitest';
import { exampleProtection } from '../../../test/support/protection.ts';
import {
  audioTrack,
  FILM,
  FILM_EXTRAS,
  modelTitle,
  type ModelRendition,
  videoTrack,
} from '../../../test/support/title-model.ts';
import { find, parseXml, type XmlNode } from '../../../test/support/xml-tree.ts';
import { tierOf } from '../../media/protection.ts';
import type { Title } from '../../stream/title.ts';
import { renderTitleMpd, type TitleMpdOptions } from './title-mpd.ts';

const OPTIONS: TitleMpdOptions = { clockUrl: '/time' };
const WHOLE = modelTitle(FILM, [{ id: 'g1', segments: 5 }], FILM_EXTRAS);
const GROWING = modelTitle(FILM, [{ id: 'g1', segments: 4, behind: { '360p': 1, 'audio-de': 2 } }], {
  ...FILM_EXTRAS,
  state: 'growing',
  durationMs: 60_000,
});
const SEALED: readonly ModelRendition[] = FILM.map((rendition) => ({
  ...rendition,
  protection: exampleProtection(tierOf(rendition.track)),
}));
/** An outage in a rung, another track list that runs on, then a hole. */
const RECORDING = modelTitle(FILM, [
  { id: 'p1', segments: 4, firstNumber: 100, liveMs: 9e8, gaps: { '360p': [101, 102] } },
  { id: 'p2', startMs: 13_500, continues: true, segments: 2, firstNumber: 104, only: ['1080p', 'audio-en'] },
  { id: 'p3', startMs: 40_000, segments: 2, firstNumber: 111 },
]);

function mpd(title: Title, options: Partial<TitleMpdOptions> = {}): XmlNode {
  return parseXml(renderTitleMpd(title, { ...OPTIONS, ...options }));
}

function values(node: XmlNode, name: string, attribute: string): (string | undefined)[] {
  return find(node, name).map((found) => found.attributes.get(attribute));
}

function sets(node: XmlNode): string[] {
  return find(node, 'AdaptationSet').map((set) => {
    const ids = values(set, 'Representation', 'id');
    return `${set.attributes.get('id')}: ${ids.join(' ')}`;
  });
}

describe('the MPD of a title, golden', () => {
  it.each<readonly [string, Title]>([
    ['title.mpd', WHOLE],
    ['title-growing.mpd', GROWING],
    ['title-sealed.mpd', modelTitle(SEALED, [{ id: 'g1', segments: 2 }])],
    ['title-recording.mpd', RECORDING],
  ])('%s', async (name, title) => {
    await expect(renderTitleMpd(title, OPTIONS)).toMatchFileSnapshot(`golden/${name}`);
  });
});

describe('the MPD of a title', () => {
  it('is dynamic while it grows, of known length, and static under the same id when it is whole', () => {
    const growing = mpd(GROWING).attributes;
    expect(growing.get('type')).toBe('dynamic');
    expect(growing.get('mediaPresentationDuration')).toBe('PT60S');
    expect(growing.get('minimumUpdatePeriod')).toBe('PT4.010667S');
    const whole = mpd({ ...GROWING, state: 'complete' }).attributes;
    expect(whole.get('type')).toBe('static');
    expect(whole.get('minimumUpdatePeriod')).toBeUndefined();
    expect(whole.get('availabilityStartTime')).toBeUndefined();
    expect(whole.get('id')).toBe(growing.get('id'));
  });

  it('lists of a title that grows only the segments that all pictures have', () => {
    const counts = find(mpd(GROWING), 'SegmentTimeline').map((timeline) =>
      find(timeline, 'S').reduce((sum, s) => sum + 1 + Number(s.attributes.get('r') ?? 0), 0),
    );
    // Pictures, three sounds, the key frames.
    expect(counts).toEqual([3, 3, 2, 3, 3]);
  });

  it('has a set for each codec of the pictures, and for each sound', () => {
    const hevc = {
      id: '1080p-hevc',
      track: videoTrack(1080, { codec: 'hvc1', codecString: 'hvc1.1.6.L120.90' }),
    };
    const title = modelTitle([...FILM, hevc], [{ id: 'g1', segments: 1 }]);
    expect(sets(mpd(title))).toEqual([
      '1: 1080p 360p',
      '102: audio-en',
      '103: audio-de',
      '104: audio-en-surround',
      '3: 1080p-hevc',
      '400: 360p-trick',
    ]);
  });

  it('has a set for each key, among which players may switch, and names only what a viewer may have', () => {
    const title = modelTitle(SEALED, [{ id: 'g1', segments: 2 }]);
    expect(sets(mpd(title)).slice(0, 2)).toEqual(['21: 1080p', '11: 360p']);
    const switching = find(mpd(title), 'SupplementalProperty').map(({ attributes }) =>
      attributes.get('value'),
    );
    expect(switching).toEqual(['11', '21']);
    expect(
      find(mpd(title), 'AdaptationSet').filter((set) => find(set, 'ContentProtection').length === 0),
    ).toEqual([]);
    expect(sets(mpd(title, { tiers: new Set(['SD', 'AUDIO']) }))).toEqual([
      '11: 360p',
      '102: audio-en',
      '103: audio-de',
      '104: audio-en-surround',
      '400: 360p-trick',
    ]);
  });

  it('says each language, label and which sound is the main one', () => {
    const audio = find(mpd(WHOLE), 'AdaptationSet').filter(
      (set) => set.attributes.get('contentType') === 'audio',
    );
    const said = audio.map((set) => [
      set.attributes.get('lang'),
      find(set, 'Label')[0]?.text,
      values(set, 'Role', 'value').join(),
    ]);
    expect(said).toEqual([
      ['en', 'English', 'main'],
      ['de', 'Deutsch', 'alternate'],
      ['en', 'English (5.1)', 'alternate'],
    ]);
  });

  it('gives fast-forward the key frames of the smallest pictures by their bytes', () => {
    const trick = find(mpd(WHOLE), 'AdaptationSet').find((set) => set.attributes.get('id') === '400');
    if (!trick) throw new Error('no set');
    expect(values(trick, 'EssentialProperty', 'value')).toEqual(['1']);
    expect(values(trick, 'SegmentURL', 'mediaRange')).toEqual([0, 1, 2, 3, 4].map((n) => `0-${8999 + n}`));
  });

  it('splits a period where a rendition has a gap, for an MPD cannot say that there is one', () => {
    const periods = find(mpd(RECORDING), 'Period');
    expect(periods.map((period) => period.attributes.get('id'))).toEqual([
      'p1',
      'p1-101',
      'p1-103',
      'p2',
      'p3',
    ]);
    expect(periods.map((period) => period.attributes.get('start'))).toEqual([
      ...['PT0S', 'PT4S', 'PT12S', 'PT13.5S', 'PT40S'],
    ]);
    expect(periods.map((period) => period.attributes.get('duration'))).toEqual([
      ...[undefined, undefined, undefined, 'PT5.5S', undefined],
    ]);
    expect(periods.map((period) => sets(period)[0])).toEqual([
      ...['1: 1080p 360p', '1: 1080p', '1: 1080p 360p', '1: 1080p', '1: 1080p 360p'],
    ]);
  });

  it('says where the media runs on with the same Representations', () => {
    const continuing = find(mpd(RECORDING), 'Period').map((period) =>
      find(period, 'AdaptationSet').flatMap((set) => {
        const before = values(set, 'SupplementalProperty', 'value');
        return before.map((id) => `${set.attributes.get('id')} of ${id}`);
      }),
    );
    expect(continuing).toEqual([
      [],
      ['102 of p1', '103 of p1', '104 of p1'],
      ['102 of p1-101', '103 of p1-101', '104 of p1-101'],
      ['102 of p1-103'],
      [],
    ]);
  });

  it('counts media time from the start of each period, wherever its clock stands', () => {
    const templates = find(mpd(RECORDING), 'SegmentTemplate').map(({ attributes }) => [
      Number(attributes.get('presentationTimeOffset')) / Number(attributes.get('timescale')),
      Number(attributes.get('startNumber')),
    ]);
    expect(templates[0]).toEqual([9e5, 100]);
    expect(templates[4]).toEqual([9e5 + 4, 101]);
  });

  it('gives Representations whose segments are not alike a timeline of their own', () => {
    const [first] = WHOLE.periods;
    const own = first?.tracks.get('360p');
    if (!first || !own) throw new Error('no such track');
    const tracks = new Map([
      ...first.tracks,
      ['360p', { ...own, segments: own.segments.slice(0, 3) }] as const,
    ]);
    const root = mpd({ ...WHOLE, periods: [{ ...first, tracks }] });
    const [set] = find(root, 'AdaptationSet');
    if (!set) throw new Error('no set');
    expect(set.attributes.get('segmentAlignment')).toBe('false');
    expect(find(set, 'Representation').map((each) => find(each, 'SegmentTimeline').length)).toEqual([1, 1]);
  });

  it('of sound alone has it as the main thing', () => {
    const title = modelTitle([{ id: 'a', track: audioTrack(), language: 'en' }], [{ id: 'g1', segments: 2 }]);
    expect(sets(mpd(title))).toEqual(['100: a']);
  });
});
