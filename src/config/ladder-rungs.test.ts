import { describe, expect, it } from 'vitest';
import { ladderRungs, parseLadderRungs } from './ladder-rungs.ts';

describe('the rungs of the ladder', () => {
  it.each(['auto', 'none'] as const)('may be %s', (word) => {
    expect(parseLadderRungs(word)).toEqual({ rungs: word });
  });

  it('are heights with bit rates, in the order given', () => {
    expect(parseLadderRungs(' 480p:1000k , 720p:2500k')).toEqual({
      rungs: [
        { height: 480, bitrateBps: 1_000_000 },
        { height: 720, bitrateBps: 2_500_000 },
      ],
    });
  });

  it.each([
    ['', 'expected auto, none, or rungs such as 720p:2500k,480p:1000k'],
    ['all', 'expected auto, none, or rungs such as 720p:2500k,480p:1000k'],
    ['720p', 'expected auto, none, or rungs such as 720p:2500k,480p:1000k'],
    ['720:2500', 'expected auto, none, or rungs such as 720p:2500k,480p:1000k'],
    ['720p:2500k,', 'expected auto, none, or rungs such as 720p:2500k,480p:1000k'],
    ['auto,720p:2500k', 'expected auto, none, or rungs such as 720p:2500k,480p:1000k'],
    ['721p:2500k', 'expected even heights from 64p to 4320p'],
    ['20p:2500k', 'expected even heights from 64p to 4320p'],
    ['720p:10k', 'expected bit rates from 50k to 100000k'],
    ['720p:200000k', 'expected bit rates from 50k to 100000k'],
    ['720p:2500k,720p:1000k', 'expected each height once (720p)'],
    ['100p:99k,102p:99k,104p:99k,106p:99k,108p:99k,110p:99k,112p:99k', 'expected at most 6 rungs'],
  ])('refuse %s', (given, problem) => {
    expect(parseLadderRungs(given)).toEqual({ problem });
  });

  it('are a configuration key whose complaint shows what was given', () => {
    const field = ladderRungs('auto', 'doc');
    expect(field.read('480p:900k')).toEqual({ value: '480p:900k' });
    expect(field.read('480')).toEqual({
      problem: 'expected auto, none, or rungs such as 720p:2500k,480p:1000k, not "480"',
    });
    expect(field.read(480)).toEqual({
      problem: 'expected auto, none, or rungs such as 720p:2500k,480p:1000k, not 480',
    });
  });
});
