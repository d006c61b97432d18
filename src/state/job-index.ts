import type { JobState } from './job-queue.ts';

/** Where a job stands. */
export interface JobStanding {
  readonly state: JobState;
  /** How often it was begun. */
  readonly attempt: number;
  /** Of those, how many do not count: begun before the flow was tried again, or given back. */
  readonly forgiven: number;
}

export const UNTOUCHED: JobStanding = { state: 'waiting', attempt: 0, forgiven: 0 };

const STATES = ['waiting', 'active', 'done', 'failed'] as const satisfies readonly JobState[];
const WAITING = 0;

/**
 * Where the jobs of one flow stand, and which is next: 11 bytes a job. Holds no time of its own and decides nothing but
 * the order: jobs of a kind are given out in the order of the flow, but those that wait to be tried again.
 */
export class JobIndex {
  readonly #states: Uint8Array;
  readonly #attempts: Uint32Array;
  readonly #forgiven: Uint32Array;
  readonly #kinds: Uint16Array;
  readonly #kindNumbers = new Map<string, number>();
  /** Of each kind the first job that may be waiting. */
  readonly #cursors: number[] = [];
  /** Jobs that wait to be tried again → when, on the monotonic clock. */
  readonly #dueMs = new Map<number, number>();
  readonly #counts = { waiting: 0, active: 0, done: 0, failed: 0 };

  /** All jobs wait and were never begun. */
  constructor(kinds: readonly string[]) {
    const size = kinds.length;
    this.#states = new Uint8Array(size);
    this.#attempts = new Uint32Array(size);
    this.#forgiven = new Uint32Array(size);
    this.#kinds = Uint16Array.from(kinds, (kind) => this.#kindNumber(kind));
    this.#counts.waiting = size;
  }

  get size(): number {
    return this.#states.length;
  }

  count(state: JobState): number {
    return this.#counts[state];
  }

  standing(index: number): JobStanding {
    return {
      state: STATES[this.#states[index] ?? WAITING] ?? 'waiting',
      attempt: this.#attempts[index] ?? 0,
      forgiven: this.#forgiven[index] ?? 0,
    };
  }

  /** @param dueMs of one that is to wait before it is begun again */
  set(index: number, { state, attempt, forgiven }: JobStanding, dueMs?: number): void {
    this.#counts[this.standing(index).state]--;
    this.#counts[state]++;
    this.#states[index] = STATES.indexOf(state);
    this.#attempts[index] = attempt;
    this.#forgiven[index] = forgiven;
    this.#dueMs.delete(index);
    if (state !== 'waiting') return;
    if (dueMs !== undefined) this.#dueMs.set(index, dueMs);
    const kind = this.#kinds[index] ?? 0;
    this.#cursors[kind] = Math.min(this.#cursors[kind] ?? 0, index);
  }

  /** The first job of one of the kinds that may be begun now. */
  next(kinds: ReadonlySet<string>, nowMs: number): number | undefined {
    if (this.#counts.waiting === 0) return undefined;
    let first: number | undefined;
    for (const [name, kind] of this.#kindNumbers) {
      if (!kinds.has(name)) continue;
      const index = this.#nextOfKind(kind, nowMs);
      if (index !== undefined && (first === undefined || index < first)) first = index;
    }
    return first;
  }

  /** When the next job that waits to be tried again may be. */
  nextDueMs(): number | undefined {
    let first: number | undefined;
    for (const dueMs of this.#dueMs.values()) if (first === undefined || dueMs < first) first = dueMs;
    return first;
  }

  #nextOfKind(kind: number, nowMs: number): number | undefined {
    let passed = true;
    for (let index = this.#cursors[kind] ?? 0; index < this.#states.length; index++) {
      const isCandidate = this.#kinds[index] === kind && this.#states[index] === WAITING;
      // What is passed once for good is not looked at again.
      if (passed) this.#cursors[kind] = index;
      if (!isCandidate) continue;
      if ((this.#dueMs.get(index) ?? nowMs) <= nowMs) return index;
      passed = false;
    }
    if (passed) this.#cursors[kind] = this.#states.length;
    return undefined;
  }

  #kindNumber(kind: string): number {
    const known = this.#kindNumbers.get(kind);
    if (known !== undefined) return known;
    const number = this.#kindNumbers.size;
    this.#kindNumbers.set(kind, number);
    this.#cursors[number] = 0;
    return number;
  }
}
