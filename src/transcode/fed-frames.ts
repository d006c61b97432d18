/** A source frame the encoder was given. Times in ticks of the source. */
export interface FedFrame {
  readonly pts: number;
  readonly duration: number;
  /** Monotonic, milliseconds. */
  readonly fedAtMs: number;
}

interface Entry extends FedFrame {
  /** Which rungs gave it back, one bit each. */
  answered: number;
}

/** More frames than an encoder may be behind; see {@link FedFrames.full}. */
const MAX_WAITING = 1024;
/** How far decode order and presentation order may differ, frames: the most the H.264 decoder may hold. */
const REORDER_DEPTH = 16;
const TICKS_PER_MS = 90;

/**
 * What the encoder was given and has not given back on every rung, by the millisecond it was given as. An encoded
 * frame finds its source frame here again, and with it the exact time that FLV's milliseconds lost. Bounded: when it
 * is full, no more frames are to be fed.
 */
export class FedFrames {
  readonly #originTicks: number;
  readonly #rungs: number;
  readonly #entries = new Map<number, Entry>();
  #missing = 0;

  /** @param originTicks source time that is millisecond 0 of the fed file */
  constructor(originTicks: number, rungs: number) {
    this.#originTicks = originTicks;
    this.#rungs = rungs;
  }

  get size(): number {
    return this.#entries.size;
  }

  get full(): boolean {
    return this.#entries.size >= MAX_WAITING;
  }

  /** The one given first of those still here. */
  get first(): FedFrame | undefined {
    for (const entry of this.#entries.values()) return entry;
    return undefined;
  }

  /** Frames that some rung never gave back although it gave later ones, counted once a rung. */
  get missing(): number {
    return this.#missing;
  }

  /** The millisecond of the fed file that a source time is given as. */
  msOf(ticks: number): number {
    return Math.round((ticks - this.#originTicks) / TICKS_PER_MS);
  }

  /** Remembers a frame; false when another was given the same millisecond: its picture will not be told apart. */
  add(frame: FedFrame, done: number): boolean {
    const ms = this.msOf(frame.pts);
    if (this.#entries.has(ms)) return false;
    this.#entries.set(ms, { ...frame, answered: done });
    return true;
  }

  /** The frame that came out of a rung, unless there is none such or the rung gave it already. */
  take(ms: number, rung: number): FedFrame | undefined {
    const entry = this.#entries.get(ms);
    if (!entry || entry.answered & (1 << rung)) return undefined;
    entry.answered |= 1 << rung;
    return entry;
  }

  /** The first frame given of those shown after `pts`, within `maxTicks`. */
  nextAfter(pts: number, maxTicks: number): FedFrame | undefined {
    let best: Entry | undefined;
    for (const entry of this.#entries.values()) {
      const later = entry.pts > pts && entry.pts - pts <= maxTicks;
      if (later && (!best || entry.pts < best.pts)) best = entry;
    }
    return best;
  }

  /**
   * When the frame was fed that a rung has waited for longest, leaving out the last `held` given, which a decoder may
   * rightly hold.
   */
  oldestWaiting(rung: number, held: number): number | undefined {
    const bit = 1 << rung;
    let waiting = 0;
    let oldest: number | undefined;
    for (const entry of this.#entries.values()) {
      if (entry.answered & bit) continue;
      oldest ??= entry.fedAtMs;
      if (++waiting > held) return oldest;
    }
    return undefined;
  }

  /** Forgets what lies at or before a time that all rungs have passed. */
  forgetUpTo(pts: number): void {
    const all = (1 << this.#rungs) - 1;
    let later = 0;
    for (const [ms, entry] of this.#entries) {
      if (entry.pts > pts) {
        if (++later > REORDER_DEPTH) return;
        continue;
      }
      this.#entries.delete(ms);
      this.#missing += bits(all & ~entry.answered);
    }
  }
}

function bits(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}
