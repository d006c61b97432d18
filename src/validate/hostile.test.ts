import { describe, expect, it } from 'vitest';
import { cpuMs } from '../../test/support/cpu-time.ts';
import { systemClock } from '../base/clock.ts';
import { checkDocument } from './dash/check-document.ts';
import { checkUpdate } from './dash/check-update.ts';
import { parseMpd } from './dash/parse-mpd.ts';
import { expandTemplate } from './dash/url-template.ts';
import type { Fetcher } from './fetcher.ts';
import { FindingLog } from './finding.ts';
import { parsePlaylist } from './hls/parse-playlist.ts';
import { judge } from './hls/rule.ts';
import { TEXT_RULES } from './hls/text-rules.ts';
import { printable } from './printable.ts';
import { renderJsonReport, renderTextReport } from './report.ts';
import { validatePresentation } from './validator.ts';

/** Of the CPU's time, for what an attacker's server may answer: several times what it takes, far less than its square. */
const AT_MOST_MS = 10_000;

const many = (count: number, of: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => of(index)).join('');

/** A server that gives one text for every URL. */
function serving(text: string): Fetcher {
  return {
    get: (url) =>
      Promise.resolve({
        ...{ kind: 'response', status: 200, url, redirects: 0, headers: new Map() },
        ...{ body: Buffer.from(text), chunks: [] },
        ...{ startedMs: 0, headersMs: 0, firstByteMs: 0, endedMs: 0, endedWallMs: 0 },
      }),
  };
}

describe('a manifest that looks like nothing', () => {
  it.each([
    ['comments', '<!---->'.repeat(20_000)],
    ['comments in each other', '<!-- -->'.repeat(50) + '<!-- '.repeat(20_000)],
    ['white space', ' '.repeat(200_000)],
    ['declarations', '<?xml ?>'.repeat(20_000)],
    ['a long prefix', `<${'a'.repeat(200_000)}`],
  ])('is turned away at once: %s', async (_what, head) => {
    const before = process.cpuUsage();
    const options = { url: 'http://origin.test/a', seconds: 1 };
    const deps = { fetcher: serving(`${head}x`), clock: systemClock, signal: new AbortController().signal };
    await expect(validatePresentation(options, deps)).rejects.toMatchObject({
      code: 'VALIDATE_NOT_A_MANIFEST',
    });
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(AT_MOST_MS);
  });

  it('is an MPD behind comments and declarations', async () => {
    const text = '\uFEFF <?xml version="1.0"?> <!-- a --> <!-- <x> -->\n<MPD xmlns="urn:other"/>';
    const deps = { fetcher: serving(text), clock: systemClock, signal: new AbortController().signal };
    const report = await validatePresentation({ url: 'http://origin.test/a', seconds: 1 }, deps);
    expect(report.watched.format).toBe('dash');
  });
});

const template = '<SegmentTemplate timescale="1" duration="2" media="$Number$.m4s" initialization="i"/>';
const representation = (i: number): string =>
  `<Representation id="r${i}" bandwidth="1" codecs="avc1.42c01e" width="2" height="2"/>`;
const set = (body: string, i = 1): string =>
  `<AdaptationSet id="${i}" contentType="video" mimeType="video/mp4">${body}</AdaptationSet>`;
const period = (body: string, i = 0): string => `<Period id="p${i}" start="PT${i}S">${body}</Period>`;
const timeline = (body: string): string =>
  `<SegmentTemplate timescale="1" media="$Time$" initialization="i"><SegmentTimeline>${body}</SegmentTimeline></SegmentTemplate>`;

describe('an MPD', () => {
  it.each([
    ['of Periods', many(6000, (i) => period(set(template + representation(0)), i))],
    ['of sets', period(many(6000, (i) => set(template + representation(i), i)))],
    ['of Representations', period(set(template + many(8000, representation)))],
    ['of segments', period(set(timeline('<S d="1"/>'.repeat(40_000)) + representation(0)))],
    ['of inherited timelines', period(set(timeline('<S d="1" r="200000"/>') + many(200, representation)))],
    [
      'of timelines of their own',
      many(60, (i) => period(set(timeline('<S d="1" r="200000"/>') + representation(0)), i)),
    ],
    [
      'of inherited lists',
      period(
        set(
          `<SegmentList duration="1">${'<SegmentURL media="a"/>'.repeat(5000)}</SegmentList>${many(2000, representation)}`,
        ),
      ),
    ],
    [
      'of codecs',
      period(
        `<AdaptationSet mimeType="video/mp4" codecs="${'avc1.42c01e,'.repeat(20_000)}">${template}${many(500, (i) => `<Representation id="${i}" bandwidth="1"/>`)}</AdaptationSet>`,
      ),
    ],
    [
      'of a long base',
      `<BaseURL>${'a/'.repeat(50_000)}</BaseURL>${period(set(template + many(500, representation)))}`,
    ],
  ])('%s is read and judged in bounded time', (_what, body) => {
    const text = `<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic" availabilityStartTime="1970-01-01T00:00:00Z" minimumUpdatePeriod="PT2S">${body}</MPD>`;
    const elapsedMs = cpuMs(() => {
      const outcome = parseMpd(text, 'http://origin.test/a.mpd');
      if (outcome.kind !== 'mpd') throw new Error(outcome.reason);
      checkDocument(outcome.mpd, () => {});
      checkUpdate(outcome.mpd, outcome.mpd, 1e12);
    });
    expect(elapsedMs).toBeLessThan(AT_MOST_MS);
  });

  it('cannot ask for a number of any width', () => {
    const values = { representationId: 'r', bandwidth: 1, number: 7, time: 0 };
    expect(expandTemplate('$Number%0999999999d$', values)).toMatch(/^0{63}7$/);
  });
});

describe('a playlist', () => {
  const head = '#EXTM3U\n#EXT-X-TARGETDURATION:2\n';
  it.each([
    [
      'variables that multiply',
      `#EXT-X-DEFINE:NAME="a",VALUE="${'x'.repeat(1_000_000)}"\n#EXTINF:2,\n${'{$a}'.repeat(3000)}\n`,
    ],
    [
      'variables in every line',
      `#EXT-X-DEFINE:NAME="a",VALUE="${'x'.repeat(16_000)}"\n${many(5000, () => '#EXTINF:2,\n{$a}{$a}{$a}{$a}\n')}`,
    ],
    ['keys in a row', `${many(40_000, (i) => `#EXT-X-KEY:METHOD=AES-128,URI="${i}"\n`)}#EXTINF:2,\na\n`],
    ['long URIs', many(50, () => `#EXTINF:2,\n${'a'.repeat(200_000)}\n`)],
  ])('of %s is read and judged in bounded time', (_what, body) => {
    const elapsedMs = cpuMs(() => {
      const playlist = parsePlaylist(Buffer.from(head + body), 'http://origin.test/a.m3u8');
      judge(TEXT_RULES, playlist, { log: new FindingLog(), url: 'a' });
    });
    expect(elapsedMs).toBeLessThan(AT_MOST_MS);
  });

  it('may name variables, each with its value', () => {
    const text = `${head}#EXT-X-DEFINE:NAME="a",VALUE="b"\n#EXTINF:2,\n{$a}/{$c}.ts\n`;
    const playlist = parsePlaylist(Buffer.from(text), 'http://origin.test/a.m3u8');
    expect(playlist).toMatchObject({ segments: [{ url: 'http://origin.test/b/%7B$c%7D.ts' }], problems: [] });
  });

  it('gives each segment the keys that stood before it', () => {
    const text = `${head}#EXT-X-KEY:METHOD=A,KEYFORMAT="a"\n#EXT-X-KEY:METHOD=B,KEYFORMAT="b"\n#EXTINF:2,\n1\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:2,\n2\n`;
    const playlist = parsePlaylist(Buffer.from(text), 'http://origin.test/a.m3u8');
    const segments = 'segments' in playlist ? playlist.segments : [];
    expect(segments.map(({ keys }) => keys.map(({ method }) => method))).toEqual([['A', 'B'], ['NONE']]);
  });
});

describe('a report', () => {
  /** Clears the screen, turns the reading order, rings, and is a C1 control sequence. */
  const WICKED = '\u001b[2J\u202e\u0007\u009b31m\u2028\ud800\r\n';
  const report = {
    url: `http://origin.test/${WICKED}`,
    watchedSeconds: 1,
    watched: {
      format: 'hls',
      live: true,
      lowLatency: true,
      renditions: [
        { id: WICKED, kind: 'video', updates: 1, segments: 1, parts: 1, mediaSeconds: 1, bytes: 1 },
      ],
    },
    findings: [{ rule: 'r', severity: 'error', clause: 'c', message: `is ${WICKED}`, url: WICKED, count: 1 }],
  } as const;
  // oxlint-disable-next-line no-control-regex
  const UNSAFE = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\ud800-\udfff]/;

  it('has nothing in it that a terminal obeys', () => {
    for (const line of renderTextReport(report)) expect(line).not.toMatch(UNSAFE);
    expect(renderTextReport(report).join('\n').split('\n')).toHaveLength(6);
    expect(renderJsonReport(report)).not.toMatch(UNSAFE);
    expect(JSON.parse(renderJsonReport(report))).toMatchObject({ findings: [{ message: `is ${WICKED}` }] });
  });

  it('leaves what can be read as it is', () => {
    expect(printable('Grüße, 世界 👋 "a\\b"')).toBe('Grüße, 世界 👋 "a\\b"');
    expect(printable('a\u001b[0m')).toBe('a\\u001b[0m');
  });

  it('cuts what a manifest made too long', () => {
    const log = new FindingLog();
    log.add({ ...report.findings[0], message: 'x'.repeat(100_000) });
    expect(log.findings[0]?.message.length).toBeLessThan(1100);
  });
});
