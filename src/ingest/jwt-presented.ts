/** The places of a publish request that may hold a token. */
interface TokenPlaces {
  readonly key: string;
  readonly query: string;
  readonly password?: string;
  readonly token?: string;
}

/** The form of a signed token (RFC 7515 7.1): header, payload and signature in base64url. A publish key has no dots. */
const COMPACT_JWS = /^[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*$/;
const QUERY_NAMES = ['jwt', 'token'] as const;

/** A publish token as somebody showed it, unchecked. */
export interface PresentedToken {
  readonly text: string;
  /** It stood where the stream's name should: only the token can say which stream. */
  readonly insteadOfName: boolean;
}

/**
 * The token a publisher shows: in the protocol's own place, in the query as `jwt` or `token`, as the password, or in
 * place of the stream's name. Undefined when it shows none.
 */
export function presentedToken(request: TokenPlaces): PresentedToken | undefined {
  const named = request.token ?? fromQuery(request.query);
  if (named !== undefined && named !== '') return { text: named, insteadOfName: false };
  const { password, key } = request;
  if (password !== undefined && COMPACT_JWS.test(password)) return { text: password, insteadOfName: false };
  return COMPACT_JWS.test(key) ? { text: key, insteadOfName: true } : undefined;
}

function fromQuery(query: string): string | undefined {
  if (query === '') return undefined;
  const values = new URLSearchParams(query);
  for (const name of QUERY_NAMES) {
    const value = values.get(name);
    if (value !== null && value !== '') return value;
  }
  return undefined;
}
