import { writeInitSegment } from '../media/isobmff/init-segment.ts';
import type { Period, SegmentPlan } from '../stream/live-window.ts';
import type { Timeline, Track, TrackKind } from '../stream/track.ts';
import { leadTrack, maxSegmentTicks, type PartRule, partRule, planSegmentTicks } from './segment-plan.ts';
import { rescaleTicks, ticksToMs } from './ticks.ts';

/** A timeline made ready for packaging: everything that stays the same over its periods. */
export interface Programme {
  readonly lead: Track;
  /** The tracks by rendition id, video first. */
  readonly tracks: ReadonlyMap<TrackKind, Track>;
  readonly inits: ReadonlyMap<TrackKind, Uint8Array>;
  readonly rules: ReadonlyMap<TrackKind, PartRule>;
  /** Nominal segment duration and the longest allowed, ticks of the lead. */
  readonly segmentTicks: number;
  readonly maxSegmentTicks: number;
}

/** Prepares a timeline under the plan; undefined when it has no track. */
export function prepareProgramme(
  timeline: Timeline,
  plan: SegmentPlan,
  segmentMs: number,
): Programme | undefined {
  const lead = leadTrack(timeline);
  if (!lead) return undefined;
  const tracks = new Map<TrackKind, Track>();
  for (const track of [timeline.video, timeline.audio]) if (track) tracks.set(track.kind, track);
  const segmentTicks = planSegmentTicks(segmentMs, lead, plan);
  return {
    lead,
    tracks,
    inits: new Map([...tracks].map(([id, track]) => [id, writeInitSegment(track)])),
    rules: new Map([...tracks].map(([id, track]) => [id, partRule(plan, track, lead, segmentTicks)])),
    segmentTicks,
    maxSegmentTicks: maxSegmentTicks(plan, segmentTicks, lead),
  };
}

export interface PeriodStart {
  readonly id: string;
  /** Ticks of the programme's lead track. */
  readonly startTicks: number;
  readonly startNumber: number;
  readonly continues: string | undefined;
}

/** The {@link Period} that begins at a lead frame. Other tracks start at the same instant, not at their first frame. */
export function createPeriod(programme: Programme, start: PeriodStart): Period {
  const { lead, tracks } = programme;
  const video = tracks.get('video');
  const audio = tracks.get('audio');
  return {
    id: start.id,
    startMs: ticksToMs(start.startTicks, lead.timescale),
    startNumber: start.startNumber,
    segmentTicks: programme.segmentTicks,
    segmentTimescale: lead.timescale,
    continues: start.continues,
    video: video?.kind === 'video' ? video : undefined,
    audio: audio?.kind === 'audio' ? audio : undefined,
    startTicks: new Map(
      [...tracks].map(([id, track]) => [
        id,
        Math.round(rescaleTicks(start.startTicks, lead.timescale, track.timescale)),
      ]),
    ),
    inits: programme.inits,
  };
}

/** A period id: `p` and seconds since 1970 in base 36, always greater than the one before. */
export function nextPeriodId(startMs: number, lastId: string | undefined): string {
  const seconds = Math.floor(startMs / 1000);
  const last = lastId === undefined ? -1 : Number.parseInt(lastId.slice(1), 36);
  return `p${Math.max(seconds, Number.isNaN(last) ? -1 : last + 1).toString(36)}`;
}

/** What a change of tracks means to players: whether a rendition that stays got another initialization segment. */
export function initsDiffer(before: Programme, after: Programme): boolean {
  return [...before.inits].some(([id, init]) => {
    const other = after.inits.get(id);
    return other !== undefined && !sameBytes(init, other);
  });
}

/** True when both have the same renditions. */
export function sameRenditions(before: Programme, after: Programme): boolean {
  return (
    before.tracks.size === after.tracks.size && [...before.tracks.keys()].every((id) => after.tracks.has(id))
  );
}

/** True when the rendition is in both with the same initialization segment. */
export function sameInit(before: Programme, after: Programme, id: TrackKind): boolean {
  const first = before.inits.get(id);
  const second = after.inits.get(id);
  return first !== undefined && second !== undefined && sameBytes(first, second);
}

function sameBytes(first: Uint8Array, second: Uint8Array): boolean {
  return first.length === second.length && first.every((byte, index) => byte === second[index]);
}
