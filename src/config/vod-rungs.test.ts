import { describe, expect, it } from 'vitest';
import { configuredVodCodecs, configuredVodLadder, parseVodLadder } from './vod-rungs.ts';

describe('parseVodLadder', () => {
  it('reads the ladders that have a name, and lists of rungs', () => {
    expect(parseVodLadder(' full ')).toEqual({ ladder: 'full' });
    expect(parseVodLadder('1080p, 720p:2500k,720p-hevc:1500k')).toEqual({
      problem: 'expected each height once in a codec (720p)',
    });
    expect(parseVodLadder('1080p, 720p-h264:2500k,720p-hevc')).toEqual({
      ladder: [
        { height: 1080, maxBitrateBps: undefined, codec: undefined },
        { height: 720, maxBitrateBps: 2_500_000, codec: 'h264' },
        { height: 720, maxBitrateBps: undefined, codec: 'hevc' },
      ],
    });
  });

  it.each([
    ['', 'expected standard'],
    ['huge', 'expected standard'],
    ['720', 'expected standard'],
    ['720p-vp9', 'expected standard'],
    ['721p', 'even heights'],
    ['62p', 'even heights'],
    ['720p:1k', 'bit rates'],
    ['720p,720p', 'each height once'],
    [Array.from({ length: 13 }, (_, n) => `${100 + 2 * n}p`).join(','), 'at most 12'],
  ])('says what is wrong with %j', (text, problem) => {
    expect(parseVodLadder(text)).toEqual({ problem: expect.stringContaining(problem) });
    expect(() => configuredVodLadder(text)).toThrow(RangeError);
  });
});

describe('configuredVodCodecs', () => {
  it('gives the codecs in an order of their own', () => {
    expect(configuredVodCodecs('av1, h264')).toEqual(['h264', 'av1']);
  });
});
