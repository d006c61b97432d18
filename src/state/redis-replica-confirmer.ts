import type { Redis } from 'ioredis';

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Within what a call may take in all. */
const WAIT_MS = 250;

/**
 * Finds out when what one primary has acknowledged has reached its replicas (WAIT): one question for all who are waiting. It
 * has a connection of its own, as WAIT holds up what comes behind it.
 */
export class ReplicaConfirmer {
  readonly #asking: Redis;
  readonly #replicas: number;
  #waiters: Waiter[] = [];
  #isAsking = false;
  #closed = false;

  /** `replicas`: how many must have it. The connection is made from that of `node`, and when it is first needed. */
  constructor(node: Redis, replicas: number) {
    this.#asking = node.duplicate({
      lazyConnect: true,
      enableOfflineQueue: true,
      commandTimeout: WAIT_MS + 50,
      readOnly: false,
    });
    // The call that fails is told, and the connection for requests complains.
    this.#asking.on('error', () => undefined);
    this.#replicas = replicas;
  }

  /** Resolves when enough replicas have all that the primary has done so far; rejects when they do not in time. */
  confirm(): Promise<void> {
    if (this.#closed) return Promise.reject(new Error('closed'));
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      if (!this.#isAsking) void this.#askUntilAllKnow();
    });
  }

  /** Idempotent. Who waits is refused. */
  close(): void {
    this.#closed = true;
    this.#asking.disconnect();
    for (const { reject } of this.#waiters.splice(0)) reject(new Error('closed'));
  }

  async #askUntilAllKnow(): Promise<void> {
    this.#isAsking = true;
    while (this.#waiters.length > 0) {
      const asked = this.#waiters.splice(0);
      const problem = await this.#ask();
      for (const { resolve, reject } of asked) {
        if (problem === undefined) resolve();
        else reject(new Error(problem));
      }
    }
    this.#isAsking = false;
  }

  async #ask(): Promise<string | undefined> {
    // The connection to a node of a Cluster is not made again by itself.
    if (this.#asking.status === 'end' && !this.#closed) this.#asking.connect().catch(() => undefined);
    try {
      // WAIT counts from what was done before this connection's last command.
      const [, reached] = await Promise.all([
        this.#asking.ping(),
        this.#asking.wait(this.#replicas, WAIT_MS),
      ]);
      return reached >= this.#replicas ? undefined : 'too few replicas have it';
    } catch (error) {
      return error instanceof Error ? error.message : 'unknown';
    }
  }
}
