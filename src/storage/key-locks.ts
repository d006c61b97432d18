/** Lets one caller at a time at each key, in the order they came. What nobody waits for is not held. */
export class KeyLocks {
  readonly #tails = new Map<string, Promise<void>>();

  /** Keys that somebody is at. */
  get size(): number {
    return this.#tails.size;
  }

  /** Runs `act` when all who came before at this key are through; fails as it does. */
  async run<T>(key: string, act: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const { promise: tail, resolve: done } = withResolvers();
    this.#tails.set(key, tail);
    await before;
    try {
      return await act();
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
      done();
    }
  }
}

function withResolvers(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
