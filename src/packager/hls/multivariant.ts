import { type KeyFormatChoice, sessionKeyTags } from './key-format.ts';
import type { TrackProtection } from '../../media/protection.ts';
import { videoHdrRange } from '../../media/video-config.ts';
import type { LiveWindow, Rendition } from '../../stream/live-window.ts';
import type { AudioTrack, VideoTrack } from '../../stream/track.ts';
import { declaredRate } from '../declared-rate.ts';
import { frameRate } from '../frame-rate.ts';
import { playlistUri } from '../media-path.ts';
import { inScope, type TierScope } from '../tier-scope.ts';

const AUDIO_GROUP = 'audio';
/** What the media says of its language: nothing. Apple wants the attribute on every audio rendition. */
const UNDETERMINED_LANGUAGE = 'und';

export interface MultivariantOptions {
  /** What may be named. */
  readonly tiers?: TierScope;
  /** Passed on to the media playlists; see {@link KeyFormatChoice}. */
  readonly keyFormat?: KeyFormatChoice | undefined;
}

/** A rendition with the track that it carries now: one that only has gaps at the edge is not offered to anybody new. */
interface Described<T> {
  readonly rendition: Rendition;
  readonly track: T;
}

/**
 * The multivariant playlist (RFC 8216bis 4.4.6): one variant for each video rendition, audio in a group of its own;
 * without video, the audio rendition is the variant.
 */
export function renderMultivariant(window: LiveWindow, options: MultivariantOptions = {}): string {
  const { tiers, keyFormat } = options;
  const videos = described(window, 'video', tiers);
  const audio = described(window, 'audio', tiers)[0];
  const grouped = videos.length > 0 && audio !== undefined;
  const keys = sessionKeyTags(protectionsOf(window, tiers), keyFormat);
  const lines = ['#EXTM3U', `#EXT-X-VERSION:${keys.length > 0 ? 5 : grouped ? 4 : 1}`];
  if (allIndependent(window)) lines.push('#EXT-X-INDEPENDENT-SEGMENTS');
  lines.push(...keys);
  const uri = (rendition: Rendition): string => playlistUri(rendition.id, keyFormat);
  if (grouped) lines.push(audioGroupLine(audio, uri(audio.rendition)));
  // Who says it of one has to say it of all.
  const unsaidRange = videos.some(({ track }) => videoRange(track) !== undefined) ? 'SDR' : undefined;
  for (const video of videos) pushVariant(lines, video, audio, uri(video.rendition), unsaidRange);
  if (videos.length === 0 && audio) pushVariant(lines, audio, undefined, uri(audio.rendition));
  lines.push('');
  return lines.join('\n');
}

/** The keys of what is offered, each once: players may ask for them before they load a media playlist. */
function protectionsOf(window: LiveWindow, tiers: TierScope): TrackProtection[] {
  const period = window.periods.at(-1);
  const offered = window.renditions.filter(({ id }) => period && inScope(period, id, tiers));
  const byTier = new Map<string, TrackProtection>();
  for (const { id } of offered) {
    const protection = period?.protections.get(id);
    if (protection) byTier.set(protection.tier, protection);
  }
  return [...byTier.values()];
}

function described(window: LiveWindow, kind: 'video', tiers: TierScope): Described<VideoTrack>[];
function described(window: LiveWindow, kind: 'audio', tiers: TierScope): Described<AudioTrack>[];
function described(
  window: LiveWindow,
  kind: 'video' | 'audio',
  tiers: TierScope,
): Described<VideoTrack>[] | Described<AudioTrack>[] {
  const period = window.periods.at(-1);
  const all = window.renditions.flatMap((rendition) =>
    period && inScope(period, rendition.id, tiers)
      ? [{ rendition, track: period.tracks.get(rendition.id) }]
      : [],
  );
  return all.filter(({ track }) => track?.kind === kind) as Described<VideoTrack>[] | Described<AudioTrack>[];
}

/** True while every listed video segment begins with a key frame; a promise the next update may have to withdraw. */
function allIndependent(window: LiveWindow): boolean {
  return window.renditions.every(
    ({ kind, dependent, firstListed }) => kind !== 'video' || (dependent?.at(-1) ?? -1) < firstListed,
  );
}

function audioGroupLine({ track }: Described<AudioTrack>, uri: string): string {
  return `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="${AUDIO_GROUP}",NAME="Audio",LANGUAGE="${UNDETERMINED_LANGUAGE}",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="${track.channels}",URI="${uri}"`;
}

function pushVariant(
  lines: string[],
  main: Described<VideoTrack> | Described<AudioTrack>,
  audio: Described<AudioTrack> | undefined,
  uri: string,
  unsaidRange?: string,
): void {
  const members = audio ? [main, audio] : [main];
  const rates = members.map((member) => declaredRate(member.rendition, member.track));
  const attributes = [
    `BANDWIDTH=${rates.reduce((sum, rate) => sum + rate.peakBps, 0)}`,
    `AVERAGE-BANDWIDTH=${rates.reduce((sum, rate) => sum + rate.averageBps, 0)}`,
    `CODECS="${members.map((member) => member.track.codecString).join(',')}"`,
    ...videoAttributes(main.track, unsaidRange),
  ];
  if (audio) attributes.push(`AUDIO="${AUDIO_GROUP}"`);
  attributes.push('CLOSED-CAPTIONS=NONE');
  lines.push(`#EXT-X-STREAM-INF:${attributes.join(',')}`, uri);
}

function videoAttributes(track: VideoTrack | AudioTrack, unsaidRange?: string): string[] {
  if (track.kind === 'audio') return [];
  const rate = frameRate(track);
  const resolution = `RESOLUTION=${track.width}x${track.height}`;
  const range = videoRange(track) ?? unsaidRange;
  return [
    resolution,
    ...(rate ? [`FRAME-RATE=${(rate.numerator / rate.denominator).toFixed(3)}`] : []),
    ...(range ? [`VIDEO-RANGE=${range}`] : []),
  ];
}

/** Undefined: nothing says so, which is SDR. */
export function videoRange({ codec, config }: VideoTrack): string | undefined {
  return videoHdrRange(codec, config)?.toUpperCase();
}
