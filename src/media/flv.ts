/**
 * Bodies of FLV audio and video tags, which are also the payloads of RTMP audio and video messages (Adobe Flash Video
 * File Format 10.1, annex E.4.2 and E.4.3; the FourCC form is Enhanced RTMP). H.264 and AAC are understood, every
 * other codec is named. Returned bytes are views of the body given.
 */

export type VideoTag =
  /** AVCDecoderConfigurationRecord. */
  | { readonly kind: 'config'; readonly config: Uint8Array }
  /** One access unit: NAL units, length-prefixed as the configuration says. */
  | {
      readonly kind: 'frame';
      readonly key: boolean;
      readonly compositionOffsetMs: number;
      readonly data: Uint8Array;
    }
  | TagOddity;

export type AudioTag =
  /** AudioSpecificConfig. */
  | { readonly kind: 'config'; readonly config: Uint8Array }
  /** One raw AAC frame. */
  | { readonly kind: 'frame'; readonly data: Uint8Array }
  | TagOddity;

type TagOddity =
  /** Nothing to decode, and nothing wrong: an empty body, an end of sequence, a seek marker. */
  | { readonly kind: 'ignored' }
  /** A codec other than H.264 or AAC. `codec` comes from a closed list, or is `other`. */
  | { readonly kind: 'unsupported'; readonly codec: string }
  | { readonly kind: 'malformed' };

const IGNORED: TagOddity = { kind: 'ignored' };
const MALFORMED: TagOddity = { kind: 'malformed' };

const AVC = 7;
const AAC = 10;
const KEY_FRAME = 1;
/** Video info or command frame: a seek marker of Flash, no picture. */
const COMMAND_FRAME = 5;

const VIDEO_CODECS = new Map<number, string>([
  [1, 'JPEG'],
  [2, 'Sorenson H.263'],
  [3, 'Screen video'],
  [4, 'VP6'],
  [5, 'VP6 with alpha'],
  [6, 'Screen video 2'],
  [8, 'H.263'],
  [9, 'MPEG-4 part 2'],
  // Not in any specification, but what senders used before Enhanced RTMP.
  [12, 'HEVC'],
  [13, 'AV1'],
]);

/** Index 9 is the Enhanced RTMP marker, 10 is AAC. */
const AUDIO_CODECS = new Map<number, string>([
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

const FOURCC_CODECS = new Map<string, string>([
  ['avc1', 'H.264 in Enhanced RTMP'],
  ['hvc1', 'HEVC'],
  ['vvc1', 'VVC'],
  ['av01', 'AV1'],
  ['vp08', 'VP8'],
  ['vp09', 'VP9'],
  ['mp4a', 'AAC in Enhanced RTMP'],
  ['Opus', 'Opus'],
  ['fLaC', 'FLAC'],
  ['ac-3', 'AC-3'],
  ['ec-3', 'E-AC-3'],
  ['.mp3', 'MP3'],
]);

/** Reads a video body. Never throws. */
export function parseVideoTag(body: Uint8Array): VideoTag {
  const first = body[0];
  if (first === undefined) return IGNORED;
  if ((first & 0x80) !== 0) return unsupportedFourCc(body);
  const codec = first & 0x0f;
  if (first >> 4 === COMMAND_FRAME) return IGNORED;
  if (codec !== AVC) return { kind: 'unsupported', codec: VIDEO_CODECS.get(codec) ?? 'other' };
  return parseAvc(body, first >> 4 === KEY_FRAME);
}

/** AVCVIDEOPACKET, E.4.3.2: packet type, signed 24-bit composition time, data. */
function parseAvc(body: Uint8Array, key: boolean): VideoTag {
  const [, packetType, high, middle, low] = body;
  if (packetType === 2) return IGNORED;
  if (packetType === undefined || high === undefined || middle === undefined || low === undefined)
    return MALFORMED;
  const data = body.subarray(5);
  if (packetType === 0) return data.length === 0 ? MALFORMED : { kind: 'config', config: data };
  if (packetType !== 1) return MALFORMED;
  if (data.length === 0) return IGNORED;
  return { kind: 'frame', key, compositionOffsetMs: signed24(high, middle, low), data };
}

/** Reads an audio body. Never throws. */
export function parseAudioTag(body: Uint8Array): AudioTag {
  const [first, packetType] = body;
  if (first === undefined) return IGNORED;
  const format = first >> 4;
  if (format === 9) return unsupportedFourCc(body);
  if (format !== AAC) return { kind: 'unsupported', codec: AUDIO_CODECS.get(format) ?? 'other' };
  const data = body.subarray(2);
  if (packetType === 0) return data.length === 0 ? MALFORMED : { kind: 'config', config: data };
  if (packetType !== 1) return MALFORMED;
  return data.length === 0 ? IGNORED : { kind: 'frame', data };
}

function unsupportedFourCc(body: Uint8Array): TagOddity {
  if (body.length < 5) return MALFORMED;
  const fourCc = String.fromCharCode(...body.subarray(1, 5));
  return { kind: 'unsupported', codec: FOURCC_CODECS.get(fourCc) ?? 'other' };
}

function signed24(high: number, middle: number, low: number): number {
  return ((high << 24) | (middle << 16) | (low << 8)) >> 8;
}
