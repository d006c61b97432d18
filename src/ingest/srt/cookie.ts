import { createHmac } from 'node:crypto';

/** A cookie is good for this long at least, twice as long at most. */
const PERIOD_MS = 30_000;

/**
 * SYN cookies: what proves, without any state here, that whoever sends a conclusion reads what is sent to its address
 * (draft-sharabayko-srt 4.3.1.1).
 */
export class CookieJar {
  readonly #secret: Uint8Array;

  /** `secret`: unpredictable, of this process alone. */
  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  issue(address: string, port: number, nowMs: number): number {
    return this.#cookie(address, port, Math.floor(nowMs / PERIOD_MS));
  }

  accepts(cookie: number, address: string, port: number, nowMs: number): boolean {
    const period = Math.floor(nowMs / PERIOD_MS);
    return [period, period - 1].some((each) => cookie === this.#cookie(address, port, each));
  }

  #cookie(address: string, port: number, period: number): number {
    const hmac = createHmac('sha256', this.#secret).update(`${address}|${port}|${period}`).digest();
    return hmac.readUInt32BE(0);
  }
}
