type Close = () => void | Promise<void>;

/**
 * Owns what a part has opened. `close()` runs the deferred closers in reverse order, each one even when
 * another failed, and is idempotent: every caller awaits the same shutdown.
 */
export class Closer {
  readonly #closers: Close[] = [];
  #closing: Promise<void> | undefined;

  /** Adds a closer; when shutdown has begun it runs at once. */
  defer(close: Close): void {
    if (this.#closing) void Promise.resolve().then(close);
    else this.#closers.push(close);
  }

  /** @throws AggregateError with everything that failed, after all closers ran. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#closers.pop(); close; close = this.#closers.pop()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'closing failed');
  }
}
