import type { RefusalReason } from './http-metrics.ts';

/** Counts open connections in all and by remote address. Holds one entry for each address that is connected now. */
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
    const count = this.#byAddress.get(address) ?? 0;
    if (count >= this.#maxPerAddress) return 'per_address';
    this.#byAddress.set(address, count + 1);
    this.#total++;
    return undefined;
  }

  /** Takes an admitted connection out again. */
  release(address: string): void {
    const count = this.#byAddress.get(address) ?? 0;
    if (count > 1) this.#byAddress.set(address, count - 1);
    else this.#byAddress.delete(address);
    this.#total--;
  }
}
