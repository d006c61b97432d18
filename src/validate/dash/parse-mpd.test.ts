import { describe, expect, it } from 'vitest';
import { cpuMs } from '../../../test/support/cpu-time.ts';
import { edgeSegment, oldestSegment, periodAt, segmentTimes } from './availability.ts';
import type { Mpd, Period, Representation } from './mpd-model.ts';
import { parseMpd } from './parse-mpd.ts';
import { initializationOf, segmentAt, segmentCount } from './segments.ts';
import { parseDuration, parseFrameRate } from './time-values.ts';
import { expandTemplate, templateFault } from './url-template.ts';
import { canonicalText, parseXml } from './xml.ts';
import { deepestNesting } from '../../base/xml-nesting.ts';

const URL_OF_MPD = 'https://cdn.example/live/cam/manifest.mpd';

function read(body: string, attributes = ''): Mpd {
  const text = `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" ${attributes}>${body}</MPD>`;
  const outcome = parseMpd(text, URL_OF_MPD);
  if (outcome.kind !== 'mpd') throw new Error(outcome.reason);
  return outcome.mpd;
}

function first(mpd: Mpd): { period: Period; representation: Representation } {
  const period = mpd.periods[0] as Period;
  return { period, representation: period.adaptationSets[0]?.representations[0] as Representation };
}

describe('an MPD', () => {
  it('is read with what its levels inherit', () => {
    const mpd = read(
      `<BaseURL>../media/</BaseURL>
       <Period id="p1" start="PT1H">
         <SegmentTemplate timescale="90000" startNumber="5" initialization="$RepresentationID$/i.mp4"/>
         <AdaptationSet id="1" contentType="video" mimeType="video/mp4" codecs="avc1.64001f" segmentAlignment="true">
           <SegmentTemplate duration="180000" availabilityTimeOffset="1.5" availabilityTimeComplete="false"/>
           <Representation id="v" bandwidth="1000000" width="640" height="360" frameRate="30000/1001">
             <BaseURL availabilityTimeOffset="0.25">hd/</BaseURL>
             <SegmentTemplate media="$RepresentationID$-$Number%05d$.m4s"/>
           </Representation>
         </AdaptationSet>
       </Period>`,
      'type="dynamic" availabilityStartTime="2026-11-22T12:00:00+01:00" timeShiftBufferDepth="PT1M"',
    );
    const { period, representation } = first(mpd);
    expect(mpd.availabilityStartMs).toBe(1_795_345_200_000);
    expect(period).toMatchObject({ id: 'p1', start: 3600, end: undefined });
    expect(representation).toMatchObject({ id: 'v', mimeType: 'video/mp4', codecs: ['avc1.64001f'] });
    expect(representation.frameRate).toBeCloseTo(29.97, 2);
    expect(representation.addressing).toMatchObject({
      kind: 'template',
      timescale: 90_000,
      duration: 180_000,
      startNumber: 5,
      availabilityTimeOffset: 1.75,
      availabilityTimeComplete: false,
    });
    expect(initializationOf(representation)?.url).toBe('https://cdn.example/live/media/hd/v/i.mp4');
    expect(segmentAt(representation, period, 3)).toMatchObject({
      number: 8,
      start: 6,
      url: 'https://cdn.example/live/media/hd/v-00008.m4s',
    });
    expect(segmentCount(representation, period)).toBeUndefined();
  });

  it('with a timeline has its repeats written out, to the next S or the end of the Period', () => {
    const mpd = read(
      `<Period duration="PT12S"><AdaptationSet><SegmentTemplate timescale="10" presentationTimeOffset="100" media="$Time$.m4s">
         <SegmentTimeline><S t="100" d="20" r="1"/><S d="10" r="-1"/><S t="170" d="25" r="-1"/></SegmentTimeline>
       </SegmentTemplate><Representation id="a" bandwidth="1"/></AdaptationSet></Period>`,
    );
    const { period, representation } = first(mpd);
    expect(representation.addressing?.timeline?.segments).toEqual([
      { start: 100, duration: 20 },
      { start: 120, duration: 20 },
      { start: 140, duration: 10 },
      { start: 150, duration: 10 },
      { start: 160, duration: 10 },
      { start: 170, duration: 25 },
      { start: 195, duration: 25 },
    ]);
    expect(segmentAt(representation, period, 5)).toMatchObject({
      number: 6,
      start: 7,
      duration: 2.5,
      url: 'https://cdn.example/live/cam/170.m4s',
    });
    expect(segmentAt(representation, period, 7)).toBeUndefined();
  });

  it('with a SegmentList or a BaseURL alone has its segments', () => {
    const list = first(
      read(
        `<Period duration="PT6S"><AdaptationSet><Representation id="a" bandwidth="1"><SegmentList duration="2">
           <Initialization sourceURL="i.mp4"/><SegmentURL media="s1"/><SegmentURL mediaRange="10-19"/></SegmentList>
         </Representation></AdaptationSet></Period>`,
      ),
    );
    expect(segmentCount(list.representation, list.period)).toBe(2);
    expect(segmentAt(list.representation, list.period, 1)).toMatchObject({
      range: '10-19',
      url: URL_OF_MPD,
      start: 2,
    });
    const single = first(
      read(
        `<Period duration="PT6S"><AdaptationSet><Representation id="a" bandwidth="1"><BaseURL>a.mp4</BaseURL>
           <SegmentBase indexRange="700-999"><Initialization range="0-699"/></SegmentBase>
         </Representation></AdaptationSet></Period>`,
      ),
    );
    expect(initializationOf(single.representation)).toEqual({
      url: 'https://cdn.example/live/cam/a.mp4',
      range: '0-699',
    });
    expect(segmentAt(single.representation, single.period, 0)).toMatchObject({ duration: 6 });
  });

  it('has Periods that follow from each other', () => {
    const mpd = read(
      '<Period id="a" duration="PT5S"/><Period id="b"/><Period id="c" start="PT20S"/>',
      'mediaPresentationDuration="PT30S"',
    );
    expect(mpd.periods.map(({ start, end }) => [start, end])).toEqual([
      [0, 5],
      [5, 20],
      [20, 30],
    ]);
    const live = read('<Period id="a"/>', 'type="dynamic"');
    expect(live.periods[0]?.start).toBeUndefined();
  });

  it('tells what is not of its type', () => {
    const mpd = read(
      '<Period id="a" start="soon"/>',
      'minBufferTime="2s" publishTime="yesterday" type="dynamic"',
    );
    expect(mpd.faults.map(({ attribute }) => attribute)).toEqual(['publishTime', 'minBufferTime', 'start']);
  });

  it.each([
    ['no XML', 'hello', /./],
    ['another root', '<SmoothStreamingMedia/>', /SmoothStreamingMedia/],
    ['no namespace', '<MPD/>', /namespace ""/],
    ['an open tag', '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period></MPD>', /./],
    [
      'entities',
      '<!DOCTYPE x [<!ENTITY a "b">]><MPD xmlns="urn:mpeg:dash:schema:mpd:2011">&a;</MPD>',
      /DOCTYPE/,
    ],
    ['an endless nesting', '<a>'.repeat(5000) + '</a>'.repeat(5000), /deeper/],
  ])('that is %s is unreadable', (_, text, reason) => {
    const outcome = parseMpd(text, URL_OF_MPD);
    expect(outcome.kind === 'unreadable' && outcome.reason).toMatch(reason);
  });
});

describe('the nesting of elements', () => {
  it.each([
    ['<a><b/><b><c/></b></a>', 2],
    ['<a x="b>c" y=\'"\'/>'.repeat(200), 0],
    ['<!-- <a><a><a> --><![CDATA[<a><a>]]><?x <a> ?><a></a>', 1],
    ['<a><a><a', 2],
    [`<a ${'"'.repeat(3)}`, 0],
    ['', 0],
  ])('of %s is %i', (text, depth) => {
    expect(deepestNesting(text)).toBe(depth);
  });

  it('is counted in one pass, however hostile the text', () => {
    const spentMs = cpuMs(() => {
      deepestNesting('<a "'.repeat(1_000_000));
      deepestNesting('<!--'.repeat(1_000_000));
      deepestNesting('<'.repeat(4_000_000));
    });
    expect(spentMs).toBeLessThan(5000);
  });
});

describe('an MPD with a byte order mark', () => {
  it('is read', () => {
    expect(
      parseMpd('\uFEFF<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>', URL_OF_MPD).kind,
    ).toBe('mpd');
  });
});

describe('canonical text', () => {
  it('is the same for documents that say the same', () => {
    const text = (xml: string): string => {
      const outcome = parseXml(xml);
      return outcome.kind === 'document' ? canonicalText(outcome.root) : outcome.reason;
    };
    const one = '<a x="1" y="2"><b/> <c>t</c></a>';
    expect(text('<!-- now --><a y="2"  x="1"><b></b><c> t </c></a>')).toBe(text(one));
    expect(text('<a x="1" y="3"><b/><c>t</c></a>')).not.toBe(text(one));
    expect(text('<a x="1" y="2"><c>t</c><b/></a>')).not.toBe(text(one));
  });
});

describe('values', () => {
  it.each([
    ['PT2S', 2],
    ['PT1H2M3.5S', 3723.5],
    ['P1DT1S', 86_401],
    ['-PT1S', -1],
    ['P1Y', undefined],
    ['PT', undefined],
    ['P', undefined],
    ['2', undefined],
  ])('the duration %s is %s seconds', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each([
    ['25', 25],
    ['30000/1001', 30_000 / 1001],
    ['0', undefined],
    ['25/0', undefined],
    ['29.97', undefined],
  ])('the frame rate %s is %s', (text, rate) => {
    expect(parseFrameRate(text)).toBe(rate);
  });
});

describe('a template', () => {
  const values = { representationId: 'v', bandwidth: 9, number: 42, time: 1234 };

  it.each([
    ['$RepresentationID$/$Number$.m4s', 'v/42.m4s'],
    ['$Bandwidth$-$Number%05d$', '9-00042'],
    ['$Time%03d$', '1234'],
    ['a$$b-$Time$', 'a$b-1234'],
    ['$Other$', '$Other$'],
  ])('%s becomes %s', (template, text) => {
    expect(expandTemplate(template, values)).toBe(text);
  });

  it.each(['$Nummer$.m4s', '$Number.m4s', '$Number%d$', '$RepresentationID%02d$'])(
    '%s has a fault',
    (template) => {
      expect(templateFault(template)).toBeDefined();
    },
  );

  it.each(['$RepresentationID$/$Number%05d$.m4s', 'plain', '$$'])('%s has none', (template) => {
    expect(templateFault(template)).toBeUndefined();
  });
});

describe('the availability of segments', () => {
  const mpd = read(
    `<Period id="a" start="PT100S"><AdaptationSet><SegmentTemplate timescale="1" duration="2" startNumber="50"
       media="$Number$" availabilityTimeOffset="1.5" availabilityTimeComplete="false"/>
       <Representation id="v" bandwidth="1"/></AdaptationSet></Period>
     <Period id="b" start="PT200S"/>`,
    'type="dynamic" availabilityStartTime="1970-01-01T00:00:00Z" timeShiftBufferDepth="PT10S"',
  );
  const { period, representation } = first(mpd);

  it('begins early by availabilityTimeOffset', () => {
    const segment = segmentAt(representation, period, 4);
    expect(segment && segmentTimes(mpd, period, representation, segment)).toEqual({
      beginMs: 108_000,
      endMs: 110_000,
      availableMs: 108_500,
    });
    expect(edgeSegment(mpd, period, representation, 108_499)?.number).toBe(53);
    expect(edgeSegment(mpd, period, representation, 108_500)?.number).toBe(54);
    expect(edgeSegment(mpd, period, representation, 100_400)).toBeUndefined();
  });

  it('ends when the segment has left the time shift buffer, or its Period', () => {
    expect(oldestSegment(mpd, period, representation, 121_000)?.number).toBe(55);
    expect(oldestSegment(mpd, period, representation, 103_000)?.number).toBe(50);
    expect(edgeSegment(mpd, period, representation, 900_000)?.number).toBe(99);
  });

  it('is asked of the Period of the moment', () => {
    expect(periodAt(mpd, 99_000)?.id).toBeUndefined();
    expect(periodAt(mpd, 150_000)?.id).toBe('a');
    expect(periodAt(mpd, 250_000)?.id).toBe('b');
  });
});
