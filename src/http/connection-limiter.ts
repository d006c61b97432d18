import { addressGroup } from '../base/address-group.ts';
import type { RefusalReason } from './http-metrics.ts';

/** Counts open connections in all and by remote address group. Holds one entry for each that is connected now. */
export class ConnectionLimiter {
  readonly #maxTotal: number;
  readonly #maxPerAddress: number;
  readonly #byAddress = new Map<string, number>();
  #total = 0;

  constructor(limits: { maxConnections: number; maxConnectionsPerAddress: number }) {
    this.#maxTotal = limits.maxConnections;
    this.#maxPerAddress = limits.maxConnectionsPerAddress > 0 ? limits.maxConnectionsPerAddress : Infinity;
  }

  get total(): number {
    return this.#total;
  }

  /** Counts a new connection, or says why it must be refused (then it is not counted). */
  admit(address: string): RefusalReason | undefined {
    if (this.#total >= this.#maxTotal) return 'total';
    const group = addressGroup(address);
    const count = this.#byAddress.get(group) ?? 0;
    if (count >= this.#maxPerAddress) return 'per_address';
    this.#byAddress.set(group, count + 1);
    this.#total++;
    return undefined;
  }

  /** Takes an admitted connection out again. */
  release(address: string): void {
    const group = addressGroup(address);
    const count = this.#byAddress.get(group) ?? 0;
    if (count > 1) this.#byAddress.set(group, count - 1);
    else this.#byAddress.delete(group);
    this.#total--;
  }
}
