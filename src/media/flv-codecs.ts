/** The codecs that FLV and RTMP can name, by number (Adobe FLV 10.1, annex E.4) and by FourCC (Enhanced RTMP v2). */

/** Video that is understood, as its sample entry. */
export type FlvVideoCodec = 'avc1' | 'hvc1' | 'av01' | 'vp09';

/** Audio that is understood. `.mp3` is the only one of them that CMAF does not carry. */
export type FlvAudioCodec = 'mp4a' | 'Opus' | 'fLaC' | 'ac-3' | 'ec-3' | '.mp3';

/** CodecID (E.4.3.1) of what is understood. */
export const AVC_ID = 7;
/** Not in any specification, but what many senders used for HEVC before Enhanced RTMP, in the form AVC has. */
export const HEVC_ID = 12;

/** SoundFormat (E.4.2.1). */
export const MP3_FORMAT = 2;
/** Enhanced RTMP: a FourCC follows. */
export const EX_AUDIO_FORMAT = 9;
export const AAC_FORMAT = 10;

const VIDEO_NAMES = new Map<number, string>([
  [1, 'JPEG'],
  [2, 'Sorenson H.263'],
  [3, 'Screen video'],
  [4, 'VP6'],
  [5, 'VP6 with alpha'],
  [6, 'Screen video 2'],
  [8, 'H.263'],
  [9, 'MPEG-4 part 2'],
  // Of no specification, like 12.
  [13, 'AV1'],
]);

const AUDIO_NAMES = new Map<number, string>([
  [0, 'PCM'],
  [1, 'ADPCM'],
  [2, 'MP3'],
  [3, 'PCM little endian'],
  [4, 'Nellymoser 16 kHz'],
  [5, 'Nellymoser 8 kHz'],
  [6, 'Nellymoser'],
  [7, 'G.711 A-law'],
  [8, 'G.711 mu-law'],
  [11, 'Speex'],
  [13, 'Opus'],
  [14, 'MP3 8 kHz'],
  [15, 'device specific'],
]);

/** Name of a video codec that is not understood: from a closed list, or `other`. */
export function videoCodecName(codecId: number): string {
  return VIDEO_NAMES.get(codecId) ?? 'other';
}

/** Name of an audio codec that is not understood: from a closed list, or `other`. */
export function audioCodecName(soundFormat: number): string {
  return AUDIO_NAMES.get(soundFormat) ?? 'other';
}

export const FLV_VIDEO_CODECS: readonly FlvVideoCodec[] = ['avc1', 'hvc1', 'av01', 'vp09'];
export const FLV_AUDIO_CODECS: readonly FlvAudioCodec[] = ['mp4a', 'Opus', 'fLaC', 'ac-3', 'ec-3', '.mp3'];

const VIDEO_FOURCCS = byFourCc(FLV_VIDEO_CODECS);
const AUDIO_FOURCCS = byFourCc(FLV_AUDIO_CODECS);
const OTHER_FOURCCS = new Map<number, string>([
  [fourCc('vvc1'), 'VVC'],
  [fourCc('vp08'), 'VP8'],
]);

/** The video codec of a FourCC, given as its four bytes in one big-endian number. */
export function videoFourCc(value: number): FlvVideoCodec | undefined {
  return VIDEO_FOURCCS.get(value);
}

/** The audio codec of a FourCC, given as its four bytes in one big-endian number. */
export function audioFourCc(value: number): FlvAudioCodec | undefined {
  return AUDIO_FOURCCS.get(value);
}

/** Name of a FourCC that is not understood: from a closed list, or `other`. */
export function fourCcName(value: number): string {
  return OTHER_FOURCCS.get(value) ?? 'other';
}

function byFourCc<C extends string>(codecs: readonly C[]): ReadonlyMap<number, C> {
  return new Map(codecs.map((codec) => [fourCc(codec), codec]));
}

function fourCc(name: string): number {
  let value = 0;
  for (const character of name) value = value * 256 + character.charCodeAt(0);
  return value;
}
