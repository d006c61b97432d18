import { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';

/** One node of Redis as far as its append-only file goes: asked, it waits until the test answers. */
export class FakeRedisNode extends EventEmitter {
  readonly #questions: PromiseWithResolversOf<string>[] = [];
  asked = 0;

  /** As the client library's own. */
  get client(): Redis {
    return this as unknown as Redis;
  }

  info(section: string): Promise<string> {
    if (section !== 'persistence') throw new RangeError(section);
    this.asked += 1;
    return new Promise((resolve, reject) => this.#questions.push({ resolve, reject }));
  }

  /** Answers the oldest question. */
  async answer(writtenBytes: number, bufferedBytes: number): Promise<void> {
    const sizes = `aof_current_size:${writtenBytes}\r\naof_buffer_length:${bufferedBytes}\r\n`;
    await this.say(`aof_enabled:1\r\naof_rewrites:0\r\naof_base_size:0\r\n${sizes}`);
  }

  async say(text: string): Promise<void> {
    this.#questions.shift()?.resolve(text);
    await settle();
  }

  async fail(message: string): Promise<void> {
    this.#questions.shift()?.reject(new Error(message));
    await settle();
  }
}

interface PromiseWithResolversOf<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/** Lets everything that waits for nothing but its turn have it. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
