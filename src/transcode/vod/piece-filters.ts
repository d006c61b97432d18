import { largestPicture, SAID_TO_BE_HD, toneMapFilters, type ToneMapper } from '../tone-map.ts';
import type { MasterVideo, PlannedRung, PlannedVideo, Ratio } from './title-plan.ts';

/** Pictures with at least so many lines, either way, that do not say otherwise are in the colours of HD. */
const HD_LINES = 720;

/** The frames to be taken: counted from the title's first one, on the grid of its rate. */
export interface FrameRange {
  readonly start: number;
  /** Undefined: to the last one there is. */
  readonly end: number | undefined;
}

/**
 * From decoded pictures to the frames of the grid: frame `n` is the picture that is shown at `n / rate`, counted from
 * the first. It is the same whichever picture decoding began with, as long as that was not a later one.
 * `padded` shows the first picture also before its time.
 */
export function gridFilters(
  video: Pick<MasterVideo, 'startMs'>,
  rate: Ratio,
  range: FrameRange,
  { deinterlace, padded }: { readonly deinterlace: boolean; readonly padded: boolean },
): string[] {
  const { start, end } = range;
  return [
    ...(deinterlace ? ['bwdif=mode=send_frame'] : []),
    fromStart('setpts', video.startMs),
    `fps=${rate.numerator}/${rate.denominator}:round=near${padded ? ':start_time=0' : ''}`,
    `trim=start_pts=${start}${end === undefined ? '' : `:end_pts=${end}`}`,
    ...(start > 0 ? [`setpts=PTS-${start}`] : []),
  ];
}

/** Moves time stamps so that 0 is `startMs`. */
export function fromStart(filter: 'setpts' | 'asetpts', startMs: number): string {
  return `${filter}=round(PTS-(${startMs / 1000})/TB)`;
}

/** To one rung's size and square pixels, in the colours of HD, which the frames then say of themselves. */
export function rungFilters(
  { width, height }: Pick<PlannedRung, 'width' | 'height'>,
  matrix: string | undefined,
): string[] {
  const from = matrix === undefined ? '' : `:in_color_matrix=${matrix}`;
  return [
    `scale=${width}:${height}:flags=bicubic${from}:out_color_matrix=bt709:out_range=tv`,
    'format=yuv420p',
    'setsar=1',
    SAID_TO_BE_HD,
  ];
}

/** What to take the colours of a master for; undefined: what its frames say. */
export function assumedMatrix(video: Pick<MasterVideo, 'matrix' | 'width' | 'height'>): string | undefined {
  if (video.matrix !== undefined) return undefined;
  return Math.min(video.width, video.height) >= HD_LINES ? 'bt709' : 'smpte170m';
}

export interface PieceGraph {
  readonly master: Pick<MasterVideo, 'index' | 'startMs' | 'width' | 'height' | 'matrix'>;
  readonly video: Pick<PlannedVideo, 'frameRate' | 'isInterlaced' | 'toneMap'>;
  readonly rungs: readonly PlannedRung[];
  readonly range: FrameRange;
  readonly padded: boolean;
  readonly toneMapper: ToneMapper;
}

/** The filter graph of a piece: all rungs from one decoder, rung `n` at the pad `o<n>`. */
export function pieceGraph(graph: PieceGraph): string {
  const { master, video, rungs } = graph;
  const grid = gridFilters(master, video.frameRate, graph.range, {
    deinterlace: video.isInterlaced,
    padded: graph.padded,
  });
  const toned = video.toneMap ? toneMapFilters(video.toneMap, graph.toneMapper, largestPicture(rungs)) : [];
  const matrix = video.toneMap ? 'bt709' : assumedMatrix(master);
  const pads = rungs.map((_, index) => `[s${index}]`).join('');
  const head = `[0:${master.index}]${[...grid, ...toned].join(',')},split=${rungs.length}${pads}`;
  const tails = rungs.map((rung, index) => `[s${index}]${rungFilters(rung, matrix).join(',')}[o${index}]`);
  return [head, ...tails].join(';');
}
