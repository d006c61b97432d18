import type { StreamTrack } from '../../media/isobmff/stream-init.ts';
import type { AudioCodec, VideoCodec } from '../../stream/track.ts';

/** What a track of a CMAF source is to us. */
export type TrackUse =
  | { readonly kind: 'video'; readonly codec: VideoCodec; readonly config: Uint8Array }
  | { readonly kind: 'audio'; readonly codec: AudioCodec; readonly config: Uint8Array }
  /** Text and metadata: taken, not used. */
  | { readonly kind: 'other' }
  /** Sound or picture in a codec that is not carried, or encrypted. */
  | { readonly kind: 'unsupported' }
  /** Its configuration is missing. */
  | { readonly kind: 'unusable' };

/** Sample entries with parameter sets in the samples are carried too, as long as the configuration has them as well. */
const VIDEO_ENTRIES: ReadonlyMap<string, VideoCodec> = new Map([
  ['avc1', 'avc1'],
  ['avc3', 'avc1'],
  ['hvc1', 'hvc1'],
  ['hev1', 'hvc1'],
  ['av01', 'av01'],
  ['vp09', 'vp09'],
]);
const AUDIO_ENTRIES: ReadonlyMap<string, AudioCodec> = new Map([
  ['mp4a', 'mp4a'],
  ['ac-3', 'ac-3'],
  ['ec-3', 'ec-3'],
  ['Opus', 'Opus'],
  ['fLaC', 'fLaC'],
]);

/** Decides what to do with a track by its handler, sample entry and configuration. */
export function trackUse({ handler, entry, config }: StreamTrack): TrackUse {
  if (handler === 'vide') {
    const codec = VIDEO_ENTRIES.get(entry);
    if (!codec) return { kind: 'unsupported' };
    return config ? { kind: 'video', codec, config } : { kind: 'unusable' };
  }
  if (handler === 'soun') {
    const codec = AUDIO_ENTRIES.get(entry);
    if (!codec) return { kind: 'unsupported' };
    return config ? { kind: 'audio', codec, config } : { kind: 'unusable' };
  }
  return { kind: 'other' };
}
