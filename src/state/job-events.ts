import type { Logger } from '../base/log.ts';
import type { JobEvent } from './job-queue.ts';

interface Subscriber {
  readonly listener: (event: JobEvent) => void;
  readonly onGap: (() => void) | undefined;
}

/** Who listens to a queue. What a listener throws is logged and hurts nobody else. */
export class JobSubscribers {
  readonly #subscribers = new Set<Subscriber>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  get isEmpty(): boolean {
    return this.#subscribers.size === 0;
  }

  subscribe(listener: (event: JobEvent) => void, onGap?: () => void): () => void {
    const subscriber = { listener, onGap };
    this.#subscribers.add(subscriber);
    return () => void this.#subscribers.delete(subscriber);
  }

  emit(event: JobEvent): void {
    for (const { listener } of this.#subscribers) this.#call(() => listener(event));
  }

  gap(): void {
    for (const { onGap } of this.#subscribers) if (onGap) this.#call(onGap);
  }

  #call(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.#log.error({ err: error }, 'a listener of the job queue threw');
    }
  }
}
