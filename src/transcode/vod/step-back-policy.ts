import type { ChannelState } from '../transcode-metrics.ts';
import type { StepBackReason } from './work-metrics.ts';

/** What is looked at of a live stream's encoder; the farm's status has it. */
export interface LiveChannel {
  readonly state: ChannelState;
  /** Rungs left out because encoding was too slow. */
  readonly shed: readonly unknown[];
  readonly lagMs: number;
}

export interface StepBackLimits {
  /** Live encoding that is so far behind needs the machine. */
  readonly lagMs: number;
  /** So long nothing must be wanting before titles go on. */
  readonly quietMs: number;
  /** What that grows to where titles do harm every time they go on. */
  readonly maxQuietMs: number;
  /** A start that takes longer waits for something else than the CPU. */
  readonly longestStartMs: number;
  /** A rung that is left out for longer, while titles wait, is too much for this machine without them. */
  readonly longestShedMs: number;
}

export const STEP_BACK_LIMITS: StepBackLimits = {
  lagMs: 300,
  quietMs: 5000,
  maxQuietMs: 60_000,
  longestStartMs: 15_000,
  longestShedMs: 90_000,
};

export interface StepBackState {
  readonly held: boolean;
  /** Since when nothing has been wanting; only while held. */
  readonly quietSinceMs: number | undefined;
  /** Since when encoders have been starting without a pause. */
  readonly startingSinceMs: number | undefined;
  /** Since when rungs have been left out. */
  readonly shedSinceMs: number | undefined;
  readonly quietMs: number;
  readonly releasedAtMs: number | undefined;
}

export function workingOn(limits: StepBackLimits): StepBackState {
  return {
    held: false,
    quietSinceMs: undefined,
    startingSinceMs: undefined,
    shedSinceMs: undefined,
    quietMs: limits.quietMs,
    releasedAtMs: undefined,
  };
}

/** What is to be done with the work on titles. */
export type StepBackAction =
  | { readonly kind: 'hold'; readonly reason: StepBackReason }
  | { readonly kind: 'release' };

export interface StepBackDecision {
  readonly state: StepBackState;
  readonly action: StepBackAction | undefined;
}

/**
 * Live outranks titles: while it starts encoders, is behind, or had to leave rungs out, work on titles is held up. It goes
 * on when nothing has been wanting for a while; a longer one each time that it had to stop again soon.
 */
export function decideStepBack(
  state: StepBackState,
  channels: readonly LiveChannel[],
  nowMs: number,
  limits: StepBackLimits,
): StepBackDecision {
  const next = {
    ...state,
    startingSinceMs: since(
      channels.some((channel) => channel.state === 'starting'),
      state.startingSinceMs,
      nowMs,
    ),
    shedSinceMs: since(
      channels.some(({ shed }) => shed.length > 0),
      state.shedSinceMs,
      nowMs,
    ),
  };
  const reason = needOf(channels, next, nowMs, limits);
  if (reason !== undefined) return needed(next, reason, nowMs, limits);
  if (!state.held) return { state: next, action: undefined };
  const quietSinceMs = state.quietSinceMs ?? nowMs;
  if (nowMs - quietSinceMs < state.quietMs) return { state: { ...next, quietSinceMs }, action: undefined };
  return {
    state: { ...next, held: false, quietSinceMs: undefined, releasedAtMs: nowMs },
    action: { kind: 'release' },
  };
}

function since(holds: boolean, sinceMs: number | undefined, nowMs: number): number | undefined {
  return holds ? (sinceMs ?? nowMs) : undefined;
}

function needOf(
  channels: readonly LiveChannel[],
  { startingSinceMs, shedSinceMs }: StepBackState,
  nowMs: number,
  limits: StepBackLimits,
): StepBackReason | undefined {
  if (channels.some(({ lagMs }) => lagMs > limits.lagMs)) return 'lag';
  if (shedSinceMs !== undefined && nowMs - shedSinceMs < limits.longestShedMs) return 'shed';
  const isStarting = startingSinceMs !== undefined && nowMs - startingSinceMs < limits.longestStartMs;
  return isStarting ? 'starting' : undefined;
}

function needed(
  state: StepBackState,
  reason: StepBackReason,
  nowMs: number,
  { quietMs, maxQuietMs }: StepBackLimits,
): StepBackDecision {
  if (state.held) return { state: { ...state, quietSinceMs: undefined }, action: undefined };
  // A stream that starts is nobody's fault. Being slow so soon after titles went on is theirs.
  const isRelapse =
    reason !== 'starting' && state.releasedAtMs !== undefined && nowMs - state.releasedAtMs < 2 * maxQuietMs;
  const nextQuietMs = isRelapse ? Math.min(maxQuietMs, state.quietMs * 2) : quietMs;
  return {
    state: { ...state, held: true, quietSinceMs: undefined, quietMs: nextQuietMs },
    action: { kind: 'hold', reason },
  };
}
