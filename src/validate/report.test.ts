import { describe, expect, it } from 'vitest';
import {
  FakePresentation,
  LiveBackend,
  RecordedBackend,
  rewriting,
} from '../../test/support/presentation.ts';
import { FindingLog } from './finding.ts';
import { renderJsonReport, renderTextReport } from './report.ts';

describe('a validation report', () => {
  it('has a line for each finding, then what was watched', async () => {
    const longer = rewriting(
      (text) => text.replace(/PART-TARGET=[\d.]+/, 'PART-TARGET=0.199'),
      /^video\.m3u8$/,
    );
    const report = await new FakePresentation(new LiveBackend(), longer).validate('index.m3u8', 4);
    const lines = renderTextReport(report).join('\n');
    expect(lines).toMatch(
      /^error {4}hls-part-too-long {2}line \d+: part 0 of segment \d+ is 0.2 s long, PART-TARGET is 0.199 \(\d+ times\)\n {9}RFC 8216bis 4.4.4.9 {2}http:\/\/origin.test\/live\/cam\/video.m3u8\n\nlow-latency HLS, live, watched for 4.\d s: http:\/\/origin.test\/live\/cam\/index.m3u8\n {2}video {4}\d+ updates, \d+ segments, \d+ parts, \d+.0 s, \d+ kB {2}.*video.m3u8\n {2}audio .*\n1 error, 0 warnings$/,
    );
  });

  it('is a document with a version and counts in JSON', async () => {
    const backend = new RecordedBackend([
      [
        'a.m3u8',
        {
          body: '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nb.ts\n#EXT-X-ENDLIST\n',
          type: 'audio/mpegurl',
        },
      ],
    ]);
    const report = await new FakePresentation(backend).validate('a.m3u8');
    expect(JSON.parse(renderJsonReport(report))).toMatchObject({
      schemaVersion: 1,
      url: 'http://origin.test/vod/a.m3u8',
      format: 'hls',
      live: false,
      lowLatency: false,
      errors: 1,
      warnings: 0,
      findings: [
        {
          rule: 'hls-media-unavailable',
          severity: 'error',
          clause: 'RFC 8216bis 6.2.1',
          message: 'a listed segment gives status 404',
          url: 'http://origin.test/vod/b.ts',
          count: 1,
        },
      ],
      renditions: [
        {
          id: 'http://origin.test/vod/a.m3u8',
          kind: 'unknown',
          updates: 1,
          segments: 0,
          parts: 0,
          mediaSeconds: 0,
          bytes: 0,
        },
      ],
    });
  });

  it('tells infos last, and counts them when there are any', () => {
    const log = new FindingLog();
    for (const severity of ['info', 'warning', 'error'] as const) {
      log.add({ rule: `a-${severity}`, severity, clause: 'c', message: 'm', url: 'u' });
    }
    const watched = { format: 'dash', live: true, lowLatency: false, renditions: [] } as const;
    const { findings } = log;
    const text = renderTextReport({ url: 'u', watched, watchedSeconds: 1, findings });
    expect(findings.map(({ severity }) => severity)).toEqual(['error', 'warning', 'info']);
    expect(text.at(-1)).toBe('1 error, 1 warning, 1 info');
    expect(JSON.parse(renderJsonReport({ url: 'u', watched, watchedSeconds: 1, findings }))).toMatchObject({
      errors: 1,
      warnings: 1,
      infos: 1,
    });
  });

  it.each([
    ['nothing there', 'none.m3u8', 'VALIDATE_UNREACHABLE', /status 404/],
    ['something else', 'page.html', 'VALIDATE_NOT_A_MANIFEST', /neither an HLS playlist nor a DASH MPD/],
  ])('is not made of %s', async (_what, path, code, message) => {
    const backend = new RecordedBackend([['page.html', { body: '<html></html>', type: 'text/html' }]]);
    const failed = new FakePresentation(backend).validate(path);
    await expect(failed).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });
});
