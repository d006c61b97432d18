import { describe, expect, it } from 'vitest';
import type { Finding } from '../finding.ts';
import { checkWebVtt } from './check-webvtt.ts';

function check(text: string | Uint8Array): string[] {
  const findings: Omit<Finding, 'url'>[] = [];
  checkWebVtt(typeof text === 'string' ? Buffer.from(text) : text, (finding) => findings.push(finding));
  return findings.map(({ rule }) => rule);
}

const GOOD = `\uFEFFWEBVTT - a film
X-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000

STYLE
::cue { color: red }

NOTE 00:00 --> never mind

NOTE
a --> b

1
00:01.000 --> 00:02.500 line:0 align:start
Hello

100:00:00.000 --> 100:00:01.000
--> is text here
and here
`;

describe('a WebVTT file', () => {
  it('with all that there may be is fine', () => {
    expect(check(GOOD)).toEqual([]);
    expect(check(GOOD.replaceAll('\n', '\r\n'))).toEqual([]);
    expect(check('WEBVTT')).toEqual([]);
  });

  it.each([
    ['that is no WebVTT', 'media-webvtt-header', GOOD.replace('WEBVTT', 'WEBVTTX')],
    ['that is SubRip', 'media-webvtt-header', '1\n00:00:01,000 --> 00:00:02,000\nHello\n'],
    ['with a comma in a time', 'media-webvtt-timing', GOOD.replace('00:02.500', '00:02,500')],
    ['with 61 seconds', 'media-webvtt-timing', GOOD.replace('00:02.500', '00:61.500')],
    ['with a cue that ends before it begins', 'media-webvtt-timing', GOOD.replace('00:02.500', '00:00.500')],
    ['with a cue of no length', 'media-webvtt-timing', GOOD.replace('00:02.500', '00:01.000')],
    [
      'with a line of its own for nothing',
      'media-webvtt-timing',
      GOOD.replace(' --> 00:02.500', '-->00:02.500'),
    ],
  ])('%s is told of', (_, rule, text) => {
    expect(check(text)).toEqual([rule]);
  });

  it('in another encoding is told of', () => {
    expect(check(Buffer.from('WEBVTT\n\n\xe9', 'latin1'))).toEqual(['media-webvtt-encoding']);
  });

  it('with thousands of faults is told of a few', () => {
    expect(check(`WEBVTT\n\n${'x --> y\n\n'.repeat(5000)}`).length).toBe(5);
  });
});
