import { describe, expect, it } from 'vitest';
import { bufferAheadMs, newestMediaMs, shownRendition } from './video-readings.ts';

const video = (currentTime: number, ...ranges: [number, number][]) => ({
  currentTime,
  buffered: {
    length: ranges.length,
    start: (i: number) => ranges[i]?.[0] ?? Number.NaN,
    end: (i: number) => ranges[i]?.[1] ?? Number.NaN,
  },
});

describe('the buffer ahead', () => {
  it('reaches to the end of the range that is played', () => {
    expect(bufferAheadMs(video(10, [2, 4], [8, 10.5], [20, 30]))).toBe(500);
  });

  it('goes over a hole that players go over', () => {
    expect(bufferAheadMs(video(10, [8, 10.5], [10.55, 12]))).toBe(2000);
    expect(bufferAheadMs(video(10, [8, 10.5], [10.7, 12]))).toBe(500);
  });

  it('is none outside of what is buffered', () => {
    expect(bufferAheadMs(video(10))).toBe(0);
    expect(bufferAheadMs(video(10, [2, 9], [11, 12]))).toBe(0);
    expect(bufferAheadMs(video(10, [2, 10]))).toBe(0);
  });
});

describe('the rendition that is shown', () => {
  const renditions = [
    { id: 'video', width: 1280, height: 720 },
    { id: '480p', width: 854, height: 480 },
    { id: '480p-thin', width: 854, height: 480 },
  ];

  it('is the one whose size the picture has, whatever is being fetched', () => {
    expect(shownRendition({ videoWidth: 1280, videoHeight: 720 }, renditions, '480p')).toBe('video');
  });

  it('of several as large is the one that is being fetched', () => {
    const picture = { videoWidth: 854, videoHeight: 480 };
    expect(shownRendition(picture, renditions, '480p-thin')).toBe('480p-thin');
    expect(shownRendition(picture, renditions, 'video')).toBe('480p');
  });

  it('is the one that is being fetched when none is told to be as large', () => {
    expect(shownRendition({ videoWidth: 1920, videoHeight: 1080 }, renditions, 'video')).toBe('video');
  });

  it('is not known before there is a picture', () => {
    expect(shownRendition({ videoWidth: 0, videoHeight: 0 }, renditions, 'video')).toBeUndefined();
  });
});

describe('the newest media', () => {
  it('is ahead of the playhead, or behind it when the picture has run dry', () => {
    const buffered = { length: 1, start: () => 0, end: () => 10 };
    expect(newestMediaMs({ currentTime: 9, buffered })).toBe(1000);
    expect(newestMediaMs({ currentTime: 10.5, buffered })).toBe(-500);
  });
});
