import { describe, expect, it } from 'vitest';
import { findFrameRate, type PictureTime, splitStretches } from './master-frame-rate.ts';
import type { Ratio } from './title-plan.ts';

const NTSC: Ratio = { numerator: 30_000, denominator: 1001 };
const FILM: Ratio = { numerator: 24_000, denominator: 1001 };
const whole = (rate: number): Ratio => ({ numerator: rate, denominator: 1 });

/** Packets in the order of display, without B-frames, times rounded to ticks. */
function packetsAt(times: readonly number[], tickSeconds: number): PictureTime[] {
  return times.map((time) => {
    const pts = Math.round(time / tickSeconds) * tickSeconds;
    return { pts, dts: pts };
  });
}

function even(rate: Ratio, count: number, start = 0): number[] {
  return Array.from({ length: count }, (_, n) => start + (n * rate.denominator) / rate.numerator);
}

function find(times: readonly number[], tickSeconds = 1e-6, rates: readonly Ratio[] = []) {
  return findFrameRate(packetsAt(times, tickSeconds), { rates, tickSeconds, samples: undefined });
}

/** Four pictures decoded as I P B B are shown as I B B P. */
function withBFrames(rate: Ratio, count: number): PictureTime[] {
  const frame = rate.denominator / rate.numerator;
  return Array.from({ length: count }, (_, n) => {
    const shown = n === 0 ? 0 : n % 3 === 1 ? n + 2 : n - 1;
    return { pts: shown * frame, dts: (n - 1) * frame };
  });
}

describe('findFrameRate', () => {
  it.each([FILM, whole(24), whole(25), NTSC, whole(30), whole(48), whole(50), whole(60), whole(120)])(
    'knows the rate of even pictures in whatever ticks they come: $numerator/$denominator',
    (rate) => {
      for (const tick of [1 / 90_000, 0.001]) {
        expect(find(even(rate, 300, 7.25), tick)).toEqual({ rate, isVariable: false });
      }
    },
  );

  it('tells neighbours apart in a clip of a second only by what the container says', () => {
    expect(find(even(NTSC, 20), 0.001, [NTSC]).rate).toEqual(NTSC);
    expect(find(even(whole(30), 20), 0.001, [whole(30)]).rate).toEqual(whole(30));
  });

  it('keeps an odd rate that the container gives and the pictures have', () => {
    const odd: Ratio = { numerator: 50, denominator: 3 };
    expect(find(even(odd, 200), 0.001, [odd])).toEqual({ rate: odd, isVariable: false });
    expect(find(even(whole(30), 200), 0.001, [{ numerator: 2997, denominator: 100 }]).rate).toEqual(
      whole(30),
    );
  });

  it('does not believe a container that the pictures contradict', () => {
    expect(find(even(whole(25), 200), 0.001, [whole(1000), whole(50)])).toEqual({
      rate: whole(25),
      isVariable: false,
    });
  });

  it('does not take the end of a sample, where pictures are still to come, for a hole', () => {
    const packets = withBFrames(whole(25), 102);
    const hints = { rates: [], tickSeconds: 0.001, samples: undefined };
    expect(findFrameRate(packets, hints)).toEqual({ rate: whole(25), isVariable: false });
    expect(splitStretches(packets, undefined)[0]?.length).toBeLessThan(102);
  });

  it('does not take the beginning of a sample, where pictures decoded before it are shown, for a hole', () => {
    const all = withBFrames(whole(25), 400);
    // Cut between a picture and those that are shown before it.
    const packets = [...all.slice(0, 101), ...all.slice(302)];
    const hints = { rates: [], tickSeconds: 0.001, samples: { length: 101, places: 1 } };
    expect(findFrameRate(packets, hints)).toEqual({ rate: whole(25), isVariable: false });
  });

  it('takes holes for what they are: the same grid, at a variable rate', () => {
    const holes = even(whole(30), 300).filter((_, n) => n % 7 !== 3);
    expect(find(holes, 0.001)).toEqual({ rate: whole(30), isVariable: true });
  });

  it('gives pictures of two rates the smallest grid that has them all', () => {
    const mixed = [...even(whole(15), 60), ...even(whole(60), 240, 4)];
    expect(find(mixed, 1 / 90_000)).toEqual({ rate: whole(60), isVariable: true });
  });

  it('undoes a telecine that is only said, not done: film in fields of video', () => {
    const field = 1001 / 60_000;
    const times: number[] = [];
    for (let n = 0, at = 0; n < 240; n++, at += (n % 2 === 0 ? 2 : 3) * field) times.push(at);
    expect(find(times, 1 / 90_000)).toEqual({ rate: FILM, isVariable: true });
  });

  it('keeps the rate at which a free-running clock was shooting', () => {
    const times = even({ numerator: 30_020, denominator: 1000 }, 300).map(
      (time, n) => time + 0.004 * Math.sin(n * 1.7),
    );
    expect(find(times, 0.001)).toEqual({ rate: whole(30), isVariable: true });
  });

  it('has an answer for a single picture and for none', () => {
    const hints = { rates: [whole(24)], tickSeconds: 0.001, samples: undefined };
    expect(findFrameRate([{ pts: 0, dts: 0 }], hints)).toEqual({ rate: whole(24), isVariable: false });
    expect(findFrameRate([], { ...hints, rates: [] })).toEqual({ rate: whole(25), isVariable: false });
  });

  it('judges samples of several places each for itself', () => {
    const frame = 1 / 25;
    const sample = (from: number): PictureTime[] =>
      Array.from({ length: 50 }, (_, n) => ({ pts: (from + n) * frame, dts: (from + n) * frame }));
    const packets = [...sample(0), ...sample(60), ...sample(7000)];
    const hints = { rates: [], tickSeconds: 1 / 90_000, samples: { length: 50, places: 2 } };
    expect(findFrameRate(packets, hints)).toEqual({ rate: whole(25), isVariable: false });
    expect(findFrameRate(packets, { ...hints, samples: undefined }).isVariable).toBe(true);
  });
});
