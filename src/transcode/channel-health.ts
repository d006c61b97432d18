import type { ErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { EncoderEnd } from './encoder-process.ts';
import { FailureAccount } from './failure-account.ts';
import { overloadDelayMs } from './shed-policy.ts';
import type { RestartReason, TranscodeMetrics } from './transcode-metrics.ts';

export interface HealthDeps {
  readonly log: Logger;
  readonly metrics: TranscodeMetrics;
  readonly random: () => number;
}

/**
 * How one channel's encoders fare: what failed or was too slow, when to try again, and whether the stream has to go out
 * without rungs meanwhile.
 */
export class ChannelHealth {
  readonly #deps: HealthDeps;
  readonly #account: FailureAccount;
  #overloads = 0;
  #restarts = 0;

  constructor(deps: HealthDeps) {
    this.#deps = deps;
    this.#account = new FailureAccount('encoder', deps);
  }

  /** The stream goes out without rungs until an encoder has shown that it runs. */
  get degraded(): boolean {
    return this.#account.degraded;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** Why nothing is encoded, or why the last encoder was replaced. */
  get lastCode(): ErrorCode | undefined {
    return this.#account.lastCode;
  }

  /** An encoder is replaced. */
  replaced(reason: RestartReason): void {
    this.#restarts++;
    this.#deps.metrics.restarted(reason);
  }

  /** An encoder failed; gives the time until the next is tried. The channel may be degraded then. */
  failed(end: EncoderEnd, reason: RestartReason): number {
    const plan = this.#account.failed(end, reason);
    if (plan.degraded) this.#degrade();
    return plan.delayMs;
  }

  /** A rung was too slow; `left` others go on. Without any the channel is degraded. */
  tooSlow(rung: string | undefined, left: number, lagMs: number): void {
    const code = 'TRANSCODE_TOO_SLOW';
    this.#account.note(code);
    const fields = { code, rung, left, lagMs: Math.round(lagMs) };
    this.#deps.log.warn(fields, 'encoder too slow, rung left out');
    if (left === 0) this.#degrade();
  }

  /** All rungs were too slow; gives the time until the lowest is tried again. */
  overloaded(): number {
    return overloadDelayMs(this.#overloads++);
  }

  /** There is no room among the other streams. */
  refused(reason: string | undefined): void {
    const code = 'TRANSCODE_NO_ROOM';
    this.#account.note(code);
    this.#deps.log.warn({ code, reason }, 'no room to encode this stream');
  }

  /** Room was found. */
  admitted(): void {
    this.#account.note(undefined);
  }

  /** A rung that was too slow is tried again. */
  triedAgain(rung: string): void {
    this.#overloads = 0;
    this.#deps.log.info({ rung }, 'rung tried again');
  }

  /** An encoder has shown that it runs. */
  recovered(rungs: readonly string[]): void {
    this.#account.recovered();
    this.#deps.log.info({ rungs }, 'encoding goes on');
  }

  #degrade(): void {
    if (this.#account.degrade())
      this.#deps.log.warn({ code: this.lastCode }, 'encoding stopped, the source goes out alone');
  }
}
