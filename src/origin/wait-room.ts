import type { Clock, Timer } from '../base/clock.ts';
import type { HttpResponse } from '../http/types.ts';
import type { Releaser } from './releaser.ts';

/** What held requests wait for. Requests with the same key share one decision. */
export interface Awaited<Outcome> {
  readonly key: string;
  /** The outcome once there is one; undefined while the request must wait on. Pure: reads the window. */
  decide(): Outcome | undefined;
}

/** One held request: exactly one of the two is called, once, unless its client goes away first. */
export interface Waiter<Outcome> {
  readonly response: HttpResponse;
  settle(outcome: Outcome): void;
  /** Held for as long as allowed (`limit`), or the server is closing. */
  expire(reason: 'limit' | 'closing'): void;
}

/** Is told how many requests are held, and for how long. */
export interface HoldObserver {
  held(): void;
  /** `seconds` from the request to its answer; undefined when the client left. */
  left(seconds: number | undefined): void;
  expired(): void;
}

/** A number of places shared by the rooms of one stream. */
export interface Places {
  left: number;
}

interface Group<Outcome> {
  readonly awaited: Awaited<Outcome>;
  readonly holds: Set<Hold<Outcome>>;
  settled: boolean;
}

interface Hold<Outcome> {
  readonly waiter: Waiter<Outcome>;
  readonly group: Group<Outcome>;
  readonly sinceMs: number;
}

/** What a room works with. */
export interface WaitRoomDeps {
  readonly clock: Clock;
  readonly releaser: Releaser;
  readonly observer: HoldObserver;
  /** Answers a held request that we failed to decide or to answer: a fault of ours. */
  readonly fail: (response: HttpResponse, error: unknown) => void;
}

/**
 * Holds requests until what they wait for has happened. Nothing polls: the owner calls `recheck()` when the window
 * changed; each distinct thing waited for is decided once, and all who wait for it are answered in batches.
 */
export class WaitRoom<Outcome> {
  readonly #limitMs: number;
  readonly #places: Places;
  readonly #deps: WaitRoomDeps;
  readonly #groups = new Map<string, Group<Outcome>>();
  /** In order of arrival and so of deadline, since all are held for equally long. */
  readonly #holds = new Set<Hold<Outcome>>();
  #timer: Timer | undefined;

  constructor(limitMs: number, places: Places, deps: WaitRoomDeps) {
    this.#limitMs = limitMs;
    this.#places = places;
    this.#deps = deps;
  }

  /** Holds a request. False, and nothing done, when every place is taken. */
  hold(awaited: Awaited<Outcome>, waiter: Waiter<Outcome>): boolean {
    if (this.#places.left <= 0) return false;
    this.#places.left -= 1;
    const group = this.#groupOf(awaited);
    const hold: Hold<Outcome> = { waiter, group, sinceMs: this.#deps.clock.monotonicMs() };
    group.holds.add(hold);
    this.#holds.add(hold);
    this.#deps.observer.held();
    waiter.response.onAbort(() => {
      if (this.#leave(hold)) this.#deps.observer.left(undefined);
    });
    this.#timer ??= this.#deps.clock.after(this.#limitMs, () => this.#expireDue());
    return true;
  }

  /** Decides anew for everything that is waited for, and lets go whoever has an outcome. */
  recheck(): void {
    for (const [key, group] of this.#groups) {
      if (group.holds.size === 0) {
        this.#groups.delete(key);
        continue;
      }
      const settle = this.#decide(group.awaited);
      if (!settle) continue;
      this.#groups.delete(key);
      group.settled = true;
      this.#deps.releaser.run(group.holds, (hold) => this.#answer(hold, settle));
    }
  }

  /** Lets everybody go at once; the room may be used on. */
  expireAll(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const hold of this.#holds) this.#answer(hold, (waiter) => waiter.expire('closing'));
    this.#groups.clear();
  }

  /** What to tell everybody who waits for it; undefined when they must wait on. */
  #decide(awaited: Awaited<Outcome>): ((waiter: Waiter<Outcome>) => void) | undefined {
    try {
      const outcome = awaited.decide();
      return outcome === undefined ? undefined : (waiter) => waiter.settle(outcome);
    } catch (error) {
      return (waiter) => this.#deps.fail(waiter.response, error);
    }
  }

  #groupOf(awaited: Awaited<Outcome>): Group<Outcome> {
    const known = this.#groups.get(awaited.key);
    if (known) return known;
    const group: Group<Outcome> = { awaited, holds: new Set(), settled: false };
    this.#groups.set(awaited.key, group);
    return group;
  }

  #expireDue(): void {
    this.#timer = undefined;
    const now = this.#deps.clock.monotonicMs();
    const due: Hold<Outcome>[] = [];
    for (const hold of this.#holds) {
      const leftMs = hold.sinceMs + this.#limitMs - now;
      if (leftMs > 0) {
        this.#timer = this.#deps.clock.after(leftMs, () => this.#expireDue());
        break;
      }
      if (!hold.group.settled) due.push(hold);
    }
    for (const hold of due) hold.group.holds.delete(hold);
    this.#deps.releaser.run(due, (hold) => {
      if (this.#answer(hold, (waiter) => waiter.expire('limit'))) this.#deps.observer.expired();
    });
  }

  #answer(hold: Hold<Outcome>, tell: (waiter: Waiter<Outcome>) => void): boolean {
    if (!this.#leave(hold)) return false;
    this.#deps.observer.left((this.#deps.clock.monotonicMs() - hold.sinceMs) / 1000);
    try {
      tell(hold.waiter);
    } catch (error) {
      this.#deps.fail(hold.waiter.response, error);
    }
    return true;
  }

  /** True when it was here until now. */
  #leave(hold: Hold<Outcome>): boolean {
    if (!this.#holds.delete(hold)) return false;
    hold.group.holds.delete(hold);
    this.#places.left += 1;
    return true;
  }
}
