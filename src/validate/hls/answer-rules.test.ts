import { describe, expect, it } from 'vitest';
import { broken } from '../../../test/support/hls-texts.ts';
import type { FetchResult } from '../fetcher.ts';
import { ANSWER_RULES, type Answer } from './answer-rules.ts';

const PLAYLIST_HEADERS = {
  'content-type': 'application/vnd.apple.mpegurl; charset=utf-8',
  'content-encoding': 'gzip',
  vary: 'Origin, Accept-Encoding',
  'cache-control': 'max-age=1',
  'access-control-allow-origin': '*',
};
const MEDIA_HEADERS = { 'content-type': 'video/mp4', 'access-control-allow-origin': '*' };

function answer(
  what: Answer['what'],
  headers: Readonly<Record<string, string>>,
  changes: Partial<Omit<Answer, 'result'>> & {
    readonly status?: number;
    readonly redirects?: number;
    readonly size?: number;
  } = {},
): Answer {
  const { status = 200, redirects = 0, size = 5000, ...own } = changes;
  const at = 1000;
  const result: FetchResult = {
    kind: 'response',
    status,
    url: 'http://origin.test/x',
    redirects,
    headers: new Map(Object.entries(headers)),
    body: new Uint8Array(size),
    startedMs: at,
    headersMs: at,
    firstByteMs: at,
    endedMs: at,
    endedWallMs: at,
    chunks: [],
  };
  return { what, result, live: true, targetDuration: 2, directed: false, ranged: false, ...own };
}

function without(headers: Readonly<Record<string, string>>, name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name));
}

describe('an answer over HTTP', () => {
  it.each([
    ['a packed playlist', answer('playlist', PLAYLIST_HEADERS)],
    [
      'a playlist too small to pack',
      answer('playlist', without(PLAYLIST_HEADERS, 'content-encoding'), { size: 400 }),
    ],
    ['a segment', answer('segment', MEDIA_HEADERS)],
    ['a range of one', answer('segment', MEDIA_HEADERS, { ranged: true, status: 206 })],
    [
      'a held playlist, kept long',
      answer('playlist', { ...PLAYLIST_HEADERS, 'cache-control': 'max-age=12' }, { directed: true }),
    ],
    [
      'an ended playlist, kept long',
      answer('playlist', { ...PLAYLIST_HEADERS, 'cache-control': 'max-age=3600' }, { live: false }),
    ],
  ])('has no finding: %s', (_what, view) => {
    expect(broken(ANSWER_RULES, view)).toEqual([]);
  });

  it.each([
    [
      'an old type',
      ['hls-playlist-content-type'],
      answer('playlist', { ...PLAYLIST_HEADERS, 'content-type': 'application/x-mpegURL' }),
    ],
    [
      'no type',
      ['hls-playlist-content-type'],
      answer('multivariant', without(PLAYLIST_HEADERS, 'content-type')),
    ],
    [
      'media as text',
      ['hls-media-content-type'],
      answer('segment', { ...MEDIA_HEADERS, 'content-type': 'text/html' }),
    ],
    [
      'no gzip',
      ['hls-playlist-not-packed'],
      answer('playlist', without(PLAYLIST_HEADERS, 'content-encoding')),
    ],
    ['no Vary', ['hls-vary-missing'], answer('playlist', without(PLAYLIST_HEADERS, 'vary'))],
    ['redirects', ['hls-media-redirected'], answer('part', MEDIA_HEADERS, { redirects: 1 })],
    ['a range ignored', ['hls-range-ignored'], answer('init', MEDIA_HEADERS, { ranged: true })],
    [
      'a minute in caches',
      ['hls-playlist-cached-too-long'],
      answer('playlist', { ...PLAYLIST_HEADERS, 'cache-control': 'public, max-age=60' }),
    ],
    [
      'a minute in shared caches',
      ['hls-playlist-cached-too-long'],
      answer('playlist', { ...PLAYLIST_HEADERS, 'cache-control': 'max-age=1, s-maxage=60' }),
    ],
    [
      'no CORS',
      ['hls-cors-missing'],
      answer('segment', without(MEDIA_HEADERS, 'access-control-allow-origin')),
    ],
  ])('is told of %s', (_what, rules, view) => {
    expect(broken(ANSWER_RULES, view)).toEqual(rules);
  });
});
