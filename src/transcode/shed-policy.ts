/** What the policy remembers of a channel. Times monotonic, milliseconds. */
export interface ShedState {
  /** Rungs left out, the most expensive ones. */
  readonly shed: number;
  /** Since when the lag is over the limit, and how large it was then; undefined while it is not. */
  readonly over: { readonly sinceMs: number; readonly lagMs: number } | undefined;
  /** Since when the lag is well below the limit; undefined while it is not. */
  readonly calmSinceMs: number | undefined;
  /** How long it must be calm before a rung is tried again. */
  readonly calmMs: number;
  /** When a rung was last tried again. */
  readonly restoredAtMs: number | undefined;
}

export type ShedDecision = 'keep' | 'shed' | 'restore';

/** A lag has to stay over the limit for so long without getting better. */
const PATIENCE_MS = 1500;
/** Less than this is no getting better. */
const BETTER = 0.9;
/** Below this share of the limit all is calm. */
const CALM = 0.25;
const FIRST_CALM_MS = 30_000;
const MAX_CALM_MS = 30 * 60_000;
/** A rung that had to go again so soon after it was tried was tried too early. */
const TRIAL_MS = 60_000;

export const NOTHING_SHED: ShedState = {
  shed: 0,
  over: undefined,
  calmSinceMs: undefined,
  calmMs: FIRST_CALM_MS,
  restoredAtMs: undefined,
};

/**
 * Decides on one look at the lag whether the top rung goes, or one that went is tried again. An encoder that is behind
 * but catching up, as after a restart, is left alone. Each trial that fails doubles the time to the next.
 */
export function observeLag(
  state: ShedState,
  lagMs: number,
  maxLagMs: number,
  nowMs: number,
): { readonly state: ShedState; readonly decision: ShedDecision } {
  if (lagMs > maxLagMs) return observeOver(state, lagMs, nowMs);
  const calmSinceMs = lagMs <= maxLagMs * CALM ? (state.calmSinceMs ?? nowMs) : undefined;
  const next = { ...state, over: undefined, calmSinceMs };
  const calmEnough = calmSinceMs !== undefined && nowMs - calmSinceMs >= state.calmMs;
  if (state.shed === 0 || !calmEnough) return { state: next, decision: 'keep' };
  return {
    state: { ...next, shed: next.shed - 1, calmSinceMs: undefined, restoredAtMs: nowMs },
    decision: 'restore',
  };
}

function observeOver(
  state: ShedState,
  lagMs: number,
  nowMs: number,
): { readonly state: ShedState; readonly decision: ShedDecision } {
  const begun = { ...state, calmSinceMs: undefined, over: { sinceMs: nowMs, lagMs } };
  if (!state.over) return { state: begun, decision: 'keep' };
  if (nowMs - state.over.sinceMs < PATIENCE_MS) {
    return { state: { ...state, calmSinceMs: undefined }, decision: 'keep' };
  }
  if (lagMs < state.over.lagMs * BETTER) return { state: begun, decision: 'keep' };
  const tooEarly = state.restoredAtMs !== undefined && nowMs - state.restoredAtMs < TRIAL_MS;
  const calmMs = tooEarly ? Math.min(MAX_CALM_MS, state.calmMs * 2) : state.calmMs;
  return {
    state: { ...state, shed: state.shed + 1, over: undefined, calmSinceMs: undefined, calmMs },
    decision: 'shed',
  };
}

/** All rungs were too slow: the lowest is tried again after this, and twice as long after each time it failed. */
const OVERLOAD_MS = 30_000;
const MAX_OVERLOAD_MS = 30 * 60_000;

/** How long to wait before the lowest rung is tried again, after it failed so many times in a row. */
export function overloadDelayMs(overloads: number): number {
  return Math.min(MAX_OVERLOAD_MS, OVERLOAD_MS * 2 ** Math.min(overloads, 20));
}
