import { describe, expect, it } from 'vitest';
import { thumbnailArguments } from './thumbnails.ts';
import type { KeyFrames } from './title-plan.ts';

function readsOnlyKeyFrames(durationMs: number, keyFrames?: KeyFrames): boolean {
  const args = thumbnailArguments({
    ...{ masterPath: '/m/film.mp4', demuxer: 'mov', cells: 20, threads: 1, folder: '/s' },
    master: {
      ...{ index: 0, codec: 'h264', width: 1920, height: 1080, frameRate: { numerator: 25, denominator: 1 } },
      ...{ isVariableRate: false, isInterlaced: false, range: 'sdr', startMs: 0, durationMs, keyFrames },
    },
    planned: { columns: 10, rows: 2, width: 160, height: 90, intervalMs: 2000 },
    ...{ toneMap: undefined, toneMapper: { kind: 'zscale' } },
  });
  return args.includes('nokey');
}

describe('the small pictures of a title', () => {
  it('are made of key frames alone where one is near the time of each', () => {
    expect(readsOnlyKeyFrames(40_000, { longestMs: 2000, evenMs: 2000 })).toBe(true);
    expect(readsOnlyKeyFrames(40_000, { longestMs: 1500 })).toBe(true);
  });

  it('are made of all pictures where key frames are far apart, or nobody knows, unless that takes too long', () => {
    expect(readsOnlyKeyFrames(40_000, { longestMs: 8000 })).toBe(false);
    expect(readsOnlyKeyFrames(40_000)).toBe(false);
    expect(readsOnlyKeyFrames(4_000_000, { longestMs: 8000 })).toBe(true);
    expect(readsOnlyKeyFrames(4_000_000)).toBe(true);
  });
});
