import { audioFourCc, fourCcName, videoFourCc } from './flv-codecs.ts';
import { type ExTrack, readExPacket } from './flv-packet.ts';
import {
  type AudioTag,
  type AudioTrackTag,
  IGNORED,
  MALFORMED,
  signed24,
  type VideoTag,
  type VideoTrackTag,
} from './flv-tag.ts';

/** VideoPacketType. */
const VIDEO = {
  sequenceStart: 0,
  codedFrames: 1,
  sequenceEnd: 2,
  codedFramesX: 3,
  metadata: 4,
  mpeg2TsSequenceStart: 5,
  multitrack: 6,
} as const;

/** AudioPacketType. */
const AUDIO = {
  sequenceStart: 0,
  codedFrames: 1,
  sequenceEnd: 2,
  multichannelConfig: 4,
  multitrack: 5,
} as const;

/**
 * Audio codecs whose sequence start must say something. Opus may leave it empty (mono or stereo without a map); frames of
 * MP3 and the AC-3 family say themselves what they are, and FFmpeg begins those with an empty one.
 */
const NEED_CONFIG: ReadonlySet<string> = new Set(['mp4a', 'fLaC']);

/** VideoFrameType. */
const KEY_FRAME = 1;
const COMMAND_FRAME = 5;
const COMPOSITION_TIME_BYTES = 3;

/** Reads a video body of Enhanced RTMP: one whose first bit is set. Never throws. */
export function parseExVideoTag(body: Uint8Array): VideoTag {
  const frameType = ((body[0] ?? 0) >> 4) & 7;
  // A seek marker of Flash, no picture; or metadata, which is not used either.
  if (frameType === COMMAND_FRAME) return IGNORED;
  const packet = readExPacket(body, VIDEO.multitrack);
  if (packet === undefined) return MALFORMED;
  const { packetType, offsetNs, tracks } = packet;
  const key = frameType === KEY_FRAME;
  if (!isList(tracks)) return videoTrackTag(packetType, tracks, key, offsetNs);
  return { kind: 'tracks', tags: tracks.map((each) => videoTrackTag(packetType, each, key, offsetNs)) };
}

function videoTrackTag(
  packetType: number,
  { track, fourCc, body }: ExTrack,
  key: boolean,
  offsetNs: number,
): VideoTrackTag {
  // What the colours mean is in the bitstream too.
  if (packetType === VIDEO.sequenceEnd || packetType === VIDEO.metadata) return IGNORED;
  const codec = videoFourCc(fourCc);
  if (codec === undefined) return { kind: 'unsupported', track, codec: fourCcName(fourCc) };
  switch (packetType) {
    case VIDEO.sequenceStart:
      return body.length === 0 ? MALFORMED : { kind: 'config', track, codec, config: body };
    case VIDEO.codedFrames: {
      const reorders = codec === 'avc1' || codec === 'hvc1';
      if (reorders && body.length < COMPOSITION_TIME_BYTES) return MALFORMED;
      const compositionOffsetMs = reorders ? signed24(body, 0) : 0;
      const data = reorders ? body.subarray(COMPOSITION_TIME_BYTES) : body;
      if (data.length === 0) return IGNORED;
      return { kind: 'frame', track, codec, key, compositionOffsetMs, offsetNs, data };
    }
    case VIDEO.codedFramesX:
      if (body.length === 0) return IGNORED;
      return { kind: 'frame', track, codec, key, compositionOffsetMs: 0, offsetNs, data: body };
    case VIDEO.mpeg2TsSequenceStart:
      return { kind: 'unsupported', track, codec: 'MPEG-2 TS' };
    default:
      return MALFORMED;
  }
}

/** Reads an audio body of Enhanced RTMP: one whose sound format is 9. Never throws. */
export function parseExAudioTag(body: Uint8Array): AudioTag {
  const packet = readExPacket(body, AUDIO.multitrack);
  if (packet === undefined) return MALFORMED;
  const { packetType, offsetNs, tracks } = packet;
  if (!isList(tracks)) return audioTrackTag(packetType, tracks, offsetNs);
  return { kind: 'tracks', tags: tracks.map((each) => audioTrackTag(packetType, each, offsetNs)) };
}

function audioTrackTag(
  packetType: number,
  { track, fourCc, body }: ExTrack,
  offsetNs: number,
): AudioTrackTag {
  // The order of channels is in each codec's own configuration.
  if (packetType === AUDIO.sequenceEnd || packetType === AUDIO.multichannelConfig) return IGNORED;
  const codec = audioFourCc(fourCc);
  if (codec === undefined) return { kind: 'unsupported', track, codec: fourCcName(fourCc) };
  switch (packetType) {
    case AUDIO.sequenceStart:
      if (body.length === 0 && NEED_CONFIG.has(codec)) return MALFORMED;
      return { kind: 'config', track, codec, config: body };
    case AUDIO.codedFrames:
      return body.length === 0 ? IGNORED : { kind: 'frame', track, codec, offsetNs, data: body };
    default:
      return MALFORMED;
  }
}

function isList(tracks: ExTrack | readonly ExTrack[]): tracks is readonly ExTrack[] {
  return Array.isArray(tracks);
}
