import { describe, expect, it } from 'vitest';
import {
  decideStepBack,
  type LiveChannel,
  STEP_BACK_LIMITS as LIMITS,
  type StepBackAction,
  type StepBackState,
  workingOn,
} from './step-back-policy.ts';

const WELL: LiveChannel = { state: 'running', shed: [], lagMs: 50 };
const SLOW: LiveChannel = { ...WELL, lagMs: LIMITS.lagMs + 1 };
const SHED: LiveChannel = { ...WELL, shed: ['720p'] };
const STARTING: LiveChannel = { ...WELL, state: 'starting' };

/** Looks every 100 ms, and tells when something was to be done. */
class Looks {
  state: StepBackState = workingOn(LIMITS);
  nowMs = 0;

  /** Gives what was decided within the time, with when. */
  during(ms: number, ...channels: LiveChannel[]): (StepBackAction & { readonly atMs: number })[] {
    const actions = [];
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs += 100) {
      const decision = decideStepBack(this.state, channels, this.nowMs, LIMITS);
      this.state = decision.state;
      if (decision.action) actions.push({ ...decision.action, atMs: this.nowMs });
    }
    return actions;
  }
}

describe('the policy of stepping back', () => {
  it('lets titles go on while no live stream is short of anything', () => {
    const looks = new Looks();
    expect(looks.during(60_000)).toEqual([]);
    expect(looks.during(60_000, WELL, { ...WELL, state: 'off' }, { ...WELL, state: 'degraded' })).toEqual([]);
  });

  it.each([
    { what: 'is behind', channel: SLOW, reason: 'lag' },
    { what: 'had to leave a rung out', channel: SHED, reason: 'shed' },
    { what: 'starts', channel: STARTING, reason: 'starting' },
  ])('holds titles up at once when a stream $what', ({ channel, reason }) => {
    expect(new Looks().during(100, WELL, channel)).toEqual([{ kind: 'hold', reason, atMs: 0 }]);
  });

  it('lets them go on when nothing was wanting for a while, counted from the last want', () => {
    const looks = new Looks();
    looks.during(100, SLOW);
    expect(looks.during(LIMITS.quietMs - 100, WELL)).toEqual([]);
    expect(looks.during(100, SLOW)).toEqual([]);
    expect(looks.during(LIMITS.quietMs, WELL)).toEqual([]);
    expect(looks.during(200, WELL)).toEqual([{ kind: 'release', atMs: 2 * LIMITS.quietMs + 100 }]);
  });

  it('waits longer each time that live is short again soon, up to a limit', () => {
    const looks = new Looks();
    const waits = Array.from({ length: 6 }, () => {
      const [hold] = looks.during(100, SLOW);
      const [release] = looks.during(2 * LIMITS.maxQuietMs, WELL);
      // It went on for long, but not for long enough to be another story.
      return (release?.atMs ?? 0) - (hold?.atMs ?? 0) - 100;
    });
    expect(waits).toEqual([5000, 10_000, 20_000, 40_000, 60_000, 60_000]);
  });

  it('forgets that after a long time without', () => {
    const looks = new Looks();
    for (let time = 0; time < 3; time++) {
      looks.during(100, SLOW);
      looks.during(LIMITS.maxQuietMs, WELL);
    }
    looks.during(3 * LIMITS.maxQuietMs, WELL);
    looks.during(100, SLOW);
    expect(looks.state.quietMs).toBe(LIMITS.quietMs);
  });

  it('does not blame titles for a stream that starts', () => {
    const looks = new Looks();
    looks.during(100, SLOW);
    looks.during(LIMITS.quietMs + 200, WELL);
    looks.during(100, STARTING);
    expect(looks.state).toMatchObject({ held: true, quietMs: LIMITS.quietMs });
  });

  it('does not wait for a stream that starts and starts', () => {
    const looks = new Looks();
    looks.during(100, STARTING);
    expect(looks.during(LIMITS.longestStartMs + LIMITS.quietMs, STARTING)).toMatchObject([
      { kind: 'release' },
    ]);
  });

  it('does not wait for a rung that this machine is too slow for anyway, but still for lag', () => {
    const looks = new Looks();
    looks.during(100, SHED);
    expect(looks.during(LIMITS.longestShedMs + LIMITS.quietMs, SHED)).toMatchObject([{ kind: 'release' }]);
    expect(looks.during(100, { ...SHED, lagMs: LIMITS.lagMs + 1 })).toMatchObject([
      { kind: 'hold', reason: 'lag' },
    ]);
  });
});
