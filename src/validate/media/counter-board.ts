/** The counter blocks that one sample was encrypted with, under one key. */
export interface CounterRun {
  /** First counter block, 128 bits. */
  readonly start: bigint;
  readonly blocks: number;
  /** Digest of the encrypted sample: what is read again has the same. */
  readonly digest: string;
  /** Resource that has the sample. */
  readonly url: string;
}

/** How a run collides with one seen before. */
export interface Collision {
  /** `same-iv`: both begin with the same block. */
  readonly kind: 'same-iv' | 'overlap';
  readonly other: CounterRun;
}

/** Samples remembered, about 30 MB. At the limit the key seen longest ago is forgotten, of a single key nothing is added. */
const MAX_RUNS = 200_000;

/**
 * Remembers every counter that `cenc` used, over all renditions: two samples encrypted with one counter under one key
 * give away what they differ in. A sample may come again, as part and in its segment: then its bytes are the same.
 */
export class CounterBoard {
  readonly #limit: number;
  /** By KID, in order of the counters; the oldest key first. */
  readonly #runs = new Map<string, CounterRun[]>();
  #count = 0;

  constructor(limit = MAX_RUNS) {
    this.#limit = limit;
  }

  /** Samples remembered. */
  get size(): number {
    return this.#count;
  }

  /** Notes the counters of one sample; what they collide with, if anything. */
  note(kid: string, run: CounterRun): Collision | undefined {
    const known = this.#runs.get(kid) ?? [];
    const at = firstAfter(known, run.start);
    const before = known[at - 1];
    if (before?.start === run.start) {
      return before.digest === run.digest ? undefined : { kind: 'same-iv', other: before };
    }
    const after = known[at];
    this.#remember(kid, known, at, run);
    if (before && before.start + BigInt(before.blocks) > run.start) return { kind: 'overlap', other: before };
    if (after && run.start + BigInt(run.blocks) > after.start) return { kind: 'overlap', other: after };
    return undefined;
  }

  #remember(kid: string, known: CounterRun[], at: number, run: CounterRun): void {
    for (const [oldest, runs] of this.#runs) {
      if (this.#count < this.#limit) break;
      if (oldest === kid) continue;
      this.#runs.delete(oldest);
      this.#count -= runs.length;
    }
    if (this.#count >= this.#limit) return;
    known.splice(at, 0, run);
    this.#runs.set(kid, known);
    this.#count += 1;
  }
}

/** Index of the first run that begins after `start`. Samples mostly come in order: the end is looked at first. */
function firstAfter(runs: readonly CounterRun[], start: bigint): number {
  const last = runs.at(-1);
  if (!last || last.start <= start) return runs.length;
  let [low, high] = [0, runs.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((runs[middle]?.start ?? 0n) <= start) low = middle + 1;
    else high = middle;
  }
  return low;
}
