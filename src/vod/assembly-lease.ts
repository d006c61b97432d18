import { type Clock, every, type Timer } from '../base/clock.ts';
import type { LeaseStore } from '../state/lease-store.ts';

/** Of several servers one puts a title together. One that dies leaves it to another after so long. */
const LEASE_MS = 10_000;
const RENEW_MS = 3000;

interface AssemblyLeaseDeps {
  readonly leases: LeaseStore;
  /** Of this server; unique. */
  readonly owner: string;
  readonly clock: Clock;
}

/** The right to put one title together: asked for until it is had, and told when it is lost. */
export class AssemblyLease {
  readonly #name: string;
  readonly #deps: AssemblyLeaseDeps;
  readonly #onHeld: () => void;
  readonly #onLost: () => void;
  readonly #unsubscribe: () => void;
  #renewal: Timer | undefined;
  #renewedMs = 0;
  #asking = false;
  #closed = false;

  constructor(flow: string, deps: AssemblyLeaseDeps, onHeld: () => void, onLost: () => void) {
    this.#name = `title/${flow}`;
    this.#deps = deps;
    this.#onHeld = onHeld;
    this.#onLost = onLost;
    this.#unsubscribe = deps.leases.onFree(this.#name, () => void this.#ask());
  }

  /** Gives it back. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#unsubscribe();
    const held = this.#renewal !== undefined;
    this.#renewal?.cancel();
    if (held) await this.#deps.leases.release(this.#name, this.#deps.owner).catch(() => false);
  }

  async #ask(): Promise<void> {
    if (this.#asking || this.#renewal || this.#closed) return;
    this.#asking = true;
    const { leases, owner, clock } = this.#deps;
    const askedMs = clock.monotonicMs();
    const lease = await leases.acquire(this.#name, owner, LEASE_MS).catch(() => undefined);
    this.#asking = false;
    if (!lease) return;
    if (this.#closed) return void (await leases.release(this.#name, owner).catch(() => false));
    this.#renewedMs = askedMs;
    this.#renewal = every(clock, RENEW_MS, () => void this.#renew());
    this.#onHeld();
  }

  /** While the store is away the lease is held as long as it was given for. */
  async #renew(): Promise<void> {
    const { leases, owner, clock } = this.#deps;
    const askedMs = clock.monotonicMs();
    const renewed = await leases.renew(this.#name, owner, LEASE_MS).catch(() => undefined);
    if (renewed) this.#renewedMs = askedMs;
    const ranOut = clock.monotonicMs() - this.#renewedMs > LEASE_MS - RENEW_MS;
    if (renewed === true || (renewed === undefined && !ranOut) || !this.#renewal) return;
    this.#renewal.cancel();
    this.#renewal = undefined;
    if (!this.#closed) this.#onLost();
  }
}
