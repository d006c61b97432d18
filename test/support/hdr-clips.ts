import { join } from 'node:path';
import type { HdrRange } from '../../src/media/colour.ts';
import { type CodecFile, FRAGMENTED, readCodecFile } from './codec-files.ts';
import { ffmpeg, run } from './ffmpeg.ts';

/** Red, green and blue of 8 bits each. */
export type Rgb = readonly [number, number, number];

interface Patch {
  /** In BT.2020, as the range has it, `rrggbb`. */
  readonly hdr: string;
  /** The same colour in BT.709 for a display of 100 nits. */
  readonly sdr: Rgb;
}

/**
 * Black, greys of 20, 203 and 700 nits, a red, a green, a blue and a skin. What they are in SDR was reckoned by hand: ST 2084
 * or BT.2100 HLG on 1000 nits, the matrix of BT.2087, Hable's curve up to 1000 nits on the largest of the three, BT.1886.
 */
const PATCHES: Readonly<Record<HdrRange, readonly Patch[]>> = {
  pq: [
    { hdr: '000000', sdr: [0, 0, 0] },
    { hdr: '5b5b5b', sdr: [87, 87, 87] },
    { hdr: '949494', sdr: [193, 193, 193] },
    { hdr: 'b6b6b6', sdr: [245, 245, 245] },
    { hdr: '815f58', sdr: [177, 68, 69] },
    { hdr: '768a65', sdr: [79, 177, 76] },
    { hdr: '64618a', sdr: [83, 84, 178] },
    { hdr: '827a72', sdr: [167, 133, 116] },
  ],
  hlg: [
    { hdr: '000000', sdr: [0, 0, 0] },
    { hdr: '575757', sdr: [88, 88, 88] },
    { hdr: 'bfbfbf', sdr: [192, 192, 192] },
    { hdr: 'f1f1f1', sdr: [245, 245, 245] },
    { hdr: 'a8594b', sdr: [178, 67, 68] },
    { hdr: '85b15e', sdr: [78, 177, 77] },
    { hdr: '665fba', sdr: [84, 84, 177] },
    { hdr: 'a3917d', sdr: [166, 132, 115] },
  ],
};

const TRANSFER = { pq: 'smpte2084', hlg: 'arib-std-b67' } as const;
const RATE = 30;
const GOP = 15;

/** The colours of a clip, from left to right, as they are to be seen in SDR. */
export function coloursInSdr(range: HdrRange): readonly Rgb[] {
  return PATCHES[range].map(({ sdr }) => sdr);
}

/** Encodes the patches side by side, 320x180 at 30 frames a second with ten bits, key frames every half second. */
export async function makeHdrClip(
  folder: string,
  range: HdrRange,
  codec: 'hevc' | 'vp9',
  seconds: number,
): Promise<CodecFile> {
  const path = join(folder, `${range}-${codec}.mp4`);
  const transfer = TRANSFER[range];
  const patches = PATCHES[range];
  const colours = patches.map(
    ({ hdr }, index) =>
      `color=c=0x${hdr}:size=${320 / patches.length}x180:rate=${RATE},format=gbrp[c${index}]`,
  );
  const picture = [
    `${patches.map((_, index) => `[c${index}]`).join('')}hstack=${patches.length}`,
    'format=gbrp10le,scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le',
    `setparams=range=limited:color_primaries=bt2020:color_trc=${transfer}:colorspace=bt2020nc`,
  ].join(',');
  const x265 = `log-level=none:keyint=${GOP}:min-keyint=${GOP}:scenecut=0:bframes=0`;
  const vui = `colorprim=bt2020:transfer=${transfer}:colormatrix=bt2020nc`;
  const encoder = {
    hevc: ['-c:v', 'libx265', '-preset', 'ultrafast', '-tag:v', 'hvc1', '-x265-params', `${x265}:${vui}`],
    vp9: ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-g', `${GOP}`],
  }[codec];
  const tags = ['-color_primaries', 'bt2020', '-color_trc', transfer, '-colorspace', 'bt2020nc'];
  await ffmpeg([
    ...['-filter_complex', [...colours, picture].join(';'), '-t', `${seconds}`],
    ...[...encoder, '-crf', '10', ...tags, '-video_track_timescale', '90000', ...FRAGMENTED, path],
  ]);
  return readCodecFile(path);
}

/** The patches of the first picture as a player shows it that goes by what the stream says of its colours. */
export async function shownColours(pieces: readonly Uint8Array[], range: HdrRange): Promise<Rgb[]> {
  const toRow = `format=gbrp,scale=${PATCHES[range].length}:1:flags=area,format=rgb24`;
  const { stdout } = await ffmpeg(
    ['-i', 'pipe:0', '-frames:v', '1', '-vf', toRow, '-f', 'rawvideo', 'pipe:1'],
    { stdin: pieces },
  );
  return PATCHES[range].map((_, at): Rgb => {
    const [red = 0, green = 0, blue = 0] = stdout.subarray(at * 3, at * 3 + 3);
    return [red, green, blue];
  });
}

/** What a stream says of its colours, as ffprobe reads it. */
export async function saidColours(pieces: readonly Uint8Array[]): Promise<Record<string, string>> {
  const wanted = 'stream=color_range,color_space,color_transfer,color_primaries';
  const { stdout } = await run('ffprobe', ['-v', 'error', '-show_entries', wanted, '-of', 'json', 'pipe:0'], {
    stdin: pieces,
  });
  return JSON.parse(stdout.toString('utf8')).streams[0];
}

/** The largest difference of any channel of any patch. */
export function farthest(shown: readonly Rgb[], wanted: readonly Rgb[]): number {
  const differences = wanted.flatMap((colour, at) =>
    colour.map((value, channel) => Math.abs(value - (shown[at]?.[channel] ?? Number.POSITIVE_INFINITY))),
  );
  return Math.max(...differences);
}
