import type { SegmentPlan } from '../stream/live-window.ts';
import type { AudioTrack, Timeline, Track, VideoTrack } from '../stream/track.ts';

/** What an operator chooses about segments and parts. */
export interface PlanOptions {
  readonly segmentMs: number;
  readonly partMs: number;
  /** Frames of the lead track in one chunk. */
  readonly chunkFrames: number;
  readonly windowSeconds: number;
}

/** How the samples of one rendition become chunks and parts in one period. */
export interface PartRule {
  readonly chunkFrames: number;
  /** No part may be longer: PART-TARGET in ticks, rounded down. */
  readonly maxTicks: number;
  /** No part may be shorter, unless it is the last of its segment or independent: rounded up. */
  readonly minTicks: number;
  /** A part closes with the frame that reaches this: half a frame below its whole frames at a constant rate. */
  readonly closeTicks: number;
}

/** A part must reach this share of PART-TARGET (RFC 8216bis 4.4.4.9). */
const PART_MINIMUM = 0.85;

/**
 * Media that pause for longer leave a hole: what is open ends there, and goes on behind a gap. As long as the hub holds
 * on to the phase of the frames (see FrameGrid), and as what players can wait: PART-HOLD-BACK is three parts of 0.2 s.
 * Shorter pauses, lost frames above all, stay inside a segment; players step over them.
 */
export const HOLE_SECONDS = 0.5;

/** A part may be this much away from the wish, so that parts divide the GOP or the segment. */
const PART_TOLERANCE = 0.15;

/** A GOP this little shorter than the wish still counts as one segment: 29.97 fps is no reason to double it. */
const SEGMENT_TOLERANCE = 0.99;

/** Past this a long GOP no longer stretches the segments; they are then cut without a key frame. */
const MAX_SEGMENT_SECONDS = 10;

/** Segment boundaries move up to this share of a segment to meet a key frame; see SegmentGrid. */
export const SNAP_SHARE = 0.1;

/** Frame duration assumed where a variable rate leaves it open: chunk durations of 20 fps are rarely exceeded. */
const VARIABLE_FRAME_SECONDS = 0.05;

/** An audio chunk is this long at most when one video frame lasts longer. */
const MAX_AUDIO_CHUNK_FRAMES = 2;

/** EXTINF must stay below TARGETDURATION + 0.5 to round down to it. */
const TARGET_ROUNDING_SECONDS = 0.49;

/** The track that decides where segments are cut. */
export function leadTrack(timeline: Timeline): Track | undefined {
  return timeline.video ?? timeline.audio;
}

/** Ticks a frame when constant. */
export function frameTicks(track: Track): number | undefined {
  return track.kind === 'video' ? track.cadence.frameTicks : track.frameTicks;
}

function frameSeconds(track: Track): number {
  const ticks = frameTicks(track);
  return ticks === undefined ? VARIABLE_FRAME_SECONDS : ticks / track.timescale;
}

function gopTicks(track: Track): number | undefined {
  return track.kind === 'video' ? track.cadence.gopTicks : undefined;
}

/**
 * Nominal segment duration in whole ticks of the lead track: the smallest multiple of the GOP that is not shorter
 * than `segmentMs`, or what comes nearest to `segmentMs` in whole frames when the GOP is irregular or too long. A fixed plan bounds it too: its
 * TARGETDURATION must hold for every segment, also when key frames pull both ends apart.
 */
export function planSegmentTicks(segmentMs: number, lead: Track, fixed?: SegmentPlan): number {
  const wish = (segmentMs / 1000) * lead.timescale;
  const gop = gopTicks(lead);
  const whole = wholeFrames(wish, lead);
  if (gop === undefined || gop <= 0) return whole;
  const fitted = Math.round(Math.ceil((wish * SEGMENT_TOLERANCE) / gop) * gop);
  const longest = longestSegmentSeconds(fitted, lead);
  const fits = fixed
    ? longest <= fixed.targetDurationSeconds + TARGET_ROUNDING_SECONDS
    : fitted <= MAX_SEGMENT_SECONDS * lead.timescale;
  return fits ? fitted : whole;
}

/** Where no key frame can be met, segments of so many frames are also what encoders of rungs can make of them. */
function wholeFrames(ticks: number, lead: Track): number {
  const frame = lead.kind === 'video' ? frameTicks(lead) : undefined;
  return Math.round(frame === undefined ? ticks : Math.max(1, Math.round(ticks / frame)) * frame);
}

function longestSegmentSeconds(segmentTicks: number, lead: Track): number {
  return ((1 + 2 * SNAP_SHARE) * segmentTicks + (frameTicks(lead) ?? 0)) / lead.timescale;
}

/** The longest a segment may become in ticks of the lead track; a frame past this stands behind a hole. */
export function maxSegmentTicks(plan: SegmentPlan, segmentTicks: number, lead: Track): number {
  const promised = (plan.targetDurationSeconds + TARGET_ROUNDING_SECONDS) * lead.timescale;
  return Math.floor(
    Math.min(
      promised,
      Math.max(1.5 * segmentTicks, longestSegmentSeconds(segmentTicks, lead) * lead.timescale),
    ),
  );
}

/** The longest segment that keeps TARGETDURATION, in ticks of any timescale. */
export function longestSegmentTicks(plan: SegmentPlan, timescale: number): number {
  return Math.floor((plan.targetDurationSeconds + TARGET_ROUNDING_SECONDS) * timescale);
}

/** Fixes everything players are promised for the life of the stream, from its first timeline. Pure. */
export function planStream(options: PlanOptions, timeline: Timeline): SegmentPlan {
  const lead = leadTrack(timeline);
  if (!lead) throw new RangeError('a timeline needs a track');
  const segmentTicks = planSegmentTicks(options.segmentMs, lead);
  const partTargetMs = planPartTargetMs(options, timeline, lead, segmentTicks);
  const targetDurationSeconds = Math.max(1, Math.round(longestSegmentSeconds(segmentTicks, lead)));
  return {
    partTargetSeconds: partTargetMs / 1000,
    targetDurationSeconds,
    chunkFrames: options.chunkFrames,
    chunkSeconds: options.chunkFrames * frameSeconds(lead),
    // A millisecond more: 3 x 0.2 in binary floating point is greater than 0.6, and checkers compare that way.
    partHoldBackSeconds: (3 * partTargetMs + 1) / 1000,
    canSkipUntilSeconds: 6 * targetDurationSeconds,
    windowSeconds: options.windowSeconds,
  };
}

/**
 * PART-TARGET in whole ms: the lead's part rounded up, 1 ms more when frames are no whole ms, and never such that
 * the parts of the other track would fall below the minimum share of it.
 */
function planPartTargetMs(
  options: PlanOptions,
  timeline: Timeline,
  lead: Track,
  segmentTicks: number,
): number {
  const frameMs = frameMsOf(lead);
  let targetMs =
    frameMs === undefined
      ? Math.ceil(options.partMs / PART_MINIMUM)
      : roundUpMs(wishedPartFrames(options, lead, segmentTicks, frameMs) * frameMs, frameMs);
  const frames = [timeline.video, timeline.audio].flatMap((track) => (track && frameMsOf(track)) ?? []);
  // Each round only raises the target; a part of many frames always fits, so few rounds are needed.
  for (let round = 0; round < 16; round++) {
    const misfit = frames.find((ms) => Math.floor(targetMs / ms) * ms < PART_MINIMUM * targetMs);
    if (misfit === undefined) break;
    targetMs = roundUpMs((Math.floor(targetMs / misfit) + 1) * misfit, misfit);
  }
  return targetMs;
}

function frameMsOf(track: VideoTrack | AudioTrack): number | undefined {
  const ticks = frameTicks(track);
  return ticks === undefined ? undefined : (ticks / track.timescale) * 1000;
}

const WHOLE_MS_ERROR = 1e-6;

function roundUpMs(durationMs: number, frameMs: number): number {
  const whole = Math.abs(frameMs - Math.round(frameMs)) < WHOLE_MS_ERROR;
  return Math.ceil(durationMs - WHOLE_MS_ERROR) + (whole ? 0 : 1);
}

function wishedPartFrames(options: PlanOptions, lead: Track, segmentTicks: number, frameMs: number): number {
  const wished = options.partMs / frameMs;
  const candidates = range(
    Math.ceil(wished * (1 - PART_TOLERANCE) - WHOLE_MS_ERROR),
    Math.floor(wished * (1 + PART_TOLERANCE) + WHOLE_MS_ERROR),
  );
  const dividing = bestDivisors(candidates, lead, segmentTicks, options.chunkFrames);
  if (dividing.length === 0) return Math.max(1, Math.round(wished));
  return dividing.reduce((best, n) => (Math.abs(n - wished) < Math.abs(best - wished) ? n : best));
}

/** How long the parts of `track` are under the fixed plan, and how many frames its chunks hold. */
export function partRule(plan: SegmentPlan, track: Track, lead: Track, segmentTicks: number): PartRule {
  const frame = frameTicks(track);
  const maxTicks = Math.floor(plan.partTargetSeconds * track.timescale + WHOLE_MS_ERROR);
  const minTicks = Math.ceil(PART_MINIMUM * plan.partTargetSeconds * track.timescale - WHOLE_MS_ERROR);
  return {
    chunkFrames: chunkFramesOf(plan, track, lead),
    maxTicks,
    minTicks,
    closeTicks:
      frame === undefined
        ? minTicks
        : (partFramesWithin(plan, track, lead, segmentTicks, frame, maxTicks) - 0.5) * frame,
  };
}

/** The rule of a rendition that has no media now, of which no part is ever made. */
export function restingRule(plan: SegmentPlan, timescale: number): PartRule {
  const maxTicks = Math.floor(plan.partTargetSeconds * timescale + WHOLE_MS_ERROR);
  const minTicks = Math.ceil(PART_MINIMUM * plan.partTargetSeconds * timescale - WHOLE_MS_ERROR);
  return { chunkFrames: plan.chunkFrames, maxTicks, minTicks, closeTicks: minTicks };
}

/**
 * Seconds from where the grid puts the start of a segment until its first chunk is complete. Audio frames do not
 * meet the grid: an audio segment begins up to one frame behind it.
 */
export function firstChunkSeconds(plan: SegmentPlan, track: Track, lead: Track): number {
  const frames = chunkFramesOf(plan, track, lead) + (track.kind === 'audio' ? 1 : 0);
  return frames * frameSeconds(track);
}

function chunkFramesOf(plan: SegmentPlan, track: Track, lead: Track): number {
  return track.kind === lead.kind ? plan.chunkFrames : followerChunkFrames(track, lead);
}

function partFramesWithin(
  plan: SegmentPlan,
  track: Track,
  lead: Track,
  segmentTicks: number,
  frame: number,
  maxTicks: number,
): number {
  const most = Math.max(1, Math.floor(maxTicks / frame + WHOLE_MS_ERROR));
  if (track !== lead) return most;
  const candidates = range(Math.ceil((PART_MINIMUM * maxTicks) / frame), most);
  return Math.max(...bestDivisors(candidates, lead, segmentTicks, plan.chunkFrames), 0) || most;
}

/**
 * The candidates that divide the GOP, else those that divide the segment; among them, where possible, whole
 * multiples of a chunk. A part that divides the GOP starts at every key frame.
 */
function bestDivisors(
  candidates: number[],
  lead: Track,
  segmentTicks: number,
  chunkFrames: number,
): number[] {
  const frame = frameTicks(lead);
  if (frame === undefined) return [];
  for (const ticks of [gopTicks(lead), segmentTicks]) {
    const frames = ticks === undefined ? 0 : Math.round(ticks / frame);
    const dividing = candidates.filter((n) => n > 0 && frames > 0 && frames % n === 0);
    const whole = dividing.filter((n) => n % chunkFrames === 0);
    if (dividing.length > 0) return whole.length > 0 ? whole : dividing;
  }
  return [];
}

/**
 * Audio beside video: as many frames as about one video frame lasts, at most two. A chunk of its own for each AAC
 * frame would spend about as much on boxes as on sound; past one video frame the audio would hold the video back.
 */
function followerChunkFrames(track: Track, lead: Track): number {
  const own = frameTicks(track);
  if (own === undefined) return 1;
  const frames = Math.round((frameSeconds(lead) * track.timescale) / own);
  return Math.min(MAX_AUDIO_CHUNK_FRAMES, Math.max(1, frames));
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
}
