import { ApiError, errorOf } from './api-error.ts';
import type { SdkClock } from './clock.ts';
import type { DeviceKey } from './device-key.ts';
import { makeProof } from './device-proof.ts';

/** The part of `fetch` that is used. */
export type FetchLike = (url: string, init: RequestInit) => Promise<Response>;

export interface ApiCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Path and query below the server's base. */
  readonly path: string;
  readonly body?: object | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** Outlives the page; small. */
  readonly keepalive?: boolean;
}

/** An access token. */
export interface Token {
  readonly text: string;
  /** It counts only with a proof of the device's key (DPoP). */
  readonly isBound: boolean;
}

export interface ApiCallerDeps {
  readonly baseUrl: string;
  readonly fetch: FetchLike;
  readonly device: () => Promise<DeviceKey>;
  readonly clock: SdkClock;
}

/** A call without an answer for so long has none. */
const TIMEOUT_MS = 10_000;

/** Calls the server with a token, and a proof where it needs one. Follows the server's nonces (RFC 9449 8). */
export class ApiCaller {
  readonly #deps: ApiCallerDeps;
  #nonce: string | undefined;

  constructor(deps: ApiCallerDeps) {
    this.#deps = deps;
  }

  url(path: string): URL {
    return new URL(path, this.#deps.baseUrl);
  }

  /** The JSON of the answer; undefined where it has no body. @throws ApiError */
  async call<T>(call: ApiCall, token: Token): Promise<T> {
    const abort = new AbortController();
    const cancel = this.#deps.clock.after(TIMEOUT_MS, () => abort.abort());
    try {
      const response = await this.send(call, token, abort.signal);
      if (!response.ok) throw await errorOf(response);
      return (response.status === 204 ? undefined : await response.json()) as T;
    } catch (error) {
      throw error instanceof ApiError ? error : new ApiError(0, {});
    } finally {
      cancel();
    }
  }

  /** The answer itself. A nonce that the server asks for is sent at once. @throws what `fetch` throws */
  async send(call: ApiCall, token: Token, signal?: AbortSignal): Promise<Response> {
    const before = this.#nonce;
    const response = await this.#fetch(call, token, signal);
    const isAskedFor = response.status === 401 && token.isBound && this.#nonce !== before;
    return isAskedFor ? this.#fetch(call, token, signal) : response;
  }

  /** What a request of another's making must carry. A proof is good for one request. */
  async headers(method: string, url: URL, token: Token): Promise<Readonly<Record<string, string>>> {
    if (!token.isBound) return { Authorization: `Bearer ${token.text}` };
    return { Authorization: `DPoP ${token.text}`, DPoP: await this.proof(method, url, token) };
  }

  async proof(method: string, url: URL, { text }: Token): Promise<string> {
    const { device, clock } = this.#deps;
    return makeProof(await device(), { method, url, token: text, nonce: this.#nonce }, clock.nowMs());
  }

  /** To be told what `DPoP-Nonce` an answer to a request of another's making had. */
  noteNonce(nonce: string | null): void {
    if (nonce !== null && nonce !== '') this.#nonce = nonce;
  }

  async #fetch(
    { method, path, body, headers, keepalive }: ApiCall,
    token: Token,
    signal?: AbortSignal,
  ): Promise<Response> {
    const url = this.url(path);
    const response = await this.#deps.fetch(url.href, {
      method,
      cache: 'no-store',
      headers: {
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...headers,
        ...(await this.headers(method, url, token)),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(keepalive === true ? { keepalive } : {}),
      ...(signal === undefined ? {} : { signal }),
    });
    this.noteNonce(response.headers.get('DPoP-Nonce'));
    return response;
  }
}
