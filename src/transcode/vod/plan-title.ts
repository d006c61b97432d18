import { AppError } from '../../base/errors.ts';
import type { VodLadderOptions } from './ladder-presets.ts';
import { perSecond } from './master-frame-rate.ts';
import { planRungs } from './plan-rungs.ts';
import { planAudios, planTexts } from './plan-tracks.ts';
import type {
  Master,
  MasterText,
  MasterVideo,
  PlannedThumbnails,
  PlannedVideo,
  Ratio,
  TitlePlan,
} from './title-plan.ts';

/** More frames a second are not encoded: every second (third…) one is left out. */
const MAX_FRAME_RATE = 60;
/** A rate like 60000/1001 is not above 60 for its rounding. */
const RATE_SLACK = 1.001;
/** Distance of key frames. */
const GOP_SECONDS = 2;
const MIN_PIECE_SECONDS = 10;
const MAX_PIECE_SECONDS = 30;

/**
 * Decides what is made of a master. Pure: the same master and choice give the same plan. `sidecars`: texts beside
 * the master, added to those that it has.
 * @throws AppError VOD_MASTER_REFUSED when nothing can be made of it in the codecs asked for
 */
export function planTitle(
  master: Master,
  choice: VodLadderOptions,
  sidecars: readonly MasterText[] = [],
): TitlePlan {
  const pictures = master.video && planVideo(master.video, choice);
  const audios = planAudios(master.audios, choice.surround);
  if (pictures ? pictures.video.rungs.length === 0 : audios.length === 0) {
    throw new AppError('VOD_MASTER_REFUSED', pictures?.notes[0] ?? 'It has neither pictures nor sound.');
  }
  const paths = new Set(sidecars.map(({ path }) => path));
  const own = master.texts.filter(({ path }) => path === undefined || !paths.has(path));
  const video = pictures?.video;
  return {
    durationMs: video ? video.frames * frameMs(video.frameRate) : master.durationMs,
    video,
    audios,
    texts: planTexts([...own, ...sidecars]),
    thumbnails: choice.thumbnails && master.video ? planThumbnails(master.video) : undefined,
    ...(video && choice.contentAware && typeof choice.ladder === 'string' && { contentAware: true }),
    segmentMs: video ? Math.round(video.segmentFrames * frameMs(video.frameRate)) : choice.segmentMs,
    notes: [...(master.leftOut ?? []), ...(pictures?.notes ?? []), ...notesOnFitting(choice, video)],
  };
}

function notesOnFitting(
  { contentAware, ladder }: VodLadderOptions,
  video: PlannedVideo | undefined,
): string[] {
  return video && contentAware && typeof ladder !== 'string'
    ? ['The bit rates are as configured: only those of ladders by name are fitted to the pictures.']
    : [];
}

function frameMs(rate: Ratio): number {
  return (1000 * rate.denominator) / rate.numerator;
}

function planVideo(
  video: MasterVideo,
  choice: VodLadderOptions,
): { readonly video: PlannedVideo; readonly notes: readonly string[] } {
  const frameRate = encodedRate(video.frameRate);
  const framesPerSecond = perSecond(frameRate);
  const { width, height } = video;
  const { rungs, groups, notes } = planRungs({ width, height, framesPerSecond }, choice);
  const frames = Math.max(1, Math.round((video.durationMs / 1000) * framesPerSecond));
  const grid = planGrid(framesPerSecond, choice);
  const afterFirst = Math.max(0, frames - grid.segmentFrames);
  return {
    video: {
      frameRate,
      frames,
      ...grid,
      pieces: 1 + Math.ceil(afterFirst / grid.pieceFrames),
      rungs,
      groups,
      isInterlaced: video.isInterlaced,
      toneMap: video.range === 'sdr' ? undefined : video.range,
    },
    notes: [...notes, ...notesOn(video, frameRate)],
  };
}

/** The rate itself, or the largest whole fraction of it that is not above the limit. */
function encodedRate(rate: Ratio): Ratio {
  const divisor = Math.ceil(perSecond(rate) / (MAX_FRAME_RATE * RATE_SLACK));
  return divisor <= 1 ? rate : { ...rate, denominator: rate.denominator * divisor };
}

/** GOPs that divide the segment, segments that divide the piece. */
function planGrid(
  framesPerSecond: number,
  { segmentMs, pieceSeconds }: VodLadderOptions,
): Pick<PlannedVideo, 'gopFrames' | 'segmentFrames' | 'pieceFrames'> {
  const segmentSeconds = segmentMs / 1000;
  const gopsPerSegment = Math.max(1, Math.round(segmentSeconds / GOP_SECONDS));
  const gopFrames = Math.max(1, Math.round((segmentSeconds * framesPerSecond) / gopsPerSegment));
  const segmentFrames = gopFrames * gopsPerSegment;
  const wanted = Math.min(MAX_PIECE_SECONDS, Math.max(MIN_PIECE_SECONDS, pieceSeconds));
  const segmentsPerPiece = Math.max(1, Math.round((wanted * framesPerSecond) / segmentFrames));
  return { gopFrames, segmentFrames, pieceFrames: segmentFrames * segmentsPerPiece };
}

function notesOn(video: MasterVideo, encoded: Ratio): string[] {
  const rounded = (rate: Ratio): number => Math.round(perSecond(rate) * 1000) / 1000;
  return [
    ...(video.isVariableRate
      ? [`The frame rate varies; the title has ${rounded(encoded)} frames a second.`]
      : []),
    ...(perSecond(encoded) < perSecond(video.frameRate)
      ? [`Of ${rounded(video.frameRate)} frames a second the title has ${rounded(encoded)}.`]
      : []),
    ...(video.range === 'sdr' ? [] : ['The pictures are HDR; the title is SDR.']),
    ...(video.isInterlaced ? ['The pictures are interlaced; the title is not.'] : []),
  ];
}

/** Longest side of a small picture. */
const THUMBNAIL_SIDE = 160;
const SHEET_SIDE = 10;
/** Up to so long a title (ms) has a picture every so often. */
const INTERVALS: readonly (readonly [number, number])[] = [
  [5 * 60_000, 2000],
  [30 * 60_000, 5000],
  [Number.POSITIVE_INFINITY, 10_000],
];

function planThumbnails({ width, height, durationMs }: MasterVideo): PlannedThumbnails {
  const [, intervalMs = 10_000] = INTERVALS.find(([upTo]) => durationMs <= upTo) ?? [];
  const count = Math.max(1, Math.ceil(durationMs / intervalMs));
  const columns = Math.min(SHEET_SIDE, count);
  const scale = Math.min(1, THUMBNAIL_SIDE / Math.max(width, height));
  const even = (side: number): number => Math.max(2, 2 * Math.round((side * scale) / 2));
  return {
    columns,
    rows: Math.min(SHEET_SIDE, Math.ceil(count / columns)),
    width: even(width),
    height: even(height),
    intervalMs,
  };
}
