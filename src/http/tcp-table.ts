import { readFile } from 'node:fs/promises';
import { addressGroup } from '../base/address-group.ts';
import { addressText } from './address.ts';

const TABLES = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];
/** ESTABLISHED and CLOSE_WAIT: the states in which this side still holds the connection. */
const HELD_STATES = new Set(['01', '08']);

/**
 * Remote address groups and their connections to a local port, from the text of a Linux /proc/net/tcp or tcp6 table.
 * Lines that do not look as expected are left out.
 */
export function countByRemoteAddress(
  table: string,
  localPort: number,
  counts = new Map<string, number>(),
): Map<string, number> {
  const portHex = localPort.toString(16).toUpperCase().padStart(4, '0');
  for (const line of table.split('\n')) {
    const [, local = '', remote = '', state = ''] = line.trim().split(/\s+/, 4);
    if (!local.endsWith(`:${portHex}`) || !HELD_STATES.has(state)) continue;
    const group = addressGroup(addressText(networkBytes(remote.slice(0, remote.indexOf(':')))));
    if (group !== '') counts.set(group, (counts.get(group) ?? 0) + 1);
  }
  return counts;
}

/** The table prints each 32-bit word as a number of this machine, so on a little-endian one its bytes are turned. */
function networkBytes(hex: string): Uint8Array {
  const bytes = Buffer.from(hex, 'hex');
  return bytes.length % 4 === 0 ? bytes.swap32() : bytes;
}

/** Counts the connections to `localPort` by remote address group; `undefined` where there is no such table. */
export async function readConnectionCounts(localPort: number): Promise<Map<string, number> | undefined> {
  const counts = new Map<string, number>();
  let found = false;
  for (const path of TABLES) {
    const table = await readFile(path, 'latin1').catch(() => undefined);
    if (table === undefined) continue;
    found = true;
    countByRemoteAddress(table, localPort, counts);
  }
  return found ? counts : undefined;
}
