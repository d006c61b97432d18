import { describe, expect, it } from 'vitest';
import { writeChunk } from '../../media/isobmff/chunk.ts';
import { writeInitSegment } from '../../media/isobmff/init-segment.ts';
import { STREAM_READER_LIMITS, StreamReader } from '../../media/isobmff/stream-reader.ts';
import { AudioStretches, type StretchOptions } from './audio-stretches.ts';
import { SHIFT_SECONDS } from './audio-track-arguments.ts';

const RATE = 48_000;
const AAC_LC_STEREO = Uint8Array.of(0x11, 0x90);

/** Frames of a track as ffmpeg gives them, each filled with its number; times in samples from the title's 0. */
function track(firstTicks: number, frames: number, config = AAC_LC_STEREO): Uint8Array {
  const init = writeInitSegment({
    ...{ kind: 'audio', codec: 'mp4a', timescale: RATE, config, channels: 2 },
  });
  const samples = Array.from({ length: frames }, (_, n) => {
    const ticks = SHIFT_SECONDS * RATE + firstTicks + n * 1024;
    return { dts: ticks, pts: ticks, duration: 1024, key: true, data: Uint8Array.of(n) };
  });
  const chunk = writeChunk({ sequence: 1, samples, position: 'segment-start', reference: undefined });
  return Buffer.concat([init, chunk]);
}

/** Number and time of every frame of every stretch. */
function cut(
  bytes: Uint8Array,
  options: Partial<StretchOptions>,
): (readonly (readonly [number, number])[])[] {
  const stretches = new AudioStretches({
    ...{ firstMs: 100, stretchMs: 200, endMs: undefined, fromFirst: false, ...options },
  });
  for (let at = 0; at < bytes.length; at += 50) stretches.push(bytes.subarray(at, at + 50));
  stretches.end();
  expect(stretches.fault).toBeUndefined();
  const found = [];
  for (let next = stretches.next(); next; next = stretches.next()) found.push(framesOf(next.bytes));
  return found;
}

function framesOf(bytes: Uint8Array): [number, number][] {
  const frames: [number, number][] = [];
  const reader = new StreamReader(
    {
      init: () => true,
      fragment() {},
      sample: ({ data, baseTicks, offsetTicks }) =>
        frames.push([data[0] ?? -1, Number(baseTicks) + offsetTicks]),
      event() {},
      last() {},
    },
    STREAM_READER_LIMITS,
  );
  expect(reader.push(bytes) ?? reader.end()).toBeUndefined();
  return frames;
}

describe('the stretches of a track of sound', () => {
  it('leave out what lies before 0, go on in time, and are cut at the times that were asked for', () => {
    const found = cut(track(-1024, 17), {});
    expect(found.flat()).toEqual(Array.from({ length: 16 }, (_, n) => [n + 1, n * 1024]));
    // 100 ms are 4800 samples, 300 ms 14400: the first frames at or behind these begin a stretch.
    expect(found.map((frames) => frames[0]?.[1])).toEqual([0, 5 * 1024, 15 * 1024]);
  });

  it('end where the title does', () => {
    expect(cut(track(0, 20), { endMs: 64 }).flat()).toEqual([
      [0, 0],
      [1, 1024],
      [2, 2048],
    ]);
  });

  it('take a rounding error before 0 for 0, and no more than that', () => {
    expect(cut(track(-40, 3), {}).flat()[0]).toEqual([0, 0]);
    expect(cut(track(-60, 3), {}).flat()[0]).toEqual([1, 964]);
  });

  it('begin with the first sample where nothing else says what 0 is', () => {
    expect(cut(track(-70_000, 3), { fromFirst: true }).flat()).toEqual([
      [0, 0],
      [1, 1024],
      [2, 2048],
    ]);
  });

  it('have none that is empty where nothing is for long', () => {
    const found = cut(track(RATE, 2), {});
    expect(found).toEqual([
      [
        [0, RATE],
        [1, RATE + 1024],
      ],
    ]);
  });

  it('count in samples of the rate that the configuration names', () => {
    // AAC-LC at 24 kHz: the core of HE-AAC whose extension only its frames tell of.
    expect(cut(track(0, 3, Uint8Array.of(0x13, 0x10)), {}).flat()).toEqual([
      [0, 0],
      [1, 512],
      [2, 1024],
    ]);
  });

  it('say why bytes cannot be used', () => {
    const stretches = new AudioStretches({ firstMs: 1, stretchMs: 1, endMs: undefined, fromFirst: false });
    stretches.push(Buffer.from('no such file at all, this'));
    expect(stretches.fault).toMatch(/cannot be read \(not_mp4\)/);
  });
});
