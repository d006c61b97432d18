import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  FakePresentation,
  LiveBackend,
  rewriting,
  rulesOf,
  shiftDates,
  told,
  type LiveOptions,
  type MutableAnswer,
  type Mutation,
} from '../../test/support/presentation.ts';
import { EPOCH_MS } from '../../test/support/sample-source.ts';
import { HLS_RULE_NAMES } from './hls/all-rules.ts';

/** A minute of a presentation takes a second; on a machine that does ten other things, longer. */
const TIMEOUT_MS = 30_000;

/** One thing broken, and every rule that must be found: no more, no less. */
interface Golden {
  readonly what: string;
  readonly rules: readonly string[];
  readonly mutation: Mutation;
  readonly options?: LiveOptions;
  readonly seconds?: number;
}

const INDEX = /^index\.m3u8$/;
const AUDIO = /^audio\.m3u8$/;
const VIDEO = /^video\.m3u8$/;
const ANY_PLAYLIST = /\.m3u8$/;
const MEDIA_PLAYLIST = /^(video|audio)\.m3u8$/;
const SEGMENT = /^(video|audio)\/[^/]+\/\d+\.m4s$/;
const VIDEO_SEGMENT = /^video\/[^/]+\/\d+\.m4s$/;
const VIDEO_PART = /^video\/[^/]+\/\d+\.\d+\.m4s$/;

/** Changes answers of paths. */
function answering(path: RegExp, change: (answer: MutableAnswer, nowMs: number) => void): Mutation {
  return { answer: (answer, nowMs) => path.test(answer.path) && change(answer, nowMs) };
}

function header(path: RegExp, name: string, value: string | undefined): Mutation {
  return answering(path, ({ headers }) =>
    value === undefined ? headers.delete(name) : headers.set(name, value),
  );
}

function status(answer: MutableAnswer, code: number): void {
  answer.status = code;
  answer.body = Buffer.from('{}');
  answer.headers.delete('content-encoding');
}

/** Takes delivery directives away, so that nothing is held. */
function withoutDirectives(names: RegExp): Mutation {
  return {
    request: (path, query) => {
      const kept = [...query]
        .filter(([name]) => !names.test(name))
        .map(([name, value]) => `${name}=${value}`);
      return kept.length === 0 ? path : `${path}?${kept.join('&')}`;
    },
  };
}

/** Answers requests that `wanted` picks with another status. */
function refusing(wanted: (path: string, query: URLSearchParams) => boolean, code: number): Mutation {
  return { answer: (answer) => wanted(answer.path, answer.query) && status(answer, code) };
}

const each = (from: RegExp | string, to: string, path: RegExp = MEDIA_PLAYLIST): Mutation =>
  rewriting((text) => text.replaceAll(from, to), path);

/** The first text of each playlist for ever. */
function frozen(path: RegExp): Mutation {
  const first = new Map<string, Buffer>();
  return answering(path, (answer) => {
    const known = first.get(answer.path);
    if (known) answer.body = known;
    else first.set(answer.path, answer.body);
  });
}

/** MEDIA-SEQUENCE as it was first. */
function standingSequence(): Mutation {
  let first: string | undefined;
  return rewriting((text) => {
    first ??= /SEQUENCE:\d+/.exec(text)?.[0];
    return text.replace(/SEQUENCE:\d+/, first ?? '');
  }, VIDEO);
}

/** From segment 897674420 on another map: of a lower level, which CODECS allows. */
function changingFormat(): Mutation {
  return {
    request: (path) => (path.endsWith('/low.mp4') ? path.replace('low', 'init') : undefined),
    answer: (answer) => {
      if (VIDEO.test(answer.path)) answer.body = Buffer.from(withLowMap(answer.body.toString()));
      if (!answer.path.endsWith('/low.mp4')) return;
      answer.body = Buffer.from(answer.body);
      answer.body[answer.body.indexOf('avcC') + 7] = 0x0c;
    },
  };
}

function withLowMap(text: string): string {
  const lines = text.split('\n');
  const own = lines.findIndex((line) => /\/897674420\./.test(line) && !line.startsWith('#EXT-X-PRELOAD'));
  const date = lines.findLastIndex((line, index) => index < own && line.startsWith('#EXT-X-PROGRAM'));
  const folder = /video\/\w+\//.exec(lines[own] ?? '')?.[0];
  if (date >= 0) lines.splice(date, 0, `#EXT-X-MAP:URI="${folder}low.mp4"`);
  return lines.join('\n');
}

function changingUris(): Mutation {
  let count = 0;
  return rewriting((text) => {
    count += 1;
    return text.replaceAll(/^(video\S+\.m4s)$/gm, `$1?v=${count}`);
  }, VIDEO);
}

/**
 * Something happens to the first answer for each hinted part. What was listed at the start is
 * fetched at once, what has left the playlist is looked for at the end. */
function toHinted(change: (answer: MutableAnswer) => void): Mutation {
  const seen = new Set<string>();
  return answering(VIDEO_PART, (answer, nowMs) => {
    if (seen.has(answer.path) || sinceStart(nowMs) < 100 || sinceStart(nowMs) > 7500) return;
    seen.add(answer.path);
    change(answer);
  });
}

/** What is not listed any more is refused at once. */
function forgetting(line: RegExp, path: RegExp): Mutation {
  const known = new Set<string>();
  let listed = new Set<string>();
  return {
    answer: (answer) => {
      if (VIDEO.test(answer.path) && !answer.query.has('_HLS_skip')) {
        listed = new Set([...answer.body.toString().matchAll(line)].map((match) => match[1] ?? ''));
        for (const uri of listed) known.add(uri);
      } else if (path.test(answer.path) && known.has(answer.path) && !listed.has(answer.path))
        status(answer, 404);
    },
  };
}

/** From here on, when validation begins after 40 s on air. */
const VALIDATION_STARTS_MS = EPOCH_MS + 40_000;
const sinceStart = (nowMs: number): number => nowMs - VALIDATION_STARTS_MS;
const FAR = 897_675_000;

const HLS: readonly Golden[] = [
  { what: 'no first line', rules: ['hls-no-header'], mutation: each('#EXTM3U\n', '#EXTM3\n', VIDEO) },
  {
    what: 'parts longer than PART-TARGET',
    rules: ['hls-part-too-long'],
    mutation: each(/PART-TARGET=[\d.]+/g, 'PART-TARGET=0.199', VIDEO),
  },
  {
    what: 'a map in version 3',
    rules: ['hls-version-too-low'],
    mutation: each('VERSION:6', 'VERSION:3', VIDEO),
  },
  {
    what: 'every part INDEPENDENT',
    rules: ['hls-part-not-independent'],
    mutation: each(/(PART:.*m4s")\n/g, '$1,INDEPENDENT=YES\n', VIDEO),
  },
  {
    what: 'no part INDEPENDENT',
    rules: ['hls-part-independent-unmarked'],
    mutation: each(',INDEPENDENT=YES', '', VIDEO),
  },
  {
    what: 'EXTINF 0.1 s short',
    rules: ['hls-duration-drift', 'hls-duration-wrong', 'hls-parts-sum'],
    mutation: each('#EXTINF:2.00000', '#EXTINF:1.90000', VIDEO),
  },
  {
    what: 'parts 0.06 s short',
    rules: ['hls-part-duration-wrong', 'hls-part-too-short', 'hls-parts-sum'],
    mutation: each('DURATION=0.20000', 'DURATION=0.14000', VIDEO),
  },
  {
    what: 'a TARGETDURATION that changes, the hold-backs with it left behind',
    rules: ['hls-hold-back-too-small', 'hls-skip-boundary-too-small', 'hls-target-duration-changed'],
    mutation: answering(MEDIA_PLAYLIST, (answer, nowMs) => {
      if (sinceStart(nowMs) < 3000) return;
      answer.body = Buffer.from(answer.body.toString().replace('TARGETDURATION:2', 'TARGETDURATION:4'));
    }),
  },
  {
    what: 'a MEDIA-SEQUENCE that stands still',
    rules: [
      // All that is told by number is wrong with it.
      'hls-block-answered-early',
      'hls-delta-wrong',
      'hls-not-updated',
      'hls-part-changed',
      'hls-report-ahead',
      'hls-sequence-unmatched',
    ],
    mutation: standingSequence(),
  },
  { what: 'URIs that change', rules: ['hls-delta-wrong', 'hls-segment-changed'], mutation: changingUris() },
  {
    what: 'discontinuities in one rendition, uncounted when they leave',
    rules: ['hls-discontinuities-differ', 'hls-discontinuity-number-changed'],
    mutation: each(
      /(#EXT-X-PROGRAM[^\n]*\n(?:#EXT-X-PART.*\n)*(?:#EXTINF.*\n)?video\/\w+\/\d*[05]\.)/g,
      '#EXT-X-DISCONTINUITY\n$1',
      VIDEO,
    ),
  },

  {
    what: 'requests that are not held',
    rules: ['hls-block-answered-early', 'hls-far-future-not-refused', 'hls-part-without-msn-accepted'],
    mutation: withoutDirectives(/_HLS_(msn|part)/),
  },
  {
    what: 'held requests refused',
    rules: ['hls-block-refused', 'hls-old-msn-not-answered', 'hls-past-final-part'],
    mutation: refusing((path, query) => MEDIA_PLAYLIST.test(path) && query.has('_HLS_msn'), 404),
  },
  {
    what: 'held requests that never end',
    rules: ['hls-block-endless'],
    mutation: {
      swallow: (path, query) =>
        VIDEO.test(path) &&
        Number(query.get('_HLS_msn')) > 897_674_420 &&
        Number(query.get('_HLS_msn')) < FAR,
    },
    seconds: 16,
  },
  {
    what: 'any number answered',
    rules: ['hls-far-future-not-refused'],
    mutation: { request: (path, query) => (Number(query.get('_HLS_msn')) > FAR ? path : undefined) },
  },
  {
    what: 'any number held',
    rules: ['hls-far-future-not-refused'],
    mutation: { swallow: (_path, query) => Number(query.get('_HLS_msn')) > FAR },
  },
  {
    what: 'a part of no segment answered',
    rules: ['hls-part-without-msn-accepted'],
    mutation: {
      request: (path, query) => (query.has('_HLS_part') && !query.has('_HLS_msn') ? path : undefined),
    },
  },
  {
    what: 'numbers that have left the playlist refused',
    rules: ['hls-old-msn-not-answered'],
    mutation: refusing(
      (_path, query) => query.has('_HLS_msn') && Number(query.get('_HLS_msn')) < 897_674_410,
      400,
    ),
  },
  {
    what: 'one past the final part refused',
    rules: ['hls-past-final-part'],
    mutation: refusing(
      (_path, query) => Number(query.get('_HLS_part')) >= 10 && Number(query.get('_HLS_msn')) < 897_674_419,
      400,
    ),
  },
  {
    what: 'directives obeyed after the end',
    rules: ['hls-directives-after-end'],
    mutation: refusing((_path, query) => query.has('_HLS_msn'), 400),
    options: { endAfterSeconds: 0 },
  },
  {
    what: 'a part listed late',
    rules: ['hls-part-late'],
    mutation: lateFor(1500),
  },
  { what: 'no deltas', rules: ['hls-delta-missing'], mutation: withoutDirectives(/_HLS_skip/) },
  {
    what: 'deltas refused',
    rules: ['hls-delta-missing'],
    mutation: refusing((_path, query) => query.has('_HLS_skip'), 404),
  },
  {
    what: 'deltas that skip one too many',
    rules: ['hls-delta-wrong'],
    mutation: answering(MEDIA_PLAYLIST, (answer) => {
      if (!answer.query.has('_HLS_skip')) return;
      answer.body = Buffer.from(
        answer.body.toString().replace(/SEGMENTS=(\d+)/, (_whole, count) => `SEGMENTS=${Number(count) + 1}`),
      );
    }),
  },
  {
    what: 'deltas that skip date ranges, but do not tell',
    rules: ['hls-delta-dateranges'],
    mutation: rewriting((text) =>
      text
        .replace('CAN-SKIP-UNTIL', 'CAN-SKIP-DATERANGES=YES,CAN-SKIP-UNTIL')
        .replace(',RECENTLY-REMOVED-DATERANGES=""', '')
        .replace('VERSION:10', 'VERSION:9'),
    ),
  },

  { what: 'no hints', rules: ['hls-hint-missing'], mutation: each(/#EXT-X-PRELOAD.*\n/g, '', VIDEO) },
  {
    what: 'hints of another part',
    rules: ['hls-hint-not-kept'],
    mutation: each(/(PRELOAD-HINT.*URI=".*)\.m4s/g, '$1.later.m4s', VIDEO),
  },
  {
    what: 'hinted parts refused',
    rules: ['hls-hint-unavailable'],
    mutation: toHinted((answer) => status(answer, 404)),
  },
  {
    what: 'hinted parts that trickle',
    rules: ['hls-hint-trickles'],
    mutation: toHinted((answer) => (answer.spreadMs = 180)),
  },
  {
    what: 'hinted parts with other bytes',
    rules: ['hls-hint-other-bytes'],
    mutation: toHinted((answer) => {
      answer.body = Buffer.from(answer.body);
      // The last byte of a picture, far from any structure.
      answer.body[answer.body.length - 1] = (answer.body.at(-1) ?? 0) ^ 0xff;
    }),
  },

  {
    what: 'reports long past',
    rules: ['hls-report-stale'],
    mutation: each(/LAST-MSN=(\d+)/g, 'LAST-MSN=1', VIDEO),
  },
  {
    what: 'reports three parts old',
    rules: ['hls-report-stale'],
    mutation: rewriting(
      (text) =>
        text.replace(/LAST-PART=(\d+)/, (_whole, part) => `LAST-PART=${Math.max(0, Number(part) - 3)}`),
      VIDEO,
    ),
  },
  {
    what: 'reports of the future',
    rules: ['hls-report-ahead'],
    mutation: rewriting(
      (text) => text.replace(/LAST-MSN=(\d+)/, (_whole, msn) => `LAST-MSN=${Number(msn) + 1}`),
      VIDEO,
    ),
  },
  { what: 'no reports', rules: ['hls-report-missing'], mutation: each(/#EXT-X-RENDITION.*\n/g, '', VIDEO) },
  {
    what: 'reports of nobody',
    rules: ['hls-report-missing', 'hls-report-unknown'],
    mutation: each('REPORT:URI="audio.m3u8"', 'REPORT:URI="radio.m3u8"', VIDEO),
  },

  {
    what: 'segments without their last frame',
    rules: ['hls-parts-differ', 'media-gap'],
    mutation: answering(VIDEO_SEGMENT, (answer) => {
      answer.body = answer.body.subarray(0, answer.body.lastIndexOf('styp') - 4);
    }),
  },
  {
    what: 'missing segments',
    rules: ['hls-media-unavailable'],
    mutation: refusing(
      (path) => VIDEO_SEGMENT.test(path) && Number(/(\d+)\.m4s$/.exec(path)?.[1]) > 897_674_417,
      404,
    ),
  },
  {
    what: 'a missing map',
    rules: ['hls-media-unavailable'],
    mutation: refusing((path) => /^video\/.*init/.test(path), 404),
  },
  {
    what: 'no map',
    rules: ['hls-map-missing'],
    mutation: rewriting(
      (text) => text.replace('VERSION:6', 'VERSION:3').replaceAll(/#EXT-X-MAP.*\n/g, ''),
      VIDEO,
    ),
  },
  {
    what: 'segments gone as they leave',
    rules: ['hls-segment-gone-early'],
    mutation: forgetting(/^(video\/\S+\.m4s)$/gm, VIDEO_SEGMENT),
    options: { windowSeconds: 8 },
    seconds: 20,
  },
  {
    what: 'parts gone as they leave',
    rules: ['hls-part-gone-early'],
    mutation: forgetting(/URI="(video\/[^"]+\.m4s)"/g, VIDEO_PART),
  },
  {
    what: 'everything exists',
    rules: ['hls-unknown-not-missing'],
    mutation: answering(/no-such/, (answer) => (answer.status = 200)),
  },

  {
    what: 'audio dates half a second late',
    rules: ['hls-dates-disagree'],
    mutation: rewriting((text) => shiftDates(text, 500), AUDIO),
  },
  {
    what: 'dates of tomorrow',
    rules: ['hls-date-in-future'],
    mutation: rewriting((text) => shiftDates(text, 86_400_000)),
  },
  {
    what: 'a playlist that stands still',
    rules: [
      'hls-block-answered-early',
      'hls-delta-missing',
      'hls-not-updated',
      'hls-report-ahead',
      'hls-report-stale',
    ],
    mutation: frozen(VIDEO),
  },
  {
    what: 'parts in video only',
    // Its reports still tell of the parts.
    rules: ['hls-parts-in-some', 'hls-report-ahead'],
    mutation: each(/#EXT-X-(PART|PRELOAD).*\n/g, '', AUDIO),
  },
  {
    what: 'another hold-back in audio',
    rules: ['hls-server-controls-differ'],
    mutation: each(/PART-HOLD-BACK=[\d.]+/g, 'PART-HOLD-BACK=1', AUDIO),
  },
  {
    what: 'a playlist that is gone',
    rules: ['hls-playlist-unavailable'],
    mutation: refusing((path) => AUDIO.test(path), 404),
  },
  {
    what: 'a page in place of a playlist',
    rules: ['hls-playlist-kind'],
    mutation: rewriting(() => '<html>sign in</html>', AUDIO),
  },

  {
    what: 'an old type',
    rules: ['hls-playlist-content-type'],
    mutation: header(ANY_PLAYLIST, 'content-type', 'application/x-mpegURL'),
  },
  {
    what: 'no gzip',
    rules: ['hls-playlist-not-packed'],
    mutation: header(ANY_PLAYLIST, 'content-encoding', undefined),
  },
  {
    what: 'a minute of cache',
    rules: ['hls-playlist-cached-too-long'],
    mutation: header(MEDIA_PLAYLIST, 'cache-control', 'max-age=60'),
  },
  {
    what: 'no CORS',
    rules: ['hls-cors-missing'],
    mutation: header(SEGMENT, 'access-control-allow-origin', undefined),
  },

  {
    what: 'BANDWIDTH too low',
    rules: ['hls-bandwidth-exceeded'],
    mutation: each(/BANDWIDTH=\d+/g, 'BANDWIDTH=100000', INDEX),
  },
  {
    what: 'AVERAGE-BANDWIDTH too low',
    rules: ['hls-average-bandwidth-exceeded'],
    mutation: each(/AVERAGE-BANDWIDTH=\d+/g, 'AVERAGE-BANDWIDTH=100000', INDEX),
    options: { restSeconds: 80 },
    seconds: 66,
  },
  {
    what: 'no promise of independent segments',
    rules: ['hls-independent-missing'],
    mutation: each('#EXT-X-INDEPENDENT-SEGMENTS\n', '', INDEX),
  },
  {
    what: 'a format that changes without a discontinuity',
    rules: ['hls-format-change-unmarked'],
    mutation: changingFormat(),
  },
  {
    what: 'HTTP/1.1 over TLS',
    rules: ['hls-http2-missing'],
    mutation: {},
    options: { protocol: 'http/1.1' },
  },
  {
    what: 'other CODECS',
    rules: ['hls-codecs-incomplete'],
    mutation: each('avc1.42c00d', 'avc1.64001f', INDEX),
  },
  {
    what: 'another RESOLUTION',
    rules: ['hls-resolution-wrong'],
    mutation: each('320x240', '640x480', INDEX),
  },
];

/** Playlists of video are answered late for a while. */
function lateFor(ms: number): Mutation {
  let nowMs = 0;
  return {
    answer: (_answer, atMs) => (nowMs = sinceStart(atMs)),
    swallow: (path, query) =>
      VIDEO.test(path) && query.has('_HLS_part') && nowMs >= 4000 && nowMs < 4000 + ms,
  };
}

describe('a broken HLS presentation', () => {
  it.each(HLS)(
    'is told of $what',
    async ({ mutation, rules, options, seconds }) => {
      const report = await new FakePresentation(new LiveBackend(options), mutation).validate(
        'index.m3u8',
        seconds,
      );
      expect(rulesOf(report), told(report).join('\n')).toEqual(rules);
    },
    TIMEOUT_MS,
  );
});

describe('our own HLS presentation', () => {
  it.each<readonly [string, LiveOptions, string]>([
    ['video and audio', {}, 'index.m3u8'],
    ['video alone', { audio: false }, 'index.m3u8'],
    ['young: a window shorter than the skip boundary', { onAirSeconds: 5 }, 'index.m3u8'],
    ['a window of a minute', { windowSeconds: 60, onAirSeconds: 70 }, 'index.m3u8'],
    ['one media playlist by itself', {}, 'video.m3u8'],
    ['over HTTP/2', { protocol: 'h2' }, 'index.m3u8'],
    ['that ends while it is watched', { endAfterSeconds: 4 }, 'index.m3u8'],
    ['whose publisher drops and returns', { outage: { fromSeconds: 2.5, toSeconds: 6 } }, 'index.m3u8'],
    ['that has ended', { endAfterSeconds: 0 }, 'index.m3u8'],
  ])('has no finding: %s', async (_what, options, manifest) => {
    const presentation = new FakePresentation(new LiveBackend(options));
    const report = await presentation.validate(manifest, 10);
    expect(told(report)).toEqual([]);
    expect(presentation.openRequests).toBe(0);
    expect(report.watched.renditions.every(({ segments }) => segments > 2)).toBe(true);
  });

  it('is watched whole: every part, every segment, both ways of asking', async () => {
    const { watched, watchedSeconds } = await new FakePresentation(new LiveBackend()).validate(
      'index.m3u8',
      10,
    );
    expect(watched).toMatchObject({ format: 'hls', live: true, lowLatency: true });
    expect(watchedSeconds).toBeGreaterThanOrEqual(10);
    expect(watchedSeconds).toBeLessThan(11);
    const [video, audio] = watched.renditions;
    expect(video).toMatchObject({ kind: 'video', segments: 8 });
    expect(audio).toMatchObject({ kind: 'audio', segments: 8 });
    expect(video?.parts).toBeGreaterThanOrEqual(60);
    expect(video?.updates).toBeGreaterThanOrEqual(48);
  });
});

describe('the rules', () => {
  it('are each found by name in a test', () => {
    const folder = new URL('.', import.meta.url);
    const tests = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.test.ts'),
    );
    const text = tests.map((file) => readFileSync(new URL(file, folder), 'utf8')).join('\n');
    expect(HLS_RULE_NAMES.filter((rule) => !text.includes(`'${rule}'`))).toEqual([]);
  });

  it('have names of their own', () => {
    expect(HLS_RULE_NAMES.length).toBe(new Set(HLS_RULE_NAMES).size);
    expect(HLS_RULE_NAMES.filter((rule) => !/^hls(-[a-z0-9]+)+$/.test(rule))).toEqual([]);
  });
});
