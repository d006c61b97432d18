import { rescale } from '../../media/timescale.ts';

/** Timestamps are given to the hub modulo 2^52: the largest power at which their sums are exact. */
export const WRAP_BITS = 52;
/** Products of two timescales must be exact: 2^53 is more than this squared. Encoders use 10 MHz at most. */
export const MAX_TIMESCALE = 50_000_000;

const MODULUS = 2 ** WRAP_BITS;

/** A moment of a track: ticks that may not fit a number, and further ones that do. */
export interface MediaTime {
  readonly baseTicks: bigint;
  readonly offsetTicks: number;
}

/**
 * Brings the tracks of a session, each with its own timescale, on one clock. Each time is converted from its absolute
 * value and rounded once, by at most half a tick of the clock: nothing adds up, whatever the ratio and however long the
 * session. Times in the clock's own timescale pass unchanged.
 */
export class SessionClock {
  readonly timescale: number;

  constructor(timescale: number) {
    this.timescale = timescale;
  }

  /** Ticks of this clock modulo 2^{@link WRAP_BITS}. */
  at({ baseTicks, offsetTicks }: MediaTime, timescale: number): number {
    const ticks = baseTicks + BigInt(offsetTicks);
    const scale = BigInt(timescale);
    const seconds = BigInt.asUintN(WRAP_BITS, (ticks / scale) * BigInt(this.timescale));
    const rest = rescale(Number(ticks % scale), timescale, this.timescale);
    return modulo(Number(seconds) + rest);
  }

  /** The time from `fromTicks` to `toTicks`, offsets behind one base, in ticks of this clock, as {@link at} rounds them. */
  between(baseTicks: bigint, fromTicks: number, toTicks: number, timescale: number): number {
    if (fromTicks === toTicks) return 0;
    const from = this.at({ baseTicks, offsetTicks: fromTicks }, timescale);
    const to = this.at({ baseTicks, offsetTicks: toTicks }, timescale);
    const difference = modulo(to - from);
    return difference >= MODULUS / 2 ? difference - MODULUS : difference;
  }
}

function modulo(ticks: number): number {
  const rest = ticks % MODULUS;
  return rest < 0 ? rest + MODULUS : rest;
}
