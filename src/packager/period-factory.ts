import { sameBytes } from '../base/same-bytes.ts';
import { writeInitSegment } from '../media/isobmff/init-segment.ts';
import type { SampleEncryptor } from '../media/isobmff/sample-encryptor.ts';
import type { TrackProtection } from '../media/protection.ts';
import type { PeriodCipher } from './period-cipher.ts';
import type { Period, SegmentPlan } from '../stream/live-window.ts';
import type { Timeline, Track } from '../stream/track.ts';
import { leadTrack, maxSegmentTicks, type PartRule, partRule, planSegmentTicks } from './segment-plan.ts';

/** A track with its initialization segment. */
export interface PreparedTrack<T extends Track = Track> {
  readonly track: T;
  readonly init: Uint8Array;
}

/** A timeline made ready for packaging: everything of the source that stays the same over its periods. */
export interface Programme {
  readonly lead: Track;
  /** The source's tracks by rendition id, the lead's first. */
  readonly tracks: ReadonlyMap<string, PreparedTrack>;
  /** By kind: the rule of `video` is also that of the encoded rungs, so that their parts are the source's. */
  readonly rules: ReadonlyMap<string, PartRule>;
  /** Nominal segment duration and the longest allowed, ticks of the lead. */
  readonly segmentTicks: number;
  readonly maxSegmentTicks: number;
}

export function prepareTrack<T extends Track>(track: T): PreparedTrack<T> {
  return { track, init: writeInitSegment(track) };
}

/** Prepares a timeline under the plan; undefined when it has no track. */
export function prepareProgramme(
  timeline: Timeline,
  plan: SegmentPlan,
  segmentMs: number,
): Programme | undefined {
  const lead = leadTrack(timeline);
  if (!lead) return undefined;
  const own = [timeline.video, timeline.audio].filter((track) => track !== undefined);
  const segmentTicks = planSegmentTicks(segmentMs, lead, plan);
  return {
    lead,
    tracks: new Map(own.map((track) => [track.kind, prepareTrack(track)])),
    rules: new Map(own.map((track) => [track.kind, partRule(plan, track, lead, segmentTicks)])),
    segmentTicks,
    maxSegmentTicks: maxSegmentTicks(plan, segmentTicks, lead),
  };
}

export interface PeriodStart {
  readonly id: string;
  /** See {@link Period.startMs}. */
  readonly startMs: number;
  readonly startNumber: number;
  readonly continues: string | undefined;
  /** See {@link Period.rekeyed}. */
  readonly rekeyed: boolean;
  /** Undefined: a clear stream. */
  readonly cipher: PeriodCipher | undefined;
}

/** A {@link Period} as its packager holds it: rungs may still be let in until it is first shown, or announced. */
export class LivePeriod implements Period {
  readonly id: string;
  readonly startMs: number;
  readonly startNumber: number;
  readonly segmentTicks: number;
  readonly segmentTimescale: number;
  readonly continues: string | undefined;
  readonly lead: Track;
  readonly tracks = new Map<string, Track>();
  readonly inits = new Map<string, Uint8Array>();
  readonly protections = new Map<string, TrackProtection>();
  readonly rekeyed: boolean;
  /** What the tracks are before encryption: whether one is another than before is seen here, whatever its key. */
  readonly prepared = new Map<string, PreparedTrack>();
  /** What encrypts its media; undefined: it goes in the clear. */
  readonly cipher: PeriodCipher | undefined;
  readonly #encryptors = new Map<string, SampleEncryptor>();

  /** The period that begins at a lead frame. Other tracks start at the same instant, not at their first frame. */
  constructor(
    { lead, tracks, segmentTicks }: Pick<Programme, 'lead' | 'tracks' | 'segmentTicks'>,
    start: PeriodStart,
  ) {
    this.id = start.id;
    this.startMs = start.startMs;
    this.startNumber = start.startNumber;
    this.segmentTicks = segmentTicks;
    this.segmentTimescale = lead.timescale;
    this.continues = start.continues;
    this.rekeyed = start.rekeyed;
    this.lead = lead;
    this.cipher = start.cipher;
    for (const [id, prepared] of tracks) this.admit(id, prepared);
  }

  /** A period of an earlier broadcast, of which nothing more is made. Its initialization segments are as they were sent. */
  static restored(period: Period): LivePeriod {
    const { lead, segmentTicks, inits } = period;
    const tracks = [...period.tracks].map(
      ([id, track]) => [id, { track, init: inits.get(id) ?? new Uint8Array() }] as const,
    );
    const restored = new LivePeriod(
      { lead, segmentTicks, tracks: new Map(tracks) },
      {
        ...period,
        cipher: undefined,
      },
    );
    for (const [id, protection] of period.protections) restored.protections.set(id, protection);
    return restored;
  }

  /** Nominal, of a segment of the lead. */
  get segmentMs(): number {
    return (this.segmentTicks / this.segmentTimescale) * 1000;
  }

  /** Gives rendition `id` its track. */
  admit(id: string, prepared: PreparedTrack): void {
    const { track, init } = prepared;
    const locked = this.cipher?.lock(track);
    this.prepared.set(id, prepared);
    this.tracks.set(id, track);
    // With the pssh boxes: hls.js asks for ClearKey licences only when the browser has found one in the media.
    this.inits.set(id, locked ? writeInitSegment(track, locked.protection, { pssh: true }) : init);
    if (!locked) return;
    this.protections.set(id, locked.protection);
    this.#encryptors.set(id, locked.encryptor);
  }

  /** Whether it has exactly these tracks. */
  carries(tracks: ReadonlyMap<string, PreparedTrack>): boolean {
    return (
      this.prepared.size === tracks.size &&
      [...tracks].every(([id, { init }]) => {
        const own = this.prepared.get(id);
        return own !== undefined && sameBytes(own.init, init);
      })
    );
  }

  /** What encrypts the samples of a rendition; undefined when they go in the clear. */
  encryptor(id: string): SampleEncryptor | undefined {
    return this.#encryptors.get(id);
  }
}

/** A period id: `p` and seconds since 1970 in base 36, always greater than the one before. */
export function nextPeriodId(startMs: number, lastId: string | undefined): string {
  const seconds = Math.floor(startMs / 1000);
  const last = lastId === undefined ? -1 : Number.parseInt(lastId.slice(1), 36);
  return `p${Math.max(seconds, Number.isNaN(last) ? -1 : last + 1).toString(36)}`;
}

/** The later of two period ids. */
export function laterPeriodId(one: string | undefined, other: string | undefined): string | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Number.parseInt(one.slice(1), 36) >= Number.parseInt(other.slice(1), 36) ? one : other;
}

/** What a change of tracks means to players: whether a rendition that stays got another initialization segment. */
export function initsDiffer(before: Programme, after: Programme): boolean {
  return [...before.tracks.keys()].some((id) => after.tracks.has(id) && !sameInit(before, after, id));
}

/** True when both have the same renditions. */
export function sameRenditions(before: Programme, after: Programme): boolean {
  return (
    before.tracks.size === after.tracks.size && [...before.tracks.keys()].every((id) => after.tracks.has(id))
  );
}

/** True when the rendition is in both with the same initialization segment. */
export function sameInit(before: Programme, after: Programme, id: string): boolean {
  const first = before.tracks.get(id);
  const second = after.tracks.get(id);
  return first !== undefined && second !== undefined && sameBytes(first.init, second.init);
}
