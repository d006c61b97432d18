import { describe, expect, it } from 'vitest';
import { lastPeriod, presenceOf } from './stream-probe.ts';

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

describe('the period going on', () => {
  it('is the last one of the MPD', () => {
    expect(
      lastPeriod('<MPD><Period id="p1" start="PT0S"></Period><Period start="PT9S" id="p2"/></MPD>'),
    ).toBe('p2');
    expect(lastPeriod('<MPD/>')).toBeUndefined();
  });
});
