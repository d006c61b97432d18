import { describe, expect, it } from 'vitest';
import { pieceThreads } from './piece-threads.ts';

const video = { pieces: 6, groups: [['1080p', '720p']] };
const TWO = { threads: 1, cores: 2 };

function threadsOf(budget: { readonly threads: number; readonly cores: number }): number[] {
  return Array.from({ length: video.pieces }, (_, index) => pieceThreads(video, ['1080p'], index, budget));
}

describe('the threads of a piece', () => {
  it('are all there are for the first, which is waited for, and for the last, beside which nothing is left to do', () => {
    expect(threadsOf(TWO)).toEqual([3, 1, 1, 1, 1, 3]);
  });

  it('grow towards the end as slots run out of work', () => {
    expect(threadsOf({ threads: 1, cores: 4 })).toEqual([6, 1, 1, 2, 2, 6]);
    expect(threadsOf({ threads: 2, cores: 8 })).toEqual([8, 2, 2, 3, 4, 8]);
  });

  it('are those of a slot on a machine with one core', () => {
    expect(threadsOf({ threads: 1, cores: 1 })).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it('are not more at the end of a group behind which others come', () => {
    const both = { pieces: 6, groups: [['1080p'], ['1080p-hevc']] };
    expect(pieceThreads(both, ['1080p'], 5, TWO)).toBe(1);
    expect(pieceThreads(both, ['1080p-hevc'], 5, TWO)).toBe(3);
    // Nobody waits for the first piece of another codec.
    expect(pieceThreads(both, ['1080p-hevc'], 0, TWO)).toBe(1);
  });
});
