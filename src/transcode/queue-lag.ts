const TICKS_PER_MS = 90;
/** Media over which the rate of events is taken. */
const WINDOW_MS = 500;

/**
 * How much media waits in a queue of which only the number of events is known, audio and video together: by the
 * number of events that lately made up a second of media.
 */
export class QueueLag {
  #eventsPerMs = 0;
  #events = 0;
  #firstPts: number | undefined;

  /** Counts an event that was read; `pts` of a video sample. */
  read(pts?: number): void {
    this.#events++;
    if (pts === undefined) return;
    const firstPts = this.#firstPts;
    const mediaMs = firstPts === undefined ? 0 : (pts - firstPts) / TICKS_PER_MS;
    if (firstPts !== undefined && mediaMs >= 0 && mediaMs < WINDOW_MS) return;
    // A jump says nothing of the rate.
    if (mediaMs > 0 && mediaMs < 4 * WINDOW_MS) this.#eventsPerMs = this.#events / mediaMs;
    this.#firstPts = pts;
    this.#events = 0;
  }

  /** Milliseconds of media in `queuedEvents`; 0 until a rate is known. */
  lagMs(queuedEvents: number): number {
    return this.#eventsPerMs === 0 ? 0 : queuedEvents / this.#eventsPerMs;
  }
}
