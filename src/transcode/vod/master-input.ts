/** A container that masters may come in, and what ffmpeg calls its demuxer. */
export type MasterDemuxer = 'mov' | 'matroska' | 'mpegts' | 'mxf';

/** Decoders that may be used, by ffmpeg's names: widely used codecs, so that seldom-tried code never meets a stranger's file. */
const DECODERS = [
  ...['h264', 'hevc', 'vp8', 'libvpx', 'vp9', 'libvpx-vp9', 'libdav1d', 'libaom-av1', 'av1'],
  ...[
    'mpeg1video',
    'mpeg2video',
    'mpeg4',
    'vc1',
    'prores',
    'dnxhd',
    'cfhd',
    'ffv1',
    'dvvideo',
    'v210',
    'rawvideo',
    'mjpeg',
  ],
  ...['aac', 'aac_latm', 'ac3', 'eac3', 'dca', 'truehd', 'mlp', 'mp2', 'mp2float', 'mp3', 'mp3float'],
  ...['opus', 'libopus', 'vorbis', 'flac', 'alac'],
  ...['pcm_u8', 'pcm_s16le', 'pcm_s16be', 'pcm_s24le', 'pcm_s24be', 'pcm_s32le', 'pcm_s32be'],
  ...['pcm_f32le', 'pcm_f32be', 'pcm_f64le', 'pcm_f64be', 'pcm_bluray', 'pcm_dvd'],
  ...['subrip', 'srt', 'ass', 'ssa', 'mov_text', 'webvtt', 'text'],
  // Only opened, so that covers and subtitles that are pictures are seen and left out: ffprobe refuses a file with a
  // stream that it may not open a decoder for.
  ...['png', 'pgssub', 'dvdsub', 'dvbsub', 'xsub', 'cc_dec', 'libzvbi_teletextdec'],
];

/** Codecs of pictures that can be decoded, by ffmpeg's names of codecs. */
export const VIDEO_CODECS: ReadonlySet<string> = new Set([
  ...['h264', 'hevc', 'vp8', 'vp9', 'av1', 'mpeg1video', 'mpeg2video', 'mpeg4', 'vc1'],
  ...['prores', 'dnxhd', 'cfhd', 'ffv1', 'dvvideo', 'v210', 'rawvideo', 'mjpeg'],
]);

/** The same of sound. */
export const AUDIO_CODECS: ReadonlySet<string> = new Set([
  ...[
    'aac',
    'aac_latm',
    'ac3',
    'eac3',
    'dts',
    'truehd',
    'mlp',
    'mp2',
    'mp3',
    'opus',
    'vorbis',
    'flac',
    'alac',
  ],
  ...['pcm_u8', 'pcm_s16le', 'pcm_s16be', 'pcm_s24le', 'pcm_s24be', 'pcm_s32le', 'pcm_s32be'],
  ...['pcm_f32le', 'pcm_f32be', 'pcm_f64le', 'pcm_f64be', 'pcm_bluray', 'pcm_dvd'],
]);

/** Subtitles that are text; others are pictures. */
export const TEXT_CODECS: ReadonlySet<string> = new Set([
  ...['subrip', 'ass', 'ssa', 'mov_text', 'webvtt', 'text'],
]);

/** Where a file's own descriptor is, when it is given to a child as its descriptor 3. */
export const MASTER_DESCRIPTOR = '/dev/fd/3';

/**
 * The options that ffmpeg and ffprobe are to open a stranger's file with, up to and with `-i`: that one demuxer, local
 * files only (and no playlist or script can name another, since no such demuxer may be used), known decoders, no picture
 * larger than allowed.
 */
export function masterInputArguments(
  demuxer: string,
  path: string,
  limits: { readonly maxPixels: number; readonly maxStreams: number },
): string[] {
  return [
    ...[
      '-protocol_whitelist',
      'file,pipe',
      '-format_whitelist',
      demuxer,
      '-codec_whitelist',
      DECODERS.join(','),
    ],
    ...['-max_streams', `${limits.maxStreams}`, '-max_pixels', `${limits.maxPixels}`],
    // Without `file:` a path with a colon in it would be taken for a URL.
    ...['-f', demuxer, '-i', `file:${path}`],
  ];
}
