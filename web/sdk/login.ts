import type { ApiCall, ApiCaller, Token } from './api-caller.ts';
import { ApiError } from './api-error.ts';

/** Refusals that a new login token may change. */
const STALE: ReadonlySet<string> = new Set(['TOKEN_EXPIRED', 'TOKEN_INVALID', 'TOKEN_USED']);

/** The viewer's login token: asked for when it is needed, and again when it has run out. */
export class Login {
  readonly #ask: () => Promise<string>;
  #token: Promise<Token> | undefined;

  constructor(ask: () => Promise<string>) {
    this.#ask = ask;
  }

  /** Rejects with whatever the page's own way to log in rejects with. */
  async token(): Promise<Token> {
    this.#token ??= this.#ask().then((text) => ({ text, isBound: isBoundToken(text) }));
    try {
      return await this.#token;
    } catch (error) {
      this.#token = undefined;
      throw error;
    }
  }

  /** Calls as the viewer; with a new token when this one has run out. @throws ApiError */
  async call<T>(api: ApiCaller, call: ApiCall): Promise<T> {
    const token = await this.token();
    try {
      return await api.call<T>(call, token);
    } catch (error) {
      const renewed = error instanceof ApiError ? await this.renew(error, token) : undefined;
      if (!renewed) throw error;
      return api.call<T>(call, renewed);
    }
  }

  /** Another token in the place of one that was refused so; undefined when there is none, or none is needed. */
  async renew({ code }: ApiError, stale: Token): Promise<Token | undefined> {
    if (code === 'TOKEN_PROOF_MISSING' && !stale.isBound) {
      this.#token = Promise.resolve({ text: stale.text, isBound: true });
      return this.#token;
    }
    if (!STALE.has(code)) return undefined;
    if ((await this.#token)?.text === stale.text) this.#token = undefined;
    const next = await this.token();
    return next.text === stale.text ? undefined : next;
  }
}

/** A JWT with a confirmation is bound to a device's key (RFC 7800). What is no JWT is bound to none. */
function isBoundToken(text: string): boolean {
  try {
    const claims = text.split('.')[1] ?? '';
    const json = atob(claims.replaceAll('-', '+').replaceAll('_', '/'));
    return 'cnf' in (JSON.parse(json) as object);
  } catch {
    return false;
  }
}
