import type { MasterVideo, PlannedRung, PlannedVideo, Ratio } from './title-plan.ts';

/** What HDR is brought down to SDR with. */
export type ToneMapper =
  /** Linear light and a filmic curve: libzimg's filter and ffmpeg's own. */
  | { readonly kind: 'zscale' }
  /** A table of our own, of one transfer each: paths of .cube files. */
  | { readonly kind: 'table'; readonly pq: string; readonly hlg: string };

/** White of the display that the curve is made for, and the brightest that is expected, in units of it. */
const NOMINAL_NITS = 100;
const PEAK = 10;

const TRANSFER = { pq: 'smpte2084', hlg: 'arib-std-b67' } as const;
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

/** To SDR in the colours of HD, at a size. */
export function toneMapFilters(
  range: 'pq' | 'hlg',
  mapper: ToneMapper,
  { width, height }: Pick<PlannedRung, 'width' | 'height'>,
): string[] {
  if (mapper.kind === 'table') {
    return [
      `scale=${width}:${height}:flags=bicubic:in_color_matrix=bt2020`,
      'format=gbrp10le',
      `lut3d=file=${escaped(mapper[range])}:interp=tetrahedral`,
      'scale=out_color_matrix=bt709:out_range=tv',
      'format=yuv420p',
    ];
  }
  return [
    `zscale=w=${width}:h=${height}:tin=${TRANSFER[range]}:min=2020_ncl:pin=2020:t=linear:npl=${NOMINAL_NITS}`,
    'format=gbrpf32le',
    'zscale=p=709',
    `tonemap=hable:desat=0:peak=${PEAK}`,
    'zscale=t=709:m=709:r=limited',
    'format=yuv420p',
  ];
}

/** A value of a filter's option, as a filter graph is to have it: once for the option, once for the graph. */
export function escaped(value: string): string {
  return value.replaceAll(/[\\':]/g, '\\$&').replaceAll(/[\\'[\],;]/g, '\\$&');
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
    'setparams=range=limited:color_primaries=bt709:color_trc=bt709:colorspace=bt709',
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
  const largest = rungs.reduce((best, rung) => (rung.width > best.width ? rung : best));
  const toned = video.toneMap ? toneMapFilters(video.toneMap, graph.toneMapper, largest) : [];
  const matrix = video.toneMap ? 'bt709' : assumedMatrix(master);
  const pads = rungs.map((_, index) => `[s${index}]`).join('');
  const head = `[0:${master.index}]${[...grid, ...toned].join(',')},split=${rungs.length}${pads}`;
  const tails = rungs.map((rung, index) => `[s${index}]${rungFilters(rung, matrix).join(',')}[o${index}]`);
  return [head, ...tails].join(';');
}
