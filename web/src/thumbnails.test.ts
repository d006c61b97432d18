import { describe, expect, it } from 'vitest';
import { parseThumbnails, thumbnailAt } from './thumbnails.ts';

const BASE = new URL('https://media.example/vod/film/thumbnails.vtt');
const VTT = `WEBVTT

NOTE nothing to see

00:00:00.000 --> 00:00:10.000
thumbnails/p1/0.jpg#xywh=0,0,160,90

cue-2
00:00:10.000 --> 00:00:20.000 align:start
thumbnails/p1/0.jpg#xywh=160,0,160,90

01:00:00.500 --> 01:00:10.000
thumbnails/p1/1.jpg#xywh=0,90,160,90

00:00:20.000 --> 00:00:30.000
only words
`;

describe('small pictures', () => {
  const thumbnails = parseThumbnails(VTT, BASE);

  it('are parts of sheets, at addresses beside the list of them', () => {
    expect(thumbnails).toHaveLength(3);
    expect(thumbnails[2]).toMatchObject({ startSeconds: 3600.5, x: 0, y: 90, width: 160, height: 90 });
    expect(thumbnails[1]?.url.href).toBe('https://media.example/vod/film/thumbnails/p1/0.jpg');
  });

  it('are found by time, each up to the next one', () => {
    expect(thumbnailAt(thumbnails, 9.999)?.x).toBe(0);
    expect(thumbnailAt(thumbnails, 10)?.x).toBe(160);
    expect(thumbnailAt(thumbnails, 25)).toBeUndefined();
  });

  it('are none in what is no list of them', () => {
    expect(parseThumbnails('', BASE)).toEqual([]);
    expect(parseThumbnails('<html>', BASE)).toEqual([]);
  });
});
