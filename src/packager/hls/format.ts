/** Ticks as seconds with five decimals: 10 µs, so that sums over a window stay within a frame (Apple 8.1). */
export function seconds(ticks: number, timescale: number): string {
  return (ticks / timescale).toFixed(5);
}

/** A part's DURATION: five decimals, never above PART-TARGET, which players compare exactly. */
export function partSeconds(ticks: number, timescale: number, partTargetSeconds: number): string {
  const units = Math.round((ticks / timescale) * 1e5);
  const limit = Math.floor(partTargetSeconds * 1e5 + 1e-6);
  return (Math.min(units, limit) / 1e5).toFixed(5);
}

/** A planned number of seconds (whole milliseconds) in its shortest decimal form, e.g. `0.334`, `6`. */
export function plannedSeconds(value: number): string {
  return String(Number(value.toFixed(3)));
}

/** Epoch milliseconds of `ticks`, floored. Split into whole seconds first: ticks × 1000 would not fit 53 bits. */
export function floorMs(ticks: number, timescale: number): number {
  const wholeSeconds = Math.floor(ticks / timescale);
  return wholeSeconds * 1000 + Math.floor(((ticks - wholeSeconds * timescale) * 1000) / timescale);
}
