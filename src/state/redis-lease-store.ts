import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { CallGate } from './call-gate.ts';
import { assertLease, LEASE_DEADLINE_MS, type LeaseStore } from './lease-store.ts';
import { LeaseWatch } from './lease-watch.ts';
import type { PubSub, Subscription } from './pub-sub.ts';
import type { RedisConnection } from './redis-connection.ts';
import { nextNumber } from './resume-entry.ts';
import type { StateMetrics } from './state-metrics.ts';

export interface RedisLeaseDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: StateMetrics;
  /** Stays with the caller. Opened with LEASE_SCRIPTS. */
  readonly redis: RedisConnection;
  /** Tells of leases that are given back; stays with the caller. */
  readonly pubSub: PubSub;
  readonly prefix: string;
}

/** A lease nobody asked for in so long begins again at the clock's number, which is greater. */
const KEEP_FENCE_MS = 30 * 24 * 3_600_000;

/** KEYS: the lease, its last fence. ARGV: owner, time, the clock's number, how long the fence is kept. */
const ACQUIRE = `
local raw = redis.call('GET', KEYS[1])
if raw then
  local fence, owner = string.match(raw, '^(%d+) (.*)$')
  if owner ~= ARGV[1] then return 0 end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return tonumber(fence)
end
local fence = math.max((tonumber(redis.call('GET', KEYS[2])) or 0) + 1, tonumber(ARGV[3]))
local text = string.format('%.0f', fence)
redis.call('SET', KEYS[2], text, 'PX', ARGV[4])
redis.call('SET', KEYS[1], text .. ' ' .. ARGV[1], 'PX', ARGV[2])
return fence
`;

const IF_HELD = `
local raw = redis.call('GET', KEYS[1])
if not raw or string.match(raw, '^%d+ (.*)$') ~= ARGV[1] then return 0 end
`;
/** KEYS: the lease. ARGV: owner, time. */
const RENEW = `${IF_HELD} return redis.call('PEXPIRE', KEYS[1], ARGV[2])`;
/** KEYS: the lease. ARGV: owner. */
const RELEASE = `${IF_HELD} return redis.call('DEL', KEYS[1])`;

export const LEASE_SCRIPTS = {
  leaseAcquire: { lua: ACQUIRE },
  leaseRenew: { lua: RENEW },
  leaseRelease: { lua: RELEASE },
} as const;

/**
 * Leases in Redis, counted by the clock of Redis. One Redis decides: when it fails over to a replica that had not heard
 * of a lease yet, two may hold it for a moment, and the fence tells them apart.
 */
export class RedisLeaseStore implements LeaseStore {
  readonly #deps: RedisLeaseDeps;
  readonly #gate: CallGate;
  readonly #watches = new Set<() => void>();

  constructor(deps: RedisLeaseDeps) {
    this.#deps = deps;
    const options = { part: 'leases', code: 'LEASE_UNAVAILABLE', deadlineMs: LEASE_DEADLINE_MS } as const;
    this.#gate = new CallGate(options, deps);
  }

  acquire(name: string, owner: string, ttlMs: number): Promise<{ readonly fence: number } | undefined> {
    return this.#gate.run(async () => {
      assertLease(name, owner, ttlMs);
      const clockNumber = nextNumber(-1, this.#deps.clock.wallMs());
      const keys = [this.#key(name), `${this.#key(name)}:fence`];
      const args = [owner, ttlMs, clockNumber, KEEP_FENCE_MS];
      const fence = (await this.#deps.redis.runSafely('leaseAcquire', keys, args)) as number;
      return fence === 0 ? undefined : { fence };
    });
  }

  renew(name: string, owner: string, ttlMs: number): Promise<boolean> {
    return this.#gate.run(async () => {
      assertLease(name, owner, ttlMs);
      return (await this.#deps.redis.runSafely('leaseRenew', [this.#key(name)], [owner, ttlMs])) === 1;
    });
  }

  release(name: string, owner: string): Promise<boolean> {
    return this.#gate.run(async () => {
      assertLease(name, owner);
      const isReleased = (await this.#deps.redis.runSafely('leaseRelease', [this.#key(name)], [owner])) === 1;
      // Who does not hear of it finds out by itself.
      if (isReleased) this.#deps.pubSub.publish(channelOf(name), '').catch(() => undefined);
      return isReleased;
    });
  }

  onFree(name: string, onFree: () => void): () => void {
    const { clock, log, pubSub, redis } = this.#deps;
    const remainingMs = async (): Promise<number> =>
      Math.max(0, (await redis.call('pttl', this.#key(name))) as number);
    const watch = new LeaseWatch({ remainingMs, onFree, clock, log });
    const subscribing = pubSub.subscribe(channelOf(name), () => watch.notify(true)).catch(() => undefined);
    const stopGaps = pubSub.onGap(() => watch.notify(false));
    const close = (): void => {
      watch.close();
      stopGaps();
      void subscribing.then((subscription: Subscription | undefined) => subscription?.close());
      this.#watches.delete(close);
    };
    this.#watches.add(close);
    return close;
  }

  async close(): Promise<void> {
    for (const close of this.#watches) close();
    await this.#gate.close();
  }

  #key(name: string): string {
    return `${this.#deps.prefix}lease:{${name}}`;
  }
}

function channelOf(name: string): string {
  return `lease:${name}`;
}
