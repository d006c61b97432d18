import type { ErrorCode } from '../base/errors.ts';
import type { Publisher, PublisherInfo } from '../stream/publisher.ts';

/** What a protocol needs of the hub. */
export interface PublishTarget {
  /**
   * Makes somebody a publisher of `stream`. `onClosed` is called when the hub ends it by itself, with the reason, never
   * during this call.
   * @throws AppError STREAM_BUSY, STREAM_LIMIT, STREAM_NAME_INVALID or STREAM_CLOSING.
   */
  publish(stream: string, info: PublisherInfo, onClosed: (code: ErrorCode) => void): Publisher;
}
