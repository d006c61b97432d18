import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AUDIO,
  emsgBytes,
  fragmentBytes,
  initBytes,
  labelled,
  moovBytes,
  stypBytes,
  type TestTrack,
  VIDEO,
} from '../../../test/support/cmaf-bytes.ts';
import { box, concat, editBox, u32s } from '../../../test/support/media-bytes.ts';
import type { EventMessage } from './event-message.ts';
import type { StreamTrack } from './stream-init.ts';
import {
  STREAM_READER_LIMITS,
  StreamReader,
  type StreamReaderLimits,
  type StreamReaderSink,
  type StreamSample,
} from './stream-reader.ts';

/** Remembers everything as plain values. */
class Recorder implements StreamReaderSink {
  readonly said: unknown[] = [];
  readonly tracks: StreamTrack[] = [];
  readonly samples: StreamSample[] = [];
  readonly events: EventMessage[] = [];
  lasts = 0;
  accepts = true;

  init(tracks: readonly StreamTrack[]): boolean {
    this.tracks.push(...tracks);
    this.said.push(['init', ...tracks.map(({ id }) => id)]);
    return this.accepts;
  }

  fragment({ sequence, first }: Parameters<StreamReaderSink['fragment']>[0]): void {
    this.said.push(['fragment', sequence, first.baseTicks]);
  }

  sample(sample: StreamSample): void {
    this.samples.push(sample);
    const { track, baseTicks, offsetTicks, compositionOffset, key, data } = sample;
    this.said.push([
      track.id,
      baseTicks + BigInt(offsetTicks),
      compositionOffset,
      key,
      Buffer.from(data).toString('latin1'),
    ]);
  }

  event(message: EventMessage): void {
    this.events.push(message);
    this.said.push(['event', message.id, message.time.ticks]);
  }

  last(): void {
    this.lasts++;
    this.said.push(['last']);
  }
}

function read(bytes: Uint8Array, limits: Partial<StreamReaderLimits> = {}, splits: readonly number[] = []) {
  const recorder = new Recorder();
  const reader = new StreamReader(recorder, { ...STREAM_READER_LIMITS, ...limits });
  let at = 0;
  let fault: string | undefined;
  for (const split of [...splits, bytes.length]) {
    if (split <= at) continue;
    fault = reader.push(bytes.subarray(at, split));
    at = split;
  }
  return { recorder, reader, fault: fault ?? reader.end() };
}

const AUDIO2: TestTrack = { ...AUDIO, id: 2 };
const GOOD = concat([
  initBytes([VIDEO, AUDIO2]),
  stypBytes('msix'),
  box('prft', u32s(0, 1, 2, 3, 4)),
  emsgBytes(1, { scheme: 'urn:a', timescale: 90_000, time: 2n ** 40n, id: 7, data: Buffer.from('hello') }),
  fragmentBytes(
    [
      labelled('v', { baseTicks: 2n ** 33n, count: 3, duration: 3000 }),
      labelled('a', { trackId: 2, baseTicks: 5n, count: 2, duration: 1024 }),
    ],
    9,
  ),
  box('free', new Uint8Array(20)),
  stypBytes('lmsg'),
  fragmentBytes([labelled('v', { baseTicks: 2n ** 33n + 9000n, count: 1, duration: 3000, from: 3 })], 10),
]);

describe('StreamReader', () => {
  it('gives tracks, samples with their times and bytes, events, and the last word', () => {
    const { recorder, fault } = read(GOOD);
    expect(fault).toBeUndefined();
    expect(recorder.said).toEqual([
      ['init', 1, 2],
      ['event', 7, 2n ** 40n],
      ['fragment', 9, 2n ** 33n],
      [1, 2n ** 33n, 0, true, 'v0;'],
      [1, 2n ** 33n + 3000n, 0, false, 'v1;'],
      [1, 2n ** 33n + 6000n, 0, false, 'v2;'],
      [2, 5n, 0, true, 'a0;'],
      [2, 1029n, 0, false, 'a1;'],
      ['last'],
      ['fragment', 10, 2n ** 33n + 9000n],
      [1, 2n ** 33n + 9000n, 0, true, 'v3;'],
    ]);
    expect(recorder.events[0]).toMatchObject({ schemeIdUri: 'urn:a', value: '', timescale: 90_000 });
  });

  it('reads the codec configuration, size, rate and edit list of each track', () => {
    const tracks = [
      { ...VIDEO, bitrateBps: 4_000_000, editMediaTime: 6000 },
      { ...AUDIO2, editEmpty: 500, editMediaTime: 1024 },
    ];
    const { recorder } = read(initBytes(tracks));
    expect(recorder.tracks[0]).toMatchObject({
      handler: 'vide',
      entry: 'avc1',
      timescale: 90_000,
      config: VIDEO.config?.body,
      width: 1280,
      height: 720,
      bitrateBps: 4_000_000,
      editTicks: -6000,
    });
    expect(recorder.tracks[1]).toMatchObject({
      handler: 'soun',
      config: Uint8Array.of(0x11, 0x90),
      editTicks: 22_976,
    });
  });

  it.each([
    ['hvc1', 'hvcC'],
    ['hev1', 'hvcC'],
    ['av01', 'av1C'],
    ['vp09', 'vpcC'],
  ])('reads the configuration of %s', (entry, type) => {
    const body = Uint8Array.of(1, 2, 3);
    const { recorder } = read(initBytes([{ ...VIDEO, entry, config: { type, body } }]));
    expect(recorder.tracks[0]).toMatchObject({ entry, config: body });
  });

  it.each([
    ['Opus', 'dOps'],
    ['fLaC', 'dfLa'],
    ['ac-3', 'dac3'],
    ['ec-3', 'dec3'],
  ])('reads the configuration of %s', (entry, type) => {
    const body = Uint8Array.of(1, 2, 3);
    const { recorder } = read(initBytes([{ ...AUDIO, entry, config: { type, body } }]));
    expect(recorder.tracks[0]).toMatchObject({ entry, config: body });
  });

  it('gives the same whatever pieces the bytes come in', () => {
    const whole = read(GOOD).recorder.said;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: GOOD.length }), { maxLength: 60 }), (cuts) => {
        const { recorder, fault } = read(
          GOOD,
          {},
          cuts.sort((a, b) => a - b),
        );
        expect(fault).toBeUndefined();
        expect(recorder.said).toEqual(whole);
      }),
      { numRuns: 200 },
    );
    const single = read(
      GOOD,
      {},
      Array.from({ length: GOOD.length }, (_, i) => i),
    );
    expect(single.recorder.said).toEqual(whole);
  });

  it('gives a sample at its last byte, before the mdat is complete', () => {
    const recorder = new Recorder();
    const reader = new StreamReader(recorder, STREAM_READER_LIMITS);
    const fragment = fragmentBytes([labelled('v', { baseTicks: 0n, count: 3, duration: 3000 })]);
    reader.push(initBytes([VIDEO]));
    reader.push(fragment.subarray(0, fragment.length - 2));
    expect(recorder.samples.map(({ data }) => Buffer.from(data).toString())).toEqual(['v0;', 'v1;']);
    reader.push(fragment.subarray(fragment.length - 2));
    expect(recorder.samples).toHaveLength(3);
  });

  it('survives whatever is done to good bytes, and holds no more than its limits', () => {
    const limits = {
      maxInitBytes: 4096,
      maxMoofBytes: 4096,
      maxSampleBytes: 4096,
      maxSkippedBytes: 1e6,
      maxSamples: 100,
    };
    fc.assert(
      fc.property(
        fc.array(fc.record({ at: fc.nat(GOOD.length - 1), to: fc.nat(255) }), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: GOOD.length }), { maxLength: 10 }),
        (edits, cuts) => {
          const bytes = GOOD.slice();
          for (const { at, to } of edits) bytes[at] = to;
          const { recorder, reader } = read(
            bytes,
            limits,
            cuts.sort((a, b) => a - b),
          );
          expect(reader.heldBytes).toBeLessThan(16_384);
          expect(recorder.samples.length).toBeLessThan(400);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('is total on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const { fault } = read(concat([initBytes([VIDEO]), bytes]));
        expect(fault === undefined || typeof fault === 'string').toBe(true);
        read(bytes);
      }),
      { numRuns: 2000 },
    );
  });

  const moof = fragmentBytes([labelled('v', { baseTicks: 0n, count: 2, duration: 3000 })]);
  const init = initBytes([VIDEO]);
  const withTrun = (edit: (view: DataView, body: number) => void): Uint8Array =>
    concat([init, editBox(moof, ['moof', 'traf', 'trun'], (view, { bodyStart }) => edit(view, bodyStart))]);

  it.each([
    ['bytes of something else', Buffer.from('<html><body>hello there</body>'), {}, 'not_mp4'],
    ['a transport stream', Buffer.from('G@\0\x10\0\0\xb0\x0d\0\x01\xc1', 'latin1'), {}, 'not_mp4'],
    ['a box smaller than its header', concat([init, u32s(4, 0x66726565)]), {}, 'not_mp4'],
    ['a huge moov', u32s(0x7fffffff, 0x6d6f6f76), {}, 'box_too_large'],
    ['a moov of 2^60 bytes', u32s(1, 0x6d6f6f76, 0x10000000, 0), {}, 'box_too_large'],
    ['a moov without an end', u32s(0, 0x6d6f6f76), {}, 'box_too_large'],
    ['a huge moof', concat([init, u32s(0x7fffffff, 0x6d6f6f66)]), {}, 'box_too_large'],
    ['a huge mdat', concat([init, u32s(0x7fffffff, 0x6d646174)]), {}, 'box_too_large'],
    ['a huge box that is passed over', concat([init, u32s(0x7fffffff, 0x66726565)]), {}, 'box_too_large'],
    ['media first', moof, {}, 'init_missing'],
    ['an mdat first', box('mdat', new Uint8Array(9)), {}, 'init_missing'],
    ['a moov that is not fragmented', moovBytes([VIDEO], { fragmented: false }), {}, 'init_unusable'],
    ['a moov without tracks', moovBytes([]), {}, 'init_unusable'],
    ['two tracks of one id', moovBytes([VIDEO, VIDEO]), {}, 'init_unusable'],
    ['a timescale of 0', moovBytes([{ ...VIDEO, timescale: 0 }]), {}, 'init_unusable'],
    [
      'seventeen tracks',
      moovBytes(Array.from({ length: 17 }, (_, i) => ({ ...VIDEO, id: i + 1 }))),
      {},
      'init_unusable',
    ],
    [
      'a track nobody declared',
      concat([init, fragmentBytes([labelled('v', { trackId: 3, baseTicks: 0n, count: 1, duration: 1 })])]),
      {},
      'unknown_track',
    ],
    ['too many samples', concat([init, moof]), { maxSamples: 1 }, 'too_many_samples'],
    ['2^32 samples', withTrun((view, at) => view.setUint32(at + 4, 0xffffffff)), {}, 'too_many_samples'],
    ['more samples than entries', withTrun((view, at) => view.setUint32(at + 4, 50)), {}, 'malformed'],
    ['a large sample', concat([init, moof]), { maxSampleBytes: 2 }, 'sample_too_large'],
    [
      'a sample of 2^32 bytes',
      withTrun((view, at) => view.setUint32(at + 16, 0xffffffff)),
      {},
      'sample_too_large',
    ],
    ['samples before their moof', withTrun((view, at) => view.setInt32(at + 8, -100)), {}, 'data_misplaced'],
    ['samples inside their moof', withTrun((view, at) => view.setInt32(at + 8, 20)), {}, 'data_misplaced'],
    ['samples behind the end', withTrun((view, at) => view.setInt32(at + 8, 5000)), {}, 'truncated'],
    ['a fragment without its data', concat([init, moof.subarray(0, -14), moof]), {}, 'truncated'],
    ['an end inside a box', concat([init, moof.subarray(0, -1)]), {}, 'truncated'],
    ['an end inside a header', concat([init, moof.subarray(0, 5)]), {}, 'truncated'],
    [
      'a fragment without tfdt',
      concat([
        init,
        editBox(moof, ['moof', 'traf', 'tfdt'], (view, { start }) => view.setUint32(start + 4, 0x66726565)),
      ]),
      {},
      'malformed',
    ],
  ])('refuses %s', (_what, bytes, limits, expected) => {
    const { fault, reader } = read(bytes, limits);
    expect(fault).toBe(expected);
    expect(reader.heldBytes).toBeLessThan(16_384);
    expect(reader.push(Buffer.from('more'))).toBe(expected);
  });

  it('holds what has come of a box, not what its size claims', () => {
    const reader = new StreamReader(new Recorder(), STREAM_READER_LIMITS);
    expect(reader.push(u32s(STREAM_READER_LIMITS.maxInitBytes, 0x6d6f6f76))).toBeUndefined();
    expect(reader.heldBytes).toBeLessThanOrEqual(4096);
    reader.push(new Uint8Array(10_000));
    expect(reader.heldBytes).toBeLessThanOrEqual(20_016);
  });

  it('refuses what its owner refuses', () => {
    const recorder = new Recorder();
    recorder.accepts = false;
    expect(new StreamReader(recorder, STREAM_READER_LIMITS).push(init)).toBe('init_unusable');
  });

  it('goes on with the tracks of an init that came in another body', () => {
    const { recorder } = read(init);
    const second = new Recorder();
    const reader = new StreamReader(second, STREAM_READER_LIMITS, recorder.tracks);
    expect(reader.push(moof) ?? reader.end()).toBeUndefined();
    expect(second.samples).toHaveLength(2);
  });

  it('takes an mdat that goes on to the end of the stream', () => {
    const open = editBox(moof, ['mdat'], (view, { start }) => view.setUint32(start, 0));
    const { recorder, fault } = read(concat([init, open]));
    expect(fault).toBeUndefined();
    expect(recorder.samples).toHaveLength(2);
  });

  it('passes over an emsg that is too large or of another version', () => {
    const event = { scheme: 'urn:a', timescale: 1, time: 1n, id: 1, data: new Uint8Array(100) };
    const odd = emsgBytes(1, event);
    odd[8] = 2;
    const { recorder, fault } = read(concat([init, emsgBytes(1, event), odd]), { maxEventBytes: 90 });
    expect(fault).toBeUndefined();
    expect(recorder.events).toEqual([]);
    expect(read(concat([init, odd, emsgBytes(0, event)])).recorder.events).toMatchObject([
      { id: 1, time: { kind: 'delta', ticks: 1n } },
    ]);
  });
});
