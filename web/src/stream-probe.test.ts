import { describe, expect, it } from 'vitest';
import { goesOn, lastStretch, presenceOf } from './stream-probe.ts';

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
    });
    expect(lastStretch('<MPD/>')).toEqual({ stretch: [], isOlder: false });
  });

  it('may go on from a Period that is not listed any more', () => {
    expect(lastStretch(`<MPD>${period('p2', 'p1')}${period('p3', 'p2')}</MPD>`).isOlder).toBe(true);
  });

  it('carries a player on unless media broke off since it began', () => {
    const report = { presence: 'live', stretch: ['p2', 'p3'], isOlder: false } as const;
    expect(['p1', 'p2', 'p3', undefined].map((id) => goesOn(report, id))).toEqual([false, true, true, false]);
    expect(goesOn({ ...report, isOlder: true }, 'p1')).toBe(true);
  });
});
