import { escaped, type ToneMapper } from '../tone-map.ts';
import { MAX_STEP } from './complexity.ts';
import { masterInputArguments } from './master-input.ts';
import { QUIETLY, seekArguments } from './piece-arguments.ts';
import { type FrameRange, pieceGraph } from './piece-filters.ts';
import type { PieceSeek } from './piece-seeks.ts';
import type { Master, MasterVideo, PlannedRung, PlannedVideo, QualityMetric } from './title-plan.ts';
import { MAX_WORK_PIXELS, MAX_WORK_STREAMS } from './work-limits.ts';

/** One way in which a stretch is encoded: a size, and how much coarser than planned. */
export interface Trial {
  readonly rung: PlannedRung;
  readonly step: number;
}

/** A short stretch of a master, and what it is tried as. */
export interface Stretch {
  readonly masterPath: string;
  readonly master: Pick<Master, 'demuxer'> & { readonly video: MasterVideo };
  readonly video: PlannedVideo;
  readonly range: FrameRange;
  readonly seek: PieceSeek;
  readonly trials: readonly Trial[];
  readonly toneMapper: ToneMapper;
  readonly threads: number;
}

/** The largest size that is tried: what larger ones take follows from it. */
const MAX_TRIED_PIXELS = 1920 * 1088;
/** Stretches that are looked at: a GOP each. */
const STRETCHES = 4;
const PRESET = 'veryfast';
/** On the scale of x264; the others are this much further along for the same picture. */
const FURTHER: Readonly<Record<PlannedRung['codec'], number>> = { h264: 0, hevc: 3, av1: 10 };

/** The largest and the smallest size that are worth it, each as planned and coarser. */
export function trialsOf(rungs: readonly PlannedRung[]): Trial[] {
  const tried = rungs.filter(({ width, height }) => width * height <= MAX_TRIED_PIXELS);
  const [first = rungs.at(-1)] = tried;
  const last = tried.at(-1);
  const sizes = new Map([first, last].flatMap((rung) => (rung ? [[rung.width * rung.height, rung]] : [])));
  return [...sizes.values()].flatMap((rung) => [0, MAX_STEP].map((step) => ({ rung, step })));
}

/** Where the stretches are: spread over the title, each from a key frame of its grid on. */
export function stretchRanges({ frames, gopFrames }: Pick<PlannedVideo, 'frames' | 'gopFrames'>): {
  readonly start: number;
  readonly end: number;
}[] {
  const count = Math.max(1, Math.min(STRETCHES, Math.floor(frames / gopFrames)));
  return Array.from({ length: count }, (_, n) => {
    const middle = ((n + 0.5) / count) * frames - gopFrames / 2;
    const start = Math.max(0, Math.round(middle / gopFrames) * gopFrames);
    return { start, end: Math.min(frames, start + gopFrames) };
  });
}

/** ffmpeg's arguments to encode a stretch in all ways at once, with one decoder: one file each, of nothing but pictures. */
export function trialArguments(stretch: Stretch, paths: readonly string[]): string[] {
  const { trials, threads, video } = stretch;
  return [
    ...inputArguments(stretch),
    ...['-filter_complex_threads', `${threads}`, '-filter_complex', graphOf(stretch)],
    ...trials.flatMap(({ rung, step }, n) => [
      ...['-map', `[o${n}]`, '-fps_mode', 'passthrough', '-c:v', 'libx264', '-preset', PRESET],
      ...['-crf', `${rung.crf - FURTHER[rung.codec] + step}`, '-g', `${video.gopFrames}`],
      ...['-sc_threshold', '0', '-threads', `${threads}`, '-f', 'h264', '-y', `file:${paths[n] ?? ''}`],
    ]),
  ];
}

/** ffmpeg's arguments to compare what came of it with the master's pictures: a report each, of every picture. */
export function likenessArguments(
  stretch: Stretch,
  metric: QualityMetric,
  paths: readonly string[],
  reports: readonly string[],
): string[] {
  const { trials, threads, video } = stretch;
  const { numerator, denominator } = video.frameRate;
  const counted = `settb=${denominator}/${numerator},setpts=N`;
  const compared = trials.map((_, n) => {
    const report = escaped(reports[n] ?? '');
    const filter =
      metric === 'vmaf'
        ? `libvmaf=log_fmt=json:log_path=${report}:n_threads=${threads}`
        : `ssim=stats_file=${report}`;
    return `[${n + 1}:v]${counted}[t${n}];[o${n}]${counted}[r${n}];[t${n}][r${n}]${filter}[q${n}]`;
  });
  return [
    ...inputArguments(stretch),
    ...paths.flatMap((path) => [
      ...['-framerate', `${numerator}/${denominator}`, '-threads', `${threads}`],
      ...['-f', 'h264', '-i', `file:${path}`],
    ]),
    ...[
      '-filter_complex_threads',
      `${threads}`,
      '-filter_complex',
      [graphOf(stretch), ...compared].join(';'),
    ],
    ...trials.flatMap((_, n) => ['-map', `[q${n}]`, '-fps_mode', 'passthrough', '-f', 'null', '-']),
  ];
}

function inputArguments({ masterPath, master, seek, range, video, threads }: Stretch): string[] {
  const limits = { maxPixels: MAX_WORK_PIXELS, maxStreams: MAX_WORK_STREAMS };
  return [
    ...QUIETLY,
    ...['-threads', `${threads}`, ...seekArguments({ seek, range, master: master.video, video })],
    ...masterInputArguments(master.demuxer, masterPath, limits),
  ];
}

function graphOf({ master, video, range, seek, trials, toneMapper }: Stretch): string {
  const rungs = trials.map(({ rung }) => rung);
  return pieceGraph({
    ...{ master: master.video, video, rungs, range, toneMapper },
    padded: seek.kind === 'beginning',
  });
}

/** The likeness of each picture, as the filters report it. */
export function readLikeness(report: string, metric: QualityMetric): number[] {
  if (metric === 'ssim') return [...report.matchAll(/\bY:([\d.]+)/g)].map(([, value]) => Number(value));
  return [...report.matchAll(/"vmaf"\s*:\s*([\d.]+)/g)].map(([, value]) => Number(value));
}
