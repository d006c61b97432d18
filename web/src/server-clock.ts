const ROUNDS = 6;
const TIMEOUT_MS = 3000;

/** One question for the server's time, all in Unix milliseconds. */
export interface ClockRound {
  readonly askedMs: number;
  readonly serverMs: number;
  readonly answeredMs: number;
}

/**
 * What to add to the local clock to have the server's: from the quickest round, whose error is at most half its
 * length. A difference within that error is no difference. Undefined without a round.
 */
export function clockOffsetMs(rounds: readonly ClockRound[]): number | undefined {
  let best: ClockRound | undefined;
  for (const round of rounds) {
    if (!best || lengthOf(round) < lengthOf(best)) best = round;
  }
  if (!best) return undefined;
  const offset = best.serverMs - (best.askedMs + best.answeredMs) / 2;
  // The server's answer is in whole milliseconds.
  return Math.abs(offset) <= lengthOf(best) / 2 + 1 ? 0 : offset;
}

/**
 * The server's clock, by which the demo draws the time into its pictures: a viewer's own clock may be off by more
 * than the delay that is to be measured.
 */
export class ServerClock {
  readonly #timeUrl: URL;
  #offsetMs = 0;

  constructor(timeUrl: URL) {
    this.#timeUrl = timeUrl;
  }

  /** Server time, Unix milliseconds with fractions; local time until `synchronize` is done. */
  nowMs(): number {
    return localNowMs() + this.#offsetMs;
  }

  /** Asks the server a few times. When it does not answer, the local clock is taken for right. */
  async synchronize(): Promise<void> {
    const rounds: ClockRound[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      // One after the other: rounds at the same time would make each other longer.
      // oxlint-disable-next-line no-await-in-loop
      const round = await this.#ask();
      if (round) rounds.push(round);
    }
    this.#offsetMs = clockOffsetMs(rounds) ?? 0;
  }

  async #ask(): Promise<ClockRound | undefined> {
    try {
      const askedMs = localNowMs();
      const answer = await fetch(this.#timeUrl, {
        cache: 'no-store',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const answeredMs = localNowMs();
      const serverMs = Date.parse((await answer.text()).trim());
      return answer.ok && Number.isFinite(serverMs) ? { askedMs, serverMs, answeredMs } : undefined;
    } catch {
      return undefined;
    }
  }
}

function localNowMs(): number {
  return performance.timeOrigin + performance.now();
}

function lengthOf(round: ClockRound): number {
  return round.answeredMs - round.askedMs;
}
