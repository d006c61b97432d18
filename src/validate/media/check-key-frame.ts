import { readBoxes } from '../../media/isobmff/box-reader.ts';
import type { InitFacts, Report } from '../contracts.ts';
import { type FragmentSample, isSync, readFragment } from './fragments.ts';
import { type TellMedia, tellerOf } from './media-rules.ts';
import { sniffMedia } from './sniff-media.ts';

/** A key frame that stands alone. */
export interface KeyFrameFacts {
  /** Presentation time, seconds of media time. */
  readonly presentationSeconds: number;
}

/**
 * Judges bytes that a manifest gives out as a key frame: a range of a segment in a playlist of I-frames or a trick mode
 * set. They must hold a whole `moof` and its first sample, a sync sample, whole; and no other sample. Undefined when it is
 * not known what is in them: another container, or no frame that can be read.
 */
export function checkKeyFrame(bytes: Uint8Array, init: InitFacts, report: Report): KeyFrameFacts | undefined {
  if (sniffMedia(bytes) !== 'isobmff') return undefined;
  const tell = tellerOf(report);
  const video = init.tracks.find(({ kind }) => kind === 'video') ?? init.tracks[0];
  const [track, ...others] = readBoxes(bytes)
    .boxes.filter(({ type }) => type === 'moof')
    .flatMap((moof) => readFragment(bytes, moof, init.defaults).tracks)
    .filter(({ trackId }) => trackId === video?.trackId);
  const [first] = track?.samples ?? [];
  if (!video || !track || !first || track.malformed) {
    tell('media-key-frame-incomplete', `${bytes.length} bytes without a whole moof of the pictures`);
    return undefined;
  }
  const samples = [track, ...others].flatMap((each) => each.samples);
  judgeFrame(bytes, samples, first, tell);
  if (track.baseTicks === undefined || video.timescale === 0) return undefined;
  return { presentationSeconds: (track.baseTicks + first.compositionTicks) / video.timescale };
}

function judgeFrame(
  bytes: Uint8Array,
  samples: readonly FragmentSample[],
  first: FragmentSample,
  tell: TellMedia,
): void {
  if (!isSync(first)) tell('media-key-frame-not-sync', 'its first sample is no sync sample');
  if (first.offset === undefined) return;
  const missing = first.offset + first.sizeBytes - bytes.length;
  if (missing > 0) {
    tell(
      'media-key-frame-incomplete',
      `the last ${missing} of ${first.sizeBytes} bytes of its frame are not in it`,
    );
    return;
  }
  const whole = samples.filter(({ offset, sizeBytes }) => (offset ?? 0) + sizeBytes <= bytes.length).length;
  if (whole > 1)
    tell('media-key-frame-surplus', `it holds ${whole} frames, players want the key frame alone`);
}
