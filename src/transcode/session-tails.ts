import type { Clock, Timer } from '../base/clock.ts';
import type { EncoderSession } from './encoder-session.ts';

interface Tail {
  readonly session: EncoderSession;
  readonly timer: Timer;
  readonly onEnd: () => void;
}

/** Time an encoder has to give the rest of what it was fed. */
const TAIL_MS = 2000;
/** More runs than this are not waited for: the oldest is ended. */
const MAX_TAILS = 2;

/**
 * Runs that were fed all they are to be fed, oldest first, and the run after them. Output comes from one at a time, so
 * that a rung's frames stay in order; whoever is not at the head holds its output back.
 */
export class SessionTails {
  readonly #clock: Clock;
  #tails: readonly Tail[] = [];
  #current: EncoderSession | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the current run's output is held back. */
  get busy(): boolean {
    return this.#tails.length > 0;
  }

  /** The run whose output comes when there is no other before it. */
  setCurrent(session: EncoderSession | undefined): void {
    this.#current = session;
    session?.flow(!this.busy);
  }

  /** Lets a run give the rest and end, within bounded time; `onEnd` runs then. */
  add(session: EncoderSession, onEnd: () => void): void {
    const timer = this.#clock.after(TAIL_MS, () => session.kill());
    if (this.#current === session) this.#current = undefined;
    this.#tails = [...this.#tails, { session, timer, onEnd }];
    session.flow(this.#tails.length === 1);
    session.finish();
    if (this.#tails.length > MAX_TAILS) this.#tails[0]?.session.kill();
  }

  /** To be called when a run has ended. True when it was one of these. */
  ended(session: EncoderSession): boolean {
    const tail = this.#tails.find((each) => each.session === session);
    if (!tail) return false;
    tail.timer.cancel();
    this.#tails = this.#tails.filter((each) => each !== tail);
    tail.onEnd();
    const next = this.#tails[0]?.session ?? this.#current;
    next?.flow(true);
    return true;
  }

  /** Forgets all of them; whoever calls ends the runs. */
  close(): void {
    for (const { timer } of this.#tails) timer.cancel();
    this.#tails = [];
    this.#current = undefined;
  }
}
