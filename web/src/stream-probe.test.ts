import { describe, expect, it } from 'vitest';
import { goesOn, lastStretch, presenceOf, settlesInMs } from './stream-probe.ts';

const PRESENT = {
  presence: 'live',
  stretch: ['p1'],
  isOlder: false,
  resumedMs: undefined,
  delayMs: 0,
  segmentMs: 0,
  depthSeconds: 0,
} as const;

describe('a stream', () => {
  it.each([
    [200, '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic">', 'live'],
    [200, '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">', 'ended'],
    [200, '<MPD type="dynamic" mediaPresentationDuration="PT1795363655S"><Period/></MPD>', 'ended'],
    [200, '<MPD><Period type="dynamic"/></MPD>', 'ended'],
    [404, '', 'offline'],
    [503, '', 'unreachable'],
  ] as const)('with answer %d %s is %s', (status, body, presence) => {
    expect(presenceOf(status, body)).toBe(presence);
  });
});

describe('the stretch going on', () => {
  const period = (id: string, continues?: string): string =>
    `<Period id="${id}"><AdaptationSet>${
      continues === undefined
        ? ''
        : `<SupplementalProperty schemeIdUri="urn:mpeg:dash:period-continuity:2015" value="${continues}"/>`
    }</AdaptationSet></Period>`;

  it('is the last Period, and those that it goes on from', () => {
    expect(lastStretch(`<MPD>${period('p1')}${period('p2')}${period('p3', 'p2')}</MPD>`)).toEqual({
      stretch: ['p2', 'p3'],
      isOlder: false,
      resumedMs: undefined,
      delayMs: 0,
      segmentMs: 0,
      depthSeconds: 0,
    });
    expect(lastStretch('<MPD/>')).toEqual({
      stretch: [],
      isOlder: false,
      resumedMs: undefined,
      delayMs: 0,
      segmentMs: 0,
      depthSeconds: 0,
    });
  });

  it('may go on from a Period that is not listed any more', () => {
    expect(lastStretch(`<MPD>${period('p2', 'p1')}${period('p3', 'p2')}</MPD>`).isOlder).toBe(true);
  });

  it('carries a player on unless media broke off since it began', () => {
    const report = { ...PRESENT, stretch: ['p2', 'p3'] };
    expect(['p1', 'p2', 'p3', undefined].map((id) => goesOn(report, id))).toEqual([false, true, true, false]);
    expect(goesOn({ ...report, isOlder: true }, 'p1')).toBe(true);
  });
});

describe('a player', () => {
  const mpd = (...periods: readonly string[]): string =>
    `<MPD suggestedPresentationDelay="PT0.5S" maxSegmentDuration="PT2S">${periods.join('')}</MPD>`;
  const BACK_MS = 1_795_406_363_897;
  const before = '<Period id="p1" start="PT1795406353.131S" duration="PT8.768S"></Period>';
  const back = '<Period id="p2" start="PT1795406363.897S"></Period>';

  it('is started only when it does not begin in the hole of an outage, but in what came after', () => {
    const report = { presence: 'live', ...lastStretch(mpd(before, back)) } as const;
    expect(report).toMatchObject({ resumedMs: BACK_MS, delayMs: 500, segmentMs: 2000 });
    expect(settlesInMs(report, 0, BACK_MS + 200)).toBe(2300);
    expect(settlesInMs(report, 0, BACK_MS + 2500)).toBe(0);
    expect(settlesInMs(report, 3000, BACK_MS + 1500)).toBe(3500);
  });

  it('waits no longer than that by a clock that is wrong', () => {
    const report = { presence: 'live', ...lastStretch(mpd(before, back)) } as const;
    expect(settlesInMs(report, 0, BACK_MS - 3_600_000)).toBe(2500);
  });

  it('is started at once where there is no hole, or it has left the MPD', () => {
    const continued = back.replace(
      '</Period>',
      '<X schemeIdUri="urn:mpeg:dash:period-continuity:2015"/></Period>',
    );
    for (const text of [mpd(back), mpd(before, continued), mpd(continued)]) {
      expect(settlesInMs({ presence: 'live', ...lastStretch(text) }, 0, BACK_MS)).toBe(0);
    }
  });
});
