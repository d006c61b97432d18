/**
 * Bodies of Enhanced RTMP v2 messages, built to the published text (ExVideoTagHeader, ExAudioTagHeader) and without any
 * code of ours: what a parser says of them can be trusted.
 */

export type VideoFourCc = 'avc1' | 'hvc1' | 'av01' | 'vp09' | 'vp08' | 'vvc1';
export type AudioFourCc = 'mp4a' | 'Opus' | 'fLaC' | 'ac-3' | 'ec-3' | '.mp3';

/** VideoPacketType. */
export const VIDEO_PACKET = {
  sequenceStart: 0,
  codedFrames: 1,
  sequenceEnd: 2,
  codedFramesX: 3,
  metadata: 4,
  mpeg2TsSequenceStart: 5,
  multitrack: 6,
  modEx: 7,
} as const;

/** AudioPacketType. */
export const AUDIO_PACKET = {
  sequenceStart: 0,
  codedFrames: 1,
  sequenceEnd: 2,
  multichannelConfig: 4,
  multitrack: 5,
  modEx: 7,
} as const;

/** AvMultitrackType. */
export const MULTITRACK = { oneTrack: 0, manyTracks: 1, manyTracksManyCodecs: 2 } as const;

/** VideoFrameType. */
export const FRAME = { key: 1, inter: 2, command: 5 } as const;

/** One track of a body with several. */
export interface TrackPart {
  readonly track: number;
  readonly fourCc: string;
  readonly data: Uint8Array;
}

/** A modifier: its type and data. */
export interface ModEx {
  readonly type: number;
  readonly data: Uint8Array;
}

/** What stands before the FourCC. */
export interface Head {
  readonly frame?: number;
  readonly modEx?: readonly ModEx[];
}

export function uint24(value: number): Buffer {
  return Buffer.from([(value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff]);
}

/** The modifier that adds so many nanoseconds to the message's time. */
export function nanoOffset(ns: number): ModEx {
  return { type: 0, data: uint24(ns) };
}

/** A first byte's high half, then packet types with the modifiers between them. */
function headBytes(high: number, packetType: number, modEx: readonly ModEx[]): Buffer {
  const types = [...modEx.map(() => VIDEO_PACKET.modEx as number), packetType];
  const parts: Buffer[] = [Buffer.from([(high << 4) | (types[0] ?? 0)])];
  modEx.forEach(({ type, data }, i) => {
    const size = data.length - 1;
    parts.push(size < 255 ? Buffer.from([size]) : Buffer.from([255, size >> 8, size & 0xff]));
    parts.push(Buffer.from(data), Buffer.from([(type << 4) | (types[i + 1] ?? 0)]));
  });
  return Buffer.concat(parts);
}

function videoHead(packetType: number, { frame = FRAME.key, modEx = [] }: Head): Buffer {
  return headBytes(8 | frame, packetType, modEx);
}

function audioHead(packetType: number, { modEx = [] }: Head): Buffer {
  return headBytes(9, packetType, modEx);
}

/** A video body of one track without a number. */
export function exVideo(packetType: number, fourCc: string, data: Uint8Array, head: Head = {}): Buffer {
  return Buffer.concat([videoHead(packetType, head), Buffer.from(fourCc, 'latin1'), data]);
}

/** An audio body of one track without a number. */
export function exAudio(packetType: number, fourCc: string, data: Uint8Array, head: Head = {}): Buffer {
  return Buffer.concat([audioHead(packetType, head), Buffer.from(fourCc, 'latin1'), data]);
}

/** Composition time in milliseconds, then the picture: the body of CodedFrames for H.264 and HEVC. */
export function withComposition(offsetMs: number, data: Uint8Array): Buffer {
  return Buffer.concat([uint24(offsetMs & 0xffffff), data]);
}

/** A video body of tracks with numbers. */
export function exVideoTracks(
  form: number,
  packetType: number,
  parts: readonly TrackPart[],
  head: Head = {},
): Buffer {
  return Buffer.concat([videoHead(VIDEO_PACKET.multitrack, head), tracks(form, packetType, parts)]);
}

/** An audio body of tracks with numbers. */
export function exAudioTracks(
  form: number,
  packetType: number,
  parts: readonly TrackPart[],
  head: Head = {},
): Buffer {
  return Buffer.concat([audioHead(AUDIO_PACKET.multitrack, head), tracks(form, packetType, parts)]);
}

function tracks(form: number, packetType: number, parts: readonly TrackPart[]): Buffer {
  const out: Uint8Array[] = [Buffer.from([(form << 4) | packetType])];
  const [first] = parts;
  if (form !== MULTITRACK.manyTracksManyCodecs) out.push(Buffer.from(first?.fourCc ?? '', 'latin1'));
  for (const { track, fourCc, data } of parts) {
    if (form === MULTITRACK.manyTracksManyCodecs) out.push(Buffer.from(fourCc, 'latin1'));
    out.push(Buffer.from([track]));
    if (form !== MULTITRACK.oneTrack) out.push(uint24(data.length));
    out.push(data);
  }
  return Buffer.concat(out);
}
