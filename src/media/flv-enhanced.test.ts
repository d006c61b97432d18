import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AUDIO_PACKET,
  exAudio,
  exAudioTracks,
  exVideo,
  exVideoTracks,
  FRAME,
  MULTITRACK,
  nanoOffset,
  VIDEO_PACKET,
  withComposition,
} from '../../test/support/ertmp.ts';
import { parseAudioTag, parseVideoTag } from './flv.ts';

const DATA = Uint8Array.of(9, 8, 7, 6);
const VIDEO_CODECS = ['avc1', 'hvc1', 'av01', 'vp09'] as const;
const REORDERING = ['avc1', 'hvc1'] as const;

/** Equal bytes, whichever class holds them. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
}

describe('parseVideoTag of Enhanced RTMP', () => {
  it.each(VIDEO_CODECS)('reads the configuration of %s', (codec) => {
    const tag = parseVideoTag(exVideo(VIDEO_PACKET.sequenceStart, codec, DATA));
    expect(plain(tag)).toEqual({ kind: 'config', track: 0, codec, config: [9, 8, 7, 6] });
  });

  it.each(REORDERING)('reads frames of %s with their composition time', (codec) => {
    for (const offset of [0, 80, -40, 8388607, -8388608]) {
      const body = exVideo(VIDEO_PACKET.codedFrames, codec, withComposition(offset, DATA), {
        frame: FRAME.inter,
      });
      expect(plain(parseVideoTag(body))).toEqual({
        ...{ kind: 'frame', track: 0, codec, key: false, compositionOffsetMs: offset, offsetNs: 0 },
        data: [9, 8, 7, 6],
      });
    }
  });

  it.each(['av01', 'vp09'] as const)('reads frames of %s, which have no composition time', (codec) => {
    const tag = parseVideoTag(exVideo(VIDEO_PACKET.codedFrames, codec, DATA));
    expect(plain(tag)).toMatchObject({
      kind: 'frame',
      codec,
      key: true,
      compositionOffsetMs: 0,
      data: [9, 8, 7, 6],
    });
  });

  it.each(VIDEO_CODECS)('reads frames of %s whose composition time is left out', (codec) => {
    const tag = parseVideoTag(exVideo(VIDEO_PACKET.codedFramesX, codec, DATA));
    expect(plain(tag)).toMatchObject({ kind: 'frame', codec, compositionOffsetMs: 0, data: [9, 8, 7, 6] });
  });

  it.each([
    ['an end of sequence', exVideo(VIDEO_PACKET.sequenceEnd, 'hvc1', new Uint8Array())],
    ['colour metadata', exVideo(VIDEO_PACKET.metadata, 'hvc1', DATA)],
    ['a seek marker', Uint8Array.of(0x80 | (FRAME.command << 4) | VIDEO_PACKET.codedFrames, 0)],
    ['a frame without data', exVideo(VIDEO_PACKET.codedFramesX, 'hvc1', new Uint8Array())],
    ['a frame with a composition time only', exVideo(VIDEO_PACKET.codedFrames, 'hvc1', new Uint8Array(3))],
  ])('passes over %s', (_what, body) => {
    expect(parseVideoTag(body)).toEqual({ kind: 'ignored' });
  });

  it.each([
    ['a FourCC cut short', Uint8Array.of(0x90, 0x68, 0x76, 0x63)],
    ['a composition time cut short', exVideo(VIDEO_PACKET.codedFrames, 'hvc1', new Uint8Array(2))],
    ['an empty configuration', exVideo(VIDEO_PACKET.sequenceStart, 'av01', new Uint8Array())],
    ['an unknown packet type', exVideo(8, 'hvc1', DATA)],
    [
      'an unknown form of tracks',
      exVideoTracks(3, VIDEO_PACKET.codedFramesX, [{ track: 0, fourCc: 'hvc1', data: DATA }]),
    ],
    [
      'tracks inside tracks',
      exVideoTracks(MULTITRACK.oneTrack, VIDEO_PACKET.multitrack, [{ track: 0, fourCc: 'hvc1', data: DATA }]),
    ],
    ['a modifier without an end', Uint8Array.of(0x97, 2, 0, 0, 0)],
    [
      'a nanosecond offset of two bytes',
      exVideo(3, 'hvc1', DATA, { modEx: [{ type: 0, data: new Uint8Array(2) }] }),
    ],
    [
      'a track that claims more than there is',
      exVideoTracks(MULTITRACK.manyTracks, 3, [{ track: 0, fourCc: 'hvc1', data: DATA }]).subarray(0, -1),
    ],
    ['no track at all', exVideoTracks(MULTITRACK.manyTracks, 3, [])],
    ['more modifiers than anybody needs', exVideo(3, 'hvc1', DATA, { modEx: Array(17).fill(nanoOffset(1)) })],
  ])('calls %s malformed', (_what, body) => {
    expect(parseVideoTag(body)).toEqual({ kind: 'malformed' });
  });

  it.each([
    ['vvc1', VIDEO_PACKET.sequenceStart, 'VVC'],
    ['vp08', VIDEO_PACKET.codedFrames, 'VP8'],
    ['\u0000\u00ff\r\n', VIDEO_PACKET.codedFrames, 'other'],
    ['av01', VIDEO_PACKET.mpeg2TsSequenceStart, 'MPEG-2 TS'],
  ])('names what it cannot take: %j', (fourCc, packetType, codec) => {
    expect(parseVideoTag(exVideo(packetType, fourCc, DATA))).toEqual({
      kind: 'unsupported',
      track: 0,
      codec,
    });
  });

  it('adds up the time from a nanosecond modifier, and steps over modifiers it does not know, long ones too', () => {
    const unknown = { type: 5, data: new Uint8Array(300) };
    const body = exVideo(VIDEO_PACKET.codedFramesX, 'av01', DATA, { modEx: [unknown, nanoOffset(999_999)] });
    expect(plain(parseVideoTag(body))).toMatchObject({
      kind: 'frame',
      offsetNs: 999_999,
      data: [9, 8, 7, 6],
    });
    const exactly256 = { type: 5, data: new Uint8Array(256) };
    expect(parseVideoTag(exVideo(3, 'av01', DATA, { modEx: [exactly256] })).kind).toBe('frame');
  });

  it('reads one track with a number', () => {
    const body = exVideoTracks(MULTITRACK.oneTrack, VIDEO_PACKET.codedFramesX, [
      { track: 3, fourCc: 'hvc1', data: DATA },
    ]);
    expect(plain(parseVideoTag(body))).toMatchObject({
      kind: 'frame',
      track: 3,
      codec: 'hvc1',
      data: [9, 8, 7, 6],
    });
  });

  it('reads many tracks of one codec, and of several', () => {
    const parts = [
      { track: 0, fourCc: 'avc1', data: withComposition(33, Uint8Array.of(1)) },
      { track: 2, fourCc: 'avc1', data: withComposition(0, Uint8Array.of(2, 2)) },
    ];
    const modEx = [nanoOffset(500)];
    expect(plain(parseVideoTag(exVideoTracks(MULTITRACK.manyTracks, 1, parts, { modEx })))).toEqual({
      kind: 'tracks',
      tags: [
        {
          kind: 'frame',
          track: 0,
          codec: 'avc1',
          key: true,
          compositionOffsetMs: 33,
          offsetNs: 500,
          data: [1],
        },
        {
          kind: 'frame',
          track: 2,
          codec: 'avc1',
          key: true,
          compositionOffsetMs: 0,
          offsetNs: 500,
          data: [2, 2],
        },
      ],
    });
    const mixed = [
      { track: 1, fourCc: 'av01', data: Uint8Array.of(7) },
      { track: 4, fourCc: 'vvc1', data: Uint8Array.of(8) },
    ];
    expect(plain(parseVideoTag(exVideoTracks(MULTITRACK.manyTracksManyCodecs, 0, mixed)))).toEqual({
      kind: 'tracks',
      tags: [
        { kind: 'config', track: 1, codec: 'av01', config: [7] },
        { kind: 'unsupported', track: 4, codec: 'VVC' },
      ],
    });
  });
});

describe('parseAudioTag of Enhanced RTMP', () => {
  it.each(['mp4a', 'Opus', 'fLaC', 'ac-3', 'ec-3', '.mp3'] as const)('reads frames of %s', (codec) => {
    const tag = parseAudioTag(exAudio(AUDIO_PACKET.codedFrames, codec, DATA, { modEx: [nanoOffset(12)] }));
    expect(plain(tag)).toEqual({ kind: 'frame', track: 0, codec, offsetNs: 12, data: [9, 8, 7, 6] });
  });

  it.each(['Opus', 'ac-3', 'ec-3', '.mp3'] as const)('lets %s begin with an empty configuration', (codec) => {
    const tag = parseAudioTag(exAudio(AUDIO_PACKET.sequenceStart, codec, new Uint8Array()));
    expect(plain(tag)).toEqual({ kind: 'config', track: 0, codec, config: [] });
  });

  it('reads configurations; those of AAC and FLAC must not be empty', () => {
    expect(plain(parseAudioTag(exAudio(0, 'fLaC', DATA)))).toMatchObject({
      kind: 'config',
      config: [9, 8, 7, 6],
    });
    expect(parseAudioTag(exAudio(0, 'mp4a', new Uint8Array()))).toEqual({ kind: 'malformed' });
    expect(parseAudioTag(exAudio(0, 'fLaC', new Uint8Array()))).toEqual({ kind: 'malformed' });
  });

  it.each([
    ['an end of sequence', exAudio(AUDIO_PACKET.sequenceEnd, 'Opus', new Uint8Array())],
    ['a channel map', exAudio(AUDIO_PACKET.multichannelConfig, 'Opus', Uint8Array.of(1, 6, 0, 0, 0, 0x3f))],
    ['a frame without data', exAudio(AUDIO_PACKET.codedFrames, 'Opus', new Uint8Array())],
  ])('passes over %s', (_what, body) => {
    expect(parseAudioTag(body)).toEqual({ kind: 'ignored' });
  });

  it('reads many tracks', () => {
    const parts = [
      { track: 0, fourCc: 'Opus', data: Uint8Array.of(1) },
      { track: 1, fourCc: 'mp4a', data: Uint8Array.of(2) },
    ];
    expect(plain(parseAudioTag(exAudioTracks(MULTITRACK.manyTracksManyCodecs, 1, parts)))).toEqual({
      kind: 'tracks',
      tags: [
        { kind: 'frame', track: 0, codec: 'Opus', offsetNs: 0, data: [1] },
        { kind: 'frame', track: 1, codec: 'mp4a', offsetNs: 0, data: [2] },
      ],
    });
  });
});

describe('whatever is sent', () => {
  /** Bodies that look like something: a head, then anything. */
  const body = fc
    .tuple(
      fc.integer({ min: 0, max: 255 }),
      fc.constantFrom('', 'hvc1', 'av01', 'avc1'),
      fc.uint8Array({ maxLength: 24 }),
    )
    .map(([first, fourCc, rest]) => Buffer.concat([Buffer.from([first]), Buffer.from(fourCc), rest]));

  it('neither parser throws, nor returns bytes that are not of the body', () => {
    const inside = (data: Uint8Array, of: Uint8Array): boolean =>
      data.buffer === of.buffer &&
      data.byteOffset >= of.byteOffset &&
      data.byteOffset + data.length <= of.byteOffset + of.length;
    fc.assert(
      fc.property(body, (bytes) => {
        for (const tag of [parseVideoTag(bytes), parseAudioTag(bytes)]) {
          for (const each of tag.kind === 'tracks' ? tag.tags : [tag]) {
            if (each.kind === 'frame') expect(inside(each.data, bytes)).toBe(true);
            if (each.kind === 'config') expect(inside(each.config, bytes)).toBe(true);
          }
        }
      }),
      { numRuns: 5000 },
    );
  });

  it('tracks come out as they went in, in whatever form and however many', () => {
    const part = fc.record({
      track: fc.integer({ min: 0, max: 255 }),
      fourCc: fc.constantFrom(...VIDEO_CODECS),
      data: fc.uint8Array({ minLength: 1, maxLength: 8 }),
    });
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 20 }), fc.boolean(), (parts, sameCodec) => {
        const fourCc = parts[0]?.fourCc ?? 'avc1';
        const sent = sameCodec ? parts.map((each) => ({ ...each, fourCc })) : parts;
        const form = sameCodec ? MULTITRACK.manyTracks : MULTITRACK.manyTracksManyCodecs;
        const tag = parseVideoTag(exVideoTracks(form, VIDEO_PACKET.codedFramesX, sent));
        if (tag.kind !== 'tracks') throw new Error(tag.kind);
        expect(
          tag.tags.map((each) => each.kind === 'frame' && [each.track, each.codec, [...each.data]]),
        ).toEqual(sent.map((each) => [each.track, each.fourCc, [...each.data]]));
      }),
    );
  });
});
