/** Addresses remembered for their refusals; beyond it the oldest is forgotten. */
const MAX_ADDRESSES = 10_000;
const MINUTE_MS = 60_000;

/** Open connections by address group. */
export class ConnectionCount {
  readonly #counts = new Map<string, number>();

  of(group: string): number {
    return this.#counts.get(group) ?? 0;
  }

  add(group: string): void {
    this.#counts.set(group, this.of(group) + 1);
  }

  remove(group: string): void {
    const left = this.of(group) - 1;
    if (left > 0) this.#counts.set(group, left);
    else this.#counts.delete(group);
  }
}

/** Refused publish attempts by address group, a minute at a time. */
export class AuthFailures {
  readonly #maxPerMinute: number;
  readonly #minutes = new Map<string, { startMs: number; failures: number }>();

  constructor(maxPerMinute: number) {
    this.#maxPerMinute = maxPerMinute;
  }

  /** True when the group has used up its minute. */
  exhausted(group: string, nowMs: number): boolean {
    return this.#failures(group, nowMs) >= this.#maxPerMinute;
  }

  add(group: string, nowMs: number): void {
    const failures = this.#failures(group, nowMs) + 1;
    const startMs = failures === 1 ? nowMs : (this.#minutes.get(group)?.startMs ?? nowMs);
    this.#minutes.delete(group);
    if (this.#minutes.size >= MAX_ADDRESSES) this.#forgetOldest();
    this.#minutes.set(group, { startMs, failures });
  }

  #failures(group: string, nowMs: number): number {
    const minute = this.#minutes.get(group);
    return minute === undefined || nowMs - minute.startMs >= MINUTE_MS ? 0 : minute.failures;
  }

  #forgetOldest(): void {
    for (const group of this.#minutes.keys()) {
      this.#minutes.delete(group);
      return;
    }
  }
}
