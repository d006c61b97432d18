import { describe, expect, it } from 'vitest';
import { type IngestPath, parseIngestPath } from './ingest-path.ts';
import { isAcceptedType, parseMediaName } from './media-name.ts';

const nameOf = (path: string) => parseMediaName(path.split('/'));

describe('parseMediaName', () => {
  it.each([
    ['Streams(video.cmfv)', 'Streams(video.cmfv)'],
    ['video.cmfv', 'video.cmfv'],
    ['video-1000k.cmfv', 'video-1000k.cmfv'],
    ['v720/init.mp4', 'v720/1234.m4s'],
    ['v720/init.cmfv', 'v720/segment-00012.cmfv'],
    ['a/b/v720/header.mp4', 'a/b/v720/9.m4s'],
    ['init-stream0.m4s', 'chunk-stream0-00001.m4s'],
    ['init-0.mp4', 'chunk-0-00001.m4s'],
    ['video_720.init', 'video_720_55.m4s'],
    ['video_720-init.mp4', 'video_720-1795000000.m4s'],
    ['init.mp4', '00001.m4s'],
    ['init-v1.mp4', '17-v1.m4s'],
    ['live', 'live'],
  ])('finds the track of the init %s again in %s', (init, media) => {
    const [own] = nameOf(init).candidates;
    expect(nameOf(media).candidates).toContain(own);
    expect(nameOf(init).kind).toBe('media');
  });

  it.each([
    ['init-stream0.m4s', 'chunk-stream1-00001.m4s'],
    ['init-1.mp4', 'chunk-0-00001.m4s'],
    ['v720/init.mp4', 'v480/1.m4s'],
    ['video.cmfv', 'audio.cmfa'],
    ['Streams(v1.cmfv)', 'Streams(v2.cmfv)'],
  ])('does not take %s for the init of %s', (init, media) => {
    expect(nameOf(media).candidates).not.toContain(nameOf(init).candidates[0]);
  });

  it('prefers a name that is its own init to one without its number', () => {
    expect(nameOf('video-720.cmfv').candidates).toEqual(['/video-720', '/video']);
  });

  it.each([
    ['x.mpd', 'mpd'],
    ['x.m3u8', 'playlist'],
    ['x.CMFV', 'media'],
    ['x.ts', 'unknown'],
    ['x.html', 'unknown'],
    ['x.key', 'unknown'],
  ])('knows what %s is', (file, kind) => {
    expect(nameOf(file).kind).toBe(kind);
  });
});

describe('isAcceptedType', () => {
  it.each([
    ['media', '', true],
    ['media', 'video/mp4', true],
    ['media', 'Video/MP4; codecs="avc1.64001f"', true],
    ['media', 'application/octet-stream', true],
    ['media', 'video/mp2t', false],
    ['media', 'text/html', false],
    ['media', 'application/dash+xml', false],
    ['mpd', 'application/dash+xml', true],
    ['mpd', 'video/mp4', false],
    ['unknown', '', false],
  ] as const)('of %s as %j: %s', (kind, type, accepted) => {
    expect(isAcceptedType(kind, type)).toBe(accepted);
  });
});

describe('parseIngestPath', () => {
  it.each<readonly [string, IngestPath]>([
    ['/ingest/studio', { kind: 'point', stream: 'studio' }],
    ['/ingest/studio/', { kind: 'point', stream: 'studio' }],
    ['/ingest/studio/v/1.m4s', { kind: 'file', stream: 'studio', levels: ['v', '1.m4s'] }],
    ['/ingest/studio/Streams(a.cmfv)', { kind: 'file', stream: 'studio', levels: ['Streams(a.cmfv)'] }],
    ['/ingest/studio/Streams%28a.cmfv%29', { kind: 'file', stream: 'studio', levels: ['Streams(a.cmfv)'] }],
    ['/ingest/', { kind: 'unknown' }],
    ['/ingest/no.such', { kind: 'unknown' }],
    [`/ingest/${'x'.repeat(65)}/a.mp4`, { kind: 'unknown' }],
    ['/else', { kind: 'unknown' }],
    ...[
      '/ingest/../v1/streams',
      '/ingest/%2e%2e/a.mp4',
      '/ingest/studio/../other/a.mp4',
      '/ingest/studio/./a.mp4',
      '/ingest/studio/%2e%2e/a.mp4',
      '/ingest/studio/..%2fa.mp4',
      '/ingest/studio/%252e%252e/a.mp4',
      '/ingest/studio//a.mp4',
      '/ingest/studio/a\\b.mp4',
      '/ingest/studio/a%00.mp4',
      '/ingest/studio/a%0a.mp4',
      '/ingest/studio/%zz',
      '/ingest/studio/a/b/c/d/e/f/g/h/i.mp4',
      `/ingest/studio/${'x'.repeat(1100)}`,
    ].map((path) => [path, { kind: 'refused' }] as const),
  ])('takes %s for what it is', (path, expected) => {
    expect(parseIngestPath(path)).toEqual(expected);
  });
});
