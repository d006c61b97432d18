/** A step this close to half the modulus is a sender's own, shorter wrap (see {@link TimestampUnwrapper}). */
const HALF_WRAP_TOLERANCE_SECONDS = 10;

/**
 * Turns timestamps modulo 2^wrapBits into plain integers: each is taken as the nearest to the one before, so that a
 * step back stays a step back and a wrap goes on. Shared by all tracks of a source, which share its clock. Senders
 * that write one bit less (FLV muxers mask the sign bit away and wrap at 2^31 ms) are followed too.
 */
export class TimestampUnwrapper {
  readonly #modulus: number;
  readonly #tolerance: number;
  #lastRaw: number | undefined;
  #last = 0;

  constructor(wrapBits: number, timescale: number) {
    this.#modulus = 2 ** wrapBits;
    this.#tolerance = HALF_WRAP_TOLERANCE_SECONDS * timescale;
  }

  /** The unwrapped value; the first is taken as it is. */
  next(raw: number): number {
    this.#last = this.#lastRaw === undefined ? raw : this.#last + this.#step(raw - this.#lastRaw);
    this.#lastRaw = raw;
    return this.#last;
  }

  /** The value of a timestamp beside the last one's; the clock does not move on by it. */
  near(raw: number): number {
    return this.#lastRaw === undefined ? raw : this.#last + this.#step(raw - this.#lastRaw);
  }

  #step(difference: number): number {
    const step = nearest(difference, this.#modulus);
    const short = nearest(difference, this.#modulus / 2);
    const wrappedEarly = Math.abs(step) > this.#tolerance && Math.abs(short) <= this.#tolerance;
    return wrappedEarly ? short : step;
  }
}

/** The representative of `difference` modulo `modulus` that lies nearest to 0. */
function nearest(difference: number, modulus: number): number {
  const rest = ((difference % modulus) + modulus) % modulus;
  return rest >= modulus / 2 ? rest - modulus : rest;
}
