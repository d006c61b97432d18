import type { InitFacts, TrackFacts } from '../contracts.ts';
import { dependsOn, type Fragment, type FragmentSample, isSync } from './fragments.ts';
import type { TellMedia } from './media-rules.ts';
import { accessUnitKind } from './random-access.ts';

/** sample_depends_on: this sample needs others to be decoded. */
const NEEDS_OTHERS = 1;

/** Judges the flags of every sample, against each other and against what the pictures themselves are. */
export function checkSyncSamples(
  bytes: Uint8Array,
  fragments: readonly Fragment[],
  init: InitFacts,
  tell: TellMedia,
): void {
  for (const { moof, tracks } of fragments) {
    for (const { trackId, samples } of tracks) {
      const track = init.tracks.find((known) => known.trackId === trackId);
      for (const [index, sample] of samples.entries()) {
        const where = `sample ${index + 1} of the moof at byte ${moof.start}`;
        checkFlags(sample, where, tell);
        if (track) checkPicture(bytes, sample, track, where, tell);
      }
    }
  }
}

function checkFlags(sample: FragmentSample, where: string, tell: TellMedia): void {
  if (!isSync(sample) || dependsOn(sample) !== NEEDS_OTHERS) return;
  tell('media-sample-flags', `${where} is flagged a sync sample and yet as depending on others`);
}

function checkPicture(
  bytes: Uint8Array,
  sample: FragmentSample,
  { codec, nalLengthSize }: TrackFacts,
  where: string,
  tell: TellMedia,
): void {
  const { offset, sizeBytes } = sample;
  if (codec === undefined || nalLengthSize === undefined || offset === undefined) return;
  if (offset < 0 || offset + sizeBytes > bytes.length) return;
  const kind = accessUnitKind(codec, nalLengthSize, bytes.subarray(offset, offset + sizeBytes));
  if (kind === 'broken') {
    tell('media-nal-length', `the NAL unit lengths of ${where} do not add up to its ${sizeBytes} bytes`);
  } else if (kind === 'dependent' && isSync(sample)) {
    tell('media-sync-flag', `${where} is flagged a sync sample, its picture is not a random access point`);
  } else if (kind === 'random-access' && !isSync(sample)) {
    tell('media-sync-unmarked', `${where} is a random access point but not flagged a sync sample`);
  }
}
