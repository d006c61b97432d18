import { readFile } from 'node:fs/promises';

/** File descriptors kept for what is no connection of anybody: files, pipes, the runtime. */
const RESERVED_DESCRIPTORS = 128;

/** What a listener may take of the process's file descriptors, which all listeners share. */
export interface DescriptorBudget {
  /** Descriptors that belong to other parts: ingest connections. */
  readonly reserved: number;
  /** Share of the rest. */
  readonly share: number;
}

/** The soft limit of open files in the text of a Linux /proc/self/limits; `undefined` when it names none. */
export function openFileLimit(limits: string): number | undefined {
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

/**
 * How many of `maxConnections` the listener's budget has file descriptors for. Past that, connections could not be accepted
 * any more and so not even be refused: uWebSockets.js then spins on the one it cannot accept.
 */
export async function affordableConnections(
  maxConnections: number,
  budget: DescriptorBudget,
): Promise<number> {
  const text = await readFile('/proc/self/limits', 'latin1').catch(() => '');
  const limit = openFileLimit(text);
  if (limit === undefined) return maxConnections;
  const affordable = Math.floor((limit - RESERVED_DESCRIPTORS - budget.reserved) * budget.share);
  return Math.max(1, Math.min(maxConnections, affordable));
}
