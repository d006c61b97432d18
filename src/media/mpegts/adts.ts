import type { FrameResult, SoundFramer } from './sound-framer.ts';

const HEADER_BYTES = 7;
const CRC_BYTES = 2;
/** 13 bits. */
const MAX_FRAME_BYTES = 8191;
const FRAME_SAMPLES = 1024;
const SAMPLE_RATES = [
  96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
] as const;

/**
 * AAC in ADTS (ISO/IEC 14496-3 1.A.3.2). Frames of several blocks, and those whose channels only the sound itself tells
 * (channel_configuration 0), are not carried.
 */
export class AdtsFramer implements SoundFramer {
  readonly maxFrameBytes = MAX_FRAME_BYTES;
  readonly firstByte = 0xff;

  frame(bytes: Buffer, at: number): FrameResult {
    if (bytes.length - at < HEADER_BYTES) return { kind: 'more' };
    if (!isHeader(bytes, at)) return { kind: 'damaged' };
    const sizeBytes =
      (((bytes[at + 3] ?? 0) & 3) << 11) | ((bytes[at + 4] ?? 0) << 3) | ((bytes[at + 5] ?? 0) >> 5);
    const hasCrc = ((bytes[at + 1] ?? 0) & 1) === 0;
    const headerBytes = HEADER_BYTES + (hasCrc ? CRC_BYTES : 0);
    const sampleRate = SAMPLE_RATES[rateIndex(bytes, at)];
    if (sizeBytes <= headerBytes || sampleRate === undefined) return { kind: 'damaged' };
    const end = at + sizeBytes;
    if (end > bytes.length) return { kind: 'more' };
    if (!isFollowed(bytes, at, end)) return { kind: 'damaged' };
    const channels = channelsOf(bytes, at);
    if (((bytes[at + 6] ?? 0) & 3) !== 0 || channels === 0) return { kind: 'unsupported', end };
    return {
      kind: 'frame',
      end,
      codec: 'mp4a',
      config: audioSpecificConfig(bytes, at, channels),
      confirmed: bytes.length - end >= HEADER_BYTES && sameForm(bytes, at, end),
      data: [[at + headerBytes, end]],
      samples: FRAME_SAMPLES,
      sampleRate,
    };
  }
}

/** Sync word and layer. */
function isHeader(bytes: Buffer, at: number): boolean {
  return bytes[at] === 0xff && ((bytes[at + 1] ?? 0) & 0xf6) === 0xf0;
}

/** What comes behind a frame, as far as it is there, is another. */
function isFollowed(bytes: Buffer, at: number, end: number): boolean {
  const left = bytes.length - end;
  if (left >= 2) return isHeader(bytes, end);
  return left === 0 || bytes[end] === bytes[at];
}

/** Two headers tell the same object type, rate and channels. */
function sameForm(bytes: Buffer, a: number, b: number): boolean {
  const second = (bytes[a + 2] ?? 0) ^ (bytes[b + 2] ?? 0);
  const third = (bytes[a + 3] ?? 0) ^ (bytes[b + 3] ?? 0);
  return (second & 0xfd) === 0 && (third & 0xc0) === 0;
}

function rateIndex(bytes: Buffer, at: number): number {
  return ((bytes[at + 2] ?? 0) >> 2) & 0x0f;
}

function channelsOf(bytes: Buffer, at: number): number {
  return (((bytes[at + 2] ?? 0) & 1) << 2) | ((bytes[at + 3] ?? 0) >> 6);
}

/** 1.6.2.1: the header's profile is the audio object type less one. */
function audioSpecificConfig(bytes: Buffer, at: number, channels: number): Uint8Array {
  const objectType = ((bytes[at + 2] ?? 0) >> 6) + 1;
  const index = rateIndex(bytes, at);
  return Uint8Array.of((objectType << 3) | (index >> 1), ((index & 1) << 7) | (channels << 3));
}
