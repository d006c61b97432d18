/** Up to this many readers of growing segments, each gets every chunk the moment it is complete. */
export const UNTHROTTLED_READERS = 50;

/**
 * Sends a second to all readers of growing segments together. A send costs 10 to 25 µs of CPU (measured, 4 to 40 KB),
 * so this is a quarter of a core at most; past it chunks travel in twos, threes, … instead of one by one.
 */
export const MAX_SENDS_PER_SECOND = 15_000;

/** Least time between two flushes of one growing segment when `readers` read growing segments in this process. */
export function flushIntervalMs(readers: number): number {
  return readers <= UNTHROTTLED_READERS ? 0 : (readers * 1000) / MAX_SENDS_PER_SECOND;
}
