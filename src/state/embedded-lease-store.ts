import { chmod, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { CallGate } from './call-gate.ts';
import { assertLease, LEASE_DEADLINE_MS, type LeaseStore } from './lease-store.ts';
import { LeaseWatch } from './lease-watch.ts';
import { nextNumber } from './resume-entry.ts';
import type { StateMetrics } from './state-metrics.ts';

export interface EmbeddedLeaseDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: StateMetrics;
}

interface Held {
  readonly owner: string;
  readonly fence: number;
  readonly untilMs: number;
}

/** The only key of the file: the last fence given out, of any lease. */
const LAST_FENCE = 'fence';
const MAP_BYTES = 16 * 1024 ** 2;

/**
 * Opens the leases of a server that is alone: they are held in the process, and gone with it; only the last fence is on
 * the disk, so that fences grow over restarts. The caller closes it.
 * @throws AppError LEASE_UNAVAILABLE when the file cannot be opened
 */
export async function openEmbeddedLeaseStore(path: string, deps: EmbeddedLeaseDeps): Promise<LeaseStore> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const root = open<number, string>({ path, noSubdir: true, mapSize: MAP_BYTES, commitDelay: 0 });
    await Promise.all([path, `${path}-lock`].map((file) => chmod(file, 0o600)));
    return new EmbeddedLeaseStore(root, deps);
  } catch (cause) {
    throw new AppError('LEASE_UNAVAILABLE', `cannot open the file of leases ${path}`, { cause });
  }
}

class EmbeddedLeaseStore implements LeaseStore {
  readonly #root: RootDatabase<number, string>;
  readonly #deps: EmbeddedLeaseDeps;
  readonly #gate: CallGate;
  readonly #held = new Map<string, Held>();
  readonly #watches = new Map<LeaseWatch, string>();
  #closing: Promise<void> | undefined;

  constructor(root: RootDatabase<number, string>, deps: EmbeddedLeaseDeps) {
    this.#root = root;
    this.#deps = deps;
    const options = { part: 'leases', code: 'LEASE_UNAVAILABLE', deadlineMs: LEASE_DEADLINE_MS } as const;
    this.#gate = new CallGate(options, deps);
  }

  acquire(name: string, owner: string, ttlMs: number): Promise<{ readonly fence: number } | undefined> {
    return this.#gate.run(async () => {
      assertLease(name, owner, ttlMs);
      const held = this.#heldNow(name);
      if (held && held.owner !== owner) return undefined;
      const untilMs = this.#deps.clock.monotonicMs() + ttlMs;
      if (held) {
        this.#held.set(name, { ...held, untilMs });
        return { fence: held.fence };
      }
      // Ours before the fence is on the disk: nobody else can come between.
      const draft = { owner, fence: 0, untilMs };
      this.#held.set(name, draft);
      try {
        const fence = await this.#nextFence();
        this.#held.set(name, { owner, fence, untilMs });
        return { fence };
      } catch (error) {
        if (this.#held.get(name) === draft) this.#held.delete(name);
        throw error;
      }
    });
  }

  renew(name: string, owner: string, ttlMs: number): Promise<boolean> {
    return this.#gate.run(() => {
      assertLease(name, owner, ttlMs);
      const held = this.#heldNow(name);
      if (held?.owner !== owner) return false;
      this.#held.set(name, { ...held, untilMs: this.#deps.clock.monotonicMs() + ttlMs });
      return true;
    });
  }

  release(name: string, owner: string): Promise<boolean> {
    return this.#gate.run(() => {
      assertLease(name, owner);
      if (this.#heldNow(name)?.owner !== owner) return false;
      this.#held.delete(name);
      for (const [watch, watched] of this.#watches) if (watched === name) watch.notify(true);
      return true;
    });
  }

  onFree(name: string, onFree: () => void): () => void {
    const { clock, log } = this.#deps;
    const remainingMs = async (): Promise<number> => {
      const held = this.#heldNow(name);
      return held ? held.untilMs - clock.monotonicMs() : 0;
    };
    const watch = new LeaseWatch({ remainingMs, onFree, clock, log });
    this.#watches.set(watch, name);
    return () => {
      watch.close();
      this.#watches.delete(watch);
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const watch of this.#watches.keys()) watch.close();
    this.#watches.clear();
    await this.#gate.close();
    await this.#root.close();
  }

  #heldNow(name: string): Held | undefined {
    const held = this.#held.get(name);
    if (!held || held.untilMs > this.#deps.clock.monotonicMs()) return held;
    this.#held.delete(name);
    return undefined;
  }

  async #nextFence(): Promise<number> {
    const fence = await this.#root.transaction(() => {
      const next = nextNumber(this.#root.get(LAST_FENCE) ?? 0, this.#deps.clock.wallMs());
      void this.#root.put(LAST_FENCE, next);
      return next;
    });
    await this.#root.flushed;
    return fence;
  }
}
