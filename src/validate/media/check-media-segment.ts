import { type Box, readBoxes } from '../../media/isobmff/box-reader.ts';
import type { CheckMediaSegment, InitFacts, MediaExpectations, TrackRunFacts } from '../contracts.ts';
import { checkFragment, checkSequence } from './check-fragment.ts';
import { checkEncryption } from './check-encryption.ts';
import { boxList, faultText } from './check-init-segment.ts';
import {
  checkEventMessages,
  checkReferenceTimes,
  checkSegmentIndex,
  checkSegmentType,
} from './check-side-boxes.ts';
import { checkSyncSamples } from './check-sync.ts';
import { type Fragment, isSync, readFragment, type TrackFragment } from './fragments.ts';
import { type TellMedia, tellerOf } from './media-rules.ts';
import { sniffMedia } from './sniff-media.ts';
import { checkDecodeTimes } from './track-chain.ts';

/** Judges a whole media segment or one LL-HLS part of anybody's. */
export const checkMediaSegment: CheckMediaSegment = (bytes, expectations, report) => {
  const tell = tellerOf(report);
  const { init } = expectations;
  const container = sniffMedia(bytes);
  if (container !== 'isobmff') {
    tell('media-segment-unknown', `${bytes.length} bytes that are not ISO BMFF but ${container}`);
    return undefined;
  }
  const tree = readBoxes(bytes);
  if (tree.fault) tell('media-box-structure', faultText(tree, bytes.length));
  const { boxes } = tree;
  const moofs = boxes.filter(({ type }) => type === 'moof');
  if (moofs.length === 0) {
    tell('media-segment-no-fragment', `no moof among ${boxList(boxes)}`);
    return undefined;
  }
  const fragments = moofs.map((moof) => readFragment(bytes, moof, init.defaults));
  const mdats = boxes.filter(({ type }) => type === 'mdat');
  for (const fragment of fragments) {
    checkFragment(fragment, { init, format: expectations.format, mdats }, tell);
  }
  checkSequence(fragments, tell);
  checkSyncSamples(bytes, fragments, init, tell);
  const kids = checkEncryption(bytes, fragments, expectations, tell);
  const brands = checkAround(bytes, boxes, expectations, tell);
  const references = checkReferenceTimes(bytes, boxes, fragments, init, tell);
  const runs = gatherRuns(fragments);
  for (const run of runs.values()) checkRun(run, expectations, tell);
  return { tracks: [...runs.values()].map(runFacts), fragmentCount: moofs.length, brands, references, kids };
};

function checkAround(
  bytes: Uint8Array,
  boxes: readonly Box[],
  expectations: MediaExpectations,
  tell: TellMedia,
): string[] {
  const brands = checkSegmentType(bytes, boxes, expectations, tell);
  checkEventMessages(bytes, boxes, expectations.init, tell);
  if (expectations.scope === 'segment') checkSegmentIndex(bytes, boxes, expectations.init, tell);
  return brands;
}

/** All fragments of one track, in order. */
interface TrackRun {
  readonly trackId: number;
  readonly fragments: TrackFragment[];
}

function gatherRuns(fragments: readonly Fragment[]): Map<number, TrackRun> {
  const runs = new Map<number, TrackRun>();
  for (const track of fragments.flatMap(({ tracks }) => tracks)) {
    const run = runs.get(track.trackId) ?? { trackId: track.trackId, fragments: [] };
    run.fragments.push(track);
    runs.set(track.trackId, run);
  }
  return runs;
}

function checkRun(run: TrackRun, expectations: MediaExpectations, tell: TellMedia): void {
  const track = expectations.init.tracks.find(({ trackId }) => trackId === run.trackId);
  const facts = runFacts(run);
  const timed = track?.kind === 'video' || track?.kind === 'audio';
  if (facts.sampleCount === 0) tell('media-segment-no-samples', `track ${run.trackId} has no samples`);
  else if (timed && facts.durationTicks === 0) {
    tell('media-duration-zero', `the ${facts.sampleCount} samples of track ${run.trackId} last 0 ticks`);
  }
  if (track) checkInside(run, track.timescale, tell);
  if (track?.kind !== 'video') return;
  if (expectations.startsWithSync === true && facts.sampleCount > 0 && !facts.firstSampleIsSync) {
    tell('media-not-sync', `the first sample of track ${run.trackId} is not a sync sample`);
  }
  checkOrigin(run, facts, expectations.init, tell);
}

/** Fragment after fragment inside the segment. */
function checkInside(run: TrackRun, timescale: number, tell: TellMedia): void {
  let last: TrackFragment | undefined;
  for (const fragment of run.fragments) {
    if (fragment.baseTicks === undefined || fragment.samples.length === 0) continue;
    if (last?.baseTicks !== undefined) {
      const where = `track ${run.trackId}, inside the segment`;
      checkDecodeTimes(
        span(last, last.baseTicks),
        span(fragment, fragment.baseTicks),
        timescale,
        where,
        tell,
      );
    }
    last = fragment;
  }
}

function span({ samples }: TrackFragment, startTicks: number) {
  return { startTicks, durationTicks: sumDurations(samples), sampleCount: samples.length };
}

/**
 * With trun version 1 there is no edit list: the first picture presented has the first decode time. Held against
 * segments that begin with a sync sample only: elsewhere the first picture may belong to the segment before.
 */
function checkOrigin(run: TrackRun, facts: TrackRunFacts, init: InitFacts, tell: TellMedia): void {
  const version1 = run.fragments.every(({ runVersions }) => runVersions.every((version) => version === 1));
  if (!init.cmaf || !version1 || !facts.firstSampleIsSync) return;
  const distance = facts.earliestPresentationTicks - facts.startTicks;
  if (distance === 0) return;
  tell(
    'media-composition-origin',
    `the first picture of track ${run.trackId} is presented ${distance} ticks from the tfdt`,
  );
}

function sumDurations(samples: readonly { readonly durationTicks: number }[]): number {
  return samples.reduce((sum, { durationTicks }) => sum + durationTicks, 0);
}

function runFacts({ trackId, fragments }: TrackRun): TrackRunFacts {
  const samples = fragments.flatMap((fragment) => fragment.samples);
  const startTicks = fragments.find(({ baseTicks }) => baseTicks !== undefined)?.baseTicks ?? 0;
  const times = presentationTimes(fragments, startTicks);
  const [first] = samples;
  return {
    trackId,
    startTicks,
    durationTicks: sumDurations(samples),
    earliestPresentationTicks: times.earliest,
    endPresentationTicks: times.end,
    sampleCount: samples.length,
    syncSampleCount: samples.filter(isSync).length,
    firstSampleIsSync: first !== undefined && isSync(first),
  };
}

function presentationTimes(
  fragments: readonly TrackFragment[],
  startTicks: number,
): { earliest: number; end: number } {
  let earliest = Number.POSITIVE_INFINITY;
  let end = startTicks;
  let dts = startTicks;
  for (const { baseTicks, samples } of fragments) {
    dts = baseTicks ?? dts;
    for (const { compositionTicks, durationTicks } of samples) {
      const pts = dts + compositionTicks;
      earliest = Math.min(earliest, pts);
      end = Math.max(end, pts + durationTicks);
      dts += durationTicks;
    }
  }
  return { earliest: Number.isFinite(earliest) ? earliest : startTicks, end };
}
