import type { TrackFacts, TrackRunFacts } from '../contracts.ts';
import type { BehaviourRule } from './behaviour-rules.ts';
import type { Addressing } from './mpd-model.ts';
import type { SegmentRef } from './segments.ts';

/**
 * An edit list may move what is presented by the priming of an audio encoder: two frames of AAC. It is not read here,
 * so that much is not held against a timeline.
 */
const PRIMING_SAMPLES = 2.1;
const ROUNDING_SECONDS = 0.001;

/** Judges where the media of a segment lie beside where the MPD says they do (ISO/IEC 23009-1 7.2.1). */
export function checkSegmentTime(
  segment: SegmentRef,
  addressing: Addressing,
  track: TrackFacts,
  run: TrackRunFacts,
): { readonly rule: BehaviourRule; readonly message: string } | undefined {
  if (run.sampleCount === 0 || track.timescale === 0) return undefined;
  const declared = segment.mediaTicks / addressing.timescale;
  const actual = run.earliestPresentationTicks / track.timescale;
  const off = actual - declared;
  const figures = `media time ${actual.toFixed(4)} s, the MPD says ${declared.toFixed(4)} s: ${off.toFixed(4)} s off`;
  const sampleSeconds = run.durationTicks / run.sampleCount / track.timescale;
  const tolerance = Math.max(PRIMING_SAMPLES * sampleSeconds, ROUNDING_SECONDS);
  if (!addressing.timeline) {
    if (addressing.kind === 'single' || Math.abs(off) <= Math.max(segment.duration / 2, tolerance))
      return undefined;
    return { rule: 'dash-segment-time', message: `segment ${segment.number}: ${figures}` };
  }
  if (Math.abs(off) > tolerance) return { rule: 'dash-timeline-time', message: figures };
  const seconds = run.durationTicks / track.timescale;
  if (Math.abs(seconds - segment.duration) <= tolerance) return undefined;
  const message = `S@d is ${segment.duration.toFixed(4)} s, the samples last ${seconds.toFixed(4)} s`;
  return { rule: 'dash-timeline-duration', message };
}
