/** What happens to what passes in one direction. Shares are 0…1; everything left out does not happen. */
export interface Impairment {
  /** Share of datagrams that never arrive. On TCP: of reads that come 200 ms late, as after a retransmission. */
  readonly loss?: number;
  readonly delayMs?: number;
  /** Up to so much more delay; what passes keeps its order. */
  readonly jitterMs?: number;
  /** Share of datagrams that are overtaken by one to three later ones. Not on TCP. */
  readonly reorder?: number;
  /** Share of datagrams that arrive twice. Not on TCP. */
  readonly duplicate?: number;
  /** While one lasts, datagrams are lost, and TCP stands still. Counted from the first datagram or connection. */
  readonly outages?: readonly Outage[];
}

export interface Outage {
  readonly fromMs: number;
  readonly forMs: number;
}

/** The fate of one datagram or read, by its number alone. */
export interface Fate {
  readonly lost: boolean;
  readonly duplicated: boolean;
  readonly delayMs: number;
  /** How many later ones overtake it. */
  readonly overtakenBy: number;
}

/** Numbers of [0, 1) that follow from the seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A seed of its own for each direction of each connection. */
export function seedOf(seed: number, connection: number, direction: 'up' | 'down'): number {
  return (
    Math.imul(seed * 2 + (direction === 'up' ? 0 : 1), 0x9e3779b1) ^ Math.imul(connection + 1, 0x85ebca6b)
  );
}

/**
 * Decides, one after the other, what happens to each datagram. Every decision takes the same count of random numbers,
 * so that a seed gives the same losses whatever else is asked for.
 */
export class FatePlan {
  readonly #random: () => number;
  readonly #impairment: Impairment;

  constructor(seed: number, impairment: Impairment) {
    this.#random = seededRandom(seed);
    this.#impairment = impairment;
  }

  next(): Fate {
    const { loss = 0, delayMs = 0, jitterMs = 0, reorder = 0, duplicate = 0 } = this.#impairment;
    const [lossDraw, duplicateDraw, jitterDraw, reorderDraw, byDraw] = [
      this.#random(),
      this.#random(),
      this.#random(),
      this.#random(),
      this.#random(),
    ];
    return {
      lost: lossDraw < loss,
      duplicated: duplicateDraw < duplicate,
      delayMs: delayMs + jitterDraw * jitterMs,
      overtakenBy: reorderDraw < reorder ? 1 + Math.floor(byDraw * 3) : 0,
    };
  }
}

/** Milliseconds until the outage that reigns at `sinceStartMs` ends; 0 when there is none. */
export function outageLeftMs(outages: readonly Outage[], sinceStartMs: number): number {
  const ends = outages
    .filter(({ fromMs, forMs }) => sinceStartMs >= fromMs && sinceStartMs < fromMs + forMs)
    .map(({ fromMs, forMs }) => fromMs + forMs - sinceStartMs);
  return Math.max(0, ...ends);
}
