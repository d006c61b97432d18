/**
 * The rung controller: which rendition of a ladder a link can carry, for players that stand so near to the live edge
 * that they cannot know. They divide bytes by time; but a response that grows by a frame at a time takes as long as the
 * media lasts, on any link. What comes out is about the stream's own bit rate, and a player that goes by it may
 * stay on the lowest rung of any link.
 *
 * Two other things can be seen. *Lateness*: how far the newest media here is behind the live edge. It is even on a link
 * that carries the rung, and grows second by second on one that does not; by how fast it grows, what the link does
 * carry is known. And a *probe*: a piece of finished media, fetched as fast as it will come, before going up.
 *
 * Pure decisions, as in `latency-controller.ts`. Times in milliseconds, rates in bits a second.
 */

/** What the controller must know of a rendition; lists of them are best first. */
export interface Rung {
  readonly id: string;
  readonly bitrateBps: number;
}

/** All that the controller remembers. */
export interface RungState {
  /** The rung wanted now. */
  readonly rung: string | undefined;
  /** Lateness on an empty queue: the least seen, forgotten slowly. */
  readonly baseMs: number;
  readonly growth: Growth | undefined;
  /** Since when nothing was late. */
  readonly evenSinceMs: number | undefined;
  readonly changedAtMs: number;
  /** What the last rung was left for: going up was a trial that may turn out wrong. */
  readonly wentUpAtMs: number | undefined;
  readonly probeAtMs: number;
  readonly probePauseMs: number;
  readonly banned: readonly BannedRung[];
}

/** The link has been falling behind since. */
interface Growth {
  readonly sinceMs: number;
  readonly fromLateMs: number;
}

/** A rung that was tried and was too much. */
interface BannedRung {
  readonly id: string;
  readonly untilMs: number;
  readonly banMs: number;
}

/** What was seen since the last decision. */
export interface RungReading {
  /** How far the newest media here is behind the live edge; undefined while that is not known. */
  readonly lateMs: number | undefined;
}

/** What is to be done: go to a rung, or fetch a probe of about so many bytes and tell `onProbe`. */
export interface RungDecision {
  readonly state: RungState;
  /** The buffer will not last to the next segment: what is on its way is to be given up for the new rung. */
  readonly urgent: boolean;
  readonly probeBytes: number | undefined;
}

/** Later than the base by this much is late; by less than the other, even again. */
const LATE_MS = 160;
const EVEN_MS = 100;
/** Growing for so long, and by so much, is no hiccup. */
const GROWING_MS = 600;
const GROWN_MS = 150;
/** Arriving at less than this part of real time is growing. */
const ARRIVING = 0.95;
/** So late is too late, growing or not. */
const FAR_LATE_MS = 1000;
/** A link is used to this part, and no further. */
const USABLE = 0.8;
/** A decision needs so long to be seen: the segment that is on its way comes first. */
const SETTLE_MS = 3000;
/** Nothing late for so long before going up is thought of; less at the start, when the link is not known at all. */
const CALM_MS = 6000;
const CALM_AT_START_MS = 1000;
/** A probe that said no is not repeated before this; each further no doubles it. */
const PROBE_PAUSE_MS = 8000;
const LONGEST_PROBE_PAUSE_MS = 60_000;
/** A rung that had to be left so soon after going up to it was a mistake, and is not tried again for a while. */
const TRIAL_MS = 10_000;
const BAN_MS = 30_000;
const LONGEST_BAN_MS = 15 * 60_000;
/** Bytes of a probe: this much of the next rung, within bounds. */
const PROBE_SECONDS = 0.4;
const LEAST_PROBE_BYTES = 48_000;
const MOST_PROBE_BYTES = 400_000;
/** The base creeps up, so that a route that has become longer is not late for ever. */
const BASE_CREEP_PER_SECOND_MS = 2;

/** A link of which nothing is known yet is taken to carry so much: dash.js and Shaka begin with the same. */
const UNKNOWN_LINK_BPS = 1_000_000;

/** The rung to begin with, of a list best first. */
export function firstRung(rungs: readonly Rung[]): Rung | undefined {
  return rungs.find(({ bitrateBps }) => bitrateBps <= UNKNOWN_LINK_BPS) ?? rungs.at(-1);
}

/** The state to begin with, on the rung that the player began with. */
export function startRungs(rung: string | undefined, nowMs: number): RungState {
  return {
    rung,
    baseMs: Number.POSITIVE_INFINITY,
    growth: undefined,
    evenSinceMs: undefined,
    changedAtMs: nowMs - SETTLE_MS + CALM_AT_START_MS,
    wentUpAtMs: undefined,
    probeAtMs: nowMs + CALM_AT_START_MS,
    probePauseMs: PROBE_PAUSE_MS,
    banned: [],
  };
}

/** One step, some times a second. `sinceLastMs` is the time since the step before. */
export function decideRung(
  state: RungState,
  reading: RungReading,
  rungs: readonly Rung[],
  nowMs: number,
  sinceLastMs: number,
): RungDecision {
  const { lateMs } = reading;
  const at = rungs.findIndex(({ id }) => id === state.rung);
  if (lateMs === undefined || at < 0) return stay(state);
  const seen = observe(state, lateMs, nowMs, sinceLastMs);
  if (nowMs - seen.changedAtMs < SETTLE_MS) return stay({ ...seen, growth: undefined });
  const carriedBps = carriedWhileGrowing(seen, lateMs, rungs[at]?.bitrateBps ?? 0, nowMs);
  if (carriedBps !== undefined) {
    return { ...stay(goDown(seen, rungs, at, carriedBps, nowMs)), urgent: true };
  }
  return { ...stay(seen), probeBytes: probeBytesFor(seen, rungs, at, nowMs) };
}

/** The probe that `decideRung` asked for was begun: none other until its end is told to `onProbe`. */
export function probeBegan(state: RungState): RungState {
  return { ...state, probeAtMs: Number.POSITIVE_INFINITY };
}

/**
 * The next state after a probe. `probeBps` is what the probe got beside the stream that went on: the link carries both.
 * Undefined is a probe that came to nothing.
 */
export function onProbe(
  state: RungState,
  probeBps: number | undefined,
  rungs: readonly Rung[],
  nowMs: number,
): RungState {
  const at = rungs.findIndex(({ id }) => id === state.rung);
  const linkBps = (probeBps ?? 0) + (rungs[at]?.bitrateBps ?? 0);
  const best = rungs
    .slice(0, Math.max(0, at))
    .find((rung) => rung.bitrateBps <= linkBps * USABLE && !isBanned(state, rung.id, nowMs));
  if (!best || probeBps === undefined || state.evenSinceMs === undefined) {
    const probePauseMs = Math.min(LONGEST_PROBE_PAUSE_MS, state.probePauseMs * 2);
    return { ...state, probeAtMs: nowMs + state.probePauseMs, probePauseMs };
  }
  return {
    ...state,
    rung: best.id,
    growth: undefined,
    evenSinceMs: undefined,
    changedAtMs: nowMs,
    wentUpAtMs: nowMs,
    probeAtMs: nowMs + PROBE_PAUSE_MS,
    probePauseMs: PROBE_PAUSE_MS,
  };
}

function stay(state: RungState): RungDecision {
  return { state, urgent: false, probeBytes: undefined };
}

function observe(state: RungState, lateMs: number, nowMs: number, sinceLastMs: number): RungState {
  const crept = state.baseMs + (BASE_CREEP_PER_SECOND_MS * sinceLastMs) / 1000;
  const baseMs = Math.min(crept, lateMs);
  const queueMs = lateMs - baseMs;
  if (queueMs < EVEN_MS)
    return { ...state, baseMs, growth: undefined, evenSinceMs: state.evenSinceMs ?? nowMs };
  if (queueMs < LATE_MS) return { ...state, baseMs };
  // From where it began to be late; from where it is now whenever it gets better.
  const { growth } = state;
  const goesOn = growth !== undefined && lateMs > growth.fromLateMs;
  return {
    ...state,
    baseMs,
    evenSinceMs: undefined,
    growth: goesOn ? growth : { sinceMs: nowMs, fromLateMs: lateMs },
  };
}

/** What the link carries, while it carries less than the rung; undefined when it is not seen to. */
function carriedWhileGrowing(
  { growth, baseMs }: RungState,
  lateMs: number,
  rungBps: number,
  nowMs: number,
): number | undefined {
  if (growth === undefined || nowMs - growth.sinceMs < GROWING_MS) return undefined;
  const grownMs = lateMs - growth.fromLateMs;
  const arriving = 1 - grownMs / (nowMs - growth.sinceMs);
  const growing = grownMs >= GROWN_MS && arriving < ARRIVING;
  if (!growing && lateMs - baseMs < FAR_LATE_MS) return undefined;
  return Math.min(1, Math.max(0, arriving)) * rungBps;
}

function goDown(
  state: RungState,
  rungs: readonly Rung[],
  at: number,
  carriedBps: number,
  nowMs: number,
): RungState {
  const lower = rungs.slice(at + 1);
  const next = lower.find((rung) => rung.bitrateBps <= carriedBps * USABLE) ?? lower.at(-1);
  if (!next) return { ...state, growth: undefined };
  const tried = state.wentUpAtMs !== undefined && nowMs - state.wentUpAtMs < TRIAL_MS;
  return {
    ...state,
    rung: next.id,
    growth: undefined,
    evenSinceMs: undefined,
    changedAtMs: nowMs,
    wentUpAtMs: undefined,
    banned: tried ? ban(state.banned, state.rung ?? '', nowMs) : state.banned,
    probeAtMs: nowMs + PROBE_PAUSE_MS,
    probePauseMs: PROBE_PAUSE_MS,
  };
}

function ban(banned: readonly BannedRung[], id: string, nowMs: number): readonly BannedRung[] {
  const before = banned.find((one) => one.id === id);
  const banMs = Math.min(LONGEST_BAN_MS, before ? before.banMs * 2 : BAN_MS);
  return [...banned.filter((one) => one.id !== id), { id, untilMs: nowMs + banMs, banMs }];
}

function isBanned({ banned }: RungState, id: string, nowMs: number): boolean {
  return banned.some((one) => one.id === id && nowMs < one.untilMs);
}

function probeBytesFor(
  state: RungState,
  rungs: readonly Rung[],
  at: number,
  nowMs: number,
): number | undefined {
  const wanted = rungs.slice(0, at).findLast((rung) => !isBanned(state, rung.id, nowMs));
  if (!wanted || nowMs < state.probeAtMs || state.evenSinceMs === undefined) return undefined;
  const known = state.wentUpAtMs !== undefined || state.banned.length > 0;
  if (nowMs - state.evenSinceMs < (known ? CALM_MS : CALM_AT_START_MS)) return undefined;
  const bytes = (wanted.bitrateBps * PROBE_SECONDS) / 8;
  return Math.min(MOST_PROBE_BYTES, Math.max(LEAST_PROBE_BYTES, Math.round(bytes)));
}
