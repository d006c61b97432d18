import { describe, expect, it } from 'vitest';
import { pieceArguments, type PieceInput } from './piece-arguments.ts';
import { pieceTimescale } from './piece-encoders.ts';
import type { PlannedRung, PlannedVideo } from './title-plan.ts';

const NTSC = { numerator: 30_000, denominator: 1001 };
const RUNG: PlannedRung = {
  ...{ id: '720p', codec: 'h264', width: 1280, height: 720 },
  ...{ maxBitrateBps: 3_000_000, crf: 22, preset: 'veryfast' },
};
const SMALL: PlannedRung = { ...RUNG, id: '360p', width: 640, height: 360, maxBitrateBps: 800_000 };

function input(given: Partial<PieceInput> = {}): PieceInput {
  const video: PlannedVideo = {
    ...{ frameRate: NTSC, frames: 3000, gopFrames: 60, segmentFrames: 120, pieceFrames: 600, pieces: 6 },
    ...{ rungs: [RUNG, SMALL], groups: [['720p', '360p']], isInterlaced: false, toneMap: undefined },
  };
  return {
    masterPath: '/masters/a film.mp4',
    demuxer: 'mov',
    master: {
      ...{ index: 2, codec: 'h264', width: 1920, height: 1080, frameRate: NTSC, isVariableRate: false },
      ...{ isInterlaced: false, range: 'sdr', matrix: 'bt709', startMs: 1400, durationMs: 100_100 },
    },
    video,
    rungs: [RUNG, SMALL],
    range: { start: 120, end: 720 },
    seek: { kind: 'before', marginMs: 1000 },
    paths: ['/scratch/0.mp4', '/scratch/1.mp4'],
    threads: 2,
    isAwaited: false,
    toneMapper: { kind: 'zscale' },
    ...given,
  };
}

/** What stands behind an option, each time. */
function valuesOf(args: readonly string[], option: string): string[] {
  return args.flatMap((arg, at) => (arg === option ? [args[at + 1] ?? ''] : []));
}

describe("ffmpeg's arguments for a piece", () => {
  it('decode once, from before the piece, and give each rung the frames of the grid', () => {
    const args = pieceArguments(input());
    // 120 frames of 1001/30000 s are 4.004 s, on a clock that begins at 1.4 s, less the margin.
    expect(valuesOf(args, '-ss')).toEqual(['4.404000']);
    expect(args.indexOf('-ss')).toBeLessThan(args.indexOf('-i'));
    expect(valuesOf(args, '-i')).toEqual(['file:/masters/a film.mp4']);
    const [graph = ''] = valuesOf(args, '-filter_complex');
    expect(graph.split(';')[0]).toBe(
      '[0:2]setpts=round(PTS-(1.4)/TB),fps=30000/1001:round=near,trim=start_pts=120:end_pts=720,setpts=PTS-120,split=2[s0][s1]',
    );
    expect(graph.split(';')[2]).toMatch(/^\[s1\]scale=640:360:.*\[o1\]$/);
    expect(valuesOf(args, '-map')).toEqual(['[o0]', '[o1]']);
    expect(valuesOf(args, '-crf')).toEqual(['22', '22']);
    expect(valuesOf(args, '-maxrate')).toEqual(['3000000', '800000']);
    expect(args.filter((arg) => arg.startsWith('file:/scratch'))).toEqual([
      'file:/scratch/0.mp4',
      'file:/scratch/1.mp4',
    ]);
  });

  it('open nothing but that file, with that demuxer', () => {
    const args = pieceArguments(input());
    expect(valuesOf(args, '-protocol_whitelist')).toEqual(['file,pipe']);
    expect(valuesOf(args, '-f')[0]).toBe('mov');
    expect(args).toContain('-nostdin');
  });

  it('read from the beginning without a seek, and show the first picture also before its time', () => {
    const args = pieceArguments(input({ seek: { kind: 'beginning' }, range: { start: 0, end: 120 } }));
    expect(args).not.toContain('-ss');
    expect(valuesOf(args, '-filter_complex')[0]).toContain(
      'fps=30000/1001:round=near:start_time=0,trim=start_pts=0:end_pts=120,split',
    );
  });

  it('deinterlace before anything else, and bring HDR down once for all rungs', () => {
    const base = input();
    const video = { ...base.video, isInterlaced: true, toneMap: 'hlg' as const };
    const [graph = ''] = valuesOf(pieceArguments({ ...base, video }), '-filter_complex');
    expect(graph.startsWith('[0:2]bwdif=mode=send_frame,setpts=')).toBe(true);
    expect(graph.split('tonemap=')).toHaveLength(2);
    expect(graph).toContain('zscale=w=1280:h=720:tin=arib-std-b67');
  });

  it.each([
    { what: 'what the file says', matrix: 'bt470bg', width: 1920, height: 1080, assumed: undefined },
    {
      what: 'those of HD when a large picture says nothing',
      matrix: undefined,
      width: 720,
      height: 1280,
      assumed: 'bt709',
    },
    {
      what: 'those of SD when a small one says nothing',
      matrix: undefined,
      width: 720,
      height: 576,
      assumed: 'smpte170m',
    },
  ])('take the colours for $what', ({ matrix, width, height, assumed }) => {
    const base = input();
    const master = { ...base.master, matrix, width, height };
    const [graph = ''] = valuesOf(pieceArguments({ ...base, master }), '-filter_complex');
    expect(/in_color_matrix=(\w+)/.exec(graph)?.[1]).toBe(assumed);
  });

  it('search less where somebody waits', () => {
    const rungs = [{ ...RUNG, preset: 'fast' }, SMALL];
    const [calm, hasty] = [false, true].map((isAwaited) =>
      valuesOf(pieceArguments(input({ isAwaited, rungs })), '-x264-params'),
    );
    expect(calm).toEqual(['open-gop=0', 'open-gop=0']);
    // The smaller one has a preset that searches no more by itself.
    expect(hasty).toEqual([expect.stringContaining('subme=2'), 'open-gop=0']);
  });

  it('ask for key frames on the grid from every encoder', () => {
    const rungs = (['h264', 'hevc', 'av1'] as const).map((codec) => ({ ...RUNG, codec, preset: '8' }));
    const args = pieceArguments(input({ rungs }));
    expect(valuesOf(args, '-c:v')).toEqual(['libx264', 'libx265', 'libsvtav1']);
    expect(valuesOf(args, '-g')).toEqual(['60', '60']);
    expect(valuesOf(args, '-x265-params')[0]).toMatch(/^keyint=60:min-keyint=60:scenecut=0:open-gop=0/);
  });
});

describe('the clock of a piece', () => {
  it.each([
    [25, 1, 10_000, 400],
    [30_000, 1001, 30_000, 1001],
    [24_000, 1001, 24_000, 1001],
    [60, 1, 10_020, 167],
  ])('of %d/%d has whole ticks a frame', (numerator, denominator, timescale, frameTicks) => {
    expect(pieceTimescale({ numerator, denominator })).toEqual({ timescale, frameTicks });
  });
});
