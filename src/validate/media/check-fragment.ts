import type { Box } from '../../media/isobmff/box-reader.ts';
import type { InitFacts } from '../contracts.ts';
import { type Fragment, type FragmentSample, TFHD, type TrackFragment } from './fragments.ts';
import type { TellMedia } from './media-rules.ts';

/** What {@link checkFragment} needs to know besides the fragment. */
export interface FragmentContext {
  readonly init: InitFacts;
  readonly format: 'hls' | 'dash';
  readonly mdats: readonly Box[];
}

/** Values with the top bit set were meant to be negative. */
const SIGN_BIT = 0x80000000;

/** Judges one moof: its track fragments, their times and where their samples lie. */
export function checkFragment(fragment: Fragment, context: FragmentContext, tell: TellMedia): void {
  const at = `the moof at byte ${fragment.moof.start}`;
  if (fragment.tracks.length === 0) tell('media-fragment-unreadable', `${at} has no traf`);
  if (!context.mdats.some(({ start }) => start > fragment.moof.start)) {
    tell('media-no-mdat', `no mdat follows ${at}`);
  }
  for (const track of fragment.tracks) {
    checkHeader(track, fragment.tracks.length, context, at, tell);
    checkSamples(track, context, at, tell);
  }
}

function checkHeader(
  track: TrackFragment,
  trackCount: number,
  { init, format }: FragmentContext,
  at: string,
  tell: TellMedia,
): void {
  const { trackId, headerFlags } = track;
  if (track.malformed)
    tell('media-fragment-unreadable', `a tfhd or trun of ${at} ends too soon or is missing`);
  else if (init.tracks.length > 0 && !init.tracks.some((known) => known.trackId === trackId)) {
    const known = init.tracks.map((each) => each.trackId).join(', ');
    tell('media-track-id', `${at} has track ${trackId}, the initialization segment ${known}`);
  }
  if (track.baseTicks === undefined) tell('media-tfdt-missing', `track ${trackId} of ${at} has no tfdt`);
  if (headerFlags & TFHD.baseDataOffset) {
    tell('media-base-offset', `track ${trackId} of ${at} has an absolute base-data-offset`);
  } else if (!(headerFlags & TFHD.baseIsMoof) && (format === 'dash' || init.cmaf || trackCount > 1)) {
    tell('media-base-is-moof', `track ${trackId} of ${at} does not set default-base-is-moof`);
  }
}

function checkSamples(track: TrackFragment, context: FragmentContext, at: string, tell: TellMedia): void {
  const stray = track.samples.findIndex((sample) => !liesIn(sample, context.mdats));
  if (stray >= 0) {
    const { offset = 0, sizeBytes } = track.samples[stray] ?? { sizeBytes: 0 };
    tell(
      'media-data-offset',
      `sample ${stray + 1} of ${at} is bytes ${offset} to ${offset + sizeBytes}: not inside an mdat`,
    );
  }
  const negative = track.samples.findIndex(({ durationTicks }) => durationTicks >= SIGN_BIT);
  if (negative >= 0) {
    const ticks = (track.samples[negative]?.durationTicks ?? 0) - 2 * SIGN_BIT;
    tell('media-sample-duration', `sample ${negative + 1} of ${at} has the duration ${ticks}`);
  }
  const wrong = track.samples.findIndex(({ compositionTicks }) => compositionTicks >= SIGN_BIT);
  if (wrong >= 0) {
    tell(
      'media-composition-offset',
      `sample ${wrong + 1} of ${at} has a negative composition offset in a trun of version 0`,
    );
  }
}

/** Samples whose place cannot be told (an absolute base) are not held against anything twice. */
function liesIn({ offset, sizeBytes }: FragmentSample, mdats: readonly Box[]): boolean {
  if (offset === undefined || sizeBytes === 0) return true;
  return mdats.some(({ bodyStart, end }) => offset >= bodyStart && offset + sizeBytes <= end);
}

/** Judges the order of the fragments of one run. */
export function checkSequence(fragments: readonly Fragment[], tell: TellMedia): void {
  let last: number | undefined;
  for (const { sequence, moof } of fragments) {
    if (sequence === undefined) {
      tell('media-fragment-unreadable', `the moof at byte ${moof.start} has no mfhd`);
    } else if (last !== undefined && sequence < last) {
      tell('media-sequence-number', `mfhd sequence_number ${sequence} follows ${last}`);
    }
    last = sequence ?? last;
  }
}
