import { AppError } from '../../base/errors.ts';
import { masterInputArguments } from './master-input.ts';
import { perSecond } from './master-frame-rate.ts';
import type { MasterLimits } from './probe-master.ts';
import { type RunTool, tellingLine } from './probe-process.ts';
import { maxBitrate } from './ladder-presets.ts';
import type { Master, MasterVideo, PlannedRung, PlannedVideo, TitlePlan } from './title-plan.ts';

/** What one short stretch of a master took at one size, at the quality its rung has, without a limit. */
export interface ComplexitySample {
  readonly pixels: number;
  readonly bitrateBps: number;
}

export interface ComplexityDeps {
  readonly run: RunTool;
  /** The program: a name looked up in PATH, or a path. */
  readonly ffmpeg: string;
  readonly limits: Pick<MasterLimits, 'maxPixels' | 'maxStreams' | 'timeoutMs'>;
}

/** Stretches that are looked at, and how long each is: a GOP. */
const STRETCHES = 5;
const STRETCH_SECONDS = 2;
/** The largest size that is tried: what larger ones take follows from it. */
const MAX_TRIED_PIXELS = 1920 * 1088;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/**
 * Encodes a few short stretches of a master quickly, at two sizes of its ladder, to see how hard its pictures are.
 * @throws AppError VOD_MASTER_UNREADABLE when a stretch cannot be decoded; TOOL_MISSING; the signal's reason
 */
export async function measureComplexity(
  master: Pick<Master, 'demuxer' | 'video'>,
  masterPath: string,
  plan: Pick<TitlePlan, 'video'>,
  deps: ComplexityDeps,
  signal: AbortSignal,
): Promise<ComplexitySample[]> {
  const { video } = master;
  if (!video || !plan.video) return [];
  const samples: ComplexitySample[] = [];
  for (const rung of triedRungs(plan.video.rungs)) {
    for (const atMs of stretchStarts(video.durationMs)) {
      const args = stretchArguments(
        { master: { ...master, video }, masterPath, rung, atMs },
        plan.video,
        deps,
      );
      const bitrateBps = await encodedRate(args, video, deps, signal);
      samples.push({ pixels: rung.width * rung.height, bitrateBps });
    }
  }
  return samples;
}

/** The largest and the smallest that are worth it. */
function triedRungs(rungs: readonly PlannedRung[]): PlannedRung[] {
  const h264 = rungs.filter(({ width, height }) => width * height <= MAX_TRIED_PIXELS);
  const [first] = h264;
  const last = h264.at(-1);
  return [...new Set([first, last])].flatMap((rung) => rung ?? []);
}

function stretchStarts(durationMs: number): number[] {
  const lengthMs = STRETCH_SECONDS * 1000;
  const count = Math.max(1, Math.min(STRETCHES, Math.floor(durationMs / lengthMs)));
  return Array.from({ length: count }, (_, n) =>
    Math.max(0, ((n + 0.5) / count) * durationMs - lengthMs / 2),
  );
}

interface Stretch {
  readonly master: Pick<Master, 'demuxer'> & { readonly video: MasterVideo };
  readonly masterPath: string;
  readonly rung: PlannedRung;
  readonly atMs: number;
}

function stretchArguments(
  { master, masterPath, rung, atMs }: Stretch,
  plan: PlannedVideo,
  { limits }: ComplexityDeps,
): string[] {
  const { video, demuxer } = master;
  const filters = [
    ...(plan.isInterlaced ? ['bwdif=mode=send_frame'] : []),
    `fps=${plan.frameRate.numerator}/${plan.frameRate.denominator}`,
    `scale=${rung.width}:${rung.height}:flags=bicubic`,
    'format=yuv420p',
  ];
  return [
    ...['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'error'],
    ...[
      '-seek_timestamp',
      '1',
      '-ss',
      ((video.startMs + atMs) / 1000).toFixed(3),
      '-t',
      `${STRETCH_SECONDS}`,
    ],
    ...masterInputArguments(demuxer, masterPath, limits),
    ...['-map', `0:${video.index}`, '-vf', filters.join(','), '-c:v', 'libx264', '-preset', 'veryfast'],
    ...['-crf', `${h264Quality(rung)}`, '-g', `${plan.gopFrames}`, '-f', 'h264', 'pipe:1'],
  ];
}

/** On the scale of x264; the others are this much further along for the same picture. */
function h264Quality({ codec, crf }: PlannedRung): number {
  const further = { h264: 0, hevc: 3, av1: 10 };
  return crf - further[codec];
}

async function encodedRate(
  args: readonly string[],
  video: MasterVideo,
  { run, ffmpeg, limits }: ComplexityDeps,
  signal: AbortSignal,
): Promise<number> {
  const { timeoutMs } = limits;
  const outcome = await run({ program: ffmpeg, args, timeoutMs, maxOutputBytes: MAX_OUTPUT_BYTES }, signal);
  const failed = outcome.kind !== 'ended' || outcome.code !== 0;
  if (failed) {
    const line = tellingLine(outcome.said);
    throw new AppError(
      'VOD_MASTER_UNREADABLE',
      `Its pictures cannot be decoded: ${line === '' ? outcome.kind : line}`,
    );
  }
  return (outcome.output.length * 8) / Math.min(STRETCH_SECONDS, video.durationMs / 1000);
}

/** The hardest stretch decides, with some room: there are harder ones between those that were tried. */
const ROOM = 1.25;
/** Of the bit rate that pictures of such a size usually have. */
const LEAST_SHARE = 0.3;
const MOST_SHARE = 1.3;
/** How much faster bits grow than pixels, when two sizes do not tell: no size needs more for each of its pixels than a smaller one. */
const USUAL_POWER = 0.75;
const LEAST_POWER = 0.4;
const MOST_POWER = 1;
const STEP_BPS = 10_000;

/**
 * The plan with highest bit rates for these very pictures: easy ones (drawn, slow, dark) get by with a part of what is usual,
 * hard ones (water, grain, sport) get more. The quality stays as planned. A note says what came of it.
 */
export function fitLadder(plan: TitlePlan, samples: readonly ComplexitySample[]): TitlePlan {
  const { video } = plan;
  const needed = video && needOf(samples);
  if (!video || !needed) return plan;
  const rungs = video.rungs.map((rung) => {
    const { width, height, codec } = rung;
    const usual = maxBitrate(width, height, perSecond(video.frameRate), codec);
    const share =
      (needed(width * height) * ROOM) / maxBitrate(width, height, perSecond(video.frameRate), 'h264');
    const kept = Math.min(MOST_SHARE, Math.max(LEAST_SHARE, share));
    return { ...rung, maxBitrateBps: Math.round((usual * kept) / STEP_BPS) * STEP_BPS || STEP_BPS };
  });
  return { ...plan, video: { ...video, rungs }, notes: [...(plan.notes ?? []), noteOn(video.rungs, rungs)] };
}

/** Bits a second at any size, by those that were tried; undefined: none was. */
function needOf(samples: readonly ComplexitySample[]): ((pixels: number) => number) | undefined {
  const hardest = new Map<number, number>();
  for (const { pixels, bitrateBps } of samples) {
    hardest.set(pixels, Math.max(hardest.get(pixels) ?? 0, bitrateBps));
  }
  const [large, small] = [...hardest].toSorted(([a], [b]) => b - a);
  if (!large) return undefined;
  const [pixels, bitrateBps] = large;
  const power = small ? Math.log(bitrateBps / small[1]) / Math.log(pixels / small[0]) : USUAL_POWER;
  const bounded = Math.min(MOST_POWER, Math.max(LEAST_POWER, Number.isFinite(power) ? power : USUAL_POWER));
  return (wanted) => bitrateBps * (wanted / pixels) ** bounded;
}

function noteOn(before: readonly PlannedRung[], after: readonly PlannedRung[]): string {
  const sum = (rungs: readonly PlannedRung[]): number =>
    rungs.reduce((total, { maxBitrateBps }) => total + maxBitrateBps, 0);
  const percent = Math.round((100 * sum(after)) / sum(before));
  if (percent > 100)
    return `The pictures are hard: the ladder may take ${percent - 100} % more than planned.`;
  return percent === 100
    ? 'The pictures are as hard as usual.'
    : `The pictures are easy: the ladder takes ${100 - percent} % less than planned.`;
}
