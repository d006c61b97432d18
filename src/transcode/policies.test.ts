import { describe, expect, it } from 'vitest';
import type { Sample } from '../stream/track.ts';
import { QueueLag } from './queue-lag.ts';
import { planRestart, STABLE_MS } from './restart-policy.ts';
import {
  NOTHING_SHED,
  observeLag,
  overloadDelayMs,
  type ShedDecision,
  type ShedState,
} from './shed-policy.ts';
import { newestKey, spliceStart } from './splice.ts';
import { isHung } from './watchdog.ts';

describe('the restart policy', () => {
  const failure = { ranMs: 0, missing: false };

  it('restarts at once, then after a time that doubles up to a quarter of a minute', () => {
    const delays: number[] = [];
    let failures = 0;
    for (let i = 0; i < 10; i++) {
      const plan = planRestart(failures, failure, 0.5);
      failures = plan.failures;
      delays.push(plan.delayMs);
    }
    expect(delays).toEqual([0, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000, 15_000]);
  });

  it('starts at most a dozen encoders a minute', () => {
    let [failures, atMs, starts] = [0, 0, 1];
    while (atMs < 60_000) {
      const plan = planRestart(failures, failure, 0);
      failures = plan.failures;
      atMs += plan.delayMs;
      starts++;
    }
    expect(starts).toBeLessThanOrEqual(12);
  });

  it('spreads channels that fail together over half the delay', () => {
    expect(planRestart(3, failure, 0).delayMs).toBe(1200);
    expect(planRestart(3, failure, 0.999).delayMs).toBeCloseTo(2000, -1);
  });

  it('gives up on the rungs at the third failure in a row', () => {
    expect([0, 1, 2, 3].map((failures) => planRestart(failures, failure, 0.5).degraded)).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });

  it('takes a failure after a good run as the first', () => {
    expect(planRestart(7, { ranMs: STABLE_MS, missing: false }, 0.5)).toEqual({
      failures: 1,
      delayMs: 0,
      degraded: false,
    });
    expect(planRestart(7, { ranMs: STABLE_MS - 1, missing: false }, 0.5).failures).toBe(8);
  });

  it('looks for a missing program every half minute', () => {
    expect(planRestart(0, { ranMs: 0, missing: true }, 0.5)).toEqual({
      failures: 1,
      delayMs: 30_000,
      degraded: true,
    });
  });
});

describe('the watchdog', () => {
  const limits = { watchdogMs: 800, startTimeoutMs: 5000 };
  it.each<[string, number | undefined, number | undefined, number, boolean]>([
    ['owes nothing', undefined, 0, 99_999, false],
    ['owes a frame for a short time', 1000, 990, 1800, false],
    ['owes a frame for too long', 1000, 990, 1801, true],
    ['owes an old frame but gives others', 1000, 5000, 5800, false],
    ['has been idle for long before it was fed', 9000, 10, 9500, false],
    ['is still starting', 0, undefined, 5000, false],
    ['does not start', 0, undefined, 5001, true],
  ])('of a rung that %s', (_what, waitingSinceMs, lastOutputAtMs, nowMs, hung) => {
    const idle = { waitingSinceMs: undefined, lastOutputAtMs: undefined };
    expect(isHung([idle, { waitingSinceMs, lastOutputAtMs }], limits, nowMs)).toBe(hung);
  });
});

describe('the shed policy', () => {
  /** Looks every 100 ms at what `lagAt` says. */
  function watch(
    seconds: number,
    lagAt: (ms: number) => number,
    from: ShedState = NOTHING_SHED,
    startMs = 0,
  ) {
    const decisions: [number, ShedDecision][] = [];
    let state = from;
    for (let ms = startMs; ms < startMs + seconds * 1000; ms += 100) {
      const look = observeLag(state, lagAt(ms), 1000, ms);
      state = look.state;
      if (look.decision !== 'keep') decisions.push([ms, look.decision]);
    }
    return { decisions, state };
  }

  it('leaves an encoder alone that keeps up, or is behind for a moment', () => {
    expect(watch(60, () => 40).decisions).toEqual([]);
    expect(watch(60, (ms) => (ms % 10_000 < 1400 ? 3000 : 100)).decisions).toEqual([]);
  });

  it('leaves an encoder alone that is far behind and catching up', () => {
    expect(watch(8, (ms) => 5000 - ms * 0.6).decisions).toEqual([]);
  });

  it('sheds the top rung when the lag stays, then the next', () => {
    const { decisions, state } = watch(4, () => 1500);
    expect(decisions).toEqual([
      [1500, 'shed'],
      [3100, 'shed'],
    ]);
    expect(state.shed).toBe(2);
  });

  it('tries a rung again after half a minute of calm, and waits twice as long when that was too early', () => {
    const { state } = watch(2, () => 1500);
    const calm = watch(40, () => 50, state, 2000);
    expect(calm.decisions).toEqual([[32_000, 'restore']]);
    const tooEarly = watch(3, () => 1500, calm.state, 42_000);
    expect(tooEarly.state).toMatchObject({ shed: 1, calmMs: 60_000 });
    expect(watch(70, () => 50, tooEarly.state, 45_000).decisions).toEqual([[105_000, 'restore']]);
  });

  it('does not take a lag that is merely below the limit for calm', () => {
    const { state } = watch(2, () => 1500);
    expect(watch(120, () => 400, state, 2000).decisions).toEqual([]);
  });

  it('waits ever longer when even the lowest rung is too slow', () => {
    expect([0, 1, 2, 9, 999].map(overloadDelayMs)).toEqual([30_000, 60_000, 120_000, 1_800_000, 1_800_000]);
  });
});

describe('the splice', () => {
  const sample = (pts: number, key = false): Sample => ({
    kind: 'video',
    dts: pts,
    pts,
    duration: 1,
    key,
    data: new Uint8Array(0),
  });
  const cached = [
    sample(10, true),
    sample(11),
    sample(12, true),
    sample(14),
    sample(13),
    sample(15, true),
    sample(16),
  ];

  it.each<[string, number | undefined, number | undefined]>([
    ['inside a GOP', 13, 2],
    ['at its last frame', 14, 2],
    ['at its key frame', 12, 2],
    ['in the newest GOP', 16, 5],
    ['before all that is cached', 5, 0],
    ['never', undefined, 0],
  ])('begins with the GOP of the last frame when that was %s', (_what, deliveredPts, start) => {
    expect(spliceStart(cached, deliveredPts)).toBe(start);
  });

  it('begins at the newest key frame when nothing is to be made up for', () => {
    expect(newestKey(cached)).toBe(5);
  });

  it('has no place without a key frame', () => {
    expect(spliceStart([sample(1), sample(2)], 1)).toBeUndefined();
    expect(newestKey([])).toBeUndefined();
  });
});

describe('the media in a queue', () => {
  it('is known by how many events made up the last half second', () => {
    const lag = new QueueLag();
    expect(lag.lagMs(100)).toBe(0);
    // 25 frames and 50 audio frames a second.
    for (let frame = 0; frame < 50; frame++) {
      lag.read(frame * 3600);
      lag.read();
      lag.read();
    }
    expect(lag.lagMs(75)).toBeCloseTo(1000, -2);
  });

  it('is not misjudged by a jump of the clock', () => {
    const lag = new QueueLag();
    for (let frame = 0; frame < 60; frame++) lag.read(frame * 3000 + (frame > 40 ? 9e6 : 0));
    expect(lag.lagMs(30)).toBeCloseTo(1000, -2);
  });
});
