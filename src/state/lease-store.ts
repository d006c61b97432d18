/**
 * Who may do something that only one may do at a time, between servers. A lease runs out by itself: who holds one counts
 * `ttlMs` from before it asked, renews well before, and stops what it does when it cannot. As a holder may be frozen while
 * its time runs out, what it does carries the fence, and whoever acts on it refuses one that is less than what it has seen.
 * Every driver passes the same contract suite. Calls reject with AppError LEASE_UNAVAILABLE, within
 * {@link LEASE_DEADLINE_MS} whatever the store does.
 */
export interface LeaseStore {
  /**
   * Takes the lease `name` for `owner` (one holder, not one server: unique to it) when nobody else has it. The fence is
   * greater than that of every holder before. Undefined: another has it. Who has it already keeps its fence.
   */
  acquire(name: string, owner: string, ttlMs: number): Promise<{ readonly fence: number } | undefined>;
  /** Another `ttlMs` from now. False when the owner does not have it any more. */
  renew(name: string, owner: string, ttlMs: number): Promise<boolean>;
  /** Gives it back before it runs out. False when the owner did not have it. */
  release(name: string, owner: string): Promise<boolean>;
  /**
   * Calls back each time that the lease may be free: now, when it is given back, when it has run out; and again every
   * two seconds while nobody takes it. Others hear it too, so who is called tries to acquire. Returns the function that
   * ends it.
   */
  onFree(name: string, listener: () => void): () => void;
  /** Idempotent. Gives nothing back. */
  close(): Promise<void>;
}

export const LEASE_DEADLINE_MS = 300;
/** Below it a pause of the garbage collector loses a lease. */
export const MIN_LEASE_TTL_MS = 100;
const MAX_LEASE_TTL_MS = 24 * 3_600_000;
const NAME = /^[A-Za-z0-9_.:/-]{1,128}$/;

/** What is no name, owner or time is a fault of the caller. */
export function assertLease(name: string, owner: string, ttlMs = MIN_LEASE_TTL_MS): void {
  for (const each of [name, owner]) {
    if (!NAME.test(each)) throw new RangeError(`no name of a lease or of its owner: ${each}`);
  }
  if (!Number.isInteger(ttlMs) || ttlMs < MIN_LEASE_TTL_MS || ttlMs > MAX_LEASE_TTL_MS) {
    throw new RangeError(`no time that a lease may have: ${ttlMs} ms`);
  }
}
