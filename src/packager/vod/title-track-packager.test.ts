import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { audioTrack, videoTrack } from '../../../test/support/title-model.ts';
import { findBox, readBoxes } from '../../media/isobmff/box-reader.ts';
import type { Sample, VideoTrack } from '../../stream/track.ts';
import { type PackagedSegment, TitleTrackPackager } from './title-track-packager.ts';

/** On a busy machine; alone it takes half a second. */
const PATIENT_MS = 60_000;

interface Pictures {
  readonly frames: number;
  readonly frameTicks: number;
  readonly gopFrames: number;
  readonly offsetTicks?: number;
}

/** Pictures at a constant rate, a key frame at each multiple of the GOP, times rounded to whole ticks. */
function pictures({ frames, frameTicks, gopFrames, offsetTicks = 0 }: Pictures): Sample[] {
  const at = (n: number): number => offsetTicks + Math.round(n * frameTicks);
  return Array.from({ length: frames }, (_, n) => ({
    kind: 'video',
    dts: at(n),
    pts: at(n % gopFrames === 0 ? n : n + 1),
    duration: at(n + 1) - at(n),
    key: n % gopFrames === 0,
    data: new Uint8Array(20 + (n % 7)).fill(n),
  }));
}

function sound(frames: number, frameTicks: number, startTicks = 0): Sample[] {
  return Array.from({ length: frames }, (_, n) => {
    const dts = startTicks + n * frameTicks;
    return { kind: 'audio', dts, pts: dts, duration: frameTicks, key: true, data: new Uint8Array(9).fill(n) };
  });
}

/** 59.94 fps: frames of 1501.5 ticks. */
const FAST: VideoTrack = videoTrack(360, { cadence: { frameTicks: 1501.5, gopTicks: 1501.5 * 60 } });

function packageAll(
  track: VideoTrack | ReturnType<typeof audioTrack>,
  samples: readonly Sample[],
  segmentTicks: number,
  startNumber = 0,
  offsetTicks = 0,
): PackagedSegment[] {
  const packager = new TitleTrackPackager(track, { segmentTicks, startNumber, offsetTicks });
  return [...packager.add(samples), ...packager.flush()];
}

function facts(all: readonly PackagedSegment[]) {
  return all.map(({ segment: { number, startTicks, durationTicks, isGap } }) => [
    ...[number, startTicks, durationTicks],
    ...(isGap ? ['gap'] : []),
  ]);
}

describe('segments of pictures', () => {
  const track = videoTrack(360);

  it('begin with the key frame at each multiple, and the last is what is left', () => {
    const samples = pictures({ frames: 130, frameTicks: 3600, gopFrames: 25 });
    expect(facts(packageAll(track, samples, 180_000))).toEqual([
      [0, 0, 180_000],
      [1, 180_000, 180_000],
      [2, 360_000, 108_000],
    ]);
  });

  it('begin with the nearest whole tick where frames last half a tick more', () => {
    const samples = pictures({ frames: 61, frameTicks: 1501.5, gopFrames: 15 });
    expect(facts(packageAll(FAST, samples, 15 * 1501.5))).toEqual([
      [0, 0, 22_523],
      [1, 22_523, 22_522],
      [2, 45_045, 22_523],
      [3, 67_568, 22_522],
      [4, 90_090, 1502],
    ]);
  });

  it('are a chunk with the key frame alone, as many bytes as are told, and a chunk with the others', () => {
    const [first] = packageAll(track, pictures({ frames: 50, frameTicks: 3600, gopFrames: 25 }), 180_000);
    if (!first) throw new Error('no segment');
    const { bytes, segment } = first;
    expect(segment.sizeBytes).toBe(bytes.length);
    const types = (from: number, to: number) =>
      readBoxes(bytes.subarray(from, to)).boxes.map(({ type }) => type);
    expect(types(0, segment.keyFrameBytes)).toEqual(['styp', 'moof', 'mdat']);
    expect(types(segment.keyFrameBytes, bytes.length)).toEqual(['styp', 'moof', 'mdat']);
    expect(sampleCounts(bytes)).toEqual([1, 49]);
  });

  it('are one chunk where there is nothing but the key frame', () => {
    const [only] = packageAll(track, pictures({ frames: 1, frameTicks: 3600, gopFrames: 25 }), 180_000);
    expect(only?.segment.keyFrameBytes).toBe(only?.bytes.length);
  });

  it('are cut in their place also where no key frame is, and do not claim one', () => {
    const samples = pictures({ frames: 150, frameTicks: 3600, gopFrames: 100 });
    const all = packageAll(track, samples, 180_000);
    expect(facts(all)).toEqual([
      [0, 0, 180_000],
      [1, 180_000, 180_000],
      [2, 360_000, 180_000],
    ]);
    expect(all.map(({ segment }) => segment.keyFrameBytes > 0)).toEqual([true, false, true]);
    expect(all.map(({ bytes }) => sampleCounts(bytes))).toEqual([[1, 49], [50], [1, 49]]);
  });

  it('are counted from the start of the period', () => {
    const offsetTicks = 9_000_000;
    const samples = pictures({ frames: 60, frameTicks: 3600, gopFrames: 25, offsetTicks });
    expect(facts(packageAll(track, samples, 180_000, 0, offsetTicks))).toEqual([
      [0, 9_000_000, 180_000],
      [1, 9_180_000, 36_000],
    ]);
  });

  it('leave gaps where there is nothing', () => {
    const samples = pictures({ frames: 250, frameTicks: 3600, gopFrames: 25 });
    const holed = samples.filter(({ dts }) => dts < 180_000 || dts >= 540_000);
    const all = packageAll(track, holed, 180_000);
    expect(facts(all)).toEqual([
      [0, 0, 180_000],
      [1, 180_000, 180_000, 'gap'],
      [2, 360_000, 180_000, 'gap'],
      [3, 540_000, 180_000],
      [4, 720_000, 180_000],
    ]);
    expect(all[1]?.bytes.length).toBe(0);
  });
});

describe('segments of sound', () => {
  const track = audioTrack();

  it('begin at the frame boundary nearest to the multiple', () => {
    const all = packageAll(track, sound(300, 1024), 96_000);
    expect(facts(all)).toEqual([
      [0, 0, 94 * 1024],
      [1, 94 * 1024, 93 * 1024],
      [2, 187 * 1024, 94 * 1024],
      [3, 281 * 1024, 19 * 1024],
    ]);
    for (const { segment } of all) {
      expect(Math.abs(segment.startTicks - segment.number * 96_000)).toBeLessThanOrEqual(512);
    }
  });

  it('are one chunk each and have no key frame of their own', () => {
    const all = packageAll(track, sound(300, 1024), 96_000);
    expect(all.map(({ bytes }) => sampleCounts(bytes).length)).toEqual([1, 1, 1, 1]);
    expect(all.map(({ segment }) => segment.keyFrameBytes)).toEqual([0, 0, 0, 0]);
  });
});

describe('a packager that begins in the middle', () => {
  const cases = fc.record({
    frameTicks: fc.constantFrom(1501.5, 3003, 3600, 3753.75, 3750),
    gopFrames: fc.integer({ min: 1, max: 12 }),
    gops: fc.integer({ min: 1, max: 4 }),
    segments: fc.integer({ min: 2, max: 8 }),
    extra: fc.integer({ min: 0, max: 11 }),
    offsetTicks: fc.constantFrom(0, 1, 90_000_000_000),
    batch: fc.integer({ min: 1, max: 40 }),
    at: fc.double({ min: 0, max: 0.999, noNaN: true }),
  });

  it('makes the very segments of pictures that one from the start made', { timeout: PATIENT_MS }, () => {
    fc.assert(
      fc.property(cases, ({ frameTicks, gopFrames, gops, segments, extra, offsetTicks, batch, at }) => {
        const track = videoTrack(360, { cadence: { frameTicks, gopTicks: frameTicks * gopFrames } });
        const segmentFrames = gopFrames * gops;
        const segmentTicks = segmentFrames * frameTicks;
        const frames = segmentFrames * segments + Math.min(extra, segmentFrames);
        const samples = pictures({ frames, frameTicks, gopFrames, offsetTicks });
        const whole = packageAll(track, samples, segmentTicks, 0, offsetTicks);
        const from = Math.floor(at * whole.length);
        const rest = samples.slice(from * segmentFrames);
        const again = inBatches(track, rest, batch, { segmentTicks, startNumber: from, offsetTicks });
        expect(again).toEqual(whole.slice(from));
      }),
      { numRuns: 60 },
    );
  });

  it('makes the very segments of sound', { timeout: PATIENT_MS }, () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1024, 1536, 2048, 960),
        fc.constantFrom(90_090 / 90_000, 2, 4.004, 6),
        fc.integer({ min: 1, max: 400 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.integer({ min: 1, max: 40 }),
        (frameTicks, seconds, frames, at, batch) => {
          const track = audioTrack({ frameTicks });
          const segmentTicks = seconds * track.timescale;
          const samples = sound(frames, frameTicks);
          const whole = packageAll(track, samples, segmentTicks);
          const from = Math.floor(at * whole.length);
          const start = whole[from]?.segment.startTicks ?? 0;
          const rest = samples.filter(({ dts }) => dts >= start);
          const again = inBatches(track, rest, batch, { segmentTicks, startNumber: from, offsetTicks: 0 });
          expect(again).toEqual(whole.slice(from));
        },
      ),
      { numRuns: 60 },
    );
  });
});

function inBatches(
  track: VideoTrack | ReturnType<typeof audioTrack>,
  samples: readonly Sample[],
  size: number,
  options: ConstructorParameters<typeof TitleTrackPackager>[1],
): PackagedSegment[] {
  const packager = new TitleTrackPackager(track, options);
  const all: PackagedSegment[] = [];
  for (let from = 0; from < samples.length; from += size) {
    all.push(...packager.add(samples.slice(from, from + size)));
  }
  return [...all, ...packager.flush()];
}

/** Samples of each chunk, by its trun. */
function sampleCounts(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return readBoxes(bytes).boxes.flatMap((box) => {
    const trun = findBox([box], ['moof', 'traf', 'trun']);
    return trun ? [view.getUint32(trun.bodyStart + 4)] : [];
  });
}
