import { writeChunk } from '../../src/media/isobmff/chunk.ts';
import { writeInitSegment, type TrackInit } from '../../src/media/isobmff/init-segment.ts';
import { SampleEncryptor } from '../../src/media/isobmff/sample-encryptor.ts';
import type { ProtectionScheme, SystemData, TrackProtection } from '../../src/media/protection.ts';
import { concat } from './media-bytes.ts';
import { audioTrack, videoTrack } from './sample-source.ts';

/** Small encrypted CMAF files made by our own writers, for tests that break them. */

export const KID = new Uint8Array(Buffer.from('101112131415161718191a1b1c1d1e1f', 'hex'));
export const KID_TEXT = '10111213-1415-1617-1819-1a1b1c1d1e1f';
const KEY = new Uint8Array(16).fill(0x5a);
const CONSTANT_IV = new Uint8Array(16).fill(7);
const FIRST_IV = new Uint8Array(Buffer.from('f0f1f2f3f4f5f6f7', 'hex'));

export type Kind = 'video' | 'audio';

export interface EncryptedOptions {
  readonly scheme?: ProtectionScheme;
  readonly kid?: Uint8Array;
  readonly systems?: readonly SystemData[];
}

function protectionOf({ scheme = 'cbcs', kid = KID, systems = [] }: EncryptedOptions): TrackProtection {
  return { scheme, tier: 'SD', kid, constantIv: scheme === 'cbcs' ? CONSTANT_IV : undefined, systems };
}

function trackOf(kind: Kind): TrackInit {
  if (kind === 'video') {
    const { codec, config, timescale, width, height } = videoTrack();
    return { kind, codec, config, timescale, width, height };
  }
  const { codec, config, timescale, channels } = audioTrack();
  return { kind, codec, config, timescale, channels };
}

export function encryptedInit(kind: Kind, options: EncryptedOptions = {}): Uint8Array {
  return writeInitSegment(trackOf(kind), protectionOf(options), { pssh: true });
}

export interface EncryptedSegmentOptions extends EncryptedOptions {
  readonly startTicks?: number;
  readonly samples?: number;
  /** All in one chunk unless told otherwise. */
  readonly chunkSamples?: number;
  /** First IV of `cenc`, 8 bytes. */
  readonly firstIv?: Uint8Array;
  /** Fills the samples: another one makes other pictures or sound. */
  readonly filler?: number;
}

/** A segment of equal samples, each 300 bytes: an IDR picture and others, or sound. */
export function encryptedSegment(kind: Kind, options: EncryptedSegmentOptions = {}): Uint8Array {
  const { startTicks = 0, samples = 4, firstIv = FIRST_IV } = options;
  const { chunkSamples = samples, filler = 0x33, scheme = 'cbcs' } = options;
  const lane = scheme === 'cenc' ? firstIv : undefined;
  const encryptor = new SampleEncryptor(trackOf(kind), protectionOf(options), KEY, lane);
  const ticks = kind === 'video' ? 3000 : 1024;
  const chunks: Uint8Array[] = [];
  for (let from = 0; from < samples; from += chunkSamples) {
    const count = Math.min(chunkSamples, samples - from);
    const plain = Array.from({ length: count }, (_, i) => sampleOf(kind, from + i === 0, filler));
    const encrypted = encryptor.encrypt(plain);
    chunks.push(
      writeChunk({
        sequence: 1 + from,
        position: from === 0 ? 'segment-start' : 'inside',
        reference: undefined,
        samples: encrypted.map(({ data, iv, subsamples }, i) => ({
          dts: startTicks + (from + i) * ticks,
          pts: startTicks + (from + i) * ticks,
          duration: ticks,
          key: kind === 'audio' || from + i === 0,
          data,
          iv,
          subsamples,
        })),
      }),
    );
  }
  return concat(chunks);
}

function sampleOf(kind: Kind, idr: boolean, filler: number): Uint8Array {
  const data = new Uint8Array(300).fill(filler);
  if (kind === 'audio') return data;
  new DataView(data.buffer).setUint32(0, data.length - 4);
  data.set([idr ? 0x65 : 0x61, 0x88, 0x80], 4);
  return data;
}

/** Writes a `pssh` box; with key ids it is of version 1. */
export function systemBox(
  systemId: string,
  kids: readonly Uint8Array[] | undefined,
  data: Uint8Array,
): Uint8Array {
  const list = kids ?? [];
  const head = Buffer.alloc(12);
  head.writeUInt32BE(32 + (kids ? 4 + 16 * list.length : 0) + data.length, 0);
  head.write('pssh', 4, 'latin1');
  head.writeUInt8(kids ? 1 : 0, 8);
  const count = Buffer.alloc(4);
  count.writeUInt32BE(list.length, 0);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(data.length, 0);
  return concat([head, Buffer.from(systemId, 'hex'), ...(kids ? [count, ...list] : []), size, data]);
}
