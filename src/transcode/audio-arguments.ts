import { FIRST_OUTPUT_FD } from './arguments.ts';

const BITRATE = '128k';
/** Only a limit of bytes ends the probing of codecs whose packets tell no duration: ADPCM would be probed for seconds. */
const MIN_PROBE_BYTES = '32';

/**
 * ffmpeg's arguments: FLV with audio on stdin, AAC-LC in FLV out, at the very times it came in with. The encoder's
 * priming is in the times: the first frame lies one frame before the first sample.
 *
 * @param fromSample samples before this one of the fed file's clock, at `sampleRate`, are not encoded
 */
export function buildAudioArguments(sampleRate: number, fromSample: number): string[] {
  const filters = [
    `aresample=${sampleRate}`,
    `atrim=start_pts=${fromSample}`,
    // Of more channels the nearest, which is stereo, is made.
    'aformat=channel_layouts=mono|stereo',
  ];
  return [
    ...['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'warning', '-threads', '1'],
    ...['-probesize', MIN_PROBE_BYTES, '-analyzeduration', '1', '-fpsprobesize', '0'],
    ...[
      '-protocol_whitelist',
      'pipe',
      '-f',
      'flv',
      '-i',
      'pipe:0',
      '-copyts',
      '-map',
      '0:a:0',
      '-vn',
      '-af',
      filters.join(','),
    ],
    ...['-c:a', 'aac', '-b:a', BITRATE, '-f', 'flv', '-flvflags', 'no_duration_filesize'],
    ...['-flush_packets', '1', `pipe:${FIRST_OUTPUT_FD}`],
  ];
}
