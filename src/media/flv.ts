/**
 * Bodies of FLV audio and video tags, which are also the payloads of RTMP audio and video messages: Adobe Flash Video
 * File Format 10.1, annex E.4.2 and E.4.3, and Enhanced RTMP v1 and v2. Returned bytes are views of the body given.
 */
import {
  AAC_FORMAT,
  audioCodecName,
  AVC_ID,
  EX_AUDIO_FORMAT,
  type FlvVideoCodec,
  HEVC_ID,
  videoCodecName,
} from './flv-codecs.ts';
import { parseExAudioTag, parseExVideoTag } from './flv-enhanced.ts';
import {
  type AudioTag,
  type AudioTrackTag,
  IGNORED,
  MALFORMED,
  signed24,
  type VideoTag,
  type VideoTrackTag,
} from './flv-tag.ts';

const KEY_FRAME = 1;
/** Video info or command frame: a seek marker of Flash, no picture. */
const COMMAND_FRAME = 5;
/** Frame type and codec, packet type, composition time. */
const AVC_HEAD_BYTES = 5;
/** What a decoder needs, one access unit, or the end. The same for AVC and AAC. */
const SEQUENCE_HEADER = 0;
const MEDIA = 1;
const END_OF_SEQUENCE = 2;

/** Reads a video body. Never throws. */
export function parseVideoTag(body: Uint8Array): VideoTag {
  const first = body[0];
  if (first === undefined) return IGNORED;
  if ((first & 0x80) !== 0) return parseExVideoTag(body);
  const codecId = first & 0x0f;
  if (first >> 4 === COMMAND_FRAME) return IGNORED;
  const key = first >> 4 === KEY_FRAME;
  if (codecId === AVC_ID) return parseAvc(body, 'avc1', key);
  if (codecId === HEVC_ID) return parseAvc(body, 'hvc1', key);
  return { kind: 'unsupported', track: 0, codec: videoCodecName(codecId) };
}

/** AVCVIDEOPACKET, E.4.3.2: packet type, signed 24-bit composition time, data. */
function parseAvc(body: Uint8Array, codec: FlvVideoCodec, key: boolean): VideoTrackTag {
  const packetType = body[1];
  if (packetType === END_OF_SEQUENCE) return IGNORED;
  if (body.length < AVC_HEAD_BYTES) return MALFORMED;
  const data = body.subarray(AVC_HEAD_BYTES);
  if (packetType === SEQUENCE_HEADER) {
    return data.length === 0 ? MALFORMED : { kind: 'config', track: 0, codec, config: data };
  }
  if (packetType !== MEDIA) return MALFORMED;
  if (data.length === 0) return IGNORED;
  return {
    kind: 'frame',
    track: 0,
    codec,
    key,
    compositionOffsetMs: signed24(body, 2),
    offsetNs: 0,
    data,
  };
}

/** Reads an audio body. Never throws. */
export function parseAudioTag(body: Uint8Array): AudioTag {
  const first = body[0];
  if (first === undefined) return IGNORED;
  const format = first >> 4;
  if (format === EX_AUDIO_FORMAT) return parseExAudioTag(body);
  if (format !== AAC_FORMAT) return { kind: 'unsupported', track: 0, codec: audioCodecName(format) };
  return parseAac(body);
}

/** AACAUDIODATA, E.4.2.2. */
function parseAac(body: Uint8Array): AudioTrackTag {
  const packetType = body[1];
  const data = body.subarray(2);
  if (packetType === SEQUENCE_HEADER) {
    return data.length === 0 ? MALFORMED : { kind: 'config', track: 0, codec: 'mp4a', config: data };
  }
  if (packetType !== MEDIA) return MALFORMED;
  return data.length === 0 ? IGNORED : { kind: 'frame', track: 0, codec: 'mp4a', offsetNs: 0, data };
}
