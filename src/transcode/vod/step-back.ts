import { every, type Clock, type Timer } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { JobWorker } from '../../state/job-queue.ts';
import {
  decideStepBack,
  type LiveChannel,
  STEP_BACK_LIMITS,
  type StepBackLimits,
  type StepBackState,
  workingOn,
} from './step-back-policy.ts';
import type { WorkMetrics } from './work-metrics.ts';
import type { WorkProcesses } from './work-processes.ts';

/** How live encoding on this machine fares; the encoder farm is one that can say. */
export interface LiveLoad {
  status(): readonly LiveChannel[];
}

export interface StepBackDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: WorkMetrics;
  readonly live: LiveLoad;
  readonly processes: Pick<WorkProcesses, 'hold' | 'release'>;
  readonly worker: Pick<JobWorker, 'setConcurrency'>;
  /** Jobs at once while nothing is in the way. */
  readonly slots: number;
  readonly limits?: StepBackLimits | undefined;
}

const LOOK_MS = 200;

/** Holds work on titles up while live encoding needs the machine: what runs is stopped where it is, nothing is begun. */
export class StepBack {
  readonly #deps: StepBackDeps;
  readonly #limits: StepBackLimits;
  readonly #look: Timer;
  #state: StepBackState;
  #lookedAtMs: number;

  constructor(deps: StepBackDeps) {
    this.#deps = deps;
    this.#limits = deps.limits ?? STEP_BACK_LIMITS;
    this.#state = workingOn(this.#limits);
    this.#lookedAtMs = deps.clock.monotonicMs();
    this.#look = every(deps.clock, LOOK_MS, () => this.#lookAtLive());
  }

  get held(): boolean {
    return this.#state.held;
  }

  /** Lets everything go on. Idempotent. */
  close(): void {
    this.#look.cancel();
    if (!this.#state.held) return;
    this.#state = workingOn(this.#limits);
    this.#deps.metrics.held.set(0);
    this.#deps.processes.release();
  }

  #lookAtLive(): void {
    const { clock, live, log, metrics, processes, worker, slots } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (this.#state.held) metrics.heldSeconds.inc((nowMs - this.#lookedAtMs) / 1000);
    this.#lookedAtMs = nowMs;
    const { state, action } = decideStepBack(this.#state, live.status(), nowMs, this.#limits);
    this.#state = state;
    if (action?.kind === 'hold') {
      worker.setConcurrency(0);
      processes.hold();
      metrics.steppedBack(action.reason);
      log.info({ reason: action.reason, quietMs: state.quietMs }, 'titles wait for live encoding');
    } else if (action?.kind === 'release') {
      processes.release();
      worker.setConcurrency(slots);
      metrics.held.set(0);
      log.info({}, 'work on titles goes on');
    }
  }
}
