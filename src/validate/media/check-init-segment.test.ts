import { describe, expect, it } from 'vitest';
import {
  audioInit,
  box,
  concat,
  editBox,
  insertBefore,
  u32s,
  videoInit,
  withoutBox,
} from '../../../test/support/media-bytes.ts';
import type { Finding } from '../finding.ts';
import type { InitExpectations } from '../contracts.ts';
import { checkInitSegment } from './check-init-segment.ts';

const VIDEO: InitExpectations = {
  format: 'hls',
  kind: 'video',
  codecs: ['avc1.42c00d', 'mp4a.40.2'],
  width: 320,
  height: 240,
};
const AUDIO: InitExpectations = {
  format: 'dash',
  kind: 'audio',
  codecs: ['mp4a.40.2'],
  width: undefined,
  height: undefined,
};

function rulesOf(bytes: Uint8Array, expectations: InitExpectations = VIDEO): string[] {
  const findings: Omit<Finding, 'url'>[] = [];
  checkInitSegment(bytes, expectations, (finding) => findings.push(finding));
  return [...new Set(findings.map(({ rule }) => rule))];
}

const STBL = ['moov', 'trak', 'mdia', 'minf', 'stbl'];
/** A second `trak` behind the first. */
function withTwoTracks(): Uint8Array {
  const audio = audioInit();
  let trak: Uint8Array | undefined;
  editBox(audio, ['moov', 'trak'], (view, { start, end }) => {
    trak = audio.slice(start, end);
    view.setUint32(start + 4, 0);
  });
  const init = videoInit();
  let grown: Uint8Array = init;
  editBox(init, ['moov', 'mvex'], (_, { start }) => {
    grown = concat([init.subarray(0, start), trak ?? new Uint8Array(), init.subarray(start)]);
  });
  return editGrownMoov(init, grown);
}

/** Corrects the size of the moov that starts where it did in `before`. */
function editGrownMoov(before: Uint8Array, grown: Uint8Array): Uint8Array {
  editBox(before, ['moov'], (_, { start, end }) => {
    new DataView(grown.buffer).setUint32(start, end - start + grown.length - before.length);
  });
  return grown;
}

const BROKEN: readonly (readonly [string, string, () => Uint8Array])[] = [
  ['is cut short', 'media-box-structure', () => videoInit().slice(0, -6)],
  ['has no moov', 'media-init-no-moov', () => withoutBox(videoInit(), ['moov'])],
  ['has no ftyp', 'media-init-ftyp', () => withoutBox(videoInit(), ['ftyp'])],
  [
    'has its ftyp behind another box',
    'media-init-ftyp',
    () => insertBefore(videoInit(), 'ftyp', box('free', u32s(0))),
  ],
  [
    'has only old brands',
    'media-init-brand',
    () =>
      editBox(videoInit(), ['ftyp'], (view, { bodyStart, end }) => {
        for (let at = bodyStart; at < end; at += 4) {
          if (at !== bodyStart + 4) view.setUint32(at, 0x69736f34);
        }
      }),
  ],
  ['has no track', 'media-init-no-track', () => withoutBox(videoInit(), ['moov', 'trak'])],
  [
    'has a track without a handler',
    'media-init-track-unreadable',
    () => withoutBox(videoInit(), ['moov', 'trak', 'mdia', 'hdlr']),
  ],
  ['claims CMAF with two tracks', 'media-init-several-tracks', withTwoTracks],
  ['has no mvex', 'media-init-no-mvex', () => withoutBox(videoInit(), ['moov', 'mvex'])],
  [
    'has no trex for its track',
    'media-init-no-trex',
    () =>
      editBox(videoInit(), ['moov', 'mvex', 'trex'], (view, { bodyStart }) =>
        view.setUint32(bodyStart + 4, 7),
      ),
  ],
  [
    'lists samples',
    'media-init-samples',
    () => editBox(videoInit(), [...STBL, 'stsz'], (view, { bodyStart }) => view.setUint32(bodyStart + 8, 5)),
  ],
  ['holds media', 'media-init-media', () => concat([videoInit(), box('mdat', u32s(1, 2))])],
  [
    'has a movie duration',
    'media-init-duration',
    () =>
      editBox(videoInit(), ['moov', 'mvhd'], (view, { bodyStart }) => view.setUint32(bodyStart + 16, 90_000)),
  ],
  [
    'has a track duration',
    'media-init-duration',
    () =>
      editBox(videoInit(), ['moov', 'trak', 'tkhd'], (view, { bodyStart }) =>
        view.setUint32(bodyStart + 20, 90_000),
      ),
  ],
  [
    'has the timescale 0',
    'media-init-timescale',
    () =>
      editBox(videoInit(), ['moov', 'trak', 'mdia', 'mdhd'], (view, { bodyStart }) =>
        view.setUint32(bodyStart + 12, 0),
      ),
  ],
  ['is audio where video is declared', 'media-init-kind', audioInit],
  [
    'has another size in its sample entry than in its SPS',
    'media-entry-size',
    () =>
      editBox(videoInit(), [...STBL, 'stsd', 'avc1'], (view, { bodyStart }) =>
        view.setUint16(bodyStart + 24, 322),
      ),
  ],
];

describe('an initialization segment', () => {
  it('of ours is without a finding', () => {
    expect(rulesOf(videoInit())).toEqual([]);
    expect(rulesOf(videoInit(), { ...VIDEO, format: 'dash' })).toEqual([]);
    expect(rulesOf(audioInit(), AUDIO)).toEqual([]);
    expect(rulesOf(audioInit(), { ...AUDIO, format: 'hls' })).toEqual([]);
  });

  it.each(BROKEN)('that %s is found out: %s', (_, rule, make) => {
    expect(rulesOf(make())).toContain(rule);
  });

  it('is told with its tracks', () => {
    const facts = checkInitSegment(videoInit(), VIDEO, () => {});
    expect(facts?.tracks).toEqual([
      {
        trackId: 1,
        kind: 'video',
        timescale: 90_000,
        codec: 'avc1.42c00d',
        width: 320,
        height: 240,
        nalLengthSize: 4,
      },
    ]);
    expect(facts?.cmaf).toBe(true);
    expect(checkInitSegment(audioInit(), AUDIO, () => {})?.tracks[0]?.codec).toBe('mp4a.40.2');
  });

  it.each([
    ['avc1.42c01e', []],
    ['avc1.66.30', []],
    ['avc1', []],
    ['avc1.42c00a', ['media-codec-level']],
    ['avc1.4d400d', ['media-codec-mismatch']],
    ['avc3.42c00d', ['media-codec-mismatch']],
    ['hvc1.1.6.L93.B0', ['media-codec-mismatch']],
  ])('of avc1.42c00d declared as %s gives %j', (codec, rules) => {
    expect(rulesOf(videoInit(), { ...VIDEO, codecs: ['mp4a.40.2', codec] })).toEqual(rules);
  });

  it.each([
    ['mp4a.40.5', []],
    ['mp4a.40.29', []],
    ['mp4a.40.34', ['media-codec-mismatch']],
    ['mp4a.6b', ['media-codec-mismatch']],
    ['opus', ['media-codec-mismatch']],
  ])('of AAC-LC declared as %s gives %j', (codec, rules) => {
    expect(rulesOf(audioInit(), { ...AUDIO, codecs: [codec] })).toEqual(rules);
  });

  it('is held against the declared picture size', () => {
    expect(rulesOf(videoInit(), { ...VIDEO, width: 640 })).toEqual(['media-picture-size']);
    expect(rulesOf(videoInit(), { ...VIDEO, width: undefined, height: undefined })).toEqual([]);
  });

  it('may be presented wider than it is coded', () => {
    const wide = editBox(videoInit(), ['moov', 'trak', 'tkhd'], (view, { end }) =>
      view.setUint32(end - 8, 427 * 0x10000),
    );
    expect(rulesOf(wide, { ...VIDEO, width: 427 })).toEqual([]);
  });

  it('never throws, whatever the bytes', () => {
    const init = videoInit();
    for (let length = 0; length < init.length; length += 3) rulesOf(init.slice(0, length));
    for (let at = 0; at < init.length; at += 1) {
      const bent = init.slice();
      bent[at] = (bent[at] ?? 0) ^ 0xff;
      rulesOf(bent);
    }
  });
});
