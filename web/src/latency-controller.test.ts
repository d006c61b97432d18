import { describe, expect, it } from 'vitest';
import { LatencyController, type LatencyDecision } from './latency-controller.ts';

function feed(controller: LatencyController, bufferMs: readonly number[]): LatencyDecision {
  let decision: LatencyDecision = { playbackRate: Number.NaN, skipMs: undefined };
  for (const reading of bufferMs) decision = controller.take(reading);
  return decision;
}

const row = (bufferMs: number, count = 10): number[] => Array.from({ length: count }, () => bufferMs);

describe('the latency controller', () => {
  it('plays at normal speed around the target', () => {
    for (const bufferMs of [235, 250, 275]) {
      expect(feed(new LatencyController({ targetMs: 250 }), row(bufferMs)).playbackRate).toBe(1);
    }
  });

  it('speeds up with the distance above the target, up to 1.25', () => {
    const slightly = feed(new LatencyController({ targetMs: 250 }), row(350)).playbackRate;
    expect(slightly).toBeGreaterThan(1);
    expect(slightly).toBeLessThan(1.1);
    expect(feed(new LatencyController({ targetMs: 250 }), row(1500)).playbackRate).toBe(1.25);
  });

  it('slows down with the distance below the target, down to 0.9', () => {
    expect(feed(new LatencyController({ targetMs: 250 }), row(200)).playbackRate).toBeCloseTo(0.95, 5);
    expect(feed(new LatencyController({ targetMs: 250 }), row(0)).playbackRate).toBe(0.9);
  });

  it('goes by the lowest of the last ten readings, since the buffer comes in parts', () => {
    const controller = new LatencyController({ targetMs: 250 });
    expect(feed(controller, [...row(600, 9), 250]).playbackRate).toBe(1);
    expect(feed(controller, row(600, 9)).playbackRate).toBe(1);
    expect(feed(controller, [600]).playbackRate).toBeGreaterThan(1.1);
  });

  it('does not speed up before it has seen ten readings, but slows down at once', () => {
    expect(feed(new LatencyController({ targetMs: 250 }), row(900, 9)).playbackRate).toBe(1);
    expect(feed(new LatencyController({ targetMs: 250 }), row(100, 1)).playbackRate).toBe(0.9);
  });

  it('skips to the target when it is more than 1.5 s behind, once', () => {
    const controller = new LatencyController({ targetMs: 250 });
    expect(feed(controller, row(2000)).skipMs).toBe(1750);
    expect(feed(controller, row(300, 9)).skipMs).toBeUndefined();
  });

  it('aims higher after a stall, up to a second more', () => {
    const controller = new LatencyController({ targetMs: 250 });
    controller.stalled();
    expect(controller.targetMs).toBe(330);
    for (let i = 0; i < 50; i++) controller.stalled();
    expect(controller.targetMs).toBe(1250);
  });

  it('comes back down when all stays calm, never below the target', () => {
    const controller = new LatencyController({ targetMs: 250 });
    controller.stalled();
    feed(controller, row(330, 399));
    expect(controller.targetMs).toBe(330);
    feed(controller, row(330, 1));
    expect(controller.targetMs).toBe(310);
    feed(controller, row(330, 10_000));
    expect(controller.targetMs).toBe(250);
  });

  it('forgets its readings when playback was moved', () => {
    const controller = new LatencyController({ targetMs: 250 });
    feed(controller, row(1500));
    controller.moved();
    expect(feed(controller, row(1500, 1)).playbackRate).toBe(1);
  });
});
