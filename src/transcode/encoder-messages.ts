import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';

const MAX_LINE_BYTES = 300;
const KEPT_LINES = 8;
/** Lines logged in a row, and how often one more may follow. */
const LOGGED_AT_ONCE = 5;
const LOG_EVERY_MS = 10_000;

/**
 * What an encoder says on its error output: the last lines are kept for the account of its end, and a few reach the
 * log, however much it says.
 */
export class EncoderMessages {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #lines: string[] = [];
  #open = '';
  #tokens = LOGGED_AT_ONCE;
  #refilledAtMs: number;
  #unlogged = 0;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
    this.#refilledAtMs = clock.monotonicMs();
  }

  /** The last lines, oldest first. */
  get last(): readonly string[] {
    return this.#open === '' ? this.#lines : [...this.#lines, this.#open];
  }

  add(bytes: Uint8Array): void {
    for (const [index, piece] of Buffer.from(bytes)
      .toString('latin1')
      .split(/[\r\n]+/)
      .entries()) {
      if (index > 0) this.#lineDone();
      this.#open = (this.#open + piece.replaceAll(/[^\x20-\x7e]/g, '?')).slice(0, MAX_LINE_BYTES);
    }
  }

  #lineDone(): void {
    const line = this.#open.trim();
    this.#open = '';
    if (line === '') return;
    this.#lines.push(line);
    if (this.#lines.length > KEPT_LINES) this.#lines.shift();
    this.#refill();
    if (this.#tokens === 0) {
      this.#unlogged++;
      return;
    }
    this.#tokens--;
    this.#log.info({ line, unlogged: this.#unlogged }, 'encoder says');
    this.#unlogged = 0;
  }

  #refill(): void {
    const nowMs = this.#clock.monotonicMs();
    const more = Math.floor((nowMs - this.#refilledAtMs) / LOG_EVERY_MS);
    if (more === 0) return;
    this.#tokens = Math.min(LOGGED_AT_ONCE, this.#tokens + more);
    this.#refilledAtMs += more * LOG_EVERY_MS;
  }
}
