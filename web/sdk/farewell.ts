import type { ApiCaller, Token } from './api-caller.ts';
import type { SdkClock } from './clock.ts';
import type { Login } from './login.ts';

/** A proof counts for a minute from when it was made. */
const RENEW_MS = 25_000;

/** What a page that goes needs to say who it is: there is no time to sign then, so it is made ahead. */
export class Farewell {
  readonly #api: ApiCaller;
  readonly #login: Login;
  readonly #clock: SdkClock;
  readonly #url: URL;
  #ready: { readonly token: string; readonly proof?: string } | undefined;
  #cancel: (() => void) | undefined;
  #closed = false;

  /** For one call of POST to `url`; ready a moment after {@link start}. */
  constructor(api: ApiCaller, login: Login, clock: SdkClock, url: URL) {
    this.#api = api;
    this.#login = login;
    this.#clock = clock;
    this.#url = url;
    void this.#prepare();
  }

  /** Members of a body that stand for the headers; undefined while there are none. A proof counts once. */
  take(): { readonly token: string; readonly proof?: string } | undefined {
    const ready = this.#ready;
    if (ready?.proof !== undefined) {
      this.#ready = undefined;
      void this.#prepare();
    }
    return ready;
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  async #prepare(): Promise<void> {
    this.#cancel?.();
    try {
      const token = await this.#login.token();
      this.#ready = { token: token.text, ...(await this.#proofFor(token)) };
    } catch {
      // Another time.
    }
    if (!this.#closed) this.#cancel = this.#clock.after(RENEW_MS, () => void this.#prepare());
  }

  async #proofFor(token: Token): Promise<{ readonly proof?: string }> {
    return token.isBound ? { proof: await this.#api.proof('POST', this.#url, token) } : {};
  }
}
