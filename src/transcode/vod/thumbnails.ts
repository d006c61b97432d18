import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PermanentJobError } from '../../state/job-queue.ts';
import { decodeCost } from '../encoding-cost.ts';
import { type ToneMapper, toneMapFilters } from '../tone-map.ts';
import type { Attempt, WorkDeps } from './encode-piece.ts';
import { masterInputArguments } from './master-input.ts';
import { QUIETLY } from './piece-arguments.ts';
import { assumedMatrix, fromStart } from './piece-filters.ts';
import {
  type MasterVideo,
  type PlannedThumbnails,
  type ThumbnailsResult,
  type TitleWork,
  workPrefix,
} from './title-plan.ts';
import { failureOf } from './work-failures.ts';
import { MAX_WORK_PIXELS, MAX_WORK_STREAMS } from './work-limits.ts';
import { ProgressReader } from './work-progress.ts';
import { endedWell, OUTPUT, WorkRun } from './work-run.ts';

/** Masters that take longer to decode, in seconds of a core, have only their key frames looked at. */
const THOROUGH_CORE_SECONDS = 30;
const JPEG_QUALITY = 5;

export interface ThumbnailsInput {
  readonly masterPath: string;
  readonly demuxer: string;
  readonly master: MasterVideo;
  readonly planned: PlannedThumbnails;
  readonly cells: number;
  readonly toneMap: 'pq' | 'hlg' | undefined;
  readonly toneMapper: ToneMapper;
  readonly threads: number;
  /** Where the sheets go. */
  readonly folder: string;
}

/** ffmpeg's arguments for all sheets of a title: cell `n` is the picture shown at `n` intervals. */
export function thumbnailArguments(input: ThumbnailsInput): string[] {
  const { master } = input;
  return [
    ...QUIETLY,
    ...[
      '-progress',
      OUTPUT,
      '-threads',
      `${input.threads}`,
      ...(isThorough(input) ? [] : ['-skip_frame', 'nokey']),
    ],
    ...masterInputArguments(input.demuxer, input.masterPath, {
      maxPixels: MAX_WORK_PIXELS,
      maxStreams: MAX_WORK_STREAMS,
    }),
    ...['-map', `0:${master.index}`, '-vf', cellFilters(input).join(','), '-fps_mode', 'passthrough'],
    // Full range by what the frames say, which is "unofficial" to older versions, instead of by a format that newer ones warn of.
    ...['-map_metadata', '-1', '-c:v', 'mjpeg', '-q:v', `${JPEG_QUALITY}`],
    ...['-color_range', 'pc', '-strict', 'unofficial'],
    // A percent sign in the folder's name is not a number to be filled in.
    ...['-f', 'image2', '-start_number', '0', '-y'],
    `file:${join(input.folder.replaceAll('%', '%%'), '%05d.jpg')}`,
  ];
}

/** Whether every picture is decoded: not where a key frame is near each cell's time, nor where it would take too long. */
function isThorough({ master, planned }: ThumbnailsInput): boolean {
  const { width, height, frameRate, durationMs, keyFrames } = master;
  if (keyFrames && keyFrames.longestMs <= planned.intervalMs) return false;
  const rate = frameRate.numerator / frameRate.denominator;
  return (decodeCost(width * height, rate) * durationMs) / 1000 <= THOROUGH_CORE_SECONDS;
}

/** JPEG has the colours of BT.601 in full range. A picture that is held on is in every cell until the next. */
function cellFilters({ master, planned, cells, toneMap, toneMapper }: ThumbnailsInput): string[] {
  const { width, height, columns, rows, intervalMs } = planned;
  const matrix = toneMap ? 'bt709' : assumedMatrix(master);
  const from = matrix === undefined ? '' : `:in_color_matrix=${matrix}`;
  return [
    fromStart('setpts', master.startMs),
    `fps=1000/${intervalMs}:round=up:start_time=0`,
    'tpad=stop_mode=clone:stop=-1',
    `trim=end_frame=${cells}`,
    ...(toneMap ? toneMapFilters(toneMap, toneMapper, { width, height }) : []),
    `scale=${width}:${height}:flags=bicubic${from}:out_color_matrix=bt601:out_range=pc`,
    'format=yuv420p',
    'setparams=range=full',
    'setsar=1',
    `tile=${columns}x${rows}`,
  ];
}

/** Where a sheet is put. */
export function sheetKey(work: Pick<TitleWork, 'title' | 'generation'>, n: number, attempt: number): string {
  return `${workPrefix(work)}thumbnails/${n}-${attempt}.jpg`;
}

/**
 * Makes all sheets of a title and stores them.
 * @throws AppError VOD_THUMBNAILS_FAILED and those of the store; PermanentJobError when the master is at fault
 */
export async function makeThumbnails(
  work: TitleWork,
  attempt: Attempt,
  deps: WorkDeps,
): Promise<ThumbnailsResult> {
  const { thumbnails: planned, durationMs, video } = work.plan;
  const master = work.master.video;
  if (!planned || !master) {
    throw new PermanentJobError('VOD_THUMBNAILS_FAILED', 'The plan of the title has no thumbnails.');
  }
  const cells = Math.max(1, Math.ceil(durationMs / planned.intervalMs));
  const sheets = Math.ceil(cells / (planned.columns * planned.rows));
  const { masterPath } = work;
  const { demuxer } = work.master;
  const { threads, toneMapper } = deps;
  return await deps.scratch.use(async (folder) => {
    const toneMap = video?.toneMap;
    const args = thumbnailArguments({
      ...{ masterPath, demuxer, master, planned, cells, toneMap, toneMapper, threads, folder },
    });
    await runThrough(args, sheets, work, attempt, deps);
    const names = (await readdir(folder)).sort();
    if (names.length !== sheets) {
      throw new PermanentJobError(
        'VOD_THUMBNAILS_FAILED',
        `${names.length} of ${sheets} sheets could be made.`,
      );
    }
    return await storeSheets(work, folder, names, attempt, deps);
  });
}

async function runThrough(
  args: readonly string[],
  sheets: number,
  work: TitleWork,
  attempt: Attempt,
  deps: WorkDeps,
): Promise<void> {
  const reader = new ProgressReader((frames) => {
    run.alive();
    attempt.progress(Math.min(1, frames / sheets));
  });
  const run = new WorkRun(args, (bytes) => reader.push(bytes), attempt.signal, deps);
  const end = await run.ended;
  if (!endedWell(end)) throw failureOf(end, 'VOD_THUMBNAILS_FAILED', work.masterPath);
}

async function storeSheets(
  work: TitleWork,
  folder: string,
  names: readonly string[],
  attempt: Attempt,
  deps: WorkDeps,
): Promise<ThumbnailsResult> {
  const keys: string[] = [];
  const sheetBytes: number[] = [];
  for (const [n, name] of names.entries()) {
    attempt.signal.throwIfAborted();
    const key = sheetKey(work, n, attempt.number);
    const stored = await deps.store.putFile(key, join(folder, name), { contentType: 'image/jpeg' });
    keys.push(key);
    sheetBytes.push(stored.sizeBytes);
  }
  return { keys, sheetBytes };
}
