import { describe, expect, it } from 'vitest';
import { findKeyFrames } from './master-key-frames.ts';
import type { ProbedPacket } from './probe-report.ts';

/** Packets at 25 a second from a time on, with a key frame wherever `isKey` says. */
function packets(fromSeconds: number, count: number, isKey: (n: number) => boolean): ProbedPacket[] {
  return Array.from({ length: count }, (_, n) => {
    const time = Math.round((fromSeconds + n / 25) * 1000) / 1000;
    return {
      ...{ pts: time, dts: time, duration: 0.04, isKey: isKey(n) },
      ...{ isDiscarded: false, isEncrypted: false },
    };
  });
}

describe('the key frames of a master', () => {
  it('are even where all of them stand at the multiples of one distance', () => {
    const found = findKeyFrames(
      packets(1.4, 200, (n) => n % 50 === 0),
      1400,
    );
    expect(found?.longestMs).toBeCloseTo(2000, 6);
    expect(found?.evenMs).toBeCloseTo(2000, 6);
  });

  it('are even by samples of several places, too, when those fit', () => {
    const places = [0, 100, 201].flatMap((from) => packets(from, 130, (n) => (from * 25 + n) % 50 === 0));
    const found = findKeyFrames(places, 0);
    expect(found?.evenMs).toBeCloseTo(2000, 6);
    const shifted = findKeyFrames([...places, ...packets(301, 130, (n) => n % 50 === 0)], 0);
    expect(shifted).toEqual({ longestMs: found?.longestMs });
  });

  it('are those of each place where little is left out between two', () => {
    const places = [0, 12, 24].flatMap((from) => packets(from, 250, (n) => (from * 25 + n) % 50 === 0));
    const found = findKeyFrames(places, 0, { length: 250, places: 3 });
    expect([found?.longestMs, found?.evenMs]).toEqual([2000, 2000]);
  });

  it('are not even where one is missing, or an additional one stands between', () => {
    const missing = findKeyFrames(
      packets(0, 400, (n) => n % 50 === 0 && n !== 100),
      0,
    );
    expect(missing?.evenMs).toBeUndefined();
    expect(missing?.longestMs).toBeCloseTo(4000, 6);
    const cut = findKeyFrames(
      packets(0, 400, (n) => n % 50 === 0 || n === 130),
      0,
    );
    expect(cut?.evenMs).toBeUndefined();
    expect(cut?.longestMs).toBeCloseTo(2000, 6);
  });

  it('are as far apart as a place is long where it has only one', () => {
    const found = findKeyFrames([...packets(0, 60, (n) => n === 0), ...packets(50, 250, (n) => n === 0)], 0);
    expect(found?.longestMs).toBeCloseTo(9960, 6);
  });

  it('are found among any number of packets', () => {
    const found = findKeyFrames(
      packets(0, 150_000, (n) => n % 50 === 0),
      0,
    );
    expect(found?.evenMs).toBeCloseTo(2000, 3);
  });

  it('are not known where there is only one, or none', () => {
    expect(
      findKeyFrames(
        packets(0, 60, (n) => n === 0),
        0,
      ),
    ).toBeUndefined();
    expect(findKeyFrames([], 0)).toBeUndefined();
  });
});
