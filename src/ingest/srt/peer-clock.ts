/** One part in so many of each sample goes into the mean: about a quarter of a second of video. */
const SMOOTHING = 128;

/**
 * Ties the peer's time stamps (microseconds that wrap every 71 minutes and drift) to our clock: when, by our clock, a
 * packet of this stamp comes in the mean.
 */
export class PeerClock {
  #lastStamp: number | undefined;
  /** The peer's time at `#lastStamp`, without wraps. */
  #peerMs = 0;
  /** Our clock minus the peer's, in the mean of the packets that came by the first sending. */
  #offsetMs = 0;

  /** `first`: the packet was not sent again, so that its delay says something of the way. */
  expectedMs(stamp: number, first: boolean, nowMs: number): number {
    if (this.#lastStamp === undefined) {
      this.#lastStamp = stamp;
      this.#offsetMs = nowMs;
      return nowMs;
    }
    const stepMs = ((stamp - this.#lastStamp) | 0) / 1000;
    const peerMs = this.#peerMs + stepMs;
    if (stepMs > 0) {
      this.#peerMs = peerMs;
      this.#lastStamp = stamp;
    }
    const delayMs = nowMs - peerMs;
    if (first) this.#offsetMs += (delayMs - this.#offsetMs) / SMOOTHING;
    return peerMs + this.#offsetMs;
  }
}
