/** Before anything was measured (draft-sharabayko-srt 4.10). */
const INITIAL_RTT_MS = 100;
const INITIAL_VARIANCE_MS = 50;
/** Acknowledgements whose answers are still looked at; at one every 10 ms this is 2.5 s. */
const KEPT_ACKS = 256;

/** Measures the round trip by full acknowledgements and their answers. */
export class RoundTrip {
  readonly #sentMs = new Float64Array(KEPT_ACKS).fill(Number.NaN);
  #lastAck = 0;
  #measured = false;
  #rttMs = INITIAL_RTT_MS;
  #varianceMs = INITIAL_VARIANCE_MS;

  get rttMs(): number {
    return this.#rttMs;
  }

  get varianceMs(): number {
    return this.#varianceMs;
  }

  /** A full acknowledgement goes out now: gives its number. */
  ackSent(nowMs: number): number {
    this.#lastAck = this.#lastAck >= 0x7fff_ffff ? 1 : this.#lastAck + 1;
    this.#sentMs[this.#lastAck % KEPT_ACKS] = nowMs;
    return this.#lastAck;
  }

  /** Its answer came; false when nobody waits for it. */
  answered(ack: number, nowMs: number): boolean {
    const age = this.#lastAck - ack;
    const sentMs = this.#sentMs[ack % KEPT_ACKS] ?? Number.NaN;
    if (age < 0 || age >= KEPT_ACKS || Number.isNaN(sentMs)) return false;
    this.#sentMs[ack % KEPT_ACKS] = Number.NaN;
    this.#learn(Math.max(0, nowMs - sentMs));
    return true;
  }

  /** Smoothed as in draft-sharabayko-srt 4.10. */
  #learn(sampleMs: number): void {
    if (this.#measured) {
      this.#varianceMs = (3 * this.#varianceMs + Math.abs(sampleMs - this.#rttMs)) / 4;
      this.#rttMs = (7 * this.#rttMs + sampleMs) / 8;
      return;
    }
    this.#measured = true;
    this.#rttMs = sampleMs;
    this.#varianceMs = sampleMs / 2;
  }
}
