import { deepStrictEqual, ok } from 'node:assert';
import { SampleEncryptor } from '../../../src/media/isobmff/sample-encryptor.ts';
import type { ProtectionScheme } from '../../../src/media/protection.ts';
import type { VideoCodecName } from '../../../src/media/video-config.ts';
import { writeAvcSlice } from '../../support/avc-slice-writer.ts';
import { decryptSample, type ProtectedTrack } from '../../support/cenc-decryptor.ts';
import { writeHevcSlice } from '../../support/hevc-slice-writer.ts';
import type { Choose, WrittenSlice } from '../../support/slice-writer.ts';
import { AVC_720P25 } from '../../support/stream-source.ts';
import { type FuzzTarget, joined, mutated, split } from '../fuzz-target.ts';
import { HEVC_CONFIG } from './codecs.ts';

const SEEDS = 40;
const KEY = Buffer.alloc(16, 0x4b);
const CONSTANT_IV = Buffer.alloc(16, 0x49);

/** Choices that are the same in each run. */
function choices(seed: number): Choose {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    // Every other one is the first: flags that are off are what encoders write.
    return (state & 0x10000) === 0 ? 0 : (state >>> 17) % below;
  };
}

/** Parameter sets and the slices that go by them, as one sample; behind them enough bytes to be encrypted. */
function sampleOf({ sps, pps, slice }: WrittenSlice): Uint8Array {
  const units = [sps, pps, joined([slice, new Uint8Array(50).fill(0xa5)])];
  return joined(
    units.flatMap((unit) => {
      const length = new Uint8Array(4);
      new DataView(length.buffer).setUint32(0, unit.length);
      return [length, unit];
    }),
  );
}

function encryptedSample(
  codec: VideoCodecName,
  config: Uint8Array,
  write: (choose: Choose) => WrittenSlice,
): FuzzTarget {
  const seeds = Array.from({ length: SEEDS }, (_, seed) => sampleOf(write(choices(seed))));
  const track = { kind: 'video', codec, timescale: 90_000, config, width: 1280, height: 720 } as const;
  return {
    name: `encrypted-${codec}`,
    bytes: mutated(seeds),
    runs: 1000,
    // The cuts make samples of them: parameter sets of the one rule the slices of the next.
    check(input) {
      const samples = split(input);
      for (const scheme of ['cbcs', 'cenc'] as const) {
        const given = samples.map((sample) => sample.slice());
        const protection = protectionOf(scheme);
        const encryptor = new SampleEncryptor(track, protection, KEY, new Uint8Array(8));
        for (const [index, { data, iv, subsamples }] of encryptor.encrypt(given).entries()) {
          deepStrictEqual(given[index], samples[index], 'what was given is changed');
          const parts = (subsamples ?? []).map(
            ({ clearBytes, protectedBytes }) => [clearBytes, protectedBytes] as const,
          );
          const bytes = parts.reduce((sum, [clear, cipher]) => sum + clear + cipher, 0);
          ok(
            bytes === data.length && data.length === given[index]?.length,
            'the subsamples are not the sample',
          );
          const opened = decryptSample(
            Buffer.from(data),
            protectedTrack(scheme),
            KEY,
            iv && Buffer.from(iv),
            parts,
          );
          deepStrictEqual(new Uint8Array(opened), given[index], 'it is another when decrypted');
        }
      }
    },
  };
}

function protectionOf(scheme: ProtectionScheme) {
  const constantIv = scheme === 'cbcs' ? CONSTANT_IV : undefined;
  return { scheme, tier: 'HD', kid: new Uint8Array(16), constantIv, systems: [] } as const;
}

function protectedTrack(scheme: ProtectionScheme): ProtectedTrack {
  const isPattern = scheme === 'cbcs';
  return {
    entry: 'encv',
    originalEntry: 'any',
    scheme,
    cryptBlocks: isPattern ? 1 : 0,
    skipBlocks: isPattern ? 9 : 0,
    ivBytes: isPattern ? 0 : 8,
    kid: Buffer.alloc(16),
    constantIv: isPattern ? CONSTANT_IV : undefined,
  };
}

export const encryptedAvc = encryptedSample('avc1', AVC_720P25, writeAvcSlice);
export const encryptedHevc = encryptedSample('hvc1', HEVC_CONFIG, writeHevcSlice);
