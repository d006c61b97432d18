/** Counts the times playback stood still against the viewer's will, and for how long. */
export class StallMeter {
  #count = 0;
  #endedMs = 0;
  #beganMs: number | undefined;

  get count(): number {
    return this.#count;
  }

  /** Time stood still so far, with the stall that goes on at `nowMs`. */
  totalMs(nowMs: number): number {
    return this.#endedMs + (this.#beganMs === undefined ? 0 : nowMs - this.#beganMs);
  }

  /** How long the present stall goes on; 0 while there is none. */
  presentMs(nowMs: number): number {
    return this.#beganMs === undefined ? 0 : nowMs - this.#beganMs;
  }

  begin(nowMs: number): void {
    if (this.#beganMs !== undefined) return;
    this.#beganMs = nowMs;
    this.#count++;
  }

  end(nowMs: number): void {
    this.#endedMs = this.totalMs(nowMs);
    this.#beganMs = undefined;
  }

  /** Begins the counts anew; a stall that goes on is counted again, from now. */
  reset(nowMs: number): void {
    this.#count = this.#beganMs === undefined ? 0 : 1;
    this.#endedMs = 0;
    if (this.#beganMs !== undefined) this.#beganMs = nowMs;
  }
}
