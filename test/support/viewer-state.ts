import { AppError } from '../../src/base/errors.ts';
import type { PubSub, Subscription } from '../../src/state/pub-sub.ts';
import type { PutRules, ProfileKey, ResumeReport, ResumeStore } from '../../src/state/resume-store.ts';

/** Messages in memory that a test can lose, and a bus that it can take away. */
export class TestPubSub implements PubSub {
  /** Messages vanish. */
  losing = false;
  /** Calls reject. */
  failing = false;
  readonly published: { readonly channel: string; readonly message: string }[] = [];
  readonly #listeners = new Map<string, Set<(message: string) => void>>();
  readonly #gaps = new Set<() => void>();

  async publish(channel: string, message: string): Promise<void> {
    if (this.failing) throw new AppError('PUBSUB_UNAVAILABLE');
    this.published.push({ channel, message });
    await Promise.resolve();
    if (this.losing) return;
    for (const listener of this.#listeners.get(channel) ?? []) listener(message);
  }

  async subscribe(channel: string, listener: (message: string) => void): Promise<Subscription> {
    if (this.failing) throw new AppError('PUBSUB_UNAVAILABLE');
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    return {
      close: () => {
        listeners.delete(listener);
        if (listeners.size === 0) this.#listeners.delete(channel);
      },
    };
  }

  onGap(listener: () => void): () => void {
    this.#gaps.add(listener);
    return () => this.#gaps.delete(listener);
  }

  /** The connection was lost and is there again. */
  gap(): void {
    for (const listener of this.#gaps) listener();
  }

  get channels(): number {
    return this.#listeners.size;
  }

  get gapListeners(): number {
    return this.#gaps.size;
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }
}

/** A store that can be taken away. */
export class FailingResumeStore implements ResumeStore {
  failing = false;
  /** What was read is given only then. */
  holding: Promise<void> | undefined;
  /** Times that a profile was read. */
  lists = 0;
  readonly #inner: ResumeStore;

  constructor(inner: ResumeStore) {
    this.#inner = inner;
  }

  claim(key: ProfileKey, title: string): ReturnType<ResumeStore['claim']> {
    return this.#call(() => this.#inner.claim(key, title));
  }

  put(key: ProfileKey, report: ResumeReport, rules: PutRules): ReturnType<ResumeStore['put']> {
    return this.#call(() => this.#inner.put(key, report, rules));
  }

  find(key: ProfileKey, title: string): ReturnType<ResumeStore['find']> {
    return this.#call(() => this.#inner.find(key, title));
  }

  async list(key: ProfileKey, after: number): ReturnType<ResumeStore['list']> {
    this.lists += 1;
    const list = await this.#call(() => this.#inner.list(key, after));
    await this.holding;
    return list;
  }

  remove(key: ProfileKey, title: string): ReturnType<ResumeStore['remove']> {
    return this.#call(() => this.#inner.remove(key, title));
  }

  export(viewer: string): ReturnType<ResumeStore['export']> {
    return this.#call(() => this.#inner.export(viewer));
  }

  erase(viewer: string): ReturnType<ResumeStore['erase']> {
    return this.#call(() => this.#inner.erase(viewer));
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #call<T>(call: () => Promise<T>): Promise<T> {
    if (this.failing) throw new AppError('RESUME_UNAVAILABLE');
    return call();
  }
}
