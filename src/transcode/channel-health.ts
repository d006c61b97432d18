import type { ErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { SessionEnd } from './encoder-session.ts';
import { planRestart } from './restart-policy.ts';
import { overloadDelayMs } from './shed-policy.ts';
import type { RestartReason, TranscodeMetrics } from './transcode-metrics.ts';

export interface HealthDeps {
  readonly log: Logger;
  readonly metrics: TranscodeMetrics;
  readonly random: () => number;
}

const CODES: Readonly<Partial<Record<RestartReason, ErrorCode>>> = {
  exited: 'TRANSCODE_ENCODER_EXITED',
  hung: 'TRANSCODE_ENCODER_HUNG',
  malformed: 'TRANSCODE_OUTPUT_MALFORMED',
};

/**
 * The account of how one channel's encoders fare: what failed, when to try again, and whether the stream has to go
 * out without rungs meanwhile. Each failure is a log line, but for those that only repeat what is known.
 */
export class ChannelHealth {
  readonly #deps: HealthDeps;
  #failures = 0;
  #overloads = 0;
  #restarts = 0;
  #degraded = false;
  #lastCode: ErrorCode | undefined;

  constructor(deps: HealthDeps) {
    this.#deps = deps;
  }

  /** The stream goes out without rungs until an encoder has shown that it runs. */
  get degraded(): boolean {
    return this.#degraded;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** Why nothing is encoded, or why the last encoder was replaced. */
  get lastCode(): ErrorCode | undefined {
    return this.#lastCode;
  }

  /** An encoder is replaced. */
  replaced(reason: RestartReason): void {
    this.#restarts++;
    this.#deps.metrics.restarted(reason);
  }

  /** An encoder failed; gives the time until the next is tried. The channel may be degraded then. */
  failed(end: SessionEnd, reason: RestartReason): number {
    const missing = end.exit.kind === 'missing';
    const plan = planRestart(this.#failures, { ranMs: end.ranMs, missing }, this.#deps.random());
    this.#failures = plan.failures;
    const code = missing ? 'TRANSCODE_FFMPEG_MISSING' : (CODES[reason] ?? 'INTERNAL');
    const retryMs = Math.round(plan.delayMs);
    const fields = { code, exit: end.exit, lines: end.lines, failures: plan.failures, retryMs };
    const isKnown = this.#degraded && this.#lastCode === code;
    if (isKnown) this.#deps.log.debug(fields, 'encoder failed again');
    else this.#deps.log.warn(fields, 'encoder failed');
    this.#lastCode = code;
    if (plan.degraded) this.#degrade();
    return plan.delayMs;
  }

  /** A rung was too slow; `left` others go on. Without any the channel is degraded. */
  tooSlow(rung: string | undefined, left: number, lagMs: number): void {
    this.#lastCode = 'TRANSCODE_TOO_SLOW';
    const fields = { code: this.#lastCode, rung, left, lagMs: Math.round(lagMs) };
    this.#deps.log.warn(fields, 'encoder too slow, rung left out');
    if (left === 0) this.#degrade();
  }

  /** All rungs were too slow; gives the time until the lowest is tried again. */
  overloaded(): number {
    return overloadDelayMs(this.#overloads++);
  }

  /** There is no room among the other streams. */
  refused(reason: string | undefined): void {
    this.#lastCode = 'TRANSCODE_NO_ROOM';
    this.#deps.log.warn({ code: this.#lastCode, reason }, 'no room to encode this stream');
  }

  /** Room was found. */
  admitted(): void {
    this.#lastCode = undefined;
  }

  /** A rung that was too slow is tried again. */
  triedAgain(rung: string): void {
    this.#overloads = 0;
    this.#deps.log.info({ rung }, 'rung tried again');
  }

  /** An encoder has shown that it runs. */
  recovered(rungs: readonly string[]): void {
    this.#degraded = false;
    this.#lastCode = undefined;
    this.#deps.log.info({ rungs }, 'encoding goes on');
  }

  #degrade(): void {
    if (this.#degraded) return;
    this.#degraded = true;
    this.#deps.log.warn({ code: this.#lastCode }, 'encoding stopped, the source goes out alone');
  }
}
