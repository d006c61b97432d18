import { AppError } from '../base/errors.ts';
import { problemAnswer } from '../http/problem.ts';
import type { HttpHandler, HttpRequest } from '../http/types.ts';
import type { Tiers } from '../packager/tier-scope.ts';

/** What the bearer of a path token may see. */
export interface PlaybackScope {
  /** Paths below it: `/live/<stream>/`. */
  readonly prefix: string;
  /** What manifests name to him. */
  readonly tiers: Tiers;
}

/**
 * What a path token stands for; undefined when it is none of ours or has run out. Whether its session still goes on is
 * not asked: it opens no key, licences do ask.
 */
export type ReadPathToken = (token: string) => PlaybackScope | undefined;

/** `/t/<token>/…`: every relative URL in what is served below it keeps the token. */
const TOKEN_PATH = /^\/t\/([A-Za-z0-9._~-]{1,512})(\/.*)$/;
/** What players ask for beside the presentation: the clock of UTCTiming. */
const FOR_ALL = new Set(['/time']);

/** A request as the routes see it: without the token, and with what it gives leave to. */
class ScopedRequest implements HttpRequest {
  readonly path: string;
  readonly scope: PlaybackScope;
  readonly #inner: HttpRequest;

  constructor(inner: HttpRequest, path: string, scope: PlaybackScope) {
    this.#inner = inner;
    this.path = path;
    this.scope = scope;
  }

  get method(): string {
    return this.#inner.method;
  }

  get query(): string {
    return this.#inner.query;
  }

  get remoteAddress(): string {
    return this.#inner.remoteAddress;
  }

  header(name: string): string {
    return this.#inner.header(name);
  }

  body(limitBytes: number): Promise<Uint8Array> {
    return this.#inner.body(limitBytes);
  }

  bodyPieces(signal: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#inner.bodyPieces(signal);
  }
}

/** The leave that came with a request; undefined: it had no token, and everything is named to it. */
export function scopeOf(request: HttpRequest): PlaybackScope | undefined {
  return request instanceof ScopedRequest ? request.scope : undefined;
}

/**
 * Takes path tokens off before `next` sees the request: what is stored or shared never depends on them. A token that
 * is not good for the path is refused, also for what is public without one: the player is to notice.
 */
export function withPathTokens(read: ReadPathToken | undefined, next: HttpHandler): HttpHandler {
  if (!read) return next;
  return (request, response) => {
    const { path, method } = request;
    if (!path.startsWith('/t/')) return next(request, response);
    const [, token = '', rest = ''] = TOKEN_PATH.exec(path) ?? [];
    // A preflight has no say: it may not carry what the real request will.
    const scope = read(token);
    const allowed = scope !== undefined && (rest.startsWith(scope.prefix) || FOR_ALL.has(rest));
    if (allowed) return next(new ScopedRequest(request, rest, scope), response);
    if (method === 'OPTIONS') return next(new ScopedRequest(request, rest, NOTHING), response);
    response.send(problemAnswer(new AppError('ORIGIN_TOKEN_REFUSED'), CORS));
  };
}

const NOTHING: PlaybackScope = { prefix: '/', tiers: new Set() };
const CORS = [
  ['Access-Control-Allow-Origin', '*'],
  ['Cache-Control', 'no-store'],
] as const;
