import { describe, expect, it } from 'vitest';
import type { VideoTrack } from '../stream/track.ts';
import { frameRate, wholeRatio } from './frame-rate.ts';

function track(frameTicks: number | undefined): VideoTrack {
  return {
    kind: 'video',
    codec: 'avc1',
    codecString: 'avc1.64001f',
    timescale: 90_000,
    config: new Uint8Array(),
    width: 640,
    height: 360,
    cadence: { frameTicks, gopTicks: undefined },
  };
}

describe('frameRate', () => {
  it.each([
    [3600, 25, 1],
    [3000, 30, 1],
    [1500, 60, 1],
    [1800, 50, 1],
    [3003, 30_000, 1001],
    [1501.5, 60_000, 1001],
    [3753.75, 24_000, 1001],
  ])('turns %d ticks of 90 kHz into %d/%d', (frameTicks, numerator, denominator) => {
    expect(frameRate(track(frameTicks))).toEqual({ numerator, denominator });
  });

  it('has no rate for a variable cadence', () => {
    expect(frameRate(track(undefined))).toBeUndefined();
  });
});

describe('wholeRatio', () => {
  it('keeps whole ticks and their timescale as they are', () => {
    expect(wholeRatio(180_180, 90_000)).toEqual({ numerator: 180_180, denominator: 90_000 });
  });

  it('scales fractional ticks until they are whole', () => {
    expect(wholeRatio(187_687.5, 90_000)).toEqual({ numerator: 375_375, denominator: 180_000 });
  });
});
