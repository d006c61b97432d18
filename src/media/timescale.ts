/**
 * Converts integer ticks from one timescale to another, rounding to the nearest (halves up). Exact while
 * the result is below 2^53 and `fromScale × toScale` is too: 90 kHz ticks since 1970 are about 1.6e14, and the plain
 * product with a sample rate would not fit.
 */
export function rescale(ticks: number, fromScale: number, toScale: number): number {
  const rest = ((ticks % fromScale) + fromScale) % fromScale;
  const whole = (ticks - rest) / fromScale;
  return whole * toScale + Math.floor((rest * toScale) / fromScale + 0.5);
}

/** Milliseconds (fractional) of integer ticks. */
export function ticksToMs(ticks: number, timescale: number): number {
  const rest = ticks % timescale;
  return ((ticks - rest) / timescale) * 1000 + (rest * 1000) / timescale;
}

/** The nearest tick to a time in milliseconds; exact to a tick for times since 1970 up to 192 kHz. */
export function msToTicks(ms: number, timescale: number): number {
  const whole = Math.floor(ms / 1000);
  return whole * timescale + Math.round(((ms - whole * 1000) * timescale) / 1000);
}
