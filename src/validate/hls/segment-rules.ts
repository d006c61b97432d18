import type { InitFacts, MediaFacts, TrackRunFacts } from '../contracts.ts';
import type { Part, Segment } from './playlist.ts';
import { apple, rfc, say, type Problem, type Rule } from './rule.ts';

/** One part as it was fetched. */
export interface ReadPart {
  readonly part: Part;
  readonly bytes: Uint8Array;
  /** Undefined for what is not ISO BMFF. */
  readonly facts: MediaFacts | undefined;
  readonly init: InitFacts | undefined;
}

/** One segment as it was fetched. */
export interface ReadSegment {
  readonly segment: Segment;
  readonly bytes: Uint8Array;
  readonly facts: MediaFacts | undefined;
  readonly init: InitFacts | undefined;
  readonly isIsobmff: boolean;
  /** All of its parts in order; undefined when some were not fetched. */
  readonly parts: readonly ReadPart[] | undefined;
}

/** Least tolerance of durations: players do not notice less, and some text has two decimals. */
const DURATION_TOLERANCE_SECONDS = 0.05;
/** EXTINF without a fraction is rounded (4.4.4.1: version below 3). */
const WHOLE_SECOND_TOLERANCE = 0.51;

/** The track that times a rendition: the pictures, else whatever comes first. */
export function leadTrack(
  facts: MediaFacts,
  init: InitFacts,
): (TrackRunFacts & { readonly timescale: number; readonly isVideo: boolean }) | undefined {
  const video = init.tracks.find(({ kind }) => kind === 'video')?.trackId;
  const run = facts.tracks.find(({ trackId }) => trackId === video) ?? facts.tracks[0];
  const track = init.tracks.find(({ trackId }) => trackId === run?.trackId);
  if (!run || !track || track.timescale <= 0) return undefined;
  return { ...run, timescale: track.timescale, isVideo: track.kind === 'video' };
}

function secondsOfMedia({ facts, init }: ReadPart | ReadSegment) {
  const lead = facts && init && leadTrack(facts, init);
  if (!lead || lead.sampleCount === 0) return undefined;
  const seconds = lead.durationTicks / lead.timescale;
  const frame = seconds / lead.sampleCount;
  return { seconds, tolerance: Math.max(frame * 1.5, DURATION_TOLERANCE_SECONDS), lead };
}

/** What may be between a declared duration and the media's. */
export function durationTolerance(declared: number, tolerance: number): number {
  return Number.isInteger(declared) ? Math.max(tolerance, WHOLE_SECOND_TOLERANCE) : tolerance;
}

/** Rules of a part's bytes beside its playlist. */
export const PART_MEDIA_RULES: readonly Rule<ReadPart>[] = [
  {
    rule: 'hls-part-duration-wrong',
    severity: 'error',
    clause: rfc('3.2'),
    *check(read) {
      const media = secondsOfMedia(read);
      const { seconds, index, msn } = read.part;
      if (!media || Math.abs(media.seconds - seconds) <= media.tolerance) return;
      yield `part ${index} of segment ${msn} says ${say(seconds)}, its media last ${say(media.seconds)}`;
    },
  },
  {
    rule: 'hls-part-not-independent',
    severity: 'error',
    clause: rfc('4.4.4.9'),
    *check(read) {
      const lead = read.facts && read.init && leadTrack(read.facts, read.init);
      if (!read.part.independent || !lead?.isVideo || lead.syncSampleCount > 0) return;
      yield `part ${read.part.index} of segment ${read.part.msn} is INDEPENDENT=YES but has no key frame`;
    },
  },
  {
    rule: 'hls-part-independent-unmarked',
    severity: 'warning',
    clause: rfc('4.4.4.9'),
    *check(read) {
      const lead = read.facts && read.init && leadTrack(read.facts, read.init);
      if (read.part.independent || !lead || lead.syncSampleCount === 0) return;
      yield `part ${read.part.index} of segment ${read.part.msn} has an independent frame but not INDEPENDENT=YES`;
    },
  },
];

/** Rules of a segment's bytes beside its playlist. */
export const SEGMENT_MEDIA_RULES: readonly Rule<ReadSegment>[] = [
  {
    rule: 'hls-map-missing',
    severity: 'error',
    clause: `${rfc('3.1.2')}; ${apple('8.20')}`,
    *check({ isIsobmff, segment }) {
      if (isIsobmff && !segment.map)
        yield { line: segment.line, message: `segment ${segment.msn} is fragmented MP4 without EXT-X-MAP` };
    },
  },
  {
    rule: 'hls-duration-wrong',
    severity: 'error',
    clause: `${rfc('4.4.4.1')}; ${apple('8.1')}`,
    *check(read) {
      const media = secondsOfMedia(read);
      const { seconds, msn } = read.segment;
      if (!media || seconds === undefined) return;
      if (Math.abs(media.seconds - seconds) <= durationTolerance(seconds, media.tolerance)) return;
      yield `EXTINF of segment ${msn} is ${say(seconds)}, its media last ${say(media.seconds)}`;
    },
  },
  { rule: 'hls-parts-differ', severity: 'error', clause: rfc('3.2'), check: partsDiffer },
];

/** A segment and all of its parts must have the same samples; the same bytes are the surest way. */
function* partsDiffer(read: ReadSegment): Iterable<Problem | string> {
  const { parts, segment, bytes } = read;
  if (!parts || parts.length === 0) return;
  if (Buffer.concat(parts.map((part) => part.bytes)).equals(bytes)) return;
  const whole = read.facts && read.init && leadTrack(read.facts, read.init);
  const runs = parts.map((part) => part.facts && part.init && leadTrack(part.facts, part.init));
  const known = runs.flatMap((run) => (run ? [run] : []));
  // Parts may have boxes of their own around the samples.
  if (!whole || known.length < runs.length) return;
  const samples = known.reduce((sum, run) => sum + run.sampleCount, 0);
  const ticks = known.reduce((sum, run) => sum + run.durationTicks, 0);
  if (
    samples === whole.sampleCount &&
    ticks === whole.durationTicks &&
    known[0]?.startTicks === whole.startTicks
  )
    return;
  yield `segment ${segment.msn} has ${whole.sampleCount} samples from tick ${whole.startTicks}, its parts ${samples} from ${known[0]?.startTicks}`;
}
