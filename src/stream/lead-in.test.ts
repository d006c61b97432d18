import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LeadIn } from './lead-in.ts';
import type { Sample } from './track.ts';

const FRAME = 3000;
/** Where the media before ended. */
const FLOOR = 1_000_000;

function frame(number: number, keyTicks: number, offsetFrames = 0, key = number === 0): Sample {
  const dts = keyTicks + number * FRAME;
  const pts = dts + offsetFrames * FRAME;
  return { kind: 'video', dts, pts, duration: FRAME, key, data: Uint8Array.of(number) };
}

/** I P B B P B B …: what the places of a GOP are shown after their decoding, the first one at it. */
function reordered(place: number): number {
  if (place === 0) return 0;
  return place % 3 === 1 ? 2 : -1;
}

/** Gives so many frames of a GOP whose key frame lies so far before the floor. */
function run(
  frames: number,
  beforeFrames: number,
  offset: (place: number) => number = () => 0,
): { readonly out: Sample[]; readonly given: Sample[]; readonly leadIn: LeadIn } {
  const leadIn = new LeadIn(FLOOR, FRAME, 0);
  const keyTicks = Math.round(FLOOR - beforeFrames * FRAME);
  const given = Array.from({ length: frames }, (_, n) => frame(n, keyTicks, offset(n)));
  const out = given.flatMap((sample) => (leadIn.over ? [sample] : leadIn.add(sample)));
  return { out, given, leadIn };
}

function isContinuous(samples: readonly Sample[]): boolean {
  return samples.every((sample, n) => {
    const next = samples[n + 1];
    return next === undefined || sample.dts + sample.duration === next.dts;
  });
}

describe('a lead-in', () => {
  test('squeezes what was shown already to a tick each, and gives the rest its true time', () => {
    const { out, given } = run(20, 9.75);
    // Nine and three quarters frames of the GOP are over at the floor: the tenth is nearest to it.
    expect(out.slice(0, 11).map(({ dts }) => dts - FLOOR)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(out.slice(11).map(({ dts }) => dts)).toEqual(given.slice(11).map(({ dts }) => dts));
    expect(out.map(({ pts }) => pts)).toEqual(out.map(({ dts }) => dts));
    expect(isContinuous(out)).toBe(true);
    expect(out.map(({ leadIn }) => leadIn === true)).toEqual(out.map((_, n) => n < 10));
  });

  test('keeps the picture nearest to the old end until the first whose time has not come', () => {
    for (const beforeFrames of [5.1, 5.4, 5.6, 5.9]) {
      const { out, given } = run(20, beforeFrames);
      const held = out.findLastIndex((sample, n) => sample.dts !== given[n]?.dts);
      const off = Math.abs((given[held]?.pts ?? 0) - (out[held]?.pts ?? 0));
      expect(off).toBeLessThanOrEqual(FRAME / 2);
      expect(out[held]?.duration).toBeGreaterThan(FRAME / 2 - 20);
      expect(out[held]?.duration).toBeLessThan(1.5 * FRAME);
    }
  });

  test('shows reordered pictures in their order, and none before the old end', () => {
    const { out, given } = run(31, 12.3, reordered);
    const order = (samples: readonly Sample[]): number[] =>
      samples.toSorted((a, b) => a.pts - b.pts).flatMap(({ data }) => [...data]);
    expect(out).toHaveLength(given.length);
    expect(order(out)).toEqual(order(given));
    expect(new Set(out.map(({ pts }) => pts)).size).toBe(out.length);
    expect(Math.min(...out.map(({ pts }) => pts))).toBe(FLOOR);
    expect(isContinuous(out)).toBe(true);
    expect(out[0]).toMatchObject({ key: true, dts: FLOOR, pts: FLOOR });
    for (const [n, sample] of out.entries()) {
      if ((given[n]?.pts ?? 0) >= FLOOR + FRAME / 2) expect(sample.pts).toBe(given[n]?.pts);
    }
  });

  test('gives nothing until no picture can follow that is to be shown before the old end', () => {
    const { leadIn, out } = run(13, 12.3, reordered);
    expect(out).toEqual([]);
    expect(leadIn.over).toBe(false);
    expect(leadIn.endTicks).toBe(FLOOR);
  });

  test('gives what has a time of its own when no more comes', () => {
    const { leadIn } = run(13, 12.3, reordered);
    leadIn.add(frame(13, Math.round(FLOOR - 12.3 * FRAME), 2));
    const rest = leadIn.flush();
    expect(rest).toHaveLength(14);
    expect(isContinuous(rest)).toBe(true);
  });

  test('gives nothing at all when all of it was shown already', () => {
    const { leadIn } = run(5, 12);
    expect(leadIn.flush()).toEqual([]);
    expect(leadIn.endTicks).toBe(FLOOR);
  });

  test('of very many pictures never lets one begin before the one before it', () => {
    const { out } = run(6000, 5000);
    expect(out.length).toBe(6000);
    expect(isContinuous(out)).toBe(true);
    expect(out.at(-1)?.dts).toBe(FLOOR + 999 * FRAME);
  });

  test('holds no more than a fixed number of bytes', () => {
    const leadIn = new LeadIn(FLOOR, FRAME, 0);
    const data = new Uint8Array(1024 * 1024);
    const out: Sample[] = [];
    for (let n = 0; n < 200; n++) {
      const sample = { ...frame(n, FLOOR - 1000 * FRAME), data };
      out.push(...leadIn.add(sample));
    }
    expect(out.length).toBeGreaterThan(100);
    expect(isContinuous(out)).toBe(true);
  });

  test('gives every picture once, in order and without a hole, whatever the order they are shown in', () => {
    const place = fc.record({ offset: fc.integer({ min: -4, max: 5 }), key: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(place, { maxLength: 80 }),
        fc.double({ min: -5, max: 70, noNaN: true }),
        (places, before) => {
          const leadIn = new LeadIn(FLOOR, FRAME, 0);
          const keyTicks = Math.round(FLOOR - before * FRAME);
          const given = places.map(({ offset, key }, n) => frame(n, keyTicks, n === 0 ? 0 : offset, key));
          const out = given.flatMap((sample) => (leadIn.over ? [sample] : leadIn.add(sample)));
          if (!leadIn.over) out.push(...leadIn.flush());
          expect([0, given.length]).toContain(out.length);
          expect(isContinuous(out)).toBe(true);
          expect(out.every(({ duration, dts }) => duration > 0 && dts >= FLOOR)).toBe(true);
          expect(out.every(({ pts }, n) => pts >= FLOOR || pts === given[n]?.pts)).toBe(true);
        },
      ),
    );
  });
});
