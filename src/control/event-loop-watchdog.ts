import { every, type Clock, type Timer } from '../base/clock.ts';
import type { Metrics } from '../base/metrics.ts';

const TICK_MS = 250;
/** A block this long counts: viewers notice it. */
const BLOCKED_MS = 1000;
/** How long after a block the server calls itself not ready, so that a balancer looks elsewhere for a while. */
const REMEMBER_MS = 5000;

/** Watches how late timers run: the event loop is blocked when they are a second late. */
export class EventLoopWatchdog {
  readonly #clock: Clock;
  readonly #timer: Timer;
  #lastTickMs: number;
  #blockedUntilMs = Number.NEGATIVE_INFINITY;
  #lastBlockMs = 0;

  constructor({ clock, metrics }: { readonly clock: Clock; readonly metrics: Metrics }) {
    const blocks = metrics.counter(
      'control_event_loop_blocks_total',
      'Times the event loop was blocked for over a second.',
    );
    this.#clock = clock;
    this.#lastTickMs = clock.monotonicMs();
    this.#timer = every(clock, TICK_MS, () => {
      if (this.#tick()) blocks.inc();
    });
  }

  /** What is wrong, as a sentence; undefined when the loop runs well. */
  problem(): string | undefined {
    return this.#clock.monotonicMs() < this.#blockedUntilMs
      ? `the event loop was blocked for ${Math.round(this.#lastBlockMs)} ms`
      : undefined;
  }

  close(): void {
    this.#timer.cancel();
  }

  #tick(): boolean {
    const nowMs = this.#clock.monotonicMs();
    const lateMs = nowMs - this.#lastTickMs - TICK_MS;
    this.#lastTickMs = nowMs;
    if (lateMs < BLOCKED_MS) return false;
    this.#blockedUntilMs = nowMs + REMEMBER_MS;
    this.#lastBlockMs = lateMs;
    return true;
  }
}
