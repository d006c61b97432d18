import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  downloadPath,
  initPath,
  keyFramesName,
  parseMediaPath,
  parsePlaylistPath,
  parseTitlePath,
  partPath,
  playlistName,
  renditionFilePath,
  segmentPath,
  singleName,
  textPath,
  thumbnailPath,
} from './media-path.ts';

describe('media paths', () => {
  it.each([
    ['video/p1/init.mp4', { kind: 'init', rendition: 'video', period: 'p1' }],
    ['video/p1/897674400.m4s', { kind: 'segment', rendition: 'video', period: 'p1', number: 897674400 }],
    ['audio/A_-9/12.0.m4s', { kind: 'part', rendition: 'audio', period: 'A_-9', number: 12, part: 0 }],
  ] as const)('reads %s', (path, expected) => {
    expect(parseMediaPath(path)).toEqual(expected);
  });

  it.each([
    '',
    'video',
    'video/p1',
    'video/p1/',
    '/video/p1/1.m4s',
    'video/p1/1.m4s/',
    'video/p1/01.m4s',
    'video/p1/1.00.m4s',
    'video/p1/-1.m4s',
    'video/p1/1e3.m4s',
    'video/p1/1.2.3.m4s',
    'video/p1/1.mp4',
    'video/p1/init.m4s',
    'video/../init.mp4',
    'video/p%31/1.m4s',
    'video/p1/1.m4s\n',
    'video/p1/1234567890123456.m4s',
    `${'v'.repeat(65)}/p1/1.m4s`,
  ])('does not take %j for a media path', (path) => {
    expect(parseMediaPath(path)).toBeUndefined();
  });

  it('reads back every path it builds', () => {
    const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
    const number = fc.integer({ min: 0, max: 999_999_999_999_999 });
    fc.assert(
      fc.property(id, id, number, number, (rendition, period, segment, part) => {
        expect(parseMediaPath(initPath(rendition, period))).toEqual({ kind: 'init', rendition, period });
        const numbered = { rendition, period, number: segment };
        expect(parseMediaPath(segmentPath(rendition, period, segment))).toEqual({
          kind: 'segment',
          ...numbered,
        });
        expect(parseMediaPath(partPath(rendition, period, segment, part))).toEqual({
          kind: 'part',
          ...numbered,
          part,
        });
      }),
    );
  });

  it('answers any text without throwing', () => {
    fc.assert(
      fc.property(fc.string(), (path) => {
        parseMediaPath(path);
        parsePlaylistPath(path);
      }),
    );
  });

  it('tells media playlists from the multivariant playlist', () => {
    expect(parsePlaylistPath(playlistName('video'))).toBe('video');
    expect(parsePlaylistPath('index.m3u8')).toBeUndefined();
    expect(parsePlaylistPath('a/b.m3u8')).toBeUndefined();
    expect(parsePlaylistPath('video.m3u')).toBeUndefined();
  });
});

describe('paths of a title', () => {
  it.each([
    ['index.m3u8', { kind: 'multivariant' }],
    ['index.mpd', { kind: 'mpd' }],
    ['chapters.json', { kind: 'chapters' }],
    ['thumbnails.vtt', { kind: 'thumbnails-vtt' }],
    ['thumbnails.m3u8', { kind: 'playlist', id: 'thumbnails' }],
    [playlistName('720p'), { kind: 'playlist', id: '720p' }],
    [keyFramesName('720p'), { kind: 'key-frames', id: '720p' }],
    [initPath('720p', 'g1'), { kind: 'init', rendition: '720p', period: 'g1' }],
    [segmentPath('720p', 'g1', 0), { kind: 'segment', rendition: '720p', period: 'g1', number: 0 }],
    [textPath('text-en', 'g1'), { kind: 'text', text: 'text-en', period: 'g1' }],
    [thumbnailPath('g1', 12), { kind: 'thumbnail-sheet', period: 'g1', sheet: 12 }],
    ['single.m3u8', { kind: 'multivariant', single: true }],
    ['single.mpd', { kind: 'mpd', single: true }],
    [singleName(playlistName('720p')), { kind: 'playlist', id: '720p', single: true }],
    [singleName(keyFramesName('720p')), { kind: 'key-frames', id: '720p', single: true }],
    [renditionFilePath('720p', 'g1'), { kind: 'file', rendition: '720p', period: 'g1' }],
    [downloadPath('720p'), { kind: 'download', rendition: '720p' }],
  ] as const)('are read: %s', (path, expected) => {
    expect(parseTitlePath(path)).toEqual(expected);
  });

  it.each([
    '',
    'title.json',
    '720p/g1/0.1.m4s',
    '720p.iframes.m3u8/',
    '.iframes.m3u8',
    'a.b.iframes.m3u8',
    'text-en/g1/other.vtt',
    'text-en/../text.vtt',
    'thumbnails/g1/01.jpg',
    'thumbnails/g1/-1.jpg',
    'posters/g1/1.jpg',
    '720p/g1/init.mp4?x=1',
    'download/.mp4',
    'download/a/b.mp4',
    'download/720p.m4s',
    '720p/media.mp4',
    'a.b.single.m3u8',
    '.single.m3u8',
  ])('are not read where there is none: %j', (path) => {
    expect(parseTitlePath(path)).toBeUndefined();
  });
});
