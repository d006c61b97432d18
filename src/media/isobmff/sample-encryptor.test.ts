import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decryptChunks, readProtectedTrack } from '../../../test/support/cenc-decryptor.ts';
import type { ProtectionScheme, TrackProtection } from '../protection.ts';
import { findBox, readBoxes } from './box-reader.ts';
import { writeChunk } from './chunk.ts';
import { readInitSegment } from './fragment-reader.ts';
import { type AudioInit, type VideoInit, writeInitSegment } from './init-segment.ts';
import { canProtect, type EncryptedSample, SampleEncryptor } from './sample-encryptor.ts';

/** Made with another implementation of the standard, played by browsers and read by ffmpeg. */
interface Vectors {
  readonly meta: { readonly key: string; readonly kid: string; readonly clearInit: string };
  readonly cenc: SchemeVectors;
  readonly cbcs: SchemeVectors;
}

interface SchemeVectors {
  readonly sinf: string;
  readonly samples: readonly {
    readonly plain: string;
    readonly cipher: string;
    readonly subs: readonly (readonly [number, number])[];
  }[];
}

const FIXTURES = join(import.meta.dirname, '..', '..', '..', 'test', 'fixtures');
const VECTORS = JSON.parse(readFileSync(join(FIXTURES, 'cenc-avc.json'), 'utf8')) as Vectors;

function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

const KEY = hex('000102030405060708090a0b0c0d0e0f');
const KID = hex('101112131415161718191a1b1c1d1e1f');
const FIRST_IV = hex('f0f1f2f3f4f5f6f7');
const CONSTANT_IV = hex('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff');
const SCHEMES: readonly ProtectionScheme[] = ['cenc', 'cbcs'];

function protection(scheme: ProtectionScheme): TrackProtection {
  return {
    scheme,
    tier: 'SD',
    kid: KID,
    constantIv: scheme === 'cbcs' ? CONSTANT_IV : undefined,
    systems: [],
  };
}

const AVC: VideoInit = {
  kind: 'video',
  codec: 'avc1',
  timescale: 90_000,
  config: readInitSegment(new Uint8Array(Buffer.from(VECTORS.meta.clearInit, 'base64')))?.[0]?.config ?? KID,
  width: 320,
  height: 180,
};
const AAC: AudioInit = {
  kind: 'audio',
  codec: 'mp4a',
  timescale: 48_000,
  config: hex('1190'),
  channels: 2,
};

function encryptor(track: VideoInit | AudioInit, scheme: ProtectionScheme, iv = FIRST_IV): SampleEncryptor {
  return new SampleEncryptor(track, protection(scheme), KEY, scheme === 'cenc' ? iv : undefined);
}

function pairs({ subsamples }: EncryptedSample): number[][] | undefined {
  return subsamples?.map(({ clearBytes, protectedBytes }) => [clearBytes, protectedBytes]);
}

/** A length-prefixed NAL unit, its last bytes all the same. */
function nal(head: readonly number[], sizeBytes = head.length, fill = 0x55): Buffer {
  const unit = Buffer.alloc(4 + sizeBytes, fill);
  unit.writeUInt32BE(sizeBytes);
  unit.set(head, 4);
  return unit;
}

const SLICE_HEAD = [...hex(VECTORS.cbcs.samples[1]?.plain ?? '').subarray(4, 9)];
const SEI = 6;
/** Data partition A of a picture that others refer to. */
const PARTITION = 0x42;

/** A slice of the vectors' stream, made longer or shorter: its first five bytes hold the whole header. */
function slice(sizeBytes: number, fill?: number): Buffer {
  return nal(SLICE_HEAD, sizeBytes, fill);
}

function joined(...units: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(units));
}

/** Quicker to compare than arrays. */
function texts(samples: readonly Uint8Array[]): string[] {
  return samples.map((sample) => Buffer.from(sample).toString('base64'));
}

function chunkOf(samples: readonly EncryptedSample[]): Uint8Array {
  return writeChunk({
    sequence: 1,
    position: 'inside',
    reference: { wallMs: 0, mediaTicks: 0, flags: 24 },
    samples: samples.map((sample, index) => ({
      ...sample,
      dts: index * 3000,
      pts: index * 3000,
      duration: 3000,
      key: index === 0,
    })),
  });
}

function decrypted(
  track: VideoInit | AudioInit,
  scheme: ProtectionScheme,
  samples: readonly EncryptedSample[],
): string[] {
  const init = readProtectedTrack(writeInitSegment(track, protection(scheme)));
  return texts(decryptChunks(chunkOf(samples), init, KEY).map(({ data }) => data));
}

describe('SampleEncryptor', () => {
  it.each(SCHEMES)('encrypts H.264 as the known answers of %s say', (scheme) => {
    const { samples } = VECTORS[scheme];
    expect(samples.length).toBeGreaterThan(3);
    const out = encryptor(AVC, scheme).encrypt(samples.map(({ plain }) => hex(plain)));
    expect(out.map(({ data }) => Buffer.from(data).toString('hex'))).toEqual(
      samples.map(({ cipher }) => cipher),
    );
    expect(out.map(pairs)).toEqual(samples.map(({ subs }) => subs));
    expect(out.every(({ unreadSlices }) => unreadSlices === 0)).toBe(true);
  });

  it.each([
    ['cenc', '1764b0bca000f35d04be47e4dd214fb066017d04e2ed54'],
    ['cbcs', '753d5eacf88ed4c2c30496112e5f222110111213141516'],
  ] as const)('encrypts sound as the known answer of %s says', (scheme, cipher) => {
    const [sample] = encryptor(AAC, scheme).encrypt([Uint8Array.from({ length: 23 }, (_, at) => at)]);
    expect(Buffer.from(sample?.data ?? []).toString('hex')).toBe(cipher);
    expect(sample?.subsamples).toBeUndefined();
    expect(sample?.iv).toEqual(scheme === 'cenc' ? FIRST_IV : undefined);
  });

  it.each(SCHEMES)('gives the same bytes in %s whether samples come one by one or together', (scheme) => {
    const plain = [slice(3000), slice(20_000, 1), slice(100), slice(4200, 9)];
    const one = encryptor(AVC, scheme);
    expect(plain.flatMap((sample) => one.encrypt([sample]))).toEqual(encryptor(AVC, scheme).encrypt(plain));
  });

  it('leaves what it is given as it was', () => {
    for (const scheme of SCHEMES) {
      for (const [track, sample] of [
        [AVC, joined(slice(9000))],
        [AAC, new Uint8Array(300)],
      ] as const) {
        const before = sample.slice();
        encryptor(track, scheme).encrypt([sample]);
        expect(sample).toEqual(before);
      }
    }
  });

  it('gives every sample the next IV, over the carry and round the end', () => {
    const ivs = (start: string): string[] =>
      encryptor(AAC, 'cenc', hex(start))
        .encrypt([new Uint8Array(5), new Uint8Array(0), new Uint8Array(6)])
        .map(({ iv }) => Buffer.from(iv ?? []).toString('hex'));
    expect(ivs('00000000fffffffe')).toEqual(['00000000fffffffe', '00000000ffffffff', '0000000100000000']);
    expect(ivs('ffffffffffffffff')).toEqual(['ffffffffffffffff', '0000000000000000', '0000000000000001']);
  });

  it('counts on over all protected ranges of a sample, and from 0 in the next', () => {
    const sample = joined(slice(120), nal([SEI, 1, 2, 3]), slice(5000), slice(64));
    const out = encryptor(AVC, 'cenc').encrypt([sample, sample]);
    expect(decrypted(AVC, 'cenc', out)).toEqual(texts([sample, sample]));
    expect(out[0]?.data).not.toEqual(out[1]?.data);
  });

  it('begins the chain of cbcs anew at each slice', () => {
    const [sample] = encryptor(AVC, 'cbcs').encrypt([joined(slice(200), slice(200))]);
    expect(sample?.data.subarray(0, 204)).toEqual(sample?.data.subarray(204));
  });

  it('protects whole blocks in cenc and to the end of the slice in cbcs, and no less than a block', () => {
    const map = (scheme: ProtectionScheme, bytes: Uint8Array): number[][] | undefined => {
      const [sample] = encryptor(AVC, scheme).encrypt([bytes]);
      return sample && pairs(sample);
    };
    expect(map('cenc', slice(5 + 16))).toEqual([[9, 16]]);
    expect(map('cbcs', slice(5 + 16))).toEqual([[9, 16]]);
    expect(map('cenc', slice(5 + 31))).toEqual([[24, 16]]);
    expect(map('cbcs', slice(5 + 31))).toEqual([[9, 31]]);
    expect(map('cenc', slice(5 + 15))).toEqual([[24, 0]]);
    expect(map('cbcs', slice(5 + 15))).toEqual([[24, 0]]);
    expect(map('cbcs', joined(slice(5 + 15), slice(5 + 16), nal([SEI, 1])))).toEqual([
      [33, 16],
      [6, 0],
    ]);
    expect(map('cenc', new Uint8Array(0))).toEqual([[0, 0]]);
  });

  it('tells clear runs of more than 65535 bytes in several subsamples', () => {
    const sei = nal([SEI], 65_000, 1);
    const sample = joined(sei, sei, sei, slice(64));
    for (const scheme of SCHEMES) {
      const out = encryptor(AVC, scheme).encrypt([sample]);
      expect(out.flatMap((each) => pairs(each) ?? []).slice(0, 2)).toEqual([
        [65_535, 0],
        [65_535, 0],
      ]);
      expect(decrypted(AVC, scheme, out)).toEqual(texts([sample]));
    }
  });

  describe('with slices whose header cannot be read', () => {
    const unread = (sizeBytes: number): Uint8Array => nal([PARTITION], sizeBytes);

    it.each([
      { scheme: 'cbcs', sizeBytes: 500, map: [[5, 499]] },
      { scheme: 'cbcs', sizeBytes: 17, map: [[5, 16]] },
      { scheme: 'cenc', sizeBytes: 500, map: [[104, 400]] },
      { scheme: 'cenc', sizeBytes: 112, map: [[100, 16]] },
      { scheme: 'cenc', sizeBytes: 111, map: [[19, 96]] },
    ] as const)(
      'encrypts $sizeBytes bytes in $scheme all the same, and counts',
      ({ scheme, sizeBytes, map }) => {
        const out = encryptor(AVC, scheme).encrypt([unread(sizeBytes)]);
        expect(out.map(pairs)).toEqual([map]);
        expect(out[0]?.unreadSlices).toBe(1);
        expect(decrypted(AVC, scheme, out)).toEqual(texts([unread(sizeBytes)]));
      },
    );

    it('protects a unit whose length runs past the end', () => {
      const cut = slice(600).subarray(0, 300);
      for (const scheme of SCHEMES) {
        const out = encryptor(AVC, scheme).encrypt([cut]);
        expect(out[0]?.subsamples?.[0]?.protectedBytes).toBeGreaterThan(250);
        expect(decrypted(AVC, scheme, out)).toEqual(texts([cut]));
      }
    });
  });

  it('refuses keys and IVs of the wrong length, and codecs it does not cover', () => {
    const make =
      (key: Uint8Array, iv?: Uint8Array, scheme: ProtectionScheme = 'cenc') =>
      (): unknown =>
        new SampleEncryptor(AAC, protection(scheme), key, iv);
    expect(make(KEY)).toThrow(RangeError);
    expect(make(KEY, CONSTANT_IV)).toThrow(RangeError);
    expect(make(KEY.subarray(1), FIRST_IV)).toThrow(RangeError);
    expect(make(KEY.subarray(1), undefined, 'cbcs')).toThrow(RangeError);
    expect(() => new SampleEncryptor({ ...AVC, codec: 'av01' }, protection('cbcs'), KEY)).toThrow(RangeError);
    const unsaid = { ...protection('cbcs'), constantIv: undefined };
    expect(() => new SampleEncryptor(AAC, unsaid, KEY)).toThrow(RangeError);
  });
});

describe('canProtect', () => {
  it.each(SCHEMES)('says yes in %s to sound of any codec and to H.264', (scheme) => {
    expect(canProtect(AVC, scheme)).toBe(true);
    for (const codec of ['mp4a', 'ac-3', 'ec-3', 'Opus', 'fLaC'] as const) {
      expect(canProtect({ ...AAC, codec }, scheme)).toBe(true);
    }
  });

  it('names why not', () => {
    const extended = AVC.config.slice();
    // Profile in the record and in the SPS behind it.
    extended[1] = 88;
    extended[9] = 88;
    expect(canProtect({ ...AVC, config: extended }, 'cbcs')).toEqual({ reason: 'profile-not-covered' });
    expect(canProtect({ ...AVC, codec: 'av01' }, 'cbcs')).toEqual({ reason: 'codec-not-covered' });
    expect(canProtect({ ...AVC, codec: 'vp09' }, 'cenc')).toEqual({ reason: 'codec-not-covered' });
    expect(canProtect({ ...AVC, config: KID }, 'cenc')).toEqual({ reason: 'config-unreadable' });
  });
});

describe('chunks of encrypted samples', { timeout: 30_000 }, () => {
  const unit = fc.record({
    kind: fc.constantFrom('slice', 'sei', 'partition'),
    sizeBytes: fc.oneof(fc.integer({ min: 6, max: 60 }), fc.integer({ min: 6, max: 9000 })),
  });
  const sample = fc
    .array(unit, { minLength: 1, maxLength: 60 })
    .map((units) =>
      joined(
        ...units.map(({ kind, sizeBytes }) =>
          nal(
            kind === 'slice' ? SLICE_HEAD : [kind === 'sei' ? SEI : PARTITION],
            sizeBytes,
            sizeBytes & 0xff,
          ),
        ),
      ),
    );

  it.each(SCHEMES)('decrypt to what they were, with right sizes and offsets, in %s', (scheme) => {
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: 5 }), (samples) => {
        const out = encryptor(AVC, scheme).encrypt(samples);
        expect(decrypted(AVC, scheme, out)).toEqual(texts(samples));
      }),
      { numRuns: 40 },
    );
  });

  it.each(SCHEMES)('decrypt to what they were when they hold sound, in %s', (scheme) => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 6000, size: 'max' }), { minLength: 1, maxLength: 8 }),
        (samples) => {
          const out = encryptor(AAC, scheme).encrypt(samples);
          expect(decrypted(AAC, scheme, out)).toEqual(texts(samples));
        },
      ),
      { numRuns: 40 },
    );
  });

  const trafOf = (bytes: Uint8Array): string[] | undefined =>
    findBox(readBoxes(bytes).boxes, ['moof', 'traf'])?.children.map(({ type }) => type);
  const CLEAR = ['tfhd', 'tfdt', 'trun'];

  it('carry the boxes in order, and none for sound in cbcs', () => {
    const sound = [new Uint8Array(40), new Uint8Array(50)];
    const picture = [slice(100)];
    const traf = (track: VideoInit | AudioInit, scheme: ProtectionScheme, samples: Uint8Array[]) =>
      trafOf(chunkOf(encryptor(track, scheme).encrypt(samples)));
    expect(traf(AVC, 'cenc', picture)).toEqual([...CLEAR, 'saiz', 'saio', 'senc']);
    expect(traf(AVC, 'cbcs', picture)).toEqual([...CLEAR, 'saiz', 'saio', 'senc']);
    expect(traf(AAC, 'cenc', sound)).toEqual([...CLEAR, 'saiz', 'saio', 'senc']);
    expect(traf(AAC, 'cbcs', sound)).toEqual(CLEAR);
  });

  it('carry senc alone where a sample has more slices than saiz can say', () => {
    const slices = (count: number): Uint8Array => joined(...Array.from({ length: count }, () => slice(40)));
    const traf = (count: number): string[] | undefined =>
      trafOf(chunkOf(encryptor(AVC, 'cenc').encrypt([slices(count)])));
    expect(traf(40)).toEqual([...CLEAR, 'saiz', 'saio', 'senc']);
    expect(traf(41)).toEqual([...CLEAR, 'senc']);
  });

  it('must not mix clear and encrypted samples', () => {
    const [one] = encryptor(AVC, 'cenc').encrypt([slice(100)]);
    if (!one) throw new Error('nothing encrypted');
    expect(() => chunkOf([one, { data: one.data, unreadSlices: 0 }])).toThrow(RangeError);
    expect(() => chunkOf([{ data: one.data, unreadSlices: 0 }, one])).toThrow(RangeError);
  });
});
