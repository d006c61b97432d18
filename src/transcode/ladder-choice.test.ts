import { describe, expect, it } from 'vitest';
import { chooseLadder, ladderCost, type LadderChoice, rungClass } from './ladder-choice.ts';

const AUTO: LadderChoice = { rungs: 'auto', encoder: 'libx264', preset: 'veryfast' };

function sizes(
  source: [number, number, number?],
  choice: Partial<LadderChoice> = {},
  availableCores = 8,
): string[] {
  const [width, height, frameRate = 30] = source;
  const plan = chooseLadder(
    { width, height, frameRate },
    { ...AUTO, ...choice },
    { cores: 8, availableCores },
  );
  return plan.rungs.map((rung) => `${rung.id} ${rung.width}x${rung.height} ${rung.bitrateBps / 1000}k`);
}

describe('the default ladder', () => {
  it.each<[string, [number, number, number?], string[]]>([
    ['1080p', [1920, 1080], ['720p 1280x720 2500k', '480p 854x480 1100k', '360p 640x360 700k']],
    ['720p', [1280, 720], ['480p 854x480 1100k', '360p 640x360 700k', '240p 426x240 350k']],
    ['720p at 60', [1280, 720, 60], ['480p 854x480 1650k', '360p 640x360 1050k', '240p 426x240 525k']],
    ['540p, whose 480p would be too near', [960, 540], ['360p 640x360 700k', '240p 426x240 350k']],
    ['360p', [640, 360], ['240p 426x240 350k']],
    ['upright 720p', [720, 1280], ['480p 480x854 1100k', '360p 360x640 700k', '240p 240x426 350k']],
    ['4:3', [640, 480], ['360p 480x360 700k', '240p 320x240 350k']],
    ['a strip', [1280, 534], ['360p 862x360 700k', '240p 576x240 350k']],
    ['240p, below which nothing is', [426, 240], []],
  ])('of %s', (_what, source, rungs) => {
    expect(sizes(source)).toEqual(rungs);
  });

  it('leaves out the most expensive rungs until the rest fits the cores there are', () => {
    const ids = (cores: number): string[] =>
      sizes([1280, 720], {}, cores).map((rung) => rung.split(' ')[0] ?? '');
    expect(ids(1)).toEqual(['480p', '360p', '240p']);
    expect(ids(0.4)).toEqual(['360p', '240p']);
    expect(ids(0.2)).toEqual(['240p']);
    expect(ids(0.1)).toEqual([]);
    expect(
      chooseLadder({ width: 1280, height: 720, frameRate: 30 }, AUTO, { cores: 2, availableCores: 0.1 })
        .reason,
    ).toBe('no_cores');
  });

  it('is what one process can make in real time, however many cores there are', () => {
    const ids = (source: [number, number, number], choice: Partial<LadderChoice> = {}): string[] =>
      sizes(source, choice, 64).map((rung) => rung.split(' ')[0] ?? '');
    expect(ids([3840, 2160, 30])).toEqual(['720p', '480p']);
    expect(ids([1920, 1080, 60])).toEqual(['480p', '360p']);
    expect(ids([1920, 1080, 60], { preset: 'ultrafast' })).toEqual(['720p', '480p', '360p']);
    expect(ids([1920, 1080, 60], { encoder: 'h264_nvenc' })).toEqual(['720p', '480p', '360p']);
  });

  it('costs what was measured: 480p and 240p of 720p30 with veryfast about 0.41 of a core', () => {
    const source = { width: 1280, height: 720, frameRate: 30 };
    const rungs = [
      { id: '480p', width: 854, height: 480, bitrateBps: 1 },
      { id: '240p', width: 426, height: 240, bitrateBps: 1 },
    ];
    expect(ladderCost(source, rungs, AUTO)).toBeCloseTo(0.41, 2);
    expect(ladderCost({ ...source, frameRate: 60 }, rungs, AUTO)).toBeCloseTo(0.82, 2);
    expect(ladderCost(source, rungs, { ...AUTO, encoder: 'h264_nvenc' })).toBeLessThan(0.2);
    expect(ladderCost({ ...source, frameRate: undefined }, rungs, AUTO)).toBeCloseTo(0.41, 2);
  });
});

describe('the ladder of an HDR source', () => {
  const source = { width: 1920, height: 1080, frameRate: 30, hdr: 'pq' as const };
  const plan = (cores: number, choice: Partial<LadderChoice> = {}) =>
    chooseLadder(source, { ...AUTO, ...choice }, { cores: 8, availableCores: cores });

  it('costs 0.3 of a core more for a 720p at 30 frames a second, and less without it', () => {
    const sdr = { ...source, hdr: undefined };
    const { rungs, costCores } = plan(8);
    expect(rungs.map(({ id }) => id)).toEqual(['720p', '480p', '360p']);
    expect(costCores - ladderCost(sdr, rungs, AUTO)).toBeCloseTo(0.3, 2);
    const smaller = rungs.slice(1);
    expect(ladderCost(source, smaller, AUTO) - ladderCost(sdr, smaller, AUTO)).toBeCloseTo(0.13, 2);
  });

  it('is smaller where there are no cores for that', () => {
    expect(plan(1.2).rungs.map(({ id }) => id)).toEqual(['480p', '360p']);
  });

  it('is what one process can make in real time: filters use more cores than one', () => {
    const fast = { ...source, frameRate: 60 };
    const hardware = { ...AUTO, encoder: 'h264_nvenc' as const };
    const ids = (cores: number): string[] =>
      chooseLadder(fast, hardware, { cores, availableCores: 64 }).rungs.map(({ id }) => id);
    expect(ids(4)).toEqual(['720p', '480p', '360p']);
    expect(ids(2)).toEqual(['480p', '360p']);
    expect(ids(1)).toEqual(['360p']);
  });
});

describe('a configured ladder', () => {
  const rungs = [
    { height: 480, bitrateBps: 1_000_000 },
    { height: 1080, bitrateBps: 5_000_000 },
    { height: 720, bitrateBps: 2_500_000 },
  ];

  it('is taken as it is, best first, without what lies above the source', () => {
    expect(sizes([1280, 720], { rungs }, 0.01)).toEqual(['720p 1280x720 2500k', '480p 854x480 1000k']);
    expect(sizes([640, 360], { rungs })).toEqual([]);
  });

  it('may be none', () => {
    expect(
      chooseLadder(
        { width: 1280, height: 720, frameRate: 30 },
        { ...AUTO, rungs: 'none' },
        { cores: 2, availableCores: 2 },
      ),
    ).toEqual({
      rungs: [],
      costCores: 0,
      reason: 'configured',
    });
  });
});

describe('the class of a rung', () => {
  it.each([
    [426, 240, 'sd'],
    [854, 480, 'sd'],
    [1280, 720, 'hd'],
    [720, 1280, 'hd'],
    [1920, 1080, 'fhd'],
    [3840, 2160, 'uhd'],
  ])('of %i x %i is %s', (width, height, name) => {
    expect(rungClass({ id: '', width, height, bitrateBps: 1 })).toBe(name);
  });
});
