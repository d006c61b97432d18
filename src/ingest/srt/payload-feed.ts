import type { Publisher } from '../../stream/publisher.ts';

/** Makes samples of the payload of one connection and gives them to its publisher. */
export interface PayloadFeed {
  /** Payload that follows the last, in whatever pieces. The bytes are the feed's to keep. */
  push(bytes: Buffer): void;
  /** Something is missing between the last payload and the next. */
  gap(): void;
  /** Samples given to the publisher so far: that it grows is what tells a publisher from a silent peer. */
  readonly samples: number;
  /** The codecs, when the peer sends nothing that can be carried. */
  readonly unsupported: string | undefined;
  /** Publishes its counters; called about once a second and at the end. */
  report(): void;
  /** Hands on what is held: the peer has said goodbye. */
  flush(): void;
}

export type OpenFeed = (publisher: Publisher) => PayloadFeed;
