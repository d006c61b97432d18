import type { EncoderName, LadderOptions } from './ladder-options.ts';

/** What an encoder is to be told about one rung. */
export interface EncoderSettings {
  readonly bitrateBps: number;
  /** Frames a second as a fraction; undefined when they vary. */
  readonly frameRate: { readonly numerator: number; readonly denominator: number } | undefined;
  /** Threads of an encoder that runs on the CPU. */
  readonly threads: number;
  readonly preset: LadderOptions['preset'];
  /** Frames after which a key frame is made although the source has none; undefined: never. */
  readonly longestGopFrames?: number | undefined;
}

/** How ffmpeg is asked to use one encoder. */
export interface EncoderRecipe {
  readonly name: EncoderName;
  /** For people: what it needs. */
  readonly needs: string;
  /** Options before the input. */
  readonly globalArguments: (options: Pick<LadderOptions, 'vaapiDevice'>) => readonly string[];
  /** What brings a scaled picture into the form the encoder takes, as the end of a filter chain. */
  readonly lastFilters: string;
  readonly arguments: (settings: EncoderSettings) => readonly string[];
}

/**
 * Longest GOP, frames, where only the source decides where key frames are. Some encoders hold it in 16 bits, so that
 * they make one of their own after half an hour without any.
 */
const NEVER = '2000000000';
const NEVER_IN_16_BITS = '65535';

/** Constant bit rate within a second, key frames where the source has them and where it has none for long, no B-frames. */
function common(name: EncoderName, settings: EncoderSettings, longestGop = NEVER): string[] {
  const rate = `${settings.bitrateBps}`;
  return [
    ...['-c:v', name, '-profile:v', 'main', '-b:v', rate, '-maxrate', rate, '-bufsize', rate],
    ...['-bf', '0', '-g', `${settings.longestGopFrames ?? longestGop}`, '-force_key_frames', 'source'],
  ];
}

/** The rate is for the rate control and the VUI; the times of the frames stay as they are. */
function x264Params({ frameRate }: EncoderSettings): string {
  return frameRate ? `fps=${frameRate.numerator}/${frameRate.denominator}` : 'force-cfr=0';
}

const NONE = (): readonly string[] => [];

/** No frame doubled, left out or moved, and milliseconds all the way. From ffmpeg 5.1 on. */
export const OUTPUT_TIMES = ['-fps_mode', 'passthrough', '-enc_time_base', '1:1000'] as const;

export const ENCODER_RECIPES: Readonly<Record<EncoderName, EncoderRecipe>> = {
  libx264: {
    name: 'libx264',
    needs: 'nothing but CPU',
    globalArguments: NONE,
    lastFilters: 'format=yuv420p',
    arguments: (settings) => [
      ...common('libx264', settings),
      ...['-preset', settings.preset, '-tune', 'zerolatency', '-forced-idr', '1', '-sc_threshold', '0'],
      ...['-threads', `${settings.threads}`, '-x264-params', x264Params(settings)],
    ],
  },
  h264_nvenc: {
    name: 'h264_nvenc',
    needs: 'an NVIDIA card and its driver',
    globalArguments: NONE,
    lastFilters: 'format=yuv420p',
    arguments: (settings) => [
      ...common('h264_nvenc', settings),
      ...['-preset', 'p3', '-tune', 'ull', '-rc', 'cbr', '-zerolatency', '1', '-delay', '0'],
      ...['-forced-idr', '1', '-no-scenecut', '1'],
    ],
  },
  h264_qsv: {
    name: 'h264_qsv',
    needs: 'an Intel graphics chip and the Media SDK or oneVPL runtime',
    globalArguments: NONE,
    lastFilters: 'format=nv12',
    arguments: (settings) => [
      ...common('h264_qsv', settings, NEVER_IN_16_BITS),
      ...['-preset', 'veryfast', '-async_depth', '1', '-look_ahead', '0', '-forced_idr', '1'],
    ],
  },
  h264_vaapi: {
    name: 'h264_vaapi',
    needs: 'a graphics chip with a VA-API driver, and leave to open ladder.vaapiDevice',
    globalArguments: ({ vaapiDevice }) => ['-vaapi_device', vaapiDevice],
    lastFilters: 'format=nv12,hwupload',
    arguments: (settings) => [...common('h264_vaapi', settings), '-rc_mode', 'CBR', '-async_depth', '1'],
  },
  h264_videotoolbox: {
    name: 'h264_videotoolbox',
    needs: 'macOS',
    globalArguments: NONE,
    lastFilters: 'format=nv12',
    arguments: (settings) => [...common('h264_videotoolbox', settings), '-realtime', '1'],
  },
};

/**
 * Arguments that make ffmpeg encode a few tiny frames with an encoder and throw them away: it ends with 0 exactly when
 * the encoder works here, with the very options that live encoding uses.
 */
export function probeArguments(
  name: EncoderName,
  options: Pick<LadderOptions, 'preset' | 'vaapiDevice'>,
): string[] {
  const recipe = ENCODER_RECIPES[name];
  const settings: EncoderSettings = {
    bitrateBps: 300_000,
    frameRate: { numerator: 30, denominator: 1 },
    threads: 1,
    preset: options.preset,
  };
  return [
    ...['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'error'],
    ...recipe.globalArguments(options),
    // Hardware encoders refuse pictures that are very small.
    ...['-f', 'lavfi', '-i', 'color=black:size=320x240:rate=30', '-frames:v', '5'],
    ...['-vf', recipe.lastFilters, ...OUTPUT_TIMES, ...recipe.arguments(settings), '-f', 'null', '-'],
  ];
}
