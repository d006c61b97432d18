import type { Redis } from 'ioredis';
import type { Clock } from '../base/clock.ts';
import { type AofMark, isWritten, markOf, parseAofState } from './redis-aof-state.ts';

export interface WriteConfirmerDeps {
  readonly clock: Clock;
  /** Whether writes outlive the process of Redis, or why not: called when it is found out, and again when it is otherwise. */
  readonly onDurability: (isDurable: boolean, reason?: string) => void;
  /** Nobody waits longer; {@link PATIENCE_MS} when missing. */
  readonly patienceMs?: number | undefined;
}

interface Waiter {
  readonly sinceMs: number;
  mark: AofMark | undefined;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** As long as a call of a viewer may take in all. */
const PATIENCE_MS = 300;
/** Pauses between questions while Redis holds its file back; the first two are asked at once. */
const MIN_PAUSE_MS = 1;
const MAX_PAUSE_MS = 8;
/** A Redis without a file is asked so seldom whether it has one by now. */
const RECHECK_MS = 1000;

/**
 * Finds out when what one Redis has acknowledged has left its process. With `appendfsync everysec` Redis answers before it
 * writes while an fsync is under way, for up to two seconds; who is killed then has lost it. So Redis is asked how much waits:
 * one question for all who are waiting, however many they are.
 */
export class WriteConfirmer {
  readonly #node: Redis;
  readonly #deps: WriteConfirmerDeps;
  /** The oldest first: marks only grow. */
  #waiters: Waiter[] = [];
  #isAsking = false;
  #isDurable: boolean | undefined;
  #checkedMs = 0;
  #losses = 0;
  readonly #onLoss = (): void => {
    this.#losses += 1;
    this.#fail(new Error('the connection was lost before Redis had written'));
  };

  constructor(node: Redis, deps: WriteConfirmerDeps) {
    this.#node = node;
    this.#deps = deps;
    node.on('close', this.#onLoss);
  }

  /** How often the connection was lost: to be read before a write is sent. Another process may answer on the next one. */
  get losses(): number {
    return this.#losses;
  }

  /**
   * Resolves when all that Redis has acknowledged so far on this connection is out of its process; or at once when that never
   * happens, as it keeps no file. Rejects when the connection has been lost since `losses` was read, or it takes too long.
   */
  confirm(losses: number): Promise<void> {
    if (losses !== this.#losses) return Promise.reject(new Error('the connection was lost'));
    const nowMs = this.#deps.clock.monotonicMs();
    if (this.#isDurable === false && nowMs - this.#checkedMs < RECHECK_MS) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ sinceMs: nowMs, mark: undefined, resolve, reject });
      if (!this.#isAsking) void this.#askUntilAllKnow();
    });
  }

  /** Idempotent. Who waits is refused. */
  close(): void {
    this.#node.off('close', this.#onLoss);
    this.#onLoss();
  }

  async #askUntilAllKnow(): Promise<void> {
    this.#isAsking = true;
    let idleTurns = 0;
    while (this.#waiters.length > 0) {
      // Who comes while the answer is on its way may have written after it.
      const asked = [...this.#waiters];
      const losses = this.#losses;
      let info: string;
      try {
        info = await this.#node.info('persistence');
      } catch (error) {
        this.#fault(asked, error);
        continue;
      }
      const hasDone = losses === this.#losses && this.#judge(asked, info) > 0;
      this.#giveUpOnLate();
      idleTurns = hasDone ? 0 : idleTurns + 1;
      if (idleTurns > 1) await this.#pause(idleTurns);
    }
    this.#isAsking = false;
  }

  /** The number of those who need not wait any more. */
  #judge(asked: readonly Waiter[], info: string): number {
    const state = parseAofState(info);
    this.#checkedMs = this.#deps.clock.monotonicMs();
    this.#tell(
      state?.isEnabled ?? false,
      state ? undefined : 'it does not say what is in its append-only file',
    );
    const done = new Set<Waiter>();
    for (const waiter of asked) {
      if (!state?.isEnabled || isWritten(waiter.mark, state)) done.add(waiter);
      else if (waiter.mark?.generation !== state.generation) waiter.mark = markOf(state);
    }
    this.#waiters = this.#waiters.filter((waiter) => !done.has(waiter));
    for (const { resolve } of done) resolve();
    return done.size;
  }

  /** Who may not ask goes on without; whoever else gets no answer has not been told that it is written. */
  #fault(asked: readonly Waiter[], error: unknown): void {
    const reason = error instanceof Error ? error.message : 'unknown';
    const isForbidden = reason.startsWith('NOPERM');
    if (isForbidden) {
      this.#checkedMs = this.#deps.clock.monotonicMs();
      this.#tell(false, 'its user may not ask (INFO)');
    }
    const refused = new Set(asked);
    this.#waiters = this.#waiters.filter((waiter) => !refused.has(waiter));
    for (const { resolve, reject } of asked) {
      if (isForbidden) resolve();
      else reject(new Error(reason));
    }
  }

  #giveUpOnLate(): void {
    const sinceMs = this.#deps.clock.monotonicMs() - (this.#deps.patienceMs ?? PATIENCE_MS);
    const late = this.#waiters.filter((waiter) => waiter.sinceMs <= sinceMs);
    if (late.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => waiter.sinceMs > sinceMs);
    for (const { reject } of late) reject(new Error('Redis has not written it in time'));
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiters.splice(0)) reject(error);
  }

  #tell(isDurable: boolean, reason?: string): void {
    if (this.#isDurable === isDurable) return;
    this.#isDurable = isDurable;
    this.#deps.onDurability(isDurable, isDurable ? undefined : (reason ?? 'it keeps no append-only file'));
  }

  #pause(turns: number): Promise<void> {
    const pauseMs = Math.min(MAX_PAUSE_MS, MIN_PAUSE_MS * 2 ** (turns - 2));
    return new Promise((resolve) => void this.#deps.clock.after(pauseMs, resolve));
  }
}
