import { readFile } from 'node:fs/promises';

/** File descriptors kept for everything that is no HTTP connection: files, ingest, encoder pipes, the runtime. */
const RESERVED_DESCRIPTORS = 128;

/** The soft limit of open files in the text of a Linux /proc/self/limits; `undefined` when it names none. */
export function openFileLimit(limits: string): number | undefined {
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

/**
 * How many of `maxConnections` this process has file descriptors for. Past that, connections could not be accepted
 * any more and so not even be refused: uWebSockets.js then spins on the one it cannot accept.
 */
export async function affordableConnections(maxConnections: number): Promise<number> {
  const text = await readFile('/proc/self/limits', 'latin1').catch(() => '');
  const limit = openFileLimit(text);
  if (limit === undefined) return maxConnections;
  return Math.max(1, Math.min(maxConnections, limit - RESERVED_DESCRIPTORS));
}
