import { masterInputArguments } from './master-input.ts';
import { QUIETLY } from './piece-arguments.ts';
import { fromStart } from './piece-filters.ts';
import type { PlannedAudio } from './title-plan.ts';
import { MAX_WORK_PIXELS, MAX_WORK_STREAMS } from './work-limits.ts';
import { OUTPUT } from './work-run.ts';

export interface AudioInput {
  readonly masterPath: string;
  readonly demuxer: string;
  readonly track: PlannedAudio;
  /** Where the title's 0 is on the file's clock; undefined: at the track's first sample. */
  readonly startMs: number | undefined;
  /** Where the title ends, counted from its 0; undefined: with the track. */
  readonly endMs: number | undefined;
  /** Silence before a track that begins late. */
  readonly padded: boolean;
}

/**
 * The muxer is given all times so much later, so that what lies before the title's 0 (the encoder's priming, packets that
 * are copied) has times that can be written, too.
 */
export const SHIFT_SECONDS = 3600;

/** Sound that is further than this from where its time stamps say is moved there: silence goes in, or samples out. */
const MAX_DRIFT_SECONDS = 0.03;
const FRAGMENT_US = 1_000_000;

/** ffmpeg's arguments for a whole track of sound, as fragmented MP4 on {@link OUTPUT}. */
export function audioArguments(input: AudioInput): string[] {
  const { track } = input;
  return [
    ...QUIETLY,
    ...['-threads', '1'],
    ...masterInputArguments(input.demuxer, input.masterPath, {
      maxPixels: MAX_WORK_PIXELS,
      maxStreams: MAX_WORK_STREAMS,
    }),
    ...['-map', `0:${track.index}`, ...(track.codec === 'aac' ? encoded(input) : copied(input))],
    ...['-map_metadata', '-1', '-map_chapters', '-1'],
    // What the moov says of AC-3 is in its first packet. frag_discont keeps the times as they are given.
    ...['-movflags', '+empty_moov+delay_moov+default_base_moof+frag_discont', '-use_editlist', '0'],
    ...['-frag_duration', `${FRAGMENT_US}`],
    ...['-avoid_negative_ts', 'disabled', '-flush_packets', '1', '-f', 'mp4', OUTPUT],
  ];
}

function encoded(input: AudioInput): string[] {
  const { track } = input;
  return [
    ...['-af', encodedFilters(input).join(',')],
    ...[
      '-c:a',
      'aac',
      '-b:a',
      `${track.bitrateBps}`,
      '-ac',
      `${track.channels}`,
      '-ar',
      `${track.sampleRate}`,
    ],
    ...['-output_ts_offset', `${SHIFT_SECONDS}`],
  ];
}

/**
 * The track's time stamps count, not its samples: it is cut at the title's 0 to the sample, holes in it are silence, and
 * it ends with the title. Only the filters before the cut look at how many samples there were, because a track that
 * changes its channels on the way begins them anew.
 */
function encodedFilters({ track, startMs, endMs, padded }: AudioInput): string[] {
  const fromZero = padded ? ':first_pts=0' : '';
  return [
    startMs === undefined ? 'asetpts=PTS-STARTPTS' : fromStart('asetpts', startMs),
    `aresample=${track.sampleRate}:async=1:min_hard_comp=${MAX_DRIFT_SECONDS}${fromZero}`,
    ...(endMs === undefined ? ['atrim=start=0'] : ['apad', `atrim=start=0:end=${endMs / 1000}`]),
  ];
}

function copied({ startMs = 0 }: AudioInput): string[] {
  return ['-c:a', 'copy', '-output_ts_offset', `${SHIFT_SECONDS - startMs / 1000}`];
}
