/**
 * Messages between the parts of a server, and between servers. At most once: who must not miss anything reads the state
 * behind it when `onGap` says that something may have been missed.
 */
export interface PubSub {
  /** Channels are 1 to 200 characters without spaces; messages at most 64 KiB. Rejects with AppError PUBSUB_UNAVAILABLE. */
  publish(channel: string, message: string): Promise<void>;
  /**
   * Calls back for each message from when it has resolved. The same channel may be listened to often; the driver asks for it once.
   * Rejects with AppError PUBSUB_UNAVAILABLE.
   */
  subscribe(channel: string, listener: (message: string) => void): Promise<Subscription>;
  /** After the connection was lost and is there again: messages may be missing. Returns the unsubscribe function. */
  onGap(listener: () => void): () => void;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface Subscription {
  /** No more calls, at once. Idempotent. */
  close(): void;
}
