import { describe, expect, it } from 'vitest';
import { readAudioSource } from './audio-source.ts';

const tag = (...bytes: number[]) => Uint8Array.of(...bytes);

describe('readAudioSource', () => {
  it.each([
    ['MP3 of 44.1 kHz', tag(0x2f, 0xff, 0xfb, 0x90, 0), 'MP3', 44_100],
    ['MP3 of 48 kHz, which the flags cannot say', tag(0x2f, 0xff, 0xfb, 0x94, 0), 'MP3', 48_000],
    ['MP3 of 32 kHz', tag(0x2f, 0xff, 0xfb, 0x98, 0), 'MP3', 32_000],
    ['MP3 of MPEG-2 at 24 kHz', tag(0x2b, 0xff, 0xf3, 0x94, 0), 'MP3', 48_000],
    ['MP3 of 8 kHz', tag(0xe2, 0xff, 0xe3, 0x18, 0), 'MP3 8 kHz', 48_000],
    ['PCM of 44.1 kHz', tag(0x3f, 0, 0), 'PCM little endian', 44_100],
    ['PCM of 22 kHz', tag(0x3b, 0, 0), 'PCM little endian', 48_000],
    ['G.711, whatever the flags say', tag(0x8e, 0), 'G.711 mu-law', 48_000],
    ['Speex, whatever the flags say', tag(0xbe, 0), 'Speex', 48_000],
    ['Nellymoser of 44.1 kHz', tag(0x6e, 0), 'Nellymoser', 44_100],
  ])('keeps the rate that AAC can have and is not low: %s', (_what, body, codec, sampleRate) => {
    expect(readAudioSource(body)).toEqual({ format: body[0], codec, sampleRate });
  });

  it.each([
    ['nothing', tag()],
    ['a head alone', tag(0x8e)],
    ['the middle of MP3', tag(0x2f, 0x12, 0x34, 0x56)],
    ['AAC', tag(0xaf, 1, 2)],
  ])('knows nothing of %s', (_what, body) => {
    expect(readAudioSource(body)).toBeUndefined();
  });
});
