import { describe, expect, it } from 'vitest';
import { checkUpdate } from './check-update.ts';
import type { Mpd } from './mpd-model.ts';
import { parseMpd } from './parse-mpd.ts';

interface State {
  readonly publish?: number;
  readonly body: string;
  readonly attributes?: string;
}

function mpd({ publish = 0, body, attributes = 'type="dynamic"' }: State): Mpd {
  const time = `publishTime="1970-01-01T00:00:${String(publish).padStart(2, '0')}Z"`;
  const fixed = 'availabilityStartTime="1970-01-01T00:00:00Z" timeShiftBufferDepth="PT10S"';
  const text = `<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" ${attributes} ${time} ${fixed}>${body}</MPD>`;
  const outcome = parseMpd(text, 'http://origin.test/m.mpd');
  if (outcome.kind !== 'mpd') throw new Error(outcome.reason);
  return outcome.mpd;
}

function period(id: string, attributes: string, inner = set()): string {
  return `<Period id="${id}" ${attributes}>${inner}</Period>`;
}

function set(template = '<SegmentTemplate timescale="1" duration="2" media="$Number$"/>'): string {
  return `<AdaptationSet id="1">${template}<Representation id="v" bandwidth="1"/></AdaptationSet>`;
}

function timeline(startNumber: number, entries: string): string {
  const attributes = `timescale="1" startNumber="${startNumber}" media="$Number$"`;
  return set(
    `<SegmentTemplate ${attributes}><SegmentTimeline>${entries}</SegmentTimeline></SegmentTemplate>`,
  );
}

const rulesOf = (before: State, after: State, nowSeconds: number): string[] =>
  checkUpdate(mpd(before), mpd({ publish: 2, ...after }), nowSeconds * 1000).map(({ rule }) => rule);

describe('an update of the MPD', () => {
  const first = period('a', 'start="PT100S"');

  it.each<[string, string, string, number]>([
    [
      'may end a Period and begin another',
      first,
      period('a', 'start="PT100S" duration="PT10S"') + period('b', 'start="PT110S"'),
      110,
    ],
    [
      'may drop a Period that has left the window',
      period('a', 'start="PT100S"') + period('b', 'start="PT110S"'),
      period('b', 'start="PT110S"'),
      121,
    ],
    [
      'may move the end that is still to come',
      period('a', 'start="PT100S" duration="PT90S"'),
      period('a', 'start="PT100S" duration="PT80S"'),
      150,
    ],
    [
      'may let a timeline slide',
      period('a', 'start="PT0S"', timeline(5, '<S t="8" d="2" r="4"/>')),
      period('a', 'start="PT0S"', timeline(6, '<S t="10" d="2" r="5"/>')),
      20,
    ],
    [
      'may write a timeline in another way',
      period('a', 'start="PT0S"', timeline(5, '<S t="8" d="2" r="2"/>')),
      period('a', 'start="PT0S"', timeline(5, '<S t="8" d="2"/><S d="2"/><S d="2"/>')),
      14,
    ],
    [
      'may correct the length of the newest segment',
      period('a', 'start="PT0S"', timeline(1, '<S t="0" d="2" r="2"/>')),
      period('a', 'start="PT0S"', timeline(1, '<S t="0" d="2" r="1"/><S d="1"/><S d="2"/>')),
      6,
    ],
    [
      'may follow a window that has passed altogether',
      period('a', 'start="PT0S"', timeline(1, '<S t="0" d="2"/>')),
      period('a', 'start="PT0S"', timeline(30, '<S t="58" d="2"/>')),
      60,
    ],
  ])('%s', (_, before, after, nowSeconds) => {
    expect(rulesOf({ body: before }, { body: after }, nowSeconds)).toEqual([]);
  });

  it.each<[string, string, string, number, string]>([
    [
      'drop a Period that is still in the window',
      period('a', 'start="PT100S"') + period('b', 'start="PT110S"'),
      period('b', 'start="PT110S"'),
      115,
      'dash-update-period-removed',
    ],
    [
      'move the end of a Period that is over',
      period('a', 'start="PT100S" duration="PT10S"'),
      period('a', 'start="PT100S" duration="PT12S"'),
      111,
      'dash-update-period-changed',
    ],
    [
      'give a Period another end by another next',
      period('a', 'start="PT100S"') + period('b', 'start="PT110S"'),
      period('a', 'start="PT100S"') + period('b', 'start="PT109S"'),
      112,
      'dash-update-period-changed',
    ],
    [
      'move a Period that it had announced without a word',
      first + period('b', 'start="PT200S"'),
      first + period('b', 'start="PT210S"'),
      150,
      'dash-update-period-moved',
    ],
    [
      'number anew',
      period('a', 'start="PT0S"', timeline(5, '<S t="8" d="2" r="4"/>')),
      period('a', 'start="PT0S"', timeline(5, '<S t="10" d="2" r="4"/>')),
      20,
      'dash-update-timeline',
    ],
    [
      'cut the past otherwise',
      period('a', 'start="PT0S"', timeline(1, '<S t="0" d="2" r="4"/>')),
      period('a', 'start="PT0S"', timeline(1, '<S t="0" d="2"/><S d="1" r="7"/>')),
      10,
      'dash-update-timeline',
    ],
    [
      'take a segment out of the midst',
      period('a', 'start="PT0S"', timeline(1, '<S t="0" d="2" r="4"/>')),
      period('a', 'start="PT0S"', timeline(1, '<S t="0" d="2"/><S t="4" d="2" r="2"/>')),
      10,
      'dash-update-timeline',
    ],
    [
      'start a number grid elsewhere',
      period('a', 'start="PT0S"'),
      period(
        'a',
        'start="PT0S"',
        set('<SegmentTemplate timescale="1" startNumber="4" duration="2" media="$Number$"/>'),
      ),
      10,
      'dash-update-addressing',
    ],
  ])('may not %s', (_, before, after, nowSeconds, rule) => {
    expect(rulesOf({ body: before }, { body: after }, nowSeconds)).toContain(rule);
  });

  it('that says the same in other words needs no new publishTime', () => {
    const body = period('a', 'start="PT100S"');
    expect(rulesOf({ body }, { body: ` <!-- x -->${body} `, publish: 0 }, 100)).toEqual([]);
    expect(
      rulesOf({ body }, { body: period('a', 'start="PT100S" duration="PT1H"'), publish: 0 }, 100),
    ).toEqual(['dash-update-publish-time']);
  });

  it('may make a recording of what was live', () => {
    const body = period('a', 'start="PT100S"');
    const after = { body: period('x', 'start="PT0S"'), attributes: 'type="static"' };
    expect(rulesOf({ body }, after, 200)).toEqual([]);
  });
});
