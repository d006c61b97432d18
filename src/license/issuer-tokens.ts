import { errors, jwtVerify, type JWTPayload, type JWTVerifyOptions } from 'jose';
import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { TokenKeys } from '../base/token-keys.ts';
import { parseCompactJws } from './compact-jws.ts';
import { LOCAL_ISSUER, MAX_TOKEN_LENGTH, type TokenRing } from './token-ring.ts';
import { VerifiedTokens } from './verified-tokens.ts';

/** What a token is shown for: to begin a session, or to get licences in one. No token counts for the other. */
export type TokenUse = 'login' | 'playback';

/** Somebody whose tokens count here. */
export interface TokenIssuer {
  /** Exactly what its tokens have as `iss`. */
  readonly issuer: string;
  /** What they must have in `aud`. */
  readonly audience: string;
  readonly algorithms: readonly string[];
  readonly uses: readonly TokenUse[];
  readonly keys: TokenKeys;
}

/** A token whose signature, issuer, audience and times are right. */
export interface VerifiedToken {
  readonly issuer: string;
  readonly subject: string;
  /** One of our own, made with {@link TokenRing}. */
  readonly local: boolean;
  readonly claims: Readonly<Record<string, unknown>>;
  /** `exp` without the leeway. */
  readonly expiresMs: number;
}

export type TokenRefusal = 'TOKEN_INVALID' | 'TOKEN_EXPIRED' | 'TOKEN_ISSUER_UNAVAILABLE';

export type TokenOutcome =
  | { readonly kind: 'verified'; readonly token: VerifiedToken }
  | { readonly kind: 'refused'; readonly refusal: TokenRefusal };

/** What our own tokens have as `aud`, by what they are for. */
export const LOCAL_AUDIENCES: Readonly<Record<TokenUse, string>> = {
  login: 'headwater:login',
  playback: 'headwater:playback',
};

/** How far an issuer's clock may be off. */
export const TOKEN_LEEWAY_MS = 60_000;
/** Longest name of a user that is taken. */
const MAX_SUBJECT_LENGTH = 255;

export interface IssuerTokenDeps {
  readonly ring: TokenRing;
  readonly clock: Clock;
}

/** Tells whose tokens count, and checks them. */
export class IssuerTokens {
  readonly #issuers: ReadonlyMap<string, TokenIssuer>;
  readonly #deps: IssuerTokenDeps;
  /** Of other issuers. */
  readonly #verified: VerifiedTokens<VerifiedToken>;

  constructor(issuers: readonly TokenIssuer[], deps: IssuerTokenDeps) {
    this.#issuers = new Map(issuers.map((issuer) => [issuer.issuer, issuer]));
    this.#deps = deps;
    this.#verified = new VerifiedTokens({ leewayMs: TOKEN_LEEWAY_MS }, deps.clock);
  }

  /** Sees that every key that can be looked at now is there. @throws AppError TOKEN_KEY_UNUSABLE, SECRET_FILE_UNSAFE */
  async open(): Promise<void> {
    for (const { keys } of this.#issuers.values()) await keys.verify();
  }

  /** Never throws for what is wrong with a token. */
  async verify(text: string, use: TokenUse): Promise<TokenOutcome> {
    const jws = parseCompactJws(text, MAX_TOKEN_LENGTH);
    const issuer = jws?.payload['iss'];
    // A proof of a device is signed by whoever sends it: its type keeps it from being taken for a token.
    if (jws === undefined || typeof issuer !== 'string' || jws.header['typ'] === 'dpop+jwt')
      return refused('TOKEN_INVALID');
    if (issuer === LOCAL_ISSUER) return this.#verifyLocal(text, use);
    const known = this.#issuers.get(issuer);
    if (known === undefined || !known.uses.includes(use)) return refused('TOKEN_INVALID');
    return this.#verifyForeign(text, known);
  }

  async #verifyLocal(text: string, use: TokenUse): Promise<TokenOutcome> {
    const claims = await this.#deps.ring.verify(text);
    if (claims === undefined || claims['aud'] !== LOCAL_AUDIENCES[use]) return refused('TOKEN_INVALID');
    const { sub, exp, nbf } = claims;
    if (typeof sub !== 'string' || typeof exp !== 'number') return refused('TOKEN_INVALID');
    const nowMs = this.#deps.clock.wallMs();
    // The clock is our own: no leeway.
    if (exp * 1000 <= nowMs || (typeof nbf === 'number' && nbf * 1000 > nowMs))
      return refused('TOKEN_EXPIRED');
    return verified(LOCAL_ISSUER, sub, true, claims, exp);
  }

  async #verifyForeign(text: string, issuer: TokenIssuer): Promise<TokenOutcome> {
    const known = this.#verified.find(text);
    if (known) return { kind: 'verified', token: known };
    try {
      const payload = await verifyWith(text, issuer, this.#options(issuer));
      const { sub, exp } = payload;
      if (typeof sub !== 'string' || sub === '' || sub.length > MAX_SUBJECT_LENGTH)
        return refused('TOKEN_INVALID');
      if (exp === undefined) return refused('TOKEN_INVALID');
      const outcome = verified(issuer.issuer, sub, false, payload, exp);
      this.#verified.keep(text, outcome.token);
      return outcome;
    } catch (error) {
      if (error instanceof AppError) return refused('TOKEN_ISSUER_UNAVAILABLE');
      return refused(isTimeOut(error) ? 'TOKEN_EXPIRED' : 'TOKEN_INVALID');
    }
  }

  #options({ issuer, audience, algorithms }: TokenIssuer): JWTVerifyOptions {
    return {
      issuer,
      audience,
      algorithms: [...algorithms],
      requiredClaims: ['exp', 'sub', 'iss', 'aud'],
      clockTolerance: TOKEN_LEEWAY_MS / 1000,
      // oxlint-disable-next-line no-restricted-globals -- the form jose wants the clock's time in
      currentDate: new Date(this.#deps.clock.wallMs()),
    };
  }
}

/** A token that does not say by which of several keys it is signed is tried with each. */
async function verifyWith(
  text: string,
  { keys }: TokenIssuer,
  options: JWTVerifyOptions,
): Promise<JWTPayload> {
  try {
    return (await jwtVerify(text, keys.find, options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    for await (const key of error) {
      try {
        return (await jwtVerify(text, key, options)).payload;
      } catch (failure) {
        if (!(failure instanceof errors.JWSSignatureVerificationFailed)) throw failure;
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}

function isTimeOut(error: unknown): boolean {
  if (error instanceof errors.JWTExpired) return true;
  return error instanceof errors.JWTClaimValidationFailed && error.claim === 'nbf';
}

function verified(
  issuer: string,
  subject: string,
  local: boolean,
  claims: Readonly<Record<string, unknown>>,
  exp: number,
): Extract<TokenOutcome, { kind: 'verified' }> {
  return { kind: 'verified', token: { issuer, subject, local, claims, expiresMs: exp * 1000 } };
}

function refused(refusal: TokenRefusal): TokenOutcome {
  return { kind: 'refused', refusal };
}
