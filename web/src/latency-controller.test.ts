import { describe, expect, it } from 'vitest';
import {
  BAN_MS,
  boundsFrom,
  decideTarget,
  type LatencyBounds,
  type LatencyReading,
  type LatencyState,
  SETTLE_MS,
  startLatency,
} from './latency-controller.ts';

const BOUNDS: LatencyBounds = { startMs: 300, floorMs: 200, ceilingMs: 4000 };
const STEP_MS = 50;
const MINUTE_MS = 60_000;

/** How late media arrives behind the live edge, at a time. */
type Network = (nowMs: number) => number;

interface Step {
  readonly nowMs: number;
  readonly targetMs: number;
  readonly state: LatencyState;
}

interface Run {
  readonly steps: readonly Step[];
  /** Targets at which playback stalled, each with its time. */
  readonly stalls: readonly Step[];
}

/** What Chromium wants in the buffer to go on, and to go on again. */
const DRY_MS = 80;
const FULL_AGAIN_MS = 130;

/** A player with a catch-up of its own on a network: a fifth faster, a tenth slower, stalls when its buffer is dry. */
function play(network: Network, minutes: number, bounds: LatencyBounds = BOUNDS): Run {
  let state = startLatency(bounds, 0);
  let levelMs = bounds.startMs;
  let standing = false;
  const steps: Step[] = [];
  const stalls: Step[] = [];
  for (let nowMs = STEP_MS; nowMs < minutes * MINUTE_MS; nowMs += STEP_MS) {
    const offMs = state.targetMs - levelMs;
    if (standing) levelMs += STEP_MS;
    else levelMs += Math.min(0.1 * STEP_MS, Math.max(-0.2 * STEP_MS, offMs));
    const bufferMs = Math.max(0, levelMs - network(nowMs));
    const stalled: boolean = !standing && bufferMs < DRY_MS;
    standing = standing ? bufferMs < FULL_AGAIN_MS : stalled;
    if (stalled) stalls.push({ nowMs, targetMs: state.targetMs, state });
    if (!standing || stalled) state = decideTarget(state, reading(bufferMs, levelMs, stalled), bounds, nowMs);
    steps.push({ nowMs, targetMs: state.targetMs, state });
  }
  return { steps, stalls };
}

function reading(bufferMs: number, levelMs: number | undefined = 300, stalled = false): LatencyReading {
  return { bufferMs, levelMs, stalled, moved: false };
}

/** The same numbers each time, 0 to 1: a hash of the place. */
function noise(seed: number, index: number): number {
  let hash = (seed * 374_761_393 + index * 668_265_263) | 0;
  hash = Math.imul(hash ^ (hash >>> 13), 1_274_126_177);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

const calm: Network = () => 30;

/** Even media, with queues in front of it that change ten times a second. */
function jitter(seed: number, meanMs: number): Network {
  return (nowMs) => 30 - Math.log(1 - noise(seed, Math.floor(nowMs / 100))) * meanMs;
}

/** Some times a minute nothing comes for a while, and then all at once. */
function bursts(seed: number, everyMs: number, longestMs: number): Network {
  return (nowMs) => {
    const turn = Math.floor(nowMs / everyMs);
    const beginMs = turn * everyMs + noise(seed, turn) * everyMs * 0.5;
    const lastsMs = (0.2 + 0.8 * noise(seed + 1, turn)) * longestMs;
    const sinceMs = nowMs - beginMs;
    return sinceMs > 0 && sinceMs < lastsMs ? 30 + sinceMs : 30;
  };
}

/** A bad network that is good from a minute on. */
function recovering(network: Network, fromMs: number): Network {
  return (nowMs) => (nowMs < fromMs ? network(nowMs) : 30);
}

const SEEDS = [1, 2, 3, 4];
const NETWORKS: readonly (readonly [string, Network])[] = SEEDS.flatMap((seed) => [
  [`light jitter, seed ${seed}`, jitter(seed, 15)] as const,
  [`heavy jitter, seed ${seed}`, jitter(seed, 60)] as const,
  [`short losses, seed ${seed}`, bursts(seed, 8000, 300)] as const,
  [`long losses, seed ${seed}`, bursts(seed, 20_000, 1500)] as const,
  [`a bad minute, seed ${seed}`, recovering(bursts(seed, 5000, 900), MINUTE_MS)] as const,
]);

/** The first stall of each trouble: those that follow close are answered by the same raise. */
function troubles(stalls: readonly Step[]): readonly Step[] {
  return stalls.filter((stall, i) => {
    const before = stalls[i - 1];
    return before === undefined || stall.nowMs - before.nowMs >= SETTLE_MS;
  });
}

/** Lows of a long row, a thousand at a time: a call takes no more arguments than so many. */
function chunkLows(values: readonly number[]): readonly number[] {
  const lows: number[] = [];
  for (let i = 0; i < values.length; i += 1000) lows.push(Math.min(...values.slice(i, i + 1000)));
  return lows;
}

describe.each(NETWORKS)('on a network with %s', (_name, network) => {
  const { steps, stalls } = play(network, 20);

  it('does not stall again at a level that stalled, for minutes', () => {
    const all = troubles(stalls).filter(({ nowMs }) => nowMs > SETTLE_MS);
    all.forEach((stall, i) => {
      for (const later of all.slice(i + 1)) {
        if (later.nowMs - stall.nowMs >= BAN_MS || stall.targetMs >= BOUNDS.ceilingMs / 1.1) continue;
        expect(later.targetMs).toBeGreaterThan(stall.targetMs);
      }
    });
  });

  it('stays within its bounds, and raises by a bounded factor', () => {
    const targets = steps.map(({ targetMs }) => targetMs);
    const factors = targets.map((targetMs, i) => targetMs / (targets[i - 1] ?? targetMs));
    expect(Math.min(...chunkLows(targets))).toBeGreaterThanOrEqual(BOUNDS.floorMs);
    expect(-Math.min(...chunkLows(targets.map((one) => -one)))).toBeLessThanOrEqual(BOUNDS.ceilingMs);
    expect(Math.min(...chunkLows(factors))).toBeGreaterThan(0.94);
    expect(-Math.min(...chunkLows(factors.map((one) => -one)))).toBeLessThan(1.41);
  });

  it('does not swing up and down: once it knows the network it seldom backs off', () => {
    const known = steps.filter(({ nowMs }) => nowMs > 10 * MINUTE_MS);
    const backoffs = (known.at(-1)?.state.backoffs ?? 0) - (known[0]?.state.backoffs ?? 0);
    expect(backoffs).toBeLessThanOrEqual(4);
  });
});

describe('the latency controller', () => {
  it('finds the floor of a calm network within a minute, and stays there', () => {
    const { steps, stalls } = play(calm, 5);
    expect(stalls).toEqual([]);
    const afterMinute = steps.filter(({ nowMs }) => nowMs > MINUTE_MS);
    expect(afterMinute.length).toBeGreaterThan(0);
    expect(afterMinute.filter(({ targetMs }) => targetMs !== BOUNDS.floorMs)).toEqual([]);
  });

  it('comes back to the floor after a bad minute', () => {
    const { steps, stalls } = play(recovering(bursts(3, 5000, 900), MINUTE_MS), 20);
    expect(stalls.length).toBeGreaterThan(0);
    expect(steps.at(-1)?.targetMs).toBe(BOUNDS.floorMs);
  });

  it('leaves alone a floor that the buffer does not bear', () => {
    // Media comes so late that 200 ms would leave less than the buffer that must be spare.
    const { steps, stalls } = play(() => 150, 5);
    expect(stalls).toEqual([]);
    expect(steps.at(-1)?.targetMs).toBeGreaterThanOrEqual(260);
    expect(steps.at(-1)?.targetMs).toBeLessThan(300);
  });

  it('raises at once after a stall, by two fifths, and once for stalls that come together', () => {
    let state = startLatency(BOUNDS, 0);
    state = decideTarget(state, reading(0, 300, true), BOUNDS, 10_000);
    expect(state.targetMs).toBe(420);
    state = decideTarget(state, reading(0, 300, true), BOUNDS, 11_000);
    expect(state.targetMs).toBe(420);
    state = decideTarget(state, reading(0, 420, true), BOUNDS, 15_000);
    expect(state.targetMs).toBeCloseTo(588);
    expect(state.backoffs).toBe(2);
  });

  it('raises by a little when the buffer is nearly dry, without a stall', () => {
    const state = decideTarget(startLatency(BOUNDS, 0), reading(40), BOUNDS, 10_000);
    expect(state.targetMs).toBe(345);
    expect(state.backoffs).toBe(1);
  });

  it('does not take the stalls of a player that has just begun, or jumped, for the network', () => {
    const state = startLatency(BOUNDS, 0);
    expect(decideTarget(state, reading(0, 300, true), BOUNDS, 1000).targetMs).toBe(300);
    const moved = decideTarget(state, { ...reading(0, 300, true), moved: true }, BOUNDS, 50_000);
    expect(decideTarget(moved, reading(0, 300, true), BOUNDS, 51_000).targetMs).toBe(300);
    expect(decideTarget(moved, reading(0, 300, true), BOUNDS, 54_000).targetMs).toBe(420);
  });

  it('does not come down while playback is not there yet, or the player does not know where it is', () => {
    let state = startLatency(BOUNDS, 0);
    for (let nowMs = 0; nowMs < MINUTE_MS; nowMs += STEP_MS) {
      state = decideTarget(state, reading(900, 1000), BOUNDS, nowMs);
      state = decideTarget(state, { ...reading(900), levelMs: undefined }, BOUNDS, nowMs);
    }
    expect(state.targetMs).toBe(300);
  });

  it('bans a level twice as long when it fails again', () => {
    let state = startLatency(BOUNDS, 0);
    state = decideTarget(state, reading(0, 300, true), BOUNDS, 10_000);
    expect(state.failed).toEqual([{ levelMs: 300, untilMs: 10_000 + BAN_MS, banMs: BAN_MS }]);
    const back = { ...state, targetMs: 290 };
    state = decideTarget(back, reading(0, 290, true), BOUNDS, 400_000);
    expect(state.failed).toEqual([{ levelMs: 300, untilMs: 400_000 + 2 * BAN_MS, banMs: 2 * BAN_MS }]);
  });
});

describe('bounds for a wished target', () => {
  it('begin at the wish, and let it be below the floor', () => {
    expect(boundsFrom(BOUNDS, undefined)).toBe(BOUNDS);
    expect(boundsFrom(BOUNDS, 150)).toEqual({ startMs: 150, floorMs: 150, ceilingMs: 4000 });
    expect(boundsFrom(BOUNDS, 900)).toEqual({ startMs: 900, floorMs: 200, ceilingMs: 4000 });
  });
});
