import { addressGroup } from '../base/address-group.ts';
import type { Clock } from '../base/clock.ts';

/** At most this often is the true count asked for. */
const RECOUNT_PERIOD_MS = 250;
/** The true count is asked for when an estimate reaches this share of the limit. */
const RECOUNT_SHARE = 0.75;
/** … or when more addresses than this are remembered. */
const MAX_REMEMBERED = 20_000;

/**
 * Connections by remote address group where only their opening is seen, not which one closed: each estimate only grows,
 * and is replaced by the true count before it can refuse anybody wrongly.
 */
export class AddressEstimate {
  readonly #limit: number;
  readonly #clock: Clock;
  readonly #recount: () => Promise<ReadonlyMap<string, number> | undefined>;
  #counts = new Map<string, number>();
  #recounting = false;
  #lastRecountMs = Number.NEGATIVE_INFINITY;
  #known = true;

  /** `limit` 0 = none. `recount` gives the true counts and never rejects; `undefined` where nobody can tell: then there is no limit. */
  constructor(limit: number, clock: Clock, recount: () => Promise<ReadonlyMap<string, number> | undefined>) {
    this.#limit = limit > 0 ? limit : Infinity;
    this.#clock = clock;
    this.#recount = recount;
  }

  /**
   * Counts a new connection; `false` when the address has reached its limit. `openConnections` is the true number
   * over all addresses, this one included: no address can have more.
   */
  admit(address: string, openConnections: number): boolean {
    if (this.#limit === Infinity || !this.#known) return true;
    const group = addressGroup(address);
    const count = Math.min((this.#counts.get(group) ?? 0) + 1, openConnections);
    if (count > this.#limit * RECOUNT_SHARE || this.#counts.size >= MAX_REMEMBERED) void this.#correct();
    if (count > this.#limit) return false;
    if (this.#counts.size < MAX_REMEMBERED || count > 1) this.#counts.set(group, count);
    return true;
  }

  /** No connection is open at all. */
  clear(): void {
    this.#counts.clear();
  }

  async #correct(): Promise<void> {
    const now = this.#clock.monotonicMs();
    if (this.#recounting || now - this.#lastRecountMs < RECOUNT_PERIOD_MS) return;
    this.#recounting = true;
    this.#lastRecountMs = now;
    const counts = await this.#recount();
    this.#recounting = false;
    if (counts) this.#counts = new Map(counts);
    else this.#known = false;
  }
}
