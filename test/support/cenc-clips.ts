import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AudioCodecName } from '../../src/media/audio-config.ts';
import {
  type FragmentSample,
  readFragments,
  readInitSegment,
} from '../../src/media/isobmff/fragment-reader.ts';
import type { TrackInit, VideoInit } from '../../src/media/isobmff/init-segment.ts';
import type { VideoCodecName } from '../../src/media/video-config.ts';
import { ffmpeg, run } from './ffmpeg.ts';

/** A short clip of one track, made by ffmpeg. */
export interface Clip {
  readonly path: string;
  readonly track: TrackInit;
  readonly samples: readonly FragmentSample[];
}

/** Movement, noise and a fade, so that encoders use what they have; more pictures than one GOP. */
const PICTURE = 'testsrc2=size=176x144:rate=25,noise=alls=12:allf=t,fade=in:2:18';
const FRAMES = 30;

const FRAGMENTED = ['-movflags', 'empty_moov+default_base_moof+frag_keyframe+delay_moov'];
const X264 = ['-c:v', 'libx264', '-preset', 'medium', '-tune', 'psnr'];
const X265 = ['-c:v', 'libx265', '-preset', 'medium', '-tag:v', 'hvc1'];

function x264(parameters: string, ...more: string[]): string[] {
  return ['-pix_fmt', 'yuv420p', ...X264, '-x264-params', `keyint=12:scenecut=0:${parameters}`, ...more];
}

function x265(parameters: string, ...more: string[]): string[] {
  return [
    ...['-pix_fmt', 'yuv420p', ...X265],
    ...['-x265-params', `log-level=none:keyint=12:min-keyint=12:scenecut=0:${parameters}`, ...more],
  ];
}

/** Encoders' settings that show in slice headers and parameter sets. */
export const VIDEO_CLIPS: Readonly<Record<string, readonly string[]>> = {
  'H.264 CABAC, B-frames, weights': x264('bframes=3:b-pyramid=normal:weightp=2:weightb=1:ref=5'),
  'H.264 CAVLC, weights, 8x8': x264('cabac=0:bframes=2:weightp=2:ref=4:8x8dct=1'),
  'H.264 Baseline': x264('bframes=0:ref=1', '-profile:v', 'baseline'),
  'H.264 interlaced': x264('tff=1:bframes=3:weightp=2:ref=4', '-flags', '+ildct+ilme'),
  'H.264 interlaced CAVLC of three slices': x264('bff=1:cabac=0:bframes=2:slices=3'),
  'H.264 of four slices': x264('slices=4:bframes=3:weightp=2:ref=6:b-pyramid=strict'),
  'H.264 of many small slices': x264(
    'slice-max-size=150:bframes=1:aud=1:nal-hrd=vbr:vbv-maxrate=400:vbv-bufsize=400',
  ),
  /** More than `saiz` can tell of. */
  'H.264 of fifty slices': x264('slice-max-mbs=2:qp=16:bframes=1'),
  'H.264 intra refresh, many references': x264('intra-refresh=1:ref=16:bframes=2:b-adapt=0:direct=temporal'),
  'H.264 without deblocking, open GOPs': x264('no-deblock=1:open-gop=1:bframes=3:constrained-intra=1'),
  'H.264 4:4:4, 10 bits': x264('bframes=3:weightp=2:cqm=jvt', '-pix_fmt', 'yuv444p10le'),
  'H.264 4:2:2, fake interlaced': x264('fake-interlaced=1:bframes=2:weightp=2', '-pix_fmt', 'yuv422p'),
  'H.264 grey': x264('bframes=2:weightp=2', '-pix_fmt', 'gray'),
  'H.264 lossless': x264('qp=0:bframes=2:weightp=2'),
  'HEVC B-pyramid, weights': x265('bframes=4:b-pyramid=1:weightp=1:weightb=1:ref=5'),
  'HEVC of four slices, in step': x265('slices=4:wpp=1:ctu=16:bframes=3:weightp=1'),
  'HEVC in step, small blocks': x265('wpp=1:ctu=16:min-cu-size=8:ref=3:bframes=2'),
  'HEVC without loop filters': x265('wpp=0:sao=0:deblock=0:bframes=2:temporal-mvp=0'),
  'HEVC of open GOPs, temporal layers': x265('open-gop=1:bframes=4:b-pyramid=1:temporal-layers=3'),
  'HEVC 4:4:4, 12 bits': x265('bframes=3:weightp=1:weightb=1:cu-lossless=1', '-pix_fmt', 'yuv444p12le'),
  'HEVC 4:2:2, 10 bits, quantizers of chroma': x265(
    'cbqpoffs=3:crqpoffs=-2:bframes=3',
    '-pix_fmt',
    'yuv422p10le',
  ),
  'HEVC grey': x265('bframes=2:weightp=1', '-pix_fmt', 'gray'),
  'HEVC interlaced': x265('interlace=tff:bframes=2'),
  'HEVC intra only': x265('keyint=1:min-keyint=1:slices=2'),
  'HEVC with transform skip, scaling lists': x265(
    'tskip=1:scaling-list=default:rdoq-level=2:deblock=-3,2:bframes=2',
  ),
  'HEVC with analysis of motion, one reference': x265(
    'ref=1:bframes=0:repeat-headers=1:aud=1:hrd=1:vbv-maxrate=400:vbv-bufsize=400',
  ),
};

export const AUDIO_CLIPS: Readonly<Record<string, readonly string[]>> = {
  AAC: ['-c:a', 'aac', '-b:a', '96k'],
  'AC-3': ['-c:a', 'ac3'],
  'E-AC-3': ['-c:a', 'eac3'],
  Opus: ['-c:a', 'libopus'],
  FLAC: ['-c:a', 'flac'],
};

/** Encodes a clip by its name in one of the tables and reads it back. */
export async function makeClip(folder: string, name: string): Promise<Clip> {
  const video = VIDEO_CLIPS[name];
  const audio = AUDIO_CLIPS[name];
  const path = join(folder, `${name.replaceAll(/[^a-z0-9]+/gi, '-')}.mp4`);
  const input = video
    ? ['-f', 'lavfi', '-i', PICTURE, '-frames:v', `${FRAMES}`, ...video]
    : ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000', '-t', '1', '-ac', '2', ...(audio ?? [])];
  await ffmpeg([...input, '-strict', 'experimental', ...FRAGMENTED, path]);
  const bytes = new Uint8Array(await readFile(path));
  const init = readInitSegment(bytes)?.[0];
  const fragments = init && readFragments(bytes, [init]);
  if (!init?.config || !fragments) throw new Error(`cannot read ${path}`);
  const { entry, timescale, config, width, height, channels } = init;
  return {
    path,
    track: video
      ? { kind: 'video', codec: entry as VideoCodecName, timescale, config, width, height }
      : { kind: 'audio', codec: entry as AudioCodecName, timescale, config, channels },
    samples: fragments.flatMap((fragment) => fragment.tracks[0]?.samples ?? []),
  };
}

/** One syntax element as ffmpeg's trace_headers shows it: bit position, name, bits, value. */
const ELEMENT = /^\[trace_headers @ \w+\] (\d+)\s+\S+\s+([01]*) = /;
const SLICE = /^\[trace_headers @ \w+\] Slice (Segment )?Header$/;

/**
 * How many bytes the header of each slice takes, NAL header and alignment counted, emulation prevention not, as ffmpeg
 * reads it; in decode order.
 */
export async function traceSliceHeaders(clip: Clip & { readonly track: VideoInit }): Promise<number[]> {
  const annexB = clip.track.codec === 'avc1' ? 'h264_mp4toannexb' : 'hevc_mp4toannexb';
  const filters = ['-c', 'copy', '-bsf:v', `${annexB},trace_headers`];
  const { stderr } = await run('ffmpeg', [
    '-hide_banner',
    '-nostats',
    '-i',
    clip.path,
    ...filters,
    '-f',
    'null',
    '-',
  ]);
  const headers: number[] = [];
  let inSlice = false;
  for (const line of stderr.split('\n')) {
    const [, position, bits] = ELEMENT.exec(line) ?? [];
    if (SLICE.test(line)) {
      headers.push(0);
      inSlice = true;
    } else if (position === undefined || bits === undefined) inSlice = false;
    else if (inSlice) headers[headers.length - 1] = Math.ceil((Number(position) + bits.length) / 8);
  }
  return headers;
}
