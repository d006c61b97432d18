import { writeChunk } from '../../src/media/isobmff/chunk.ts';
import { type VideoInit, writeInitSegment } from '../../src/media/isobmff/init-segment.ts';
import { SampleEncryptor } from '../../src/media/isobmff/sample-encryptor.ts';
import type { SampleProtection } from '../../src/media/isobmff/sample-protection.ts';
import type { ProtectionScheme, TrackProtection } from '../../src/media/protection.ts';
import type { Clip } from './cenc-clips.ts';

/** Packs clips by our own writers, encrypted or not, with one key for all. */

function bytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

export const KEY = bytes('5a1de2a3b4c5d6e7f8091a2b3c4d5e6f');
export const KID = bytes('101112131415161718191a1b1c1d1e1f');
export const FIRST_IV = bytes('00000007fffffff0');
export const CONSTANT_IV = bytes('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff');

/** Samples that are encrypted together and stored as one chunk. */
export const CHUNK_SAMPLES = 3;

function protectionOf(scheme: ProtectionScheme): TrackProtection {
  const constantIv = scheme === 'cbcs' ? CONSTANT_IV : undefined;
  return { scheme, tier: 'SD', kid: KID, constantIv, systems: [] };
}

export function isVideo(clip: Clip): clip is Clip & { readonly track: VideoInit } {
  return clip.track.kind === 'video';
}

/** The clip by our writers; each chunk's samples as `encrypt` gives them. */
function packed(
  clip: Clip,
  encrypt: (samples: readonly Uint8Array[]) => readonly (SampleProtection & { readonly data: Uint8Array })[],
): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < clip.samples.length; at += CHUNK_SAMPLES) {
    const samples = clip.samples.slice(at, at + CHUNK_SAMPLES);
    const encrypted = encrypt(samples.map(({ data }) => data));
    chunks.push(
      writeChunk({
        sequence: chunks.length + 1,
        position: at === 0 ? 'segment-start' : 'inside',
        reference: undefined,
        samples: samples.map((sample, index) => ({ ...sample, ...encrypted[index] })),
      }),
    );
  }
  return chunks;
}

/** A clip as initialization segment and chunks. */
export interface Packed {
  readonly init: Uint8Array;
  readonly chunks: readonly Uint8Array[];
  readonly unreadSlices: number;
  readonly protectedBytes: number;
}

/** The clip encrypted with {@link KEY}. */
export function pack(clip: Clip, scheme: ProtectionScheme): Packed {
  const protection = protectionOf(scheme);
  const iv = scheme === 'cenc' ? FIRST_IV : undefined;
  const encryptor = new SampleEncryptor(clip.track, protection, KEY, iv);
  let unreadSlices = 0;
  let protectedBytes = 0;
  const chunks = packed(clip, (samples) => {
    const encrypted = encryptor.encrypt(samples);
    for (const sample of encrypted) {
      unreadSlices += sample.unreadSlices;
      for (const subsample of sample.subsamples ?? []) protectedBytes += subsample.protectedBytes;
    }
    return encrypted;
  });
  return { init: writeInitSegment(clip.track, protection), chunks, unreadSlices, protectedBytes };
}

/** The clip as it is. */
export function clear(clip: Clip): Pick<Packed, 'init' | 'chunks'> {
  return {
    init: writeInitSegment(clip.track),
    chunks: packed(clip, (samples) => samples.map((data) => ({ data }))),
  };
}
