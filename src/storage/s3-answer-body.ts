import type { IncomingMessage } from 'node:http';
import type { Clock } from '../base/clock.ts';
import { asS3Failure, S3Failure } from './s3-failure.ts';

/**
 * The body of an answer as it comes, each piece within the time that one may take. Only waiting counts: a slow reader is
 * none of the store's faults. Rejects with S3Failure. `return()` also lets go of a body that nobody began to read.
 */
export class S3AnswerBody implements AsyncIterableIterator<Uint8Array> {
  readonly #message: IncomingMessage;
  readonly #pieces: AsyncIterator<Buffer>;
  readonly #clock: Clock;
  readonly #idleMs: number;

  constructor(message: IncomingMessage, clock: Clock, idleMs: number) {
    this.#message = message;
    this.#pieces = message[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    this.#clock = clock;
    this.#idleMs = idleMs;
    // Nobody may be reading when the connection breaks; who reads on is told.
    message.on('error', () => undefined);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const timer = this.#clock.after(this.#idleMs, () => {
      this.#message.destroy(new S3Failure('time_out', 'the rest of an answer did not come in time'));
    });
    try {
      const { done, value } = await this.#pieces.next();
      return done ? { done, value: undefined } : { value };
    } catch (error) {
      throw asS3Failure(error);
    } finally {
      timer.cancel();
    }
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    // Not read to its end: the connection is of no use to others.
    if (!this.#message.readableEnded) this.#message.destroy();
    return Promise.resolve({ done: true, value: undefined });
  }
}
