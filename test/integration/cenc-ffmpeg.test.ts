import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFile, MP4BoxBuffer } from 'mp4box';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAvcConfig } from '../../src/media/h264.ts';
import { AvcSliceHeaders } from '../../src/media/h264-slice.ts';
import { parseHevcConfig } from '../../src/media/h265.ts';
import { HevcSliceHeaders } from '../../src/media/h265-slice.ts';
import type { VideoInit } from '../../src/media/isobmff/init-segment.ts';
import { walkNalUnits } from '../../src/media/nal-units.ts';
import type { ProtectionScheme } from '../../src/media/protection.ts';
import type { SliceHeaders } from '../../src/media/slice-window.ts';
import { AUDIO_CLIPS, type Clip, makeClip, traceSliceHeaders, VIDEO_CLIPS } from '../support/cenc-clips.ts';
import { decryptChunks, readProtectedTrack } from '../support/cenc-decryptor.ts';
import {
  CHUNK_SAMPLES,
  CONSTANT_IV,
  clear,
  FIRST_IV,
  isVideo,
  KEY,
  type Packed,
  pack,
} from '../support/cenc-packer.ts';
import { run } from '../support/ffmpeg.ts';

const WRONG_KEY = KEY.toReversed();
const SCHEMES: readonly ProtectionScheme[] = ['cenc', 'cbcs'];
/** On a busy machine; it takes about a second. */
const CLIP_MS = 60_000;
/** What ffmpeg decodes, frame by frame. A pipe, because 5.1 misreads auxiliary information of seekable fragments. */
async function framesOf(
  { init, chunks }: Pick<Packed, 'init' | 'chunks'>,
  key?: Uint8Array,
): Promise<string> {
  const decryption = key ? ['-decryption_key', Buffer.from(key).toString('hex')] : [];
  const args = ['-loglevel', 'error', ...decryption, '-i', 'pipe:0', '-f', 'framemd5', '-'];
  const { stdout } = await run('ffmpeg', args, { stdin: [init, ...chunks] });
  return stdout.toString('utf8');
}

function frameCount(framemd5: string): number {
  return framemd5.split('\n').filter((line) => /^\d/.test(line)).length;
}

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-cenc-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.each(Object.keys(VIDEO_CLIPS))('a clip of %s', (name) => {
  let clip: Clip & { readonly track: VideoInit };
  let frames = '';
  beforeAll(async () => {
    const made = await makeClip(folder, name);
    if (!isVideo(made)) throw new Error('no picture');
    clip = made;
    frames = await framesOf(clear(clip));
  }, CLIP_MS);

  it('has its slice headers where ffmpeg sees them', { timeout: CLIP_MS }, async () => {
    const traced = await traceSliceHeaders(clip);
    expect(traced.length).toBeGreaterThanOrEqual(clip.samples.length);
    expect(sliceHeaderBytes(clip)).toEqual(traced);
  });

  it.each(SCHEMES)('is decrypted from %s to what it was', { timeout: CLIP_MS }, async (scheme) => {
    await expectDecryptable(clip, scheme, frames);
  });
});

describe.each(Object.keys(AUDIO_CLIPS))('sound in %s', (name) => {
  let clip: Clip;
  let frames = '';
  beforeAll(async () => {
    clip = await makeClip(folder, name);
    frames = await framesOf(clear(clip));
  }, CLIP_MS);

  it.each(SCHEMES)('is decrypted from %s to what it was', { timeout: CLIP_MS }, async (scheme) => {
    await expectDecryptable(clip, scheme, frames);
  });
});

async function expectDecryptable(clip: Clip, scheme: ProtectionScheme, frames: string): Promise<void> {
  const encrypted = pack(clip, scheme);
  expect(encrypted.unreadSlices).toBe(0);
  if (isVideo(clip)) expect(encrypted.protectedBytes).toBeGreaterThan(leastProtectedBytes(clip));
  const own = decryptChunks(Buffer.concat(encrypted.chunks), readProtectedTrack(encrypted.init), KEY);
  expect(own.map(({ data }) => data.toString('base64'))).toEqual(
    clip.samples.map(({ data }) => Buffer.from(data).toString('base64')),
  );
  expect(frameCount(frames)).toBeGreaterThan(10);
  expect(await framesOf(encrypted, KEY)).toBe(frames);
}

/** More than a slice header of these clips and a block, of every slice. */
const MOST_CLEAR_BYTES = 64;

function leastProtectedBytes(clip: Clip & { readonly track: VideoInit }): number {
  return slicesOf(clip).reduce((sum, slice) => sum + Math.max(0, slice.length - MOST_CLEAR_BYTES), 0);
}

function isSlice({ codec }: VideoInit, unit: Uint8Array): boolean {
  const type = codec === 'avc1' ? (unit[0] ?? 0) & 31 : (unit[0] ?? 0) >> 1;
  return codec === 'avc1' ? type === 1 || type === 5 : type < 32;
}

function unitsOf({ samples }: Clip): Uint8Array[] {
  return samples.flatMap(({ data }) => {
    const units: Uint8Array[] = [];
    walkNalUnits(data, 4, (start, end) => units.push(data.subarray(start, end)));
    return units;
  });
}

function slicesOf(clip: Clip & { readonly track: VideoInit }): Uint8Array[] {
  return unitsOf(clip).filter((unit) => isSlice(clip.track, unit));
}

function headersOf({ codec, config }: VideoInit): SliceHeaders {
  const avc = codec === 'avc1' ? parseAvcConfig(config) : undefined;
  const hevc = codec === 'hvc1' ? parseHevcConfig(config) : undefined;
  if (avc) return new AvcSliceHeaders(avc);
  if (hevc) return new HevcSliceHeaders(hevc);
  throw new Error(`cannot read the configuration of ${codec}`);
}

/** Header bytes of every slice as we read them, emulation prevention taken off. */
function sliceHeaderBytes(clip: Clip & { readonly track: VideoInit }): (number | undefined)[] {
  const headers = headersOf(clip.track);
  return unitsOf(clip).flatMap((unit) => {
    const clearBytes = headers.clearBytes(unit);
    return isSlice(clip.track, unit) ? [clearBytes && withoutEmulation(unit.subarray(0, clearBytes))] : [];
  });
}

/** How many bytes there are without the 03 of each 00 00 03. */
function withoutEmulation(bytes: Uint8Array): number {
  return Buffer.from(bytes).toString('latin1').replaceAll('\0\0\u0003', '\0\0').length;
}

/** A box as mp4box gives it. */
interface ReadBox {
  readonly type: string;
  readonly boxes?: readonly ReadBox[];
  readonly entries?: readonly ReadBox[];
  readonly sample_count?: number;
}

function boxesNamed(boxes: readonly ReadBox[], type: string): ReadBox[] {
  return boxes.flatMap((each) => [
    ...(each.type === type ? [each] : []),
    ...boxesNamed(each.boxes ?? each.entries ?? [], type),
  ]);
}

const TENC = {
  cbcs: { default_crypt_byte_block: 1, default_skip_byte_block: 9, default_Per_Sample_IV_Size: 0 },
  cenc: { default_isProtected: 1, default_Per_Sample_IV_Size: 8 },
} as const;

/** The first protected bytes of a sample. */
function firstRange(subsamples: readonly (readonly [number, number])[]): { start: number; bytes: number } {
  let start = 0;
  for (const [clearBytes, bytes] of subsamples) {
    start += clearBytes;
    if (bytes > 0) return { start, bytes };
  }
  return { start, bytes: 0 };
}

describe('other judges', () => {
  it.each(SCHEMES)('ffmpeg makes nothing of %s with another key', { timeout: CLIP_MS }, async (scheme) => {
    for (const name of ['H.264 Baseline', 'AAC']) {
      const clip = await makeClip(folder, name);
      expect(await framesOf(pack(clip, scheme), WRONG_KEY)).not.toBe(await framesOf(clear(clip)));
    }
  });

  it('openssl decrypts the first slice by hand', { timeout: CLIP_MS }, async () => {
    const clip = await makeClip(folder, 'H.264 Baseline');
    for (const scheme of SCHEMES) {
      const encrypted = pack(clip, scheme);
      const [sample] = decryptChunks(encrypted.chunks[0] ?? KEY, readProtectedTrack(encrypted.init), KEY);
      const range = firstRange(sample?.subsamples ?? []);
      const bytes = scheme === 'cenc' ? range.bytes : 16;
      expect(bytes).toBeGreaterThanOrEqual(16);
      const part = (data: Uint8Array | undefined): Buffer =>
        Buffer.from(data?.subarray(range.start, range.start + bytes) ?? []);
      const iv = scheme === 'cenc' ? Buffer.concat([FIRST_IV, Buffer.alloc(8)]) : Buffer.from(CONSTANT_IV);
      const cipher = scheme === 'cenc' ? '-aes-128-ctr' : '-aes-128-cbc';
      const key = ['-K', Buffer.from(KEY).toString('hex'), '-iv', iv.toString('hex')];
      const { stdout } = await run('openssl', ['enc', '-d', cipher, '-nopad', ...key], {
        stdin: part(sample?.cipherData),
      });
      expect(stdout.toString('hex')).toBe(part(clip.samples[0]?.data).toString('hex'));
    }
  });

  it('mp4box reads the boxes', { timeout: CLIP_MS }, async () => {
    const clip = await makeClip(folder, 'H.264 of four slices');
    for (const scheme of SCHEMES) {
      const { init, chunks } = pack(clip, scheme);
      const file = createFile();
      const bytes = Buffer.concat([init, ...chunks]);
      file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(new Uint8Array(bytes).buffer, 0));
      file.flush();
      expect(file.getInfo().tracks[0]?.nb_samples).toBe(clip.samples.length);
      const boxes = file.boxes as readonly ReadBox[];
      expect(boxesNamed(boxes, 'frma')).toMatchObject([{ data_format: 'avc1' }]);
      expect(boxesNamed(boxes, 'schm')).toMatchObject([{ scheme_type: scheme, scheme_version: 0x10000 }]);
      expect(boxesNamed(boxes, 'tenc')).toMatchObject([TENC[scheme]]);
      expect(boxesNamed(boxes, 'saio')).toMatchObject(chunks.map(() => ({ entry_count: 1 })));
      expect(boxesNamed(boxes, 'saiz').map(({ sample_count: count }) => count)).toEqual(
        chunks.map((_, index) => Math.min(CHUNK_SAMPLES, clip.samples.length - index * CHUNK_SAMPLES)),
      );
    }
  });
});
