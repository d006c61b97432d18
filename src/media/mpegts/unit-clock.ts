import { TS_TIMESCALE, TS_WRAP } from './ts-sink.ts';

/** Times of an access unit, 90 kHz modulo 2^33. */
export interface UnitTimes {
  readonly pts: number;
  readonly dts: number;
}

/** A longer step between two access units is no frame duration. */
const MAX_FRAME_TICKS = 10 * TS_TIMESCALE;

/** a − b modulo 2^33, nearest to 0. */
export function ticksBetween(a: number, b: number): number {
  const difference = (((a - b) % TS_WRAP) + TS_WRAP) % TS_WRAP;
  return difference >= TS_WRAP / 2 ? difference - TS_WRAP : difference;
}

/** A sum modulo 2^33. */
export function addTicks(time: number, ticks: number): number {
  return (((time + ticks) % TS_WRAP) + TS_WRAP) % TS_WRAP;
}

/**
 * Times of access units, of which only the first in a PES packet brings its own. The others follow at the frame
 * duration seen so far, or else the one the SPS tells, with the composition offset of the one before.
 */
export class UnitClock {
  #last: UnitTimes | undefined;
  /** Access units since {@link #last}. */
  #since = 0;
  #frameTicks: number | undefined;

  /** @param frameRate of the SPS, frames a second; asked only when it is needed */
  next(own: UnitTimes | undefined, frameRate: () => number | undefined): UnitTimes | undefined {
    if (own) {
      this.#learn(own);
      this.#last = own;
      this.#since = 0;
      return own;
    }
    if (!this.#last) return undefined;
    this.#since++;
    if (this.#frameTicks === undefined) {
      const rate = frameRate();
      if (rate === undefined || !(rate > 0.1 && rate < 1000)) return undefined;
      this.#frameTicks = TS_TIMESCALE / rate;
    }
    const ticks = Math.round(this.#since * this.#frameTicks);
    return { pts: addTicks(this.#last.pts, ticks), dts: addTicks(this.#last.dts, ticks) };
  }

  /** Access units are missing: nothing can be counted on from before. */
  reset(): void {
    this.#last = undefined;
    this.#since = 0;
  }

  #learn(own: UnitTimes): void {
    if (!this.#last) return;
    const ticks = ticksBetween(own.dts, this.#last.dts) / (this.#since + 1);
    if (ticks > 0 && ticks <= MAX_FRAME_TICKS) this.#frameTicks = ticks;
  }
}
