import { contentProtection } from '../../drm/content-protection.ts';
import type { TrackProtection } from '../../media/protection.ts';
import type { Title, TitleRendition } from '../../stream/title.ts';
import type { Track, VideoTrack } from '../../stream/track.ts';
import { initPath, segmentPath } from '../media-path.ts';
import { frameRate } from '../frame-rate.ts';
import type { TierScope } from '../tier-scope.ts';
import { isInScope, wholeRate } from '../vod/title-view.ts';
import {
  ADAPTATION_SET_ID,
  channelConfiguration,
  contentOf,
  frameRateText,
  mostSap,
  protectionElement,
  SWITCHING_SCHEME,
  TIER_ID,
} from './mpd.ts';
import { segmentBase } from './title-segment-base.ts';
import { offsetTicks, type Stretch, type StretchTrack } from './title-stretches.ts';
import { sameTimeline, segmentTimeline } from './title-timeline.ts';
import { element, type XmlElement } from './xml.ts';

/** Sound number `n` of the title has the set `100 + n`: each language and encoding is a choice of its own. */
const FIRST_AUDIO_SET = 100;
export const TRICK_SET = 400;
const ROLE_SCHEME = 'urn:mpeg:dash:role:2011';
const TRICK_SCHEME = 'http://dashif.org/guidelines/trickmode';
const CONTINUITY_SCHEME = 'urn:mpeg:dash:period-continuity:2015';
/** SegmentList is not of the live profile. */
const TRICK_PROFILE = 'urn:mpeg:dash:profile:isoff-main:2011';
/** Fast-forward that one key frame a segment is good for, times the speed. */
const TRICK_SPEED = 32;

/** A Representation to be. */
export interface Member extends StretchTrack {
  readonly rendition: TitleRendition;
}

/** An AdaptationSet to be: pictures of one codec and one key, or one sound. */
export interface MediaSet {
  readonly id: number;
  readonly members: readonly [Member, ...Member[]];
  readonly protection: TrackProtection | undefined;
}

/** The sets of a stretch that may be named, pictures first. */
export function mediaSets(title: Title, stretch: Stretch, tiers: TierScope): MediaSet[] {
  const sets = new Map<number, MediaSet & { readonly members: [Member, ...Member[]] }>();
  for (const [index, rendition] of title.renditions.entries()) {
    const track = stretch.tracks.get(rendition.id);
    if (!track || !isInScope(title, rendition.id, tiers)) continue;
    const { protection } = track.own;
    const id = setId(track.own.track, protection, index);
    const member = { ...track, rendition };
    const set = sets.get(id);
    if (set) set.members.push(member);
    else sets.set(id, { id, members: [member], protection });
  }
  return [...sets.values()];
}

function setId(track: Track, protection: TrackProtection | undefined, index: number): number {
  if (track.kind === 'audio') return FIRST_AUDIO_SET + index;
  return ADAPTATION_SET_ID[contentOf(track)] + (protection ? TIER_ID[protection.tier] : 0);
}

export interface SetContext {
  readonly stretch: Stretch;
  /** Of the stretch. */
  readonly all: readonly MediaSet[];
  /** What the stretch continues, and its sets. */
  readonly before: { readonly id: string; readonly sets: readonly MediaSet[] } | undefined;
  /** Each Representation is one file. */
  readonly single: boolean;
}

/** The AdaptationSet (ISO/IEC 23009-1 5.3.3). What its Representations have in common stands in it once. */
export function mediaSet(set: MediaSet, context: SetContext): XmlElement {
  const { id, members, protection } = set;
  const [{ own, rendition, segments }] = members;
  const { track } = own;
  const { kind } = track;
  const isAligned = members.every((member) => sameTimeline(member.segments, segments));
  const isIndependent =
    kind === 'audio' ||
    members.every((member) => member.segments.every(({ keyFrameBytes }) => keyFrameBytes > 0));
  return element(
    'AdaptationSet',
    {
      id,
      contentType: kind,
      lang: rendition.language,
      mimeType: `${kind}/mp4`,
      segmentAlignment: isAligned,
      startWithSAP: isIndependent ? mostSap(track) : undefined,
      ...maximums(members),
    },
    [
      ...(protection ? contentProtection(protection).map(protectionElement) : []),
      continuity(set, context),
      switchesTo(set, context.all),
      kind === 'audio' && rendition.label !== undefined ? element('Label', {}, rendition.label) : undefined,
      element('Role', {
        schemeIdUri: ROLE_SCHEME,
        value: kind === 'video' || isMainSound(set, context.all) ? 'main' : 'alternate',
      }),
      isAligned && !context.single ? segmentTemplate(context.stretch, members[0]) : undefined,
      ...members.map((member) => representation(member, addressing(member, isAligned, context))),
    ],
  );
}

/** One sound is the main one: the default, or else the first. In another encoding it is so, too. */
function isMainSound({ members }: MediaSet, all: readonly MediaSet[]): boolean {
  const sounds = all.map((set) => set.members[0]).filter(({ own }) => own.track.kind === 'audio');
  const main = sounds.find(({ rendition }) => rendition.isDefault) ?? sounds[0];
  const [{ rendition }] = members;
  return rendition === main?.rendition || (rendition.isDefault && main?.rendition.isDefault === true);
}

/** Known here, in the order of {@link Member}: the rungs of a title may have different rates. */
function maximums(members: readonly Member[]): Record<string, string | number | undefined> {
  const videos = members.flatMap(({ own }) => (own.track.kind === 'video' ? [own.track] : []));
  if (videos.length === 0) return {};
  const fastest = videos.toSorted((one, other) => rateOf(other) - rateOf(one))[0];
  return {
    maxWidth: Math.max(...videos.map(({ width }) => width)),
    maxHeight: Math.max(...videos.map(({ height }) => height)),
    maxFrameRate: fastest && frameRateText(fastest),
  };
}

function rateOf(track: VideoTrack): number {
  const rate = frameRate(track);
  return rate ? rate.numerator / rate.denominator : 0;
}

/** Its media runs on, with the very Representations: players need not reset a decoder (5.3.2.4). */
function continuity(set: MediaSet, { before }: SetContext): XmlElement | undefined {
  const same = before?.sets.find(({ id }) => id === set.id);
  if (!before || !same || namesOf(same) !== namesOf(set)) return undefined;
  return element('SupplementalProperty', { schemeIdUri: CONTINUITY_SCHEME, value: before.id });
}

function namesOf({ members }: MediaSet): string {
  return members
    .map(({ rendition }) => rendition.id)
    .toSorted()
    .join();
}

/** The other sets of the same pictures, which only have other keys (5.3.3.5). */
function switchesTo({ id, members }: MediaSet, all: readonly MediaSet[]): XmlElement | undefined {
  const [{ own }] = members;
  if (own.track.kind !== 'video') return undefined;
  const content = contentOf(own.track);
  const others = all.filter((other) => other.id !== id && contentOf(other.members[0].own.track) === content);
  if (others.length === 0) return undefined;
  return element('SupplementalProperty', {
    schemeIdUri: SWITCHING_SCHEME,
    value: others.map((other) => other.id).join(','),
  });
}

function segmentTemplate(stretch: Stretch, { own, segments }: Member): XmlElement {
  const { id } = stretch.period;
  return element(
    'SegmentTemplate',
    {
      timescale: own.track.timescale,
      startNumber: segments[0].number,
      presentationTimeOffset: offsetTicks(stretch, own),
      initialization: `$RepresentationID$/${id}/init.mp4`,
      media: `$RepresentationID$/${id}/$Number$.m4s`,
    },
    [segmentTimeline(segments)],
  );
}

/** Where the media of a Representation is, if it does not share its set's template. */
function addressing(
  member: Member,
  isAligned: boolean,
  { stretch, single }: SetContext,
): readonly XmlElement[] {
  if (single) return segmentBase(stretch, member.own, member.rendition.id);
  return isAligned ? [] : [segmentTemplate(stretch, member)];
}

function representation(member: Member, place: readonly XmlElement[]): XmlElement {
  const { rendition, own } = member;
  const { track } = own;
  const common = { id: rendition.id, bandwidth: wholeRate(rendition.peakBps), codecs: track.codecString };
  if (track.kind === 'video') {
    const { width, height } = track;
    return element('Representation', { ...common, width, height, frameRate: frameRateText(track) }, place);
  }
  return element('Representation', { ...common, audioSamplingRate: track.timescale }, [
    element('AudioChannelConfiguration', channelConfiguration(track)),
    ...place,
  ]);
}

/**
 * The key frames of the smallest pictures, as byte ranges of their segments, for fast-forward (DASH-IF IOP 4.3 3.2.9).
 * Undefined: they have none, or not all segments begin with one.
 */
export function trickSet(sets: readonly MediaSet[], stretch: Stretch): XmlElement | undefined {
  const main = sets.find(({ members }) => members[0].own.track.kind === 'video');
  if (!main) return undefined;
  const content = contentOf(main.members[0].own.track);
  const same = sets.filter(({ members }) => contentOf(members[0].own.track) === content);
  const smallest = same
    .flatMap(({ members }) => members)
    .toSorted((one, other) => one.rendition.peakBps - other.rendition.peakBps)[0];
  if (!smallest || smallest.own.track.kind !== 'video') return undefined;
  if (!smallest.segments.every(({ keyFrameBytes }) => keyFrameBytes > 0)) return undefined;
  const { own, rendition } = smallest;
  const { protection } = own;
  const { width, height, codecString: codecs } = smallest.own.track;
  return element(
    'AdaptationSet',
    { id: TRICK_SET, contentType: 'video', mimeType: 'video/mp4', profiles: TRICK_PROFILE, startWithSAP: 1 },
    [
      ...(protection ? contentProtection(protection).map(protectionElement) : []),
      element('EssentialProperty', {
        schemeIdUri: TRICK_SCHEME,
        value: same.map(({ id }) => id).join(' '),
      }),
      element(
        'Representation',
        {
          id: `${rendition.id}-trick`,
          bandwidth: trickRate(smallest),
          codecs,
          width,
          height,
          maxPlayoutRate: TRICK_SPEED,
          codingDependency: false,
        },
        [segmentList(stretch, smallest)],
      ),
    ],
  );
}

function trickRate({ own, segments }: Member): number {
  const rates = segments.map(
    ({ keyFrameBytes, durationTicks }) =>
      (keyFrameBytes * 8 * own.track.timescale) / Math.max(1, durationTicks),
  );
  return wholeRate(rates.reduce((most, rate) => Math.max(most, rate), 0));
}

function segmentList(stretch: Stretch, { own, rendition, segments }: Member): XmlElement {
  const { id } = stretch.period;
  return element(
    'SegmentList',
    { timescale: own.track.timescale, presentationTimeOffset: offsetTicks(stretch, own) },
    [
      element('Initialization', { sourceURL: initPath(rendition.id, id) }),
      segmentTimeline(segments),
      ...segments.map(({ number, keyFrameBytes }) =>
        element('SegmentURL', {
          media: segmentPath(rendition.id, id, number),
          mediaRange: `0-${keyFrameBytes - 1}`,
        }),
      ),
    ],
  );
}
