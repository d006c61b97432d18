import { errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey, type JWTVerifyOptions } from 'jose';
import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { isStreamName } from '../stream/stream-name.ts';
import { APP, type Authoriser, type PublishDecision, type PublishRefusal, refuse } from './authorise.ts';
import type { JwtOptions } from './ingest-options.ts';
import { publishPermission } from './jwt-claims.ts';
import type { TokenKeys } from '../base/token-keys.ts';
import { presentedToken } from './jwt-presented.ts';

/** Longest token that is looked at. */
const MAX_TOKEN_LENGTH = 8192;

type Judged = { readonly claims: JWTPayload } | { readonly refusal: PublishRefusal };

export interface JwtDeps {
  readonly keys: TokenKeys;
  readonly clock: Clock;
}

/** Lets publish who shows a token that is signed by the issuer, valid now, and names the stream. */
export function createJwtAuthoriser(options: JwtOptions, { keys, clock }: JwtDeps): Authoriser {
  return {
    async authorise(request): Promise<PublishDecision> {
      if (request.app !== APP) return refuse('app_unknown');
      const token = presentedToken(request);
      if (token === undefined) return refuse('token_missing');
      const judged = await judge(token.text, keys.find, verifyOptions(options, clock));
      if ('refusal' in judged) return refuse(judged.refusal);
      const permission = publishPermission(judged.claims, options.permissionsClaim);
      const stream = token.insteadOfName ? permission.only : request.key;
      if (stream === undefined) return refuse('stream_not_in_token');
      if (!isStreamName(stream)) return refuse('name_invalid');
      if (!permission.allows(stream)) return refuse('stream_not_in_token');
      return { allow: true, stream, admittedBy: 'token', ...cutAt(judged.claims, options) };
    },
  };
}

/** The names in `ingest.jwt.algorithms`. */
export function algorithmList(algorithms: string): string[] {
  return algorithms.split(',').map((name) => name.trim());
}

function cutAt({ exp }: JWTPayload, { cutAtExpiry, leewaySeconds }: JwtOptions): { untilMs?: number } {
  return cutAtExpiry && exp !== undefined ? { untilMs: (exp + leewaySeconds) * 1000 } : {};
}

function verifyOptions(options: JwtOptions, clock: Clock): JWTVerifyOptions {
  return {
    algorithms: algorithmList(options.algorithms),
    // oxlint-disable-next-line no-restricted-globals -- the form jose wants the clock's time in
    currentDate: new Date(clock.wallMs()),
    clockTolerance: options.leewaySeconds,
    requiredClaims: ['exp'],
    ...(options.issuer !== '' && { issuer: options.issuer }),
    ...(options.audience !== '' && { audience: options.audience }),
  };
}

/** @throws AppError INGEST_AUTH_UNAVAILABLE and whatever else is no fault of the token's */
async function judge(token: string, find: JWTVerifyGetKey, options: JWTVerifyOptions): Promise<Judged> {
  if (token.length > MAX_TOKEN_LENGTH) return { refusal: 'token_invalid' };
  try {
    return { claims: await verify(token, find, options) };
  } catch (error) {
    if (error instanceof AppError) throw error;
    return { refusal: error instanceof errors.JWTExpired ? 'token_expired' : 'token_invalid' };
  }
}

/** A token that does not say by which of several keys it is signed is tried with each. */
async function verify(token: string, find: JWTVerifyGetKey, options: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, find, options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    for await (const key of error) {
      try {
        return (await jwtVerify(token, key, options)).payload;
      } catch (failure) {
        if (!(failure instanceof errors.JWSSignatureVerificationFailed)) throw failure;
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}
