import type { HdrRange } from '../media/colour.ts';

/** What HDR is brought down to SDR with. */
export type ToneMapper =
  /** Linear light and a filmic curve: libzimg's filter and ffmpeg's own. */
  | { readonly kind: 'zscale' }
  /** A table of our own, of one transfer each: paths of .cube files. */
  | ({ readonly kind: 'table' } & Readonly<Record<HdrRange, string>>);

/** Sides of a picture, pixels. */
export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** White of the display that the curve is made for, and the brightest that is expected, in units of it. */
const NOMINAL_NITS = 100;
const PEAK = 10;

const TRANSFER: Readonly<Record<HdrRange, string>> = { pq: 'smpte2084', hlg: 'arib-std-b67' };

/** Has frames say of themselves that they are SDR in the colours of HD; encoders take it from there. */
export const SAID_TO_BE_HD = 'setparams=range=limited:color_primaries=bt709:color_trc=bt709:colorspace=bt709';

/** What the display was like that HDR was made on is not true of SDR, and encoders of newer ffmpegs pass it on. */
const WITHOUT_HDR_DATA = ['MASTERING_DISPLAY_METADATA', 'CONTENT_LIGHT_LEVEL'].map(
  (type) => `sidedata=mode=delete:type=${type}`,
);

/** To SDR in the colours of HD, at a size. */
export function toneMapFilters(
  range: HdrRange,
  mapper: ToneMapper,
  { width, height }: PictureSize,
): string[] {
  if (mapper.kind === 'table') {
    return [
      `scale=${width}:${height}:flags=bicubic:in_color_matrix=bt2020`,
      'format=gbrp10le',
      `lut3d=file=${escaped(mapper[range])}:interp=tetrahedral`,
      'scale=out_color_matrix=bt709:out_range=tv',
      'format=yuv420p',
      ...WITHOUT_HDR_DATA,
    ];
  }
  return [
    `zscale=w=${width}:h=${height}:tin=${TRANSFER[range]}:min=2020_ncl:pin=2020:t=linear:p=709:npl=${NOMINAL_NITS}`,
    'format=gbrpf32le',
    `tonemap=hable:desat=0:peak=${PEAK}`,
    'zscale=t=709:m=709:r=limited',
    'format=yuv420p',
    ...WITHOUT_HDR_DATA,
  ];
}

/** What HDR is brought down at for several pictures at once: the others are made of it. At least one. */
export function largestPicture<T extends PictureSize>(pictures: readonly T[]): T {
  return pictures.reduce((best, each) => (each.width * each.height > best.width * best.height ? each : best));
}

/** A value of a filter's option, as a filter graph is to have it: once for the option, once for the graph. */
export function escaped(value: string): string {
  return value.replaceAll(/[\\':]/g, '\\$&').replaceAll(/[\\'[\],;]/g, '\\$&');
}
