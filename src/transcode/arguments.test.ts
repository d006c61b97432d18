import { describe, expect, it } from 'vitest';
import { buildArguments, type ArgumentsInput } from './arguments.ts';
import { ENCODER_RECIPES, probeArguments } from './encoders.ts';
import { ENCODERS } from './ladder-options.ts';

const RUNGS = [
  { id: '480p', width: 854, height: 480, bitrateBps: 1_100_000 },
  { id: '240p', width: 426, height: 240, bitrateBps: 350_000 },
];
const INPUT: ArgumentsInput = {
  options: { encoder: 'libx264', preset: 'veryfast', vaapiDevice: '/dev/dri/renderD128' },
  format: 'flv',
  source: { width: 1280, height: 720 },
  frameTicks: 3003,
  gopTicks: 180_180,
  rungs: RUNGS,
  cores: 2,
  toneMapper: { kind: 'zscale' },
};

/** The value behind every occurrence of an option. */
function valuesOf(args: readonly string[], option: string): (string | undefined)[] {
  return args.flatMap((each, index) => (each === option ? [args[index + 1]] : []));
}

describe("the encoder's arguments", () => {
  it('are these for a two-rung ladder', () => {
    expect(buildArguments(INPUT).join(' ')).toBe(
      [
        '-hide_banner -nostdin -nostats -loglevel warning',
        '-threads 1 -max_pixels 35389440 -fpsprobesize 0 -analyzeduration 1 -protocol_whitelist pipe -f flv -i pipe:0',
        '-copyts -filter_complex',
        '[0:v]split=2[s0][s1];[s0]scale=854:480:flags=bicubic,format=yuv420p[o0];' +
          '[s1]scale=426:240:flags=bicubic,format=yuv420p[o1]',
        '-map [o0] -fps_mode passthrough -enc_time_base 1:1000',
        '-c:v libx264 -profile:v main -b:v 1100000 -maxrate 1100000 -bufsize 1100000',
        '-bf 0 -g 2000000000 -force_key_frames source',
        '-preset veryfast -tune zerolatency -forced-idr 1 -sc_threshold 0',
        '-threads 2 -x264-params fps=90000/3003',
        '-f flv -flvflags no_duration_filesize -flush_packets 1 pipe:3',
        '-map [o1] -fps_mode passthrough -enc_time_base 1:1000',
        '-c:v libx264 -profile:v main -b:v 350000 -maxrate 350000 -bufsize 350000',
        '-bf 0 -g 2000000000 -force_key_frames source',
        '-preset veryfast -tune zerolatency -forced-idr 1 -sc_threshold 0',
        '-threads 1 -x264-params fps=90000/3003',
        '-f flv -flvflags no_duration_filesize -flush_packets 1 pipe:4',
      ].join(' '),
    );
  });

  it('ask for key frames a segment apart where the source may have none for longer', () => {
    const longest = (frameTicks: number | undefined, gopTicks: number | undefined, segmentMs?: number) =>
      valuesOf(
        buildArguments({ ...INPUT, frameTicks, gopTicks, options: { ...INPUT.options, segmentMs } }),
        '-g',
      );
    expect(longest(3000, undefined, 2000)).toEqual(['60', '60']);
    expect(longest(3003, undefined, 2000)).toEqual(['60', '60']);
    expect(longest(1501.5, undefined, 6000)).toEqual(['360', '360']);
    expect(longest(undefined, undefined, 2000)).toEqual(['60', '60']);
    // Regular key frames are where segments begin.
    expect(longest(3000, 360_000, 2000)).toEqual(['2000000000', '2000000000']);
    expect(longest(3000, undefined)).toEqual(['2000000000', '2000000000']);
  });

  it('need no split for one rung', () => {
    const args = buildArguments({ ...INPUT, rungs: RUNGS.slice(1) });
    expect(valuesOf(args, '-filter_complex')).toEqual([
      '[0:v]scale=426:240:flags=bicubic,format=yuv420p[o0]',
    ]);
  });

  it('leave out, a rung each, the frames that were encoded already', () => {
    const [first, second] = RUNGS.map((rung, index) => ({ ...rung, fromMs: 10_100 + index }));
    const args = buildArguments({ ...INPUT, rungs: first && second ? [first, second] : [] });
    const [graph] = valuesOf(args, '-filter_complex');
    expect(graph).toContain('[s0]trim=start_pts=10100,scale=854:480');
    expect(graph).toContain('[s1]trim=start_pts=10101,scale=426:240');
  });

  it('state fractional frame rates exactly, and none when the rate varies', () => {
    const params = (frameTicks: number | undefined) =>
      valuesOf(buildArguments({ ...INPUT, frameTicks }), '-x264-params')[0];
    expect(params(1501.5)).toBe('fps=180000/3003');
    expect(params(3000)).toBe('fps=90000/3000');
    expect(params(undefined)).toBe('force-cfr=0');
  });

  it('use more decoder threads, which each hold a frame, only where one would not keep up', () => {
    const threads = (width: number, height: number, frameTicks: number, cores = 8) =>
      valuesOf(buildArguments({ ...INPUT, source: { width, height }, frameTicks, cores }), '-threads')[0];
    expect(threads(1920, 1080, 3000)).toBe('1');
    expect(threads(1920, 1080, 1500)).toBe('2');
    expect(threads(3840, 2160, 3000)).toBe('3');
    expect(threads(3840, 2160, 1500)).toBe('4');
    expect(threads(3840, 2160, 1500, 2)).toBe('2');
  });

  it('encode large rungs in slices', () => {
    const rungs = [1080, 720, 360, 240].map((height) => ({
      id: '',
      width: 2 * height,
      height,
      bitrateBps: 1,
    }));
    expect(valuesOf(buildArguments({ ...INPUT, rungs, cores: 8 }), '-threads')).toEqual([
      '1',
      '4',
      '2',
      '2',
      '1',
    ]);
    expect(valuesOf(buildArguments({ ...INPUT, rungs, cores: 1 }), '-threads')).toEqual([
      '1',
      '1',
      '1',
      '1',
      '1',
    ]);
  });

  it.each(ENCODERS)('never hold a frame back or decide on key frames with %s', (encoder) => {
    const args = buildArguments({ ...INPUT, options: { ...INPUT.options, encoder } });
    expect(args.join(' ')).not.toContain('nobuffer');
    expect(valuesOf(args, '-force_key_frames')).toEqual(['source', 'source']);
    expect(valuesOf(args, '-bf')).toEqual(['0', '0']);
    expect(valuesOf(args, '-c:v')).toEqual([encoder, encoder]);
  });

  it('open the VA-API device before the input and bring pictures to it', () => {
    const args = buildArguments({ ...INPUT, options: { ...INPUT.options, encoder: 'h264_vaapi' } });
    expect(args.indexOf('-vaapi_device')).toBeLessThan(args.indexOf('-i'));
    expect(valuesOf(args, '-vaapi_device')).toEqual(['/dev/dri/renderD128']);
    expect(valuesOf(args, '-filter_complex')[0]).toContain('format=nv12,hwupload[o1]');
  });
});

describe('the filters of an HDR source', () => {
  const HDR: ArgumentsInput = { ...INPUT, source: { width: 1920, height: 1080, hdr: 'pq' } };
  const TO_SDR =
    'zscale=w=854:h=480:tin=smpte2084:min=2020_ncl:pin=2020:t=linear:p=709:npl=100,format=gbrpf32le,' +
    'tonemap=hable:desat=0:peak=10,zscale=t=709:m=709:r=limited,format=yuv420p,' +
    'sidedata=mode=delete:type=MASTERING_DISPLAY_METADATA,sidedata=mode=delete:type=CONTENT_LIGHT_LEVEL,' +
    'setparams=range=limited:color_primaries=bt709:color_trc=bt709:colorspace=bt709';
  const graph = (input: ArgumentsInput) => valuesOf(buildArguments(input), '-filter_complex')[0];

  it('bring it down to SDR once, at the size of the largest rung', () => {
    expect(graph(HDR)).toBe(
      `[0:v]${TO_SDR},split=2[s0][s1];[s0]scale=854:480:flags=bicubic,format=yuv420p[o0];` +
        '[s1]scale=426:240:flags=bicubic,format=yuv420p[o1]',
    );
    expect(graph({ ...HDR, rungs: RUNGS.slice(0, 1) })).toBe(
      `[0:v]${TO_SDR},scale=854:480:flags=bicubic,format=yuv420p[o0]`,
    );
  });

  it('leave the largest rung out with its size when it is shed, and know HLG', () => {
    const small = graph({ ...HDR, source: { ...HDR.source, hdr: 'hlg' }, rungs: RUNGS.slice(1) });
    expect(small).toContain('[0:v]zscale=w=426:h=240:tin=arib-std-b67:');
  });

  it('do it to no frame that all rungs have already, and to every frame that one has not', () => {
    const [first, second] = RUNGS.map((rung, index) => ({ ...rung, fromMs: 10_101 - index }));
    if (!first || !second) throw new Error('no rungs');
    expect(graph({ ...HDR, rungs: [first, second] })).toContain(
      `[0:v]trim=start_pts=10100,${TO_SDR},split=2[s0][s1];[s0]trim=start_pts=10101,scale=854:480`,
    );
    expect(graph({ ...HDR, rungs: [first, ...RUNGS.slice(1)] })).toContain(`[0:v]${TO_SDR},split=2`);
  });

  it('take a table, wherever it lies, where ffmpeg has no zscale', () => {
    const toneMapper = { kind: 'table', pq: "/a b/it's: [1].cube", hlg: '/hlg.cube' } as const;
    const table = String.raw`lut3d=file=/a b/it\\\'s\\: \[1\].cube:interp=tetrahedral`;
    expect(graph({ ...HDR, toneMapper })).toContain(
      `[0:v]scale=854:480:flags=bicubic:in_color_matrix=bt2020,format=gbrp10le,${table},`,
    );
  });

  it.each(ENCODERS)('come before what %s wants of a picture', (encoder) => {
    const whole = graph({ ...HDR, options: { ...HDR.options, encoder } }) ?? '';
    expect(whole.endsWith(`${ENCODER_RECIPES[encoder].lastFilters}[o1]`)).toBe(true);
    expect(whole.split('tonemap=')).toHaveLength(2);
    expect(whole.indexOf('setparams=')).toBeLessThan(whole.indexOf(',split='));
  });
});

describe('the arguments of a probe', () => {
  it.each(ENCODERS)('try %s with the options of live encoding', (encoder) => {
    const args = probeArguments(encoder, { preset: 'veryfast', vaapiDevice: '/dev/dri/card9' });
    const live = ENCODER_RECIPES[encoder].arguments({
      bitrateBps: 300_000,
      frameRate: { numerator: 30, denominator: 1 },
      threads: 1,
      preset: 'veryfast',
    });
    expect(args.join(' ')).toContain(live.join(' '));
    expect(args.slice(-3)).toEqual(['-f', 'null', '-']);
  });
});
