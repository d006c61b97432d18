import type { AudioTrack } from '../../stream/track.ts';
import type { Offered } from '../vod/title-view.ts';

/** A sound that a viewer may choose, as one group offers it. */
export interface GroupMember extends Offered {
  /** Unique in the group; the same for the same sound in every group (RFC 8216bis 4.4.6.1.1). */
  readonly name: string;
  readonly isDefault: boolean;
}

/** An EXT-X-MEDIA group: all sounds in one encoding. */
export interface AudioGroup {
  readonly id: string;
  readonly members: readonly GroupMember[];
  /** Of all members, each once. */
  readonly codecs: readonly string[];
}

const STEREO_CHANNELS = 2;
const BASE_ID = 'audio';

/**
 * Puts sounds into groups by their encoding: codec, and stereo or more. The first group is the one that every device
 * plays: stereo, AAC before others. Every further group has the same members, as the standard wants: a sound that there
 * is not in its encoding is there in that of the first.
 */
export function audioGroups(sounds: readonly Offered[]): AudioGroup[] {
  const byEncoding = new Map<string, Offered[]>();
  for (const sound of sounds) {
    const encoding = encodingOf(sound);
    byEncoding.set(encoding, [...(byEncoding.get(encoding) ?? []), sound]);
  }
  const encodings = [...byEncoding.keys()].toSorted((one, other) => preference(one) - preference(other));
  const [base, ...others] = encodings;
  if (base === undefined) return [];
  const members = named(byEncoding.get(base) ?? []);
  const first = group(BASE_ID, members);
  return [
    first,
    ...others.map((encoding) =>
      group(`${BASE_ID}-${encoding}`, inPlace(members, byEncoding.get(encoding) ?? [])),
    ),
  ];
}

function trackOf({ own }: Offered): AudioTrack {
  if (own.track.kind !== 'audio') throw new RangeError('a group of sound has pictures');
  return own.track;
}

/** In a group's id. */
function encodingOf(sound: Offered): string {
  const { codec, channels } = trackOf(sound);
  const name = codec === 'mp4a' ? 'aac' : codec.toLowerCase().replace('-', '');
  return channels > STEREO_CHANNELS ? `${name}-surround` : name;
}

function preference(encoding: string): number {
  return (encoding.endsWith('-surround') ? 2 : 0) + (encoding.startsWith('aac') ? 0 : 1);
}

/** Names each sound, and marks the one that is played when nobody chooses. */
function named(sounds: readonly Offered[], others: readonly GroupMember[] = []): GroupMember[] {
  const taken = others.map(({ name }) => name);
  const wanted = sounds.map(({ rendition: { label, language } }) => label ?? language ?? 'Audio');
  const names = uniqueNames([...taken, ...wanted]).slice(taken.length);
  const chosen = sounds.find(({ rendition }) => rendition.isDefault) ?? sounds[0];
  return sounds.map((sound, index) => ({
    ...sound,
    name: names[index] ?? '',
    isDefault: taken.length === 0 && sound === chosen,
  }));
}

/** The same names, the second of two that are alike with a number behind it. */
export function uniqueNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((wanted) => {
    let name = wanted;
    for (let times = 2; taken.has(name); times++) name = `${wanted} ${times}`;
    taken.add(name);
    return name;
  });
}

/**
 * The members of a further group: each of the first group's in this encoding where there is one, found by its id or else
 * by its language, and what has no counterpart at all behind them.
 */
function inPlace(members: readonly GroupMember[], sounds: readonly Offered[]): GroupMember[] {
  const left = new Set(sounds);
  const counterparts = new Map<GroupMember, Offered>();
  for (const matches of [isDerived, isSameLanguage]) {
    for (const member of members.toSorted((a, b) => b.rendition.id.length - a.rendition.id.length)) {
      const match = counterparts.has(member) ? undefined : [...left].find((sound) => matches(member, sound));
      if (!match) continue;
      counterparts.set(member, match);
      left.delete(match);
    }
  }
  const same = members.map((member) => ({ ...member, ...counterparts.get(member) }));
  return [...same, ...named([...left], same)];
}

/** `audio-en-surround` is `audio-en` in another encoding. */
function isDerived({ rendition }: GroupMember, sound: Offered): boolean {
  return sound.rendition.id.startsWith(`${rendition.id}-`);
}

function isSameLanguage({ rendition }: GroupMember, sound: Offered): boolean {
  return sound.rendition.language === rendition.language;
}

function group(id: string, members: readonly GroupMember[]): AudioGroup {
  return { id, members, codecs: [...new Set(members.map((member) => trackOf(member).codecString))] };
}

export function channelsOf(member: GroupMember): number {
  return trackOf(member).channels;
}
