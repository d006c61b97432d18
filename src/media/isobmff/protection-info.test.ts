import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readProtectedTrack } from '../../../test/support/cenc-decryptor.ts';
import { audioTrack, videoTrack } from '../../../test/support/sample-source.ts';
import type { ProtectionScheme, TrackProtection } from '../protection.ts';
import { findBox, readBoxes } from './box-reader.ts';
import { type TrackInit, writeInitSegment } from './init-segment.ts';

const FIXTURE = join(import.meta.dirname, '..', '..', '..', 'test', 'fixtures', 'cenc-avc.json');
const VECTORS = JSON.parse(readFileSync(FIXTURE, 'utf8')) as Record<
  ProtectionScheme,
  { readonly sinf: string; readonly tenc: string }
>;

function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

const PSSH = hex(
  '0000003470737368010000001077efecc0b24d02ace33c1e52e2fb4b0000000110111213141516171819' +
    '1a1b1c1d1e1f00000000',
);

function protection(scheme: ProtectionScheme): TrackProtection {
  return {
    scheme,
    tier: 'SD',
    kid: hex('101112131415161718191a1b1c1d1e1f'),
    constantIv: scheme === 'cbcs' ? hex('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff') : undefined,
    systems: [
      { system: 'clearkey', pssh: PSSH, playReadyObject: undefined, licenseUrl: undefined },
      { system: 'fairplay', pssh: undefined, playReadyObject: undefined, licenseUrl: undefined },
    ],
  };
}

const STSD = ['moov', 'trak', 'mdia', 'minf', 'stbl', 'stsd'];

function entryOf(init: Uint8Array): { type: string; children: string[] } {
  const entry = findBox(readBoxes(init).boxes, STSD)?.children[0];
  return { type: entry?.type ?? '', children: entry?.children.map(({ type }) => type) ?? [] };
}

function boxHex(init: Uint8Array, path: readonly string[]): string {
  const box = findBox(readBoxes(init).boxes, path);
  return Buffer.from(init.subarray(box?.start, box?.end)).toString('hex');
}

const CODECS = [
  ...(['avc1', 'hvc1', 'av01', 'vp09'] as const).map((codec) => ({ ...videoTrack(), codec })),
  ...(['mp4a', 'ac-3', 'ec-3', 'Opus', 'fLaC'] as const).map((codec) => ({ ...audioTrack(), codec })),
] satisfies TrackInit[];

describe('an initialization segment with protection', () => {
  it.each(['cenc', 'cbcs'] as const)('has the known sinf and tenc of %s', (scheme) => {
    const init = writeInitSegment(videoTrack(), protection(scheme));
    expect(boxHex(init, [...STSD, 'encv', 'sinf'])).toBe(VECTORS[scheme].sinf);
    expect(boxHex(init, [...STSD, 'encv', 'sinf', 'schi', 'tenc'])).toBe(VECTORS[scheme].tenc);
  });

  it('has no pattern for sound', () => {
    const cbcs = readProtectedTrack(writeInitSegment(audioTrack(), protection('cbcs')));
    expect(cbcs).toMatchObject({ entry: 'enca', scheme: 'cbcs', cryptBlocks: 0, skipBlocks: 0, ivBytes: 0 });
    const cenc = readProtectedTrack(writeInitSegment(audioTrack(), protection('cenc')));
    expect(cenc).toMatchObject({ entry: 'enca', scheme: 'cenc', ivBytes: 8, constantIv: undefined });
  });

  it.each(CODECS)('keeps the boxes of $codec in front of sinf, and names it in frma', (track) => {
    const clear = entryOf(writeInitSegment(track));
    const init = writeInitSegment(track, protection('cbcs'));
    const entry = entryOf(init);
    expect(clear.type).toBe(track.codec);
    expect(entry.type).toBe(track.kind === 'video' ? 'encv' : 'enca');
    expect(entry.children).toEqual([...clear.children, 'sinf']);
    expect(readProtectedTrack(init).originalEntry).toBe(track.codec);
  });

  it('carries pssh boxes at the end of moov only when asked to', () => {
    const moov = (init: Uint8Array): string[] =>
      findBox(readBoxes(init).boxes, ['moov'])?.children.map(({ type }) => type) ?? [];
    expect(moov(writeInitSegment(videoTrack(), protection('cbcs')))).toEqual(['mvhd', 'trak', 'mvex']);
    const told = writeInitSegment(videoTrack(), protection('cbcs'), { pssh: true });
    expect(moov(told)).toEqual(['mvhd', 'trak', 'mvex', 'pssh']);
    expect(boxHex(told, ['moov', 'pssh'])).toBe(Buffer.from(PSSH).toString('hex'));
  });

  it('takes no KID or constant IV of another length', () => {
    const short = new Uint8Array(15);
    const write = (wrong: Partial<TrackProtection>) => (): unknown =>
      writeInitSegment(videoTrack(), { ...protection('cbcs'), ...wrong });
    expect(write({ kid: short })).toThrow(RangeError);
    expect(write({ constantIv: short })).toThrow(RangeError);
    expect(write({ constantIv: undefined })).toThrow(RangeError);
    expect(write({})).not.toThrow();
  });
});
