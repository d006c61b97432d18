import { opusConfigFromHead, opusPacketSamples } from '../opus.ts';
import type { FrameResult, SoundFramer } from './sound-framer.ts';

const CONTROL_BYTES = 2;
const START_TRIM = 0x10;
const END_TRIM = 0x08;
const EXTENSION = 0x04;
const MAX_PACKET_BYTES = 64 * 1024;
const SAMPLE_RATE = 48_000;
const HEAD_BYTES = 19;

/** Streams, coupled ones, and the channel mapping by channel count from 3 on: the Vorbis order (RFC 7845 5.1.1.2). */
const MAPPINGS = new Map<number, readonly number[]>([
  [3, [2, 1, 0, 2, 1]],
  [4, [2, 2, 0, 1, 2, 3]],
  [5, [3, 2, 0, 4, 1, 2, 3]],
  [6, [4, 2, 0, 4, 1, 2, 3, 5]],
  [7, [4, 3, 0, 4, 1, 2, 3, 5, 6]],
  [8, [5, 3, 0, 6, 1, 2, 3, 4, 5, 7]],
]);

/** Opus with its control headers (ETSI TS 103 491; "Encapsulation of Opus in MPEG-TS"). */
export class OpusFramer implements SoundFramer {
  readonly maxFrameBytes = MAX_PACKET_BYTES;
  readonly firstByte = 0x7f;
  readonly #config: Uint8Array;

  /** @param channelConfig channel_config_code, 1 to 8 */
  constructor(channelConfig: number) {
    this.#config = opusConfigFromHead(opusHead(channelConfig)) ?? new Uint8Array(0);
  }

  frame(bytes: Buffer, at: number): FrameResult {
    if (bytes.length - at < CONTROL_BYTES) return { kind: 'more' };
    const flags = bytes[at + 1] ?? 0;
    if (bytes[at] !== 0x7f || (flags & 0xe0) !== 0xe0) return { kind: 'damaged' };
    let start = at + CONTROL_BYTES;
    let sizeBytes = 0;
    for (let part = 255; part === 255; start++) {
      if (start >= bytes.length) return { kind: 'more' };
      part = bytes[start] ?? 0;
      sizeBytes += part;
    }
    if ((flags & START_TRIM) !== 0) start += 2;
    if ((flags & END_TRIM) !== 0) start += 2;
    if ((flags & EXTENSION) !== 0) start += 1 + (bytes[start] ?? 0);
    const end = start + sizeBytes;
    if (end > bytes.length) return end - at > MAX_PACKET_BYTES ? { kind: 'damaged' } : { kind: 'more' };
    const samples = opusPacketSamples(bytes.subarray(start, end));
    if (samples === undefined) return { kind: 'damaged' };
    return {
      kind: 'frame',
      end,
      codec: 'Opus',
      config: this.#config,
      confirmed: true,
      data: [[start, end]],
      samples,
      sampleRate: SAMPLE_RATE,
    };
  }
}

/** The head that an Ogg stream of these channels would have (RFC 7845 5.1); nothing to leave out at the start. */
function opusHead(channels: number): Uint8Array {
  const mapping = MAPPINGS.get(channels) ?? [];
  const head = Buffer.alloc(HEAD_BYTES + mapping.length);
  head.write('OpusHead', 'latin1');
  head[8] = 1;
  head[9] = channels;
  head.writeUInt32LE(SAMPLE_RATE, 12);
  head[18] = mapping.length > 0 ? 1 : 0;
  head.set(mapping, HEAD_BYTES);
  return new Uint8Array(head);
}
