import { readdirSync } from 'node:fs';

/** How many file descriptors this process holds. */
export function openFiles(): number {
  return readdirSync('/proc/self/fd').length;
}
