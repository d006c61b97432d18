/** A parsed OpusSpecificBox (Encapsulation of Opus in ISO Base Media File Format 4.3.2). */
export interface OpusConfig {
  readonly codec: 'Opus';
  readonly codecString: 'Opus';
  /** Opus always comes out at 48 kHz. */
  readonly sampleRate: 48_000;
  readonly channels: number;
  /** Samples to leave out when decoding starts. */
  readonly preSkip: number;
  /** A copy of the bytes: the body of `dOps`. */
  readonly config: Uint8Array;
}

const HEAD_MAGIC = Uint8Array.from('OpusHead', (letter) => letter.charCodeAt(0));
const HEAD_BYTES = 19;
/** From the channel count to the mapping family: the same fields in both forms, in the other byte order. */
const BODY_BYTES = 11;
const MAX_CHANNELS = 8;
/** Mapping families whose channels a player can place (RFC 7845 5.1.1): mono and stereo, Vorbis order. */
const MAX_FAMILY = 1;

/** OpusHead (RFC 7845 5.1) → body of `dOps`. Undefined when malformed. */
export function opusConfigFromHead(head: Uint8Array): Uint8Array | undefined {
  if (head.length < HEAD_BYTES || HEAD_MAGIC.some((byte, index) => head[index] !== byte)) return undefined;
  // The upper four bits are the major version (RFC 7845 5.1).
  if ((head[8] ?? 0) >> 4 !== 0) return undefined;
  const channels = head[9] ?? 0;
  const mapped = head[18] !== 0;
  const size = BODY_BYTES + (mapped ? 2 + channels : 0);
  if (head.length < 8 + size) return undefined;
  const body = new Uint8Array(head.subarray(8, 8 + size));
  const from = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const to = new DataView(body.buffer);
  to.setUint8(0, 0);
  to.setUint16(2, from.getUint16(10, true));
  to.setUint32(4, from.getUint32(12, true));
  to.setInt16(8, from.getInt16(16, true));
  return parseOpusConfig(body) ? body : undefined;
}

/** Parses the body of `dOps`. Undefined when malformed, or of channels that cannot be placed. */
export function parseOpusConfig(bytes: Uint8Array): OpusConfig | undefined {
  const channels = bytes[1] ?? 0;
  const family = bytes[10] ?? 255;
  if (bytes.length < BODY_BYTES || bytes[0] !== 0 || channels === 0 || channels > MAX_CHANNELS)
    return undefined;
  if (family > MAX_FAMILY || (family === 0 && channels > 2)) return undefined;
  if (family > 0 && !isMapping(bytes, channels)) return undefined;
  const size = BODY_BYTES + (family > 0 ? 2 + channels : 0);
  return {
    codec: 'Opus',
    codecString: 'Opus',
    sampleRate: 48_000,
    channels,
    preSkip: (bytes[2] ?? 0) * 256 + (bytes[3] ?? 0),
    config: new Uint8Array(bytes.subarray(0, size)),
  };
}

/** ChannelMappingTable: every channel is one of the streams', or silence (255). */
function isMapping(bytes: Uint8Array, channels: number): boolean {
  const streams = bytes[11] ?? 0;
  const coupled = bytes[12] ?? 0;
  if (bytes.length < BODY_BYTES + 2 + channels || streams === 0 || coupled > streams) return false;
  const table = bytes.subarray(BODY_BYTES + 2, BODY_BYTES + 2 + channels);
  return table.every((index) => index === 255 || index < streams + coupled);
}

/** Samples a frame at 48 kHz: four sizes of SILK, two of hybrid, four of CELT (RFC 6716 table 2). */
const SILK = [480, 960, 1920, 2880] as const;
const HYBRID = [480, 960] as const;
const CELT = [120, 240, 480, 960] as const;
const FIRST_HYBRID = 12;
const FIRST_CELT = 16;
/** 120 ms (RFC 6716 3.2.5, R5). */
const MAX_PACKET_SAMPLES = 5760;

/** How many samples at 48 kHz a packet holds, by its table-of-contents byte. Undefined when it cannot be one. */
export function opusPacketSamples(packet: Uint8Array): number | undefined {
  const toc = packet[0];
  if (toc === undefined) return undefined;
  const config = toc >> 3;
  const frame =
    config < FIRST_HYBRID ? SILK[config & 3] : config < FIRST_CELT ? HYBRID[config & 1] : CELT[config & 3];
  const code = toc & 3;
  const frames = code === 0 ? 1 : code < 3 ? 2 : (packet[1] ?? 0) & 0x3f;
  const samples = (frame ?? 0) * frames;
  return samples > 0 && samples <= MAX_PACKET_SAMPLES ? samples : undefined;
}
