import type { Report, ValidationContext } from '../contracts.ts';
import type { FetchOutcome } from '../fetcher.ts';
import type { CounterBoard } from '../media/counter-board.ts';
import { BEHAVIOUR_RULES, type BehaviourRule } from './behaviour-rules.ts';

/** Longest segment that is read. */
export const MAX_SEGMENT_BYTES = 256 * 1024 * 1024;
const REQUEST_TIMEOUT_MS = 20_000;

export interface GetOptions {
  /** `first-last` bytes. */
  readonly range?: string | undefined;
  readonly timeoutMs?: number;
  readonly maxBytes?: number;
}

/** One validation of a DASH presentation: its clock, its requests and its findings. Close it when done. */
export class DashRun {
  /** How far the presentation's clock (UTCTiming) is ahead of this machine's, ms. */
  clockOffsetMs = 0;
  /** How far {@link clockOffsetMs} may be wrong. */
  clockUncertaintyMs = 0;
  readonly #context: ValidationContext;
  /** Ends each wait under way; one listener on the signal serves them all. */
  readonly #waits = new Set<() => void>();
  readonly #wakeAll = (): void => {
    for (const wake of this.#waits) wake();
  };

  constructor(context: ValidationContext) {
    this.#context = context;
    context.signal.addEventListener('abort', this.#wakeAll);
  }

  /** Ends all waits. */
  close(): void {
    this.#context.signal.removeEventListener('abort', this.#wakeAll);
    this.#wakeAll();
  }

  /** Wall time as players of this presentation see it, ms since the Unix epoch. */
  nowMs(): number {
    return this.#context.clock.wallMs() + this.clockOffsetMs;
  }

  /** This machine's own wall time. */
  wallMs(): number {
    return this.#context.clock.wallMs();
  }

  /** Presentation time of a moment of `Clock.monotonicMs`. */
  presentationMsOf(monotonicMs: number): number {
    return this.nowMs() - (this.#context.clock.monotonicMs() - monotonicMs);
  }

  /** Watching is to end: the deadline has passed or the caller gave up. */
  get over(): boolean {
    return this.#context.signal.aborted || this.remainingMs <= 0;
  }

  get remainingMs(): number {
    return this.#context.deadlineMs - this.#context.clock.monotonicMs();
  }

  /** Counters of all Representations. */
  get counters(): CounterBoard {
    return this.#context.counters;
  }

  tell(rule: BehaviourRule, url: string, message: string): void {
    this.#context.log.add({ rule, ...BEHAVIOUR_RULES[rule], message, url });
  }

  /** Where the checks of one resource report to. */
  reportTo(url: string): Report {
    return (finding) => this.#context.log.add({ ...finding, url });
  }

  get(url: string, options: GetOptions = {}): Promise<FetchOutcome> {
    const { range, timeoutMs = REQUEST_TIMEOUT_MS, maxBytes = MAX_SEGMENT_BYTES } = options;
    return this.#context.fetcher.get(url, {
      signal: this.#context.signal,
      timeoutMs,
      maxBytes,
      ...(range !== undefined && { headers: { range: `bytes=${range}` } }),
    });
  }

  /** Waits, at most until watching ends. True when it is not over. */
  async wait(ms: number): Promise<boolean> {
    const { clock, signal } = this.#context;
    const delayMs = Math.min(ms, this.remainingMs);
    if (delayMs > 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#waits.delete(done);
          timer.cancel();
          resolve();
        };
        const timer = clock.after(delayMs, done);
        this.#waits.add(done);
      });
    }
    return !this.over;
  }

  /** Waits for a moment of presentation time. */
  waitUntil(presentationMs: number): Promise<boolean> {
    return this.wait(presentationMs - this.nowMs());
  }
}
