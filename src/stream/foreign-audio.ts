import type { Publisher } from './publisher.ts';

/**
 * One publisher's audio in a codec that is not passed through. What comes of it goes to the same publisher, as AAC: a
 * configuration, then frames on the source's own clock, a moment later than it was fed.
 */
export interface ForeignAudioFeed {
  /**
   * @param timestampMs of the source, 32 bits: it may wrap, jump or repeat
   * @param body of an FLV audio tag, which is also an RTMP audio message; handed over, never reused
   */
  feed(timestampMs: number, body: Uint8Array): void;
  /** The publisher sends AAC again: nothing that was fed comes out any more. Another `feed` begins anew. */
  stop(): void;
  /** The publisher is gone. Idempotent; what runs for it ends by itself soon. */
  close(): void;
}

/** Turns audio that players cannot have into AAC. */
export interface ForeignAudioEncoder {
  /** Whoever opens closes. */
  open(publisher: Publisher): ForeignAudioFeed;
}
