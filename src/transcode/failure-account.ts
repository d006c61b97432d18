import type { ErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { EncoderEnd } from './encoder-process.ts';
import { planRestart, type RestartPlan } from './restart-policy.ts';

export interface AccountDeps {
  readonly log: Logger;
  /** 0 to 1. */
  readonly random: () => number;
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  exited: 'TRANSCODE_ENCODER_EXITED',
  hung: 'TRANSCODE_ENCODER_HUNG',
  malformed: 'TRANSCODE_OUTPUT_MALFORMED',
};

/**
 * How the encoders of one source fare, one after the other: what failed, and when to try again. Each failure is a log
 * line, but for those that only repeat what is known.
 */
export class FailureAccount {
  readonly #what: string;
  readonly #deps: AccountDeps;
  #failures = 0;
  #degraded = false;
  #lastCode: ErrorCode | undefined;

  /** @param what failed, for the log: from a closed list */
  constructor(what: 'encoder' | 'audio encoder', deps: AccountDeps) {
    this.#what = what;
    this.#deps = deps;
  }

  /** What is encoded goes on without it until an encoder has shown that it runs. */
  get degraded(): boolean {
    return this.#degraded;
  }

  /** Why nothing is encoded, or why the last encoder was replaced. */
  get lastCode(): ErrorCode | undefined {
    return this.#lastCode;
  }

  /** An encoder failed; says when the next is to be tried. */
  failed(end: EncoderEnd, reason: string): RestartPlan {
    const missing = end.exit.kind === 'missing';
    const plan = planRestart(this.#failures, { ranMs: end.ranMs, missing }, this.#deps.random());
    const { failures } = plan;
    this.#failures = failures;
    const code = missing ? 'TRANSCODE_FFMPEG_MISSING' : (CODES[reason] ?? 'INTERNAL');
    const fields = { code, exit: end.exit, lines: end.lines, failures, retryMs: Math.round(plan.delayMs) };
    if (this.#degraded && this.#lastCode === code) this.#deps.log.debug(fields, `${this.#what} failed again`);
    else this.#deps.log.warn(fields, `${this.#what} failed`);
    this.#lastCode = code;
    return plan;
  }

  /** Something else than a failure is why nothing is encoded; undefined when it is no more. */
  note(code: ErrorCode | undefined): void {
    this.#lastCode = code;
  }

  /** True when it was not degraded before. */
  degrade(): boolean {
    const isNew = !this.#degraded;
    this.#degraded = true;
    return isNew;
  }

  /** An encoder has shown that it runs. */
  recovered(): void {
    this.#degraded = false;
    this.#lastCode = undefined;
  }
}
