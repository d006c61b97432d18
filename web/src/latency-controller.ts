/**
 * The latency controller: how far behind the live edge a player should stay on this network, found out by watching it.
 *
 * Pure decisions: nothing here knows a player, a clock or a timer. `LatencyKeeper` reads the video element, asks here
 * and acts; docs/low-latency.md explains the rules and how to take them into another page. All times in milliseconds.
 *
 * A *level* is what the player holds: its delay behind the live edge (dash.js, Shaka) or the least media in its buffer
 * (hls.js).
 */

/** Where a player's level may lie. */
export interface LatencyBounds {
  readonly startMs: number;
  /** Below, the player itself does not keep going, whatever the network. */
  readonly floorMs: number;
  readonly ceilingMs: number;
}

/** Bounds where a target was wished for: it is where to begin, and the floor when it is below. */
export function boundsFrom(bounds: LatencyBounds, wishedMs: number | undefined): LatencyBounds {
  if (wishedMs === undefined) return bounds;
  const { floorMs, ceilingMs } = bounds;
  return {
    startMs: wishedMs,
    floorMs: Math.min(floorMs, wishedMs),
    ceilingMs: Math.max(ceilingMs, wishedMs),
  };
}

/** A level that did not hold. */
export interface FailedLevel {
  readonly levelMs: number;
  /** Not to be tried again before. */
  readonly untilMs: number;
  /** How long it was banned; twice as long when it fails again. */
  readonly banMs: number;
}

/** All that the controller remembers. */
export interface LatencyState {
  readonly targetMs: number;
  /** Times the target was raised. */
  readonly backoffs: number;
  readonly failed: readonly FailedLevel[];
  /** When playback began, or was moved by a seek. */
  readonly movedAtMs: number;
  /** When the target was last changed. */
  readonly changedAtMs: number;
  readonly troubleAtMs: number | undefined;
  readonly dips: Dips;
}

/** The deepest that the buffer fell below the target, in this half minute and in the one before. */
interface Dips {
  readonly sinceMs: number;
  readonly deepestMs: number;
  readonly beforeMs: number;
}

/** What happened to playback since the last decision. */
export interface LatencyReading {
  /** Media ahead of the playhead. */
  readonly bufferMs: number;
  /** Where playback is now; undefined while the player does not know. */
  readonly levelMs: number | undefined;
  /** Playback ran dry. */
  readonly stalled: boolean;
  /** Playback began, was moved by a seek or switched renditions: for a while, what is read says nothing of the network. */
  readonly moved: boolean;
}

/** After a change of target, or a stall, playback needs this long to show what the new level is worth. */
export const SETTLE_MS = 3000;

/** Raised by so much when playback ran dry … */
const STALL_FACTOR = 1.4;
const STALL_STEP_MS = 60;
/** … and by so much when it only came near to it. */
const NEAR_FACTOR = 1.15;
const NEAR_STEP_MS = 20;
/** Less buffer than this is near. Not nought: Chromium stalls with 80 ms buffered, its sound wants that much. */
const NEAR_MS = 60;

/** Lowered by so much at a time, while nothing happens. */
const CALM_FACTOR = 0.95;
const CALM_STEP_MS = 10;
/** How long nothing must happen: before any trouble the floor is looked for quickly, after it with care. */
const CALM_FRESH_MS = 4000;
const CALM_TROUBLED_MS = 12_000;
/** Buffer that the step must leave, by the deepest dips of late. */
const SPARE_MS = 110;
const DIPS_MS = 30_000;
/** Further above the target than this, playback is still on its way, and its buffer says nothing of the target. */
const ARRIVED_FACTOR = 1.1;
const ARRIVED_MS = 60;

/** A failed level is not tried again for this long; each further failure doubles it. */
export const BAN_MS = 3 * 60_000;
const LONGEST_BAN_MS = 60 * 60_000;
/** Levels this near to a failed one are the same level. */
const SAME_LEVEL = 1.1;
const MOST_FAILED = 8;

/** The state to begin with. */
export function startLatency(bounds: LatencyBounds, nowMs: number): LatencyState {
  return {
    targetMs: clamp(bounds.startMs, bounds),
    backoffs: 0,
    failed: [],
    movedAtMs: nowMs,
    changedAtMs: nowMs,
    troubleAtMs: undefined,
    dips: noDips(nowMs),
  };
}

/** The next state, with the target to hold from now on; the same object when there is nothing new. */
export function decideTarget(
  state: LatencyState,
  reading: LatencyReading,
  bounds: LatencyBounds,
  nowMs: number,
): LatencyState {
  if (reading.moved) return { ...state, movedAtMs: nowMs, dips: noDips(nowMs) };
  if (reading.stalled) return onStall(state, bounds, nowMs);
  if (nowMs - latestOf(state) < SETTLE_MS) return state;
  if (reading.bufferMs < NEAR_MS) return raise(state, bounds, nowMs, NEAR_FACTOR, NEAR_STEP_MS);
  if (!hasArrived(state, reading)) return state;
  const seen = { ...state, dips: dipsWith(state.dips, state.targetMs - reading.bufferMs, nowMs) };
  return mayLower(seen, bounds, nowMs) ? lower(seen, bounds, nowMs) : seen;
}

/**
 * Stalls close together are one trouble: the raise that answers it has had no time to help yet. Those of a player that
 * has just begun, or jumped, and still looks for its place are none.
 */
function onStall(state: LatencyState, bounds: LatencyBounds, nowMs: number): LatencyState {
  const { troubleAtMs, movedAtMs } = state;
  if (nowMs - movedAtMs < SETTLE_MS) return state;
  if (troubleAtMs !== undefined && nowMs - troubleAtMs < SETTLE_MS) return { ...state, troubleAtMs: nowMs };
  return raise(state, bounds, nowMs, STALL_FACTOR, STALL_STEP_MS);
}

function raise(
  state: LatencyState,
  bounds: LatencyBounds,
  nowMs: number,
  factor: number,
  stepMs: number,
): LatencyState {
  const targetMs = clamp(Math.max(state.targetMs * factor, state.targetMs + stepMs), bounds);
  return {
    ...state,
    targetMs,
    backoffs: state.backoffs + (targetMs > state.targetMs ? 1 : 0),
    failed: remember(state.failed, state.targetMs, nowMs),
    changedAtMs: nowMs,
    troubleAtMs: nowMs,
  };
}

function mayLower(state: LatencyState, bounds: LatencyBounds, nowMs: number): boolean {
  const calmMs = state.troubleAtMs === undefined ? CALM_FRESH_MS : CALM_TROUBLED_MS;
  if (nowMs - latestOf(state) < calmMs) return false;
  const nextMs = stepDown(state.targetMs, bounds);
  const dipMs = Math.max(state.dips.deepestMs, state.dips.beforeMs);
  if (nextMs === state.targetMs || nextMs - dipMs < SPARE_MS) return false;
  return !state.failed.some(({ levelMs, untilMs }) => nowMs < untilMs && nextMs <= levelMs * SAME_LEVEL);
}

function hasArrived({ targetMs }: LatencyState, { levelMs }: LatencyReading): boolean {
  return levelMs !== undefined && levelMs <= targetMs * ARRIVED_FACTOR + ARRIVED_MS;
}

function lower(state: LatencyState, bounds: LatencyBounds, nowMs: number): LatencyState {
  return {
    ...state,
    targetMs: stepDown(state.targetMs, bounds),
    changedAtMs: nowMs,
  };
}

function noDips(nowMs: number): Dips {
  return { sinceMs: nowMs, deepestMs: Number.NEGATIVE_INFINITY, beforeMs: Number.NEGATIVE_INFINITY };
}

function dipsWith(dips: Dips, dipMs: number, nowMs: number): Dips {
  if (nowMs - dips.sinceMs >= DIPS_MS) return { sinceMs: nowMs, deepestMs: dipMs, beforeMs: dips.deepestMs };
  return dipMs > dips.deepestMs ? { ...dips, deepestMs: dipMs } : dips;
}

function remember(failed: readonly FailedLevel[], levelMs: number, nowMs: number): readonly FailedLevel[] {
  const same = failed.filter((one) => isSameLevel(one.levelMs, levelMs));
  const longestMs = Math.max(0, ...same.map((one) => one.banMs));
  const banMs = Math.min(LONGEST_BAN_MS, Math.max(BAN_MS, longestMs * 2));
  const others = failed.filter((one) => !same.includes(one));
  // Of levels as near as that the highest stands for all.
  const highestMs = Math.max(levelMs, ...same.map((one) => one.levelMs));
  return [...others.slice(-(MOST_FAILED - 1)), { levelMs: highestMs, untilMs: nowMs + banMs, banMs }];
}

function isSameLevel(oneMs: number, otherMs: number): boolean {
  return Math.max(oneMs, otherMs) <= Math.min(oneMs, otherMs) * SAME_LEVEL;
}

function stepDown(targetMs: number, { floorMs }: LatencyBounds): number {
  return Math.max(floorMs, Math.min(targetMs * CALM_FACTOR, targetMs - CALM_STEP_MS));
}

function latestOf({ movedAtMs, changedAtMs, troubleAtMs }: LatencyState): number {
  return Math.max(movedAtMs, changedAtMs, troubleAtMs ?? changedAtMs);
}

function clamp(levelMs: number, { floorMs, ceilingMs }: LatencyBounds): number {
  return Math.min(ceilingMs, Math.max(floorMs, levelMs));
}
