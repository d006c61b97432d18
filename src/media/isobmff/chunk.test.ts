import { createFile, MP4BoxBuffer } from 'mp4box';
import { describe, expect, it } from 'vitest';
import { videoTrack } from '../../../test/support/sample-source.ts';
import { findBox, readBoxes } from './box-reader.ts';
import { type ChunkOptions, type ChunkSample, writeChunk } from './chunk.ts';
import { readFragments } from './fragment-reader.ts';
import { writeInitSegment } from './init-segment.ts';

/** 22 Nov 2026 in 90 kHz ticks: well past 32 bits. */
const NOW_TICKS = 1_795_348_800 * 90_000;

/** 1 Jan 2037: NTP seconds have wrapped the year before. */
const YEAR_2037_SECONDS = 2_114_380_800;

/** What mp4box makes of an emsg. */
interface Emsg {
  readonly message_data: Uint8Array;
}

function sample(n: number, extra: Partial<ChunkSample> = {}): ChunkSample {
  const dts = NOW_TICKS + n * 3000;
  return { dts, pts: dts, duration: 3000, key: n === 0, data: new Uint8Array(10 + n).fill(n), ...extra };
}

function chunk(samples: readonly ChunkSample[]): Uint8Array {
  return writeChunk({ sequence: 7, samples, position: 'inside', reference: undefined });
}

function roundTrip(samples: readonly ChunkSample[]): ChunkSample[] {
  const [fragment] = readFragments(chunk(samples)) ?? [];
  expect(fragment?.sequence).toBe(7);
  return (fragment?.tracks[0]?.samples ?? []).map(({ dts, pts, duration, key, data }) => ({
    dts,
    pts,
    duration,
    key,
    data,
  }));
}

describe('writeChunk', () => {
  it.each([
    { name: 'one key frame', samples: [sample(0)] },
    { name: 'one frame', samples: [sample(1)] },
    { name: 'frames alike', samples: [sample(1), sample(2), sample(3)] },
    { name: 'a key frame and others', samples: [sample(0), sample(1), sample(2)] },
    { name: 'a key frame amid others', samples: [sample(1), sample(2, { key: true }), sample(3)] },
    { name: 'two key frames, then others', samples: [sample(0), sample(1, { key: true }), sample(2)] },
    {
      name: 'uneven durations',
      samples: [
        sample(0, { duration: 3003 }),
        { ...sample(1), dts: NOW_TICKS + 3003, pts: NOW_TICKS + 3003, duration: 2997 },
      ],
    },
    {
      name: 'composition offsets to both sides',
      samples: [sample(0), sample(1, { pts: NOW_TICKS + 9000 }), sample(2, { pts: NOW_TICKS + 3000 })],
    },
    { name: 'an empty sample', samples: [sample(0, { data: new Uint8Array(0) })] },
  ])('reads back as written: $name', ({ samples }) => {
    expect(roundTrip(samples)).toEqual(samples);
  });

  it('begins a segment with the brands of a segment, and says chunk elsewhere', () => {
    const brands = (position: 'segment-start' | 'inside'): string =>
      Buffer.from(
        writeChunk({ sequence: 1, samples: [sample(0)], position, reference: undefined }).subarray(0, 28),
      ).toString('latin1');
    expect(brands('segment-start').slice(4)).toBe('stypmsdh\0\0\0\0msdhcmfscmfl');
    expect(brands('inside').slice(4, 20)).toBe('stypcmfl\0\0\0\0cmfl');
  });

  it('puts the reference time directly before the moof', () => {
    const bytes = writeChunk({
      sequence: 1,
      samples: [sample(0)],
      position: 'inside',
      reference: { wallMs: 1_795_348_800_250, mediaTicks: NOW_TICKS + 22_500, flags: 24 },
    });
    const { boxes } = readBoxes(bytes);
    expect(boxes.map((box) => box.type)).toEqual(['styp', 'prft', 'moof', 'mdat']);
    const view = new DataView(bytes.buffer, findBox(boxes, ['prft'])?.bodyStart ?? 0);
    expect(view.getUint32(0)).toBe(0x01000018);
    expect(view.getUint32(4)).toBe(1);
    expect(view.getUint32(8)).toBe(1_795_348_800 + 2_208_988_800);
    expect(view.getUint32(12)).toBe(2 ** 30);
    expect(view.getBigUint64(16)).toBe(BigInt(NOW_TICKS + 22_500));
  });

  it('wraps NTP seconds into the next era', () => {
    const bytes = writeChunk({
      sequence: 1,
      samples: [sample(0)],
      position: 'inside',
      reference: { wallMs: YEAR_2037_SECONDS * 1000, mediaTicks: 0, flags: 24 },
    });
    const view = new DataView(bytes.buffer, findBox(readBoxes(bytes).boxes, ['prft'])?.bodyStart ?? 0);
    expect(view.getUint32(8)).toBe(YEAR_2037_SECONDS + 2_208_988_800 - 2 ** 32);
  });

  it('writes a 64-bit tfdt', () => {
    const bytes = chunk([sample(0)]);
    const tfdt = findBox(readBoxes(bytes).boxes, ['moof', 'traf', 'tfdt']);
    const view = new DataView(bytes.buffer, tfdt?.bodyStart ?? 0);
    expect(view.getUint32(0)).toBe(0x01000000);
    expect(view.getBigUint64(4)).toBe(BigInt(NOW_TICKS));
  });

  it('costs 160 bytes a frame', () => {
    const full = writeChunk({
      sequence: 1,
      samples: [sample(1)],
      position: 'inside',
      reference: { wallMs: 0, mediaTicks: 0, flags: 24 },
    });
    expect(full.length - sample(1).data.length).toBe(160);
  });

  it('is the same in memory that it is given, whatever was there before', () => {
    const options: ChunkOptions = {
      sequence: 7,
      samples: [sample(0), sample(1, { pts: NOW_TICKS + 9000, duration: 2000 })],
      position: 'segment-start',
      reference: { wallMs: 1_795_348_800_123.5, mediaTicks: NOW_TICKS, flags: 24 },
      events: [{ id: 1, kind: 'id3', atTicks: NOW_TICKS, data: Uint8Array.of(1, 2, 3) }],
    };
    const dirty = new Uint8Array(4096).fill(0xaa);
    const given = writeChunk({ ...options, allocate: (sizeBytes) => dirty.subarray(100, 100 + sizeBytes) });
    expect(given.buffer).toBe(dirty.buffer);
    expect([...given]).toEqual([...writeChunk(options)]);
    expect(dirty.filter((byte) => byte !== 0xaa).length).toBeLessThanOrEqual(given.length);
    expect(dirty[99]).toBe(0xaa);
    expect(dirty[100 + given.length]).toBe(0xaa);
  });

  it('refuses to write nothing', () => {
    expect(() => chunk([])).toThrow(RangeError);
  });

  it('is what mp4box reads with the samples and times given', () => {
    const file = createFile();
    const init = writeInitSegment(videoTrack());
    const body = chunk([
      sample(0),
      sample(1, { pts: NOW_TICKS + 9000 }),
      sample(2, { pts: NOW_TICKS + 3000 }),
    ]);
    file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(Uint8Array.from(init).buffer, 0));
    file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(Uint8Array.from(body).buffer, init.length));
    expect(file.moofs).toHaveLength(1);
    const read = file.getTrackSamplesInfo(1);
    expect(
      read.map(({ dts, cts, duration, is_sync, size }) => ({ dts, cts, duration, is_sync, size })),
    ).toEqual([
      { dts: NOW_TICKS, cts: NOW_TICKS, duration: 3000, is_sync: true, size: 10 },
      { dts: NOW_TICKS + 3000, cts: NOW_TICKS + 9000, duration: 3000, is_sync: false, size: 11 },
      { dts: NOW_TICKS + 6000, cts: NOW_TICKS + 3000, duration: 3000, is_sync: false, size: 12 },
    ]);
  });

  it('carries events in boxes before its moof, of which an MP4 reader reads what was given', () => {
    const event = { id: 9, kind: 'scte35', atTicks: NOW_TICKS + 1, data: Uint8Array.of(0xfc, 1, 2) } as const;
    const bytes = writeChunk({
      sequence: 7,
      samples: [sample(0)],
      position: 'inside',
      reference: undefined,
      events: [event, { ...event, id: 10, kind: 'id3' }],
    });
    expect(readBoxes(bytes).boxes.map(({ type }) => type)).toEqual(['styp', 'emsg', 'emsg', 'moof', 'mdat']);
    const file = createFile();
    file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(bytes.slice().buffer, 0));
    const [first, second] = file.boxes.filter((box) => box.type === 'emsg') as unknown as Emsg[];
    expect(first).toMatchObject({
      version: 1,
      timescale: 90_000,
      presentation_time: NOW_TICKS + 1,
      event_duration: 0xffffffff,
      id: 9,
      scheme_id_uri: 'urn:scte:scte35:2013:bin',
      value: '',
    });
    expect([...(first?.message_data ?? [])]).toEqual([0xfc, 1, 2]);
    expect(second).toMatchObject({ id: 10, scheme_id_uri: 'https://aomedia.org/emsg/ID3' });
  });
});
