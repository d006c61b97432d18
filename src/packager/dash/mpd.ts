import { contentProtection, type ProtectionElement } from '../../drm/content-protection.ts';
import { EVENT_SCHEMES } from '../../media/isobmff/chunk.ts';
import type { TrackProtection } from '../../media/protection.ts';
import { ac3ChannelMask } from '../../media/ac3.ts';
import type { LiveWindow, Period, Rendition, SegmentPlan } from '../../stream/live-window.ts';
import type { AudioTrack, Track, VideoTrack } from '../../stream/track.ts';
import { declaredRate } from '../declared-rate.ts';
import { frameRate, wholeRatio } from '../frame-rate.ts';
import { isoTime } from '../iso-time.ts';
import { firstChunkSeconds } from '../segment-plan.ts';
import { rescaleTicks } from '../ticks.ts';
import { inScope, type TierScope } from '../tier-scope.ts';
import { type ListedPeriod, listedPeriods } from './mpd-periods.ts';
import { element, writeDocument, type XmlElement } from './xml.ts';

export const MPD_NAMESPACE = 'urn:mpeg:dash:schema:mpd:2011';

/** What the MPD says beyond what the window knows. */
export interface MpdOptions {
  /** Our clock for UTCTiming, answering an xs:dateTime; absolute, or relative to the MPD. */
  readonly clockUrl: string;
  /** Latency that players aim at, ms; {@link DEFAULT_TARGET_LATENCY_MS}. */
  readonly targetLatencyMs?: number;
  /** Longest time until a player looks again, seconds; default: one segment, at least {@link MIN_UPDATE_SECONDS}. */
  readonly minimumUpdateSeconds?: number;
  /**
   * Where MPD Patch documents are, relative to the MPD, and for how long after a change. Off by default: a live MPD
   * of ours is about 3 kB and changes only when a period begins or ends, and players stumble over "425 nothing new":
   * dash.js 5.2 stops updating for good, Shaka 5.2 ignores changes to a Period's own attributes.
   */
  readonly patch?: { readonly name: string; readonly ttlSeconds: number };
  /** What may be named; default: all. */
  readonly tiers?: TierScope;
}

/**
 * Holds without a stall on two shared cores with per-frame chunks at 0.3 s; the rest is room for a network. It is
 * what players start from: viewers' own settings override it.
 */
export const DEFAULT_TARGET_LATENCY_MS = 500;
/** Least and greatest latency as shares of the target: the convention of livesim2. */
const LATENCY_MIN_SHARE = 3 / 4;
const LATENCY_MAX_SHARE = 2;
/** Catch-up speeds that viewers do not hear. */
const PLAYBACK_RATE = { min: '0.96', max: '1.04' };

/**
 * minimumUpdatePeriod. With $Number$ the MPD need not grow, so players could poll it twice a minute; but a new Period
 * (an outage, a codec change, a re-anchored grid) is learnt only from the MPD, and until then a player asks for
 * numbers that never come. One segment bounds that to about the time it takes to notice the outage anyway, and costs
 * a conditional request of a few hundred bytes. In-band MPD validity events are not an option: clients need not
 * support them.
 */
const MIN_UPDATE_SECONDS = 2;

/** By what a set carries, so that it has the same id in every period. Pictures of two codecs never share a set. */
export const ADAPTATION_SET_ID = { avc1: 1, audio: 2, hvc1: 3, av01: 4, vp09: 5 } as const;
/** Added to it by the tier of its key: Representations with different keys never share a set (DASH-IF IOP 12). */
export const TIER_ID = { AUDIO: 0, SD: 10, HD: 20, UHD: 30 } as const;
export const SWITCHING_SCHEME = 'urn:mpeg:dash:adaptation-set-switching:2016';
const SPLICE_SCHEME = 'urn:scte:scte35:2014:xml+bin';
const SPLICE_NAMESPACE = 'http://www.scte.org/schemas/35/2016';
const SPLICE_TIMESCALE = 90_000;
const TICKS_PER_MS = 90;
const MICROSECONDS = 1_000_000;
/**
 * How much shorter an encrypted segment is said to be. dash.js rounds the times of segments to 10 microseconds: with less
 * the one too many of a period of few segments begins at its end, or before, as the digits will, and dash.js stands still for
 * a second when it does. Over a crypto period it adds up, to at most half a segment: see the limits of `drm.rotationSeconds`.
 */
const SHORTER_MICROSECONDS = 10;
export const CLOCK_SCHEME = 'urn:mpeg:dash:utc:http-xsdate:2014';
export const CLOCK_SCHEME_ISO = 'urn:mpeg:dash:utc:http-iso:2014';
const CHANNEL_COUNT_SCHEME = 'urn:mpeg:dash:23003:3:audio_channel_configuration:2011';
const DOLBY_CHANNELS_SCHEME = 'tag:dolby.com,2014:dash:audio_channel_configuration:2011';
export const PROFILES = 'urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019';

/** What one state of the MPD says that is not in the window itself. */
export interface MpdState {
  readonly publishTimeMs: number;
  /** Lower bounds of Representation@bandwidth by rendition id: a declared rate must not go down and up. */
  readonly bandwidthFloors: ReadonlyMap<string, number>;
}

/** The MPD of the window as it is (ISO/IEC 23009-1), published when the window says its content last changed. */
export function renderMpd(window: LiveWindow, options: MpdOptions): string {
  const state = { publishTimeMs: window.mpdChangedMs, bandwidthFloors: new Map<string, number>() };
  return writeDocument(buildMpd(window, options, state));
}

/** The same as an element tree. */
export function buildMpd(window: LiveWindow, options: MpdOptions, state: MpdState): XmlElement {
  const { plan } = window;
  const periods = listedPeriods(window);
  const edge = window.periods.at(-1);
  const targetLatencyMs = options.targetLatencyMs ?? DEFAULT_TARGET_LATENCY_MS;
  const longestSegment = Math.max(...periods.map(({ period }) => segmentSeconds(period)));
  const ended = window.state === 'ended';
  const publishTime = isoTime(state.publishTimeMs);
  return element(
    'MPD',
    {
      xmlns: MPD_NAMESPACE,
      id: window.stream,
      profiles: PROFILES,
      type: 'dynamic',
      availabilityStartTime: '1970-01-01T00:00:00Z',
      publishTime,
      mediaPresentationDuration: ended ? presentationEnd(periods) : undefined,
      minimumUpdatePeriod: ended
        ? undefined
        : duration(options.minimumUpdateSeconds ?? Math.max(MIN_UPDATE_SECONDS, longestSegment)),
      minBufferTime: duration(Math.min(plan.partTargetSeconds, targetLatencyMs / 2000)),
      timeShiftBufferDepth: duration(plan.windowSeconds),
      suggestedPresentationDelay: duration(targetLatencyMs / 1000),
      maxSegmentDuration: duration(longestSegment),
    },
    [
      patchLocation(options, publishTime),
      serviceDescription(edge ? setsOf(window, edge, options.tiers) : [], targetLatencyMs),
      ...periods.map((listed) => periodElement(window, listed, options, state)),
      utcTiming(CLOCK_SCHEME, options.clockUrl),
      utcTiming(CLOCK_SCHEME_ISO, options.clockUrl),
    ],
  );
}

/** Where the last period ends, counted from availabilityStartTime. */
function presentationEnd(periods: readonly ListedPeriod[]): string | undefined {
  const last = periods.at(-1);
  return last && duration((last.endMs ?? last.period.startMs) / 1000);
}

function patchLocation({ patch }: MpdOptions, publishTime: string): XmlElement | undefined {
  if (!patch) return undefined;
  const url = `${patch.name}?publishTime=${encodeURIComponent(publishTime)}`;
  return element('PatchLocation', { ttl: patch.ttlSeconds }, url);
}

function serviceDescription(sets: readonly TrackSet[], targetMs: number): XmlElement {
  return element('ServiceDescription', { id: 0 }, [
    element('Latency', {
      referenceId: referenceId(sets[0]?.id ?? ADAPTATION_SET_ID.avc1),
      target: Math.round(targetMs),
      min: Math.round(targetMs * LATENCY_MIN_SHARE),
      max: Math.round(targetMs * LATENCY_MAX_SHARE),
    }),
    element('PlaybackRate', PLAYBACK_RATE),
  ]);
}

export function utcTiming(schemeIdUri: string, value: string): XmlElement {
  return element('UTCTiming', { schemeIdUri, value });
}

function periodElement(
  window: LiveWindow,
  listed: ListedPeriod,
  options: MpdOptions,
  state: MpdState,
): XmlElement {
  const { period, endMs } = listed;
  const { startMs } = period;
  const all = setsOf(window, period, options.tiers);
  const sets = all.map((set) => adaptationSet(window, listed, set, all, options, state));
  return element(
    'Period',
    {
      id: period.id,
      start: duration(startMs / 1000),
      duration: endMs === undefined ? undefined : duration((endMs - startMs) / 1000),
    },
    [spliceEvents(window, listed), ...sets],
  );
}

/** The splices of a period, those to come in the last one (SCTE 214-1: the section as XML-wrapped base64). */
function spliceEvents(
  { splices, periods }: LiveWindow,
  { period, endMs }: ListedPeriod,
): XmlElement | undefined {
  const fromTicks = Math.round(period.startMs * TICKS_PER_MS);
  const untilTicks = endMs === undefined ? Number.POSITIVE_INFINITY : Math.round(endMs * TICKS_PER_MS);
  const isFirst = period === periods[0];
  const own = splices.filter(({ atTicks }) => (isFirst || atTicks >= fromTicks) && atTicks < untilTicks);
  if (own.length === 0) return undefined;
  return element(
    'EventStream',
    { schemeIdUri: SPLICE_SCHEME, timescale: SPLICE_TIMESCALE, presentationTimeOffset: fromTicks },
    own.flatMap(({ number, atTicks, plannedTicks, durationTicks, out, in: back, cmd }) => {
      const begins = { presentationTime: atTicks, duration: durationTicks ?? plannedTicks, id: 2 * number };
      const ends = {
        presentationTime: atTicks + (durationTicks ?? 0),
        duration: undefined,
        id: 2 * number + 1,
      };
      const opening = out ?? cmd;
      return [...(opening ? [spliceEvent(begins, opening)] : []), ...(back ? [spliceEvent(ends, back)] : [])];
    }),
  );
}

function spliceEvent(attributes: Record<string, number | undefined>, section: Uint8Array): XmlElement {
  const binary = element('Binary', {}, Buffer.from(section).toString('base64'));
  return element('Event', attributes, [element('Signal', { xmlns: SPLICE_NAMESPACE }, [binary])]);
}

/** A rendition with what it carries in one period. */
interface Member {
  readonly rendition: Rendition;
  readonly track: Track;
}

/** An AdaptationSet to be: the renditions of one codec, and of one key where they are encrypted. */
interface TrackSet {
  readonly id: number;
  readonly members: readonly [Member, ...Member[]];
  readonly protection: TrackProtection | undefined;
}

/** What is in a set: sound, or pictures of one codec. */
export function contentOf(track: Track): keyof typeof ADAPTATION_SET_ID {
  return track.kind === 'audio' ? 'audio' : track.codec;
}

function setId(track: Track, protection: TrackProtection | undefined): number {
  return ADAPTATION_SET_ID[contentOf(track)] + (protection ? TIER_ID[protection.tier] : 0);
}

/** ProducerReferenceTime@id of a set; Latency@referenceId names that of the first. */
function referenceId(set: number): number {
  return set - 1;
}

/** The renditions that have media in `period` and may be named, set by set, pictures first. */
function setsOf(window: LiveWindow, period: Period, tiers: TierScope): TrackSet[] {
  const sets = new Map<number, TrackSet & { readonly members: [Member, ...Member[]] }>();
  for (const kind of ['video', 'audio'] as const) {
    for (const rendition of window.renditions) {
      const track = period.tracks.get(rendition.id);
      if (track?.kind !== kind || !inScope(period, rendition.id, tiers)) continue;
      const protection = period.protections.get(rendition.id);
      const id = setId(track, protection);
      const set = sets.get(id);
      if (set) set.members.push({ rendition, track });
      else sets.set(id, { id, members: [{ rendition, track }], protection });
    }
  }
  return [...sets.values()];
}

/**
 * One set for all rungs of a codec, or for all with the same key: their segments are the same in number, time and key
 * frames, so that players may switch at each, and between sets, too.
 */
function adaptationSet(
  window: LiveWindow,
  listed: ListedPeriod,
  set: TrackSet,
  all: readonly TrackSet[],
  options: MpdOptions,
  state: MpdState,
): XmlElement {
  const { period } = listed;
  const { id, members, protection } = set;
  const { track } = members[0];
  const { kind } = track;
  const independent = members.every(({ rendition }) => listed.independent.get(rendition.id) ?? true);
  return element(
    'AdaptationSet',
    {
      id,
      contentType: kind,
      mimeType: `${kind}/mp4`,
      segmentAlignment: true,
      startWithSAP: independent ? mostSap(track) : undefined,
      ...maximums(members.map((member) => member.track)),
    },
    [
      ...(protection ? contentProtection(protection).map(protectionElement) : []),
      continuity(window, period, set, options.tiers),
      switchesTo(set, all),
      ...inbandEvents(window, track, period.lead),
      producerReferenceTime(id, options),
      element('Role', { schemeIdUri: 'urn:mpeg:dash:role:2011', value: 'main' }),
      segmentTemplate(window.plan, listed, members),
      ...members.map((member) => representation(member, state)),
    ],
  );
}

export function protectionElement({ name, attributes, children, text }: ProtectionElement): XmlElement {
  return element(name, attributes, text === '' ? children.map(protectionElement) : text);
}

/** The other sets of the same pictures, which only have other keys (ISO/IEC 23009-1 5.3.3.5). */
function switchesTo({ id, members }: TrackSet, all: readonly TrackSet[]): XmlElement | undefined {
  const content = contentOf(members[0].track);
  const others = all.filter((other) => other.id !== id && contentOf(other.members[0].track) === content);
  if (others.length === 0) return undefined;
  return element('SupplementalProperty', {
    schemeIdUri: SWITCHING_SCHEME,
    value: others.map((other) => other.id).join(','),
  });
}

/** HEVC key frames may be those of an open GOP, whose leading pictures cannot be decoded after a join: type 3. */
export function mostSap(track: Track): number {
  return track.codec === 'hvc1' ? 3 : 1;
}

/** Rungs keep the source's frame rate, so that the first one's is also the greatest. */
function maximums(tracks: readonly Track[]): Record<string, string | number | undefined> {
  const videos = tracks.filter((track) => track.kind === 'video');
  const [first] = videos;
  if (!first) return {};
  return {
    maxWidth: Math.max(...videos.map(({ width }) => width)),
    maxHeight: Math.max(...videos.map(({ height }) => height)),
    maxFrameRate: frameRateText(first),
  };
}

/** What the chunks of the lead's kind carry (ISO/IEC 23009-1 5.10.3.2): players dispatch only what is named. */
function inbandEvents({ inbandEvents: kinds }: LiveWindow, track: Track, lead: Track): XmlElement[] {
  if (track.kind !== lead.kind) return [];
  return [...kinds].map((kind) => element('InbandEventStream', { schemeIdUri: EVENT_SCHEMES[kind] }));
}

/**
 * The media runs on from the period before, with the very Representations of this set (ISO/IEC 23009-1 5.3.2.4):
 * players need not reset a decoder.
 */
function continuity(
  window: LiveWindow,
  period: Period,
  set: TrackSet,
  tiers: TierScope,
): XmlElement | undefined {
  if (period.continues === undefined) return undefined;
  const before = window.periods.find(({ id }) => id === period.continues);
  const same = before && setsOf(window, before, tiers).find(({ id }) => id === set.id);
  if (!same || namesOf(same) !== namesOf(set)) return undefined;
  return element('SupplementalProperty', {
    schemeIdUri: 'urn:mpeg:dash:period-continuity:2015',
    value: period.continues,
  });
}

function namesOf({ members }: TrackSet): string {
  return members
    .map(({ rendition }) => rendition.id)
    .toSorted()
    .join();
}

/**
 * Media time is wall-clock time since 1970 on every track, so that time 0 maps to 1970 exactly, in every period: the
 * same relation that the prft boxes in the segments state.
 */
function producerReferenceTime(set: number, options: MpdOptions): XmlElement {
  return element(
    'ProducerReferenceTime',
    {
      id: referenceId(set),
      inband: true,
      type: 'captured',
      wallClockTime: '1970-01-01T00:00:00Z',
      presentationTime: 0,
    },
    [utcTiming(CLOCK_SCHEME, options.clockUrl)],
  );
}

/**
 * The segment duration as a ratio. Of encrypted media it is said to be a little less, so that players count one
 * segment more than a period has before its keys change; it is empty (see the origin). dash.js 5 goes over to the next
 * Period as soon as it has asked for the last segment, in the middle of its chunks.
 */
function segmentGrid({ segmentTicks, segmentTimescale, protections }: Period): {
  readonly numerator: number;
  readonly denominator: number;
} {
  if (protections.size === 0) return wholeRatio(segmentTicks, segmentTimescale);
  const microseconds = Math.floor((segmentTicks * MICROSECONDS) / segmentTimescale);
  return { numerator: microseconds - SHORTER_MICROSECONDS, denominator: MICROSECONDS };
}

/**
 * All AdaptationSets of a period have the same grid: the lead track's in its own timescale, in which the segment
 * duration is a whole number. presentationTimeOffset is the media time of Period@start for every track (not
 * the first sample of each, which would pull audio and video apart by up to an audio frame).
 */
function segmentTemplate(
  plan: SegmentPlan,
  { period, endNumbers }: ListedPeriod,
  members: TrackSet['members'],
): XmlElement {
  const { track } = members[0];
  const ends = members.flatMap(({ rendition }) => endNumbers.get(rendition.id) ?? []);
  const grid = segmentGrid(period);
  return element('SegmentTemplate', {
    timescale: grid.denominator,
    duration: grid.numerator,
    startNumber: period.startNumber,
    endNumber: ends.length === 0 ? undefined : Math.max(...ends),
    presentationTimeOffset: Math.round(rescaleTicks(period.startMs, 1000, grid.denominator)),
    availabilityTimeOffset: availabilityTimeOffset(plan, period, track),
    availabilityTimeComplete: false,
    initialization: `$RepresentationID$/${period.id}/init.mp4`,
    media: `$RepresentationID$/${period.id}/$Number$.m4s`,
  });
}

/** All of the segment but its first chunk, floored to a millisecond: it may be asked for once it has that. */
function availabilityTimeOffset(plan: SegmentPlan, period: Period, track: Track): string {
  const early = Math.max(0, segmentSeconds(period) - firstChunkSeconds(plan, track, period.lead));
  return String(Math.floor(early * 1000 + 1e-6) / 1000);
}

function representation({ rendition, track }: Member, state: MpdState): XmlElement {
  const floor = state.bandwidthFloors.get(rendition.id) ?? 0;
  const bandwidth = Math.max(floor, declaredRate(rendition, track).peakBps);
  const common = { id: rendition.id, bandwidth, codecs: track.codecString };
  if (track.kind === 'video') {
    const { width, height } = track;
    return element('Representation', { ...common, width, height, frameRate: frameRateText(track) });
  }
  return element('Representation', { ...common, audioSamplingRate: track.timescale }, [
    element('AudioChannelConfiguration', channelConfiguration(track)),
  ]);
}

/** Dolby's codecs have a scheme of their own: which channels there are, as the bits of chanmap, in hexadecimal. */
export function channelConfiguration(track: AudioTrack): { schemeIdUri: string; value: string | number } {
  const mask = ac3ChannelMask(track.codec, track.config);
  if (mask === undefined) return { schemeIdUri: CHANNEL_COUNT_SCHEME, value: track.channels };
  return { schemeIdUri: DOLBY_CHANNELS_SCHEME, value: mask.toString(16).toUpperCase().padStart(4, '0') };
}

/** Exact, e.g. `30000/1001`; undefined for a variable rate. */
export function frameRateText(track: VideoTrack): string | undefined {
  const rate = frameRate(track);
  if (!rate) return undefined;
  return rate.denominator === 1 ? String(rate.numerator) : `${rate.numerator}/${rate.denominator}`;
}

function segmentSeconds(period: Period): number {
  return period.segmentTicks / period.segmentTimescale;
}

/**
 * xs:duration in seconds only, whole microseconds, rounded to the nearest: a double holds epoch seconds no finer than
 * a quarter of one.
 */
export function duration(seconds: number): string {
  return `PT${Number(seconds.toFixed(6))}S`;
}
