import type { ToneMapper } from '../tone-map.ts';
import { MAX_WORK_PIXELS, MAX_WORK_STREAMS } from './work-limits.ts';
import { masterInputArguments } from './master-input.ts';
import { pieceOutput } from './piece-encoders.ts';
import { pieceGraph, type FrameRange } from './piece-filters.ts';
import type { PieceSeek } from './piece-seeks.ts';
import type { MasterVideo, PlannedRung, PlannedVideo } from './title-plan.ts';
import { OUTPUT } from './work-run.ts';

export interface PieceInput {
  readonly masterPath: string;
  readonly demuxer: string;
  readonly master: MasterVideo;
  readonly video: PlannedVideo;
  readonly rungs: readonly PlannedRung[];
  readonly range: FrameRange;
  readonly seek: PieceSeek;
  /** One a rung. */
  readonly paths: readonly string[];
  /** Of the decoder, and of each encoder. */
  readonly threads: number;
  /** Whether somebody waits for it. */
  readonly isAwaited: boolean;
  readonly toneMapper: ToneMapper;
}

/** How often ffmpeg says how far it is, seconds. */
const PROGRESS_SECONDS = 0.5;

/** What every ffmpeg of VOD is told first. Times stay as they are in the file. */
export const QUIETLY = ['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'warning', '-copyts'] as const;

/** ffmpeg's arguments for one piece: one decode, every rung of the group to a file of its own. */
export function pieceArguments(input: PieceInput): string[] {
  const { master, video, rungs, threads, isAwaited } = input;
  const graph = pieceGraph({
    master,
    video,
    rungs,
    range: input.range,
    padded: input.seek.kind === 'beginning',
    toneMapper: input.toneMapper,
  });
  return [
    ...QUIETLY,
    ...['-progress', OUTPUT, '-stats_period', `${PROGRESS_SECONDS}`],
    ...['-threads', `${threads}`, ...seekArguments(input)],
    ...masterInputArguments(input.demuxer, input.masterPath, {
      maxPixels: MAX_WORK_PIXELS,
      maxStreams: MAX_WORK_STREAMS,
    }),
    ...['-filter_complex_threads', `${threads}`, '-filter_complex', graph],
    ...rungs.flatMap((rung, index) => [
      ...['-map', `[o${index}]`],
      ...pieceOutput(
        { rung, gopFrames: video.gopFrames, threads, isAwaited },
        video,
        input.paths[index] ?? '',
      ),
    ]),
  ];
}

/** Nothing is cut by the seek itself: which frames are taken, the filters decide. */
export function seekArguments({
  seek,
  range,
  master,
  video,
}: Pick<PieceInput, 'seek' | 'range' | 'master' | 'video'>): string[] {
  if (seek.kind === 'beginning') return [];
  const { numerator, denominator } = video.frameRate;
  const atMs = master.startMs + (range.start * 1000 * denominator) / numerator - seek.marginMs;
  return ['-seek_timestamp', '1', '-noaccurate_seek', '-ss', (atMs / 1000).toFixed(6)];
}
