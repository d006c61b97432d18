import type { SequenceRange } from './control-bodies.ts';
import { addSequence, sequenceDistance } from './sequence.ts';

/** Consecutive packets that are missing. */
export interface Hole extends SequenceRange {
  readonly sinceMs: number;
  /** When it was last reported; undefined before it was. */
  nakMs: number | undefined;
}

/** What is missing, in order. The caller keeps all of it within one receive window. */
export class LossList {
  readonly #holes: Hole[] = [];
  #packets = 0;

  /** Missing packets. */
  get packets(): number {
    return this.#packets;
  }

  get first(): Hole | undefined {
    return this.#holes[0];
  }

  /** All holes, in order. */
  get holes(): readonly Hole[] {
    return this.#holes;
  }

  /** A new hole behind all others. */
  add(first: number, last: number, nowMs: number): void {
    this.#holes.push({ first, last, sinceMs: nowMs, nakMs: undefined });
    this.#packets += sequenceDistance(first, last) + 1;
  }

  /** One packet is missing no more; false when it was not. */
  remove(sequence: number): boolean {
    const at = this.#find(sequence);
    const hole = this.#holes[at];
    if (!hole || sequenceDistance(hole.first, sequence) < 0) return false;
    this.#packets -= 1;
    const before = sequence === hole.first ? [] : [{ ...hole, last: addSequence(sequence, -1) }];
    const after = sequence === hole.last ? [] : [{ ...hole, first: addSequence(sequence, 1) }];
    this.#holes.splice(at, 1, ...before, ...after);
    return true;
  }

  /** Gives up the first hole. */
  shift(): Hole | undefined {
    const hole = this.#holes.shift();
    if (hole) this.#packets -= sequenceDistance(hole.first, hole.last) + 1;
    return hole;
  }

  /** The missing ones among `range`, removed. */
  removeRange(range: SequenceRange): number {
    let removed = 0;
    for (let at = this.#find(range.first); ; at++) {
      const hole = this.#holes[at];
      if (!hole || sequenceDistance(hole.first, range.last) < 0) return removed;
      const first = sequenceDistance(hole.first, range.first) > 0 ? range.first : hole.first;
      const last = sequenceDistance(hole.last, range.last) < 0 ? range.last : hole.last;
      const before = first === hole.first ? [] : [{ ...hole, last: addSequence(first, -1) }];
      const after = last === hole.last ? [] : [{ ...hole, first: addSequence(last, 1) }];
      this.#holes.splice(at, 1, ...before, ...after);
      at += before.length - 1;
      const count = sequenceDistance(first, last) + 1;
      removed += count;
      this.#packets -= count;
    }
  }

  /** Index of the first hole that does not end before `sequence`. */
  #find(sequence: number): number {
    let [low, high] = [0, this.#holes.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const hole = this.#holes[middle];
      if (hole && sequenceDistance(hole.last, sequence) > 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
