import type { TrackProtection } from '../../media/protection.ts';
import type { Title, TitleText } from '../../stream/title.ts';
import type { VideoTrack } from '../../stream/track.ts';
import { frameRate } from '../frame-rate.ts';
import {
  CHAPTERS_NAME,
  keyFramesName,
  KEY_FORMAT,
  playlistName,
  playlistUri,
  singleName,
  THUMBNAILS_ID,
} from '../media-path.ts';
import type { TierScope } from '../tier-scope.ts';
import { allIndependent, type Offered, offered, wholeRate } from '../vod/title-view.ts';
import { type KeyFormatChoice, sessionKeyTags } from './key-format.ts';
import { videoRange } from './multivariant.ts';
import {
  type AudioGroup,
  audioGroups,
  channelsOf,
  type GroupMember,
  uniqueNames,
} from './title-audio-groups.ts';
import { keyFrameRates } from './title-iframes.ts';
import { offeredTexts } from './title-text.ts';
import { offeredSheets, sheetRates } from './title-thumbnails.ts';

export interface TitleMultivariantOptions {
  /** What may be named. */
  readonly tiers?: TierScope;
  /** Passed on to the media playlists; see {@link KeyFormatChoice}. */
  readonly keyFormat?: KeyFormatChoice | undefined;
  /** Names the playlists of byte ranges of one file for each rendition. */
  readonly single?: boolean | undefined;
}

const TEXT_GROUP = 'text';

/** What every line is made of. */
interface Offer {
  readonly videos: readonly Offered[];
  readonly groups: readonly AudioGroup[];
  readonly texts: readonly TitleText[];
  readonly keyFormat: KeyFormatChoice | undefined;
  /** Of a playlist's URI the one that is named. */
  readonly named: (uri: string) => string;
}

/**
 * The multivariant playlist of a title (RFC 8216bis 4.4.6): each rendition of pictures once with every group of sound,
 * subtitles, the playlists of key frames and of small pictures, and where the chapters are.
 */
export function renderTitleMultivariant(title: Title, options: TitleMultivariantOptions = {}): string {
  const { tiers, keyFormat, single } = options;
  const videos = offered(title, 'video', tiers);
  const sounds = offered(title, 'audio', tiers);
  const offer: Offer = {
    videos,
    groups: audioGroups(sounds),
    texts: offeredTexts(title),
    keyFormat,
    named: single ? singleName : (uri) => uri,
  };
  const keys = sessionKeyTags(protectionsOf([...videos, ...sounds]), keyFormat);
  const isGrouped = hasGroups(offer) || offer.texts.length > 0 || videos.length > 0;
  const lines = ['#EXTM3U', `#EXT-X-VERSION:${keys.length > 0 ? 5 : isGrouped ? 4 : 1}`];
  if (allIndependent(title)) lines.push('#EXT-X-INDEPENDENT-SEGMENTS');
  lines.push(...keys);
  if (title.chapters.length > 0) {
    lines.push(`#EXT-X-SESSION-DATA:DATA-ID="com.apple.hls.chapters",URI="${CHAPTERS_NAME}"`);
  }
  if (hasGroups(offer)) lines.push(...offer.groups.flatMap((group) => groupLines(group, offer)));
  lines.push(...textLines(offer.texts, keyFormat));
  pushVariants(lines, offer);
  for (const video of videos) lines.push(...keyFramesLines(title, video, offer));
  lines.push(...imageLines(title));
  lines.push('');
  return lines.join('\n');
}

/** A title of one sound and nothing else is its only variant, without groups. */
function hasGroups({ videos, groups }: Offer): boolean {
  return groups.length > 0 && (videos.length > 0 || groups.some(({ members }) => members.length > 1));
}

/** The keys of the first period, each once: players may ask for them before they load a media playlist. */
function protectionsOf(all: readonly Offered[]): TrackProtection[] {
  const byTier = new Map<string, TrackProtection>();
  for (const { own } of all) if (own.protection) byTier.set(own.protection.tier, own.protection);
  return [...byTier.values()];
}

function groupLines({ id, members }: AudioGroup, { keyFormat, named }: Offer): string[] {
  return members.map((member) => {
    const { rendition, name, isDefault } = member;
    return mediaLine([
      'TYPE=AUDIO',
      `GROUP-ID="${id}"`,
      `NAME=${quoted(name)}`,
      `LANGUAGE=${quoted(rendition.language ?? 'und')}`,
      `DEFAULT=${isDefault ? 'YES' : 'NO'}`,
      'AUTOSELECT=YES',
      `CHANNELS="${channelsOf(member)}"`,
      `URI="${named(playlistUri(rendition.id, keyFormat))}"`,
    ]);
  });
}

/** In a group each has a name of its own, and one at most is the default (4.4.6.1.1). */
function textLines(texts: readonly TitleText[], keyFormat: KeyFormatChoice | undefined): string[] {
  const names = uniqueNames(texts.map(({ label }) => label));
  const chosen = texts.find(({ isDefault }) => isDefault);
  return texts.map((text, index) =>
    mediaLine([
      'TYPE=SUBTITLES',
      `GROUP-ID="${TEXT_GROUP}"`,
      `NAME=${quoted(names[index] ?? text.label)}`,
      `LANGUAGE=${quoted(text.language)}`,
      `DEFAULT=${text === chosen ? 'YES' : 'NO'}`,
      'AUTOSELECT=YES',
      `FORCED=${text.isForced ? 'YES' : 'NO'}`,
      `URI="${playlistUri(text.id, keyFormat)}"`,
    ]),
  );
}

function mediaLine(attributes: readonly string[]): string {
  return `#EXT-X-MEDIA:${attributes.join(',')}`;
}

/** Quoted strings have no quote, line break or other control character (4.2). */
function quoted(text: string): string {
  const plain = text
    .normalize('NFC')
    .replaceAll('"', "'")
    .replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ');
  return `"${plain}"`;
}

function pushVariants(lines: string[], offer: Offer): void {
  const { videos, groups } = offer;
  const [base] = groups;
  if (videos.length > 0) {
    for (const group of groups.length > 0 ? groups : [undefined]) {
      for (const video of videos) pushVariant(lines, offer, video, group);
    }
    return;
  }
  for (const group of hasGroups(offer) ? groups : []) {
    const main = group.members.find(({ isDefault }) => isDefault) ?? group.members[0];
    if (main) pushVariant(lines, offer, main, group);
  }
  const sole = hasGroups(offer) ? undefined : base?.members[0];
  if (sole) pushVariant(lines, offer, sole, undefined);
}

function pushVariant(lines: string[], offer: Offer, main: Offered, group: AudioGroup | undefined): void {
  const { track } = main.own;
  const isSound = track.kind === 'audio';
  const sound = isSound || !group ? { peakBps: 0, averageBps: 0 } : greatestRates(group.members);
  const { peakBps, averageBps } = main.rendition;
  const peak = wholeRate(peakBps + sound.peakBps);
  const own = isSound && group ? [] : [track.codecString];
  const attributes = [
    `BANDWIDTH=${peak}`,
    `AVERAGE-BANDWIDTH=${Math.min(peak, wholeRate(averageBps + sound.averageBps))}`,
    `CODECS="${[...own, ...(group?.codecs ?? [])].join(',')}"`,
    ...(isSound ? [] : videoAttributes(track)),
    ...(group ? [`AUDIO="${group.id}"`] : []),
    ...(offer.texts.length > 0 ? [`SUBTITLES="${TEXT_GROUP}"`] : []),
    'CLOSED-CAPTIONS=NONE',
  ];
  const uri = offer.named(playlistUri(main.rendition.id, offer.keyFormat));
  lines.push(`#EXT-X-STREAM-INF:${attributes.join(',')}`, uri);
}

function greatestRates(members: readonly GroupMember[]): { peakBps: number; averageBps: number } {
  return {
    peakBps: Math.max(...members.map(({ rendition }) => rendition.peakBps)),
    averageBps: Math.max(...members.map(({ rendition }) => rendition.averageBps)),
  };
}

function videoAttributes(track: VideoTrack): string[] {
  const rate = frameRate(track);
  return [
    `RESOLUTION=${track.width}x${track.height}`,
    ...(rate ? [`FRAME-RATE=${(rate.numerator / rate.denominator).toFixed(3)}`] : []),
    `VIDEO-RANGE=${videoRange(track) ?? 'SDR'}`,
  ];
}

function keyFramesLines(title: Title, { rendition, own }: Offered, { keyFormat, named }: Offer): string[] {
  const { track } = own;
  const rates = keyFrameRates(title, rendition.id);
  if (!rates || track.kind !== 'video') return [];
  const name = named(keyFramesName(rendition.id));
  const attributes = [
    `BANDWIDTH=${wholeRate(rates.peakBps)}`,
    `AVERAGE-BANDWIDTH=${wholeRate(rates.averageBps)}`,
    `CODECS="${track.codecString}"`,
    `RESOLUTION=${track.width}x${track.height}`,
    `VIDEO-RANGE=${videoRange(track) ?? 'SDR'}`,
    `URI="${keyFormat === undefined ? name : `${name}?${KEY_FORMAT}=${keyFormat}`}"`,
  ];
  return [`#EXT-X-I-FRAME-STREAM-INF:${attributes.join(',')}`];
}

/** Players that do not know the tag read past it. */
function imageLines(title: Title): string[] {
  const sheets = offeredSheets(title);
  const { thumbnails } = title;
  if (!thumbnails || sheets.length === 0) return [];
  const { peakBps, averageBps } = sheetRates(sheets);
  const attributes = [
    `BANDWIDTH=${wholeRate(peakBps)}`,
    `AVERAGE-BANDWIDTH=${wholeRate(averageBps)}`,
    `RESOLUTION=${thumbnails.width}x${thumbnails.height}`,
    'CODECS="jpeg"',
    `URI="${playlistName(THUMBNAILS_ID)}"`,
  ];
  return [`#EXT-X-IMAGE-STREAM-INF:${attributes.join(',')}`];
}
