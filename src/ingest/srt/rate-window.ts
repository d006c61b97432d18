const WINDOW_MS = 1000;

/** Packets and bytes a second, over the last whole second. */
export class RateWindow {
  #startMs: number;
  #packets = 0;
  #bytes = 0;
  packetsPerSecond = 0;
  bytesPerSecond = 0;

  constructor(nowMs: number) {
    this.#startMs = nowMs;
  }

  add(sizeBytes: number): void {
    this.#packets += 1;
    this.#bytes += sizeBytes;
  }

  /** To be called often: it closes the window when its time is over. */
  roll(nowMs: number): void {
    const elapsedMs = nowMs - this.#startMs;
    if (elapsedMs < WINDOW_MS) return;
    this.packetsPerSecond = (this.#packets * 1000) / elapsedMs;
    this.bytesPerSecond = (this.#bytes * 1000) / elapsedMs;
    this.#startMs = nowMs;
    this.#packets = 0;
    this.#bytes = 0;
  }
}
