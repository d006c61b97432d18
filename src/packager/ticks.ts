export { ticksToMs } from '../media/timescale.ts';

/**
 * Converts whole ticks between timescales without losing precision: ticks since 1970 times a timescale would not
 * fit the 53 bits of a number. The result may be fractional: `rescale` of media/timescale rounds it.
 */
export function rescaleTicks(ticks: number, from: number, to: number): number {
  if (from === to) return ticks;
  const seconds = Math.floor(ticks / from);
  return seconds * to + ((ticks - seconds * from) * to) / from;
}
