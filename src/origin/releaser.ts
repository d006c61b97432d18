/** Runs a callback in a later turn of the event loop, after pending I/O (setImmediate). */
export type YieldTurn = (callback: () => void) => void;

/** Items handled in one turn: 500 sends are about 10 ms, and a turn longer than that delays ingest. */
export const RELEASE_BATCH = 500;

interface Job {
  /** Handles the next item; false when there is none left. */
  step(): boolean;
}

/**
 * Does the same thing for very many items without holding up the event loop: at most {@link RELEASE_BATCH} items a
 * turn over all jobs together, first come first served. Few items are handled at once.
 */
export class Releaser {
  readonly #yieldTurn: YieldTurn;
  readonly #jobs: Job[] = [];
  /** How many more items this turn may handle. */
  #budget = RELEASE_BATCH;
  #scheduled = false;
  #working = false;

  constructor(yieldTurn: YieldTurn) {
    this.#yieldTurn = yieldTurn;
  }

  /** Calls `each` for every item, beginning now. `items` may change until the turn of the item has come. */
  run<T>(items: Iterable<T>, each: (item: T) => void): void {
    const iterator = items[Symbol.iterator]();
    this.#jobs.push({
      step() {
        const next = iterator.next();
        if (next.done === true) return false;
        each(next.value);
        return true;
      },
    });
    this.#work();
  }

  /** Finishes every job now, in one go. */
  finish(): void {
    this.#budget = Number.POSITIVE_INFINITY;
    this.#work();
  }

  #work(): void {
    if (this.#working) return;
    this.#working = true;
    for (let job = this.#jobs[0]; job && this.#budget > 0; job = this.#jobs[0]) {
      while (this.#budget > 0 && job.step()) this.#budget -= 1;
      if (this.#budget > 0) this.#jobs.shift();
    }
    this.#working = false;
    this.#renewBudget();
  }

  #renewBudget(): void {
    if (this.#scheduled || this.#budget === RELEASE_BATCH) return;
    this.#scheduled = true;
    this.#yieldTurn(() => {
      this.#scheduled = false;
      this.#budget = RELEASE_BATCH;
      this.#work();
    });
  }
}
