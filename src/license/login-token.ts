import type { Clock } from '../base/clock.ts';
import { LOCAL_AUDIENCES } from './issuer-tokens.ts';
import { LOCAL_ISSUER, type TokenRing } from './token-ring.ts';

/** What a login token of the local issuer says. What is undefined it does not limit. */
export interface LoginClaims {
  readonly user: string;
  readonly seconds: number;
  /** Thumbprint of the only key that it counts with. */
  readonly device: string | undefined;
  readonly content: readonly string[] | undefined;
  readonly tiers: readonly string[] | undefined;
  readonly maxSessions: number | undefined;
}

const JTI_BYTES = 12;

/** Signs a login token. */
export function mintLoginToken(
  ring: TokenRing,
  { user, seconds, device, content, tiers, maxSessions }: LoginClaims,
  clock: Clock,
  randomBytes: (size: number) => Uint8Array,
): string {
  const nowSeconds = Math.floor(clock.wallMs() / 1000);
  return ring.sign({
    iss: LOCAL_ISSUER,
    aud: LOCAL_AUDIENCES.login,
    sub: user,
    iat: nowSeconds,
    exp: nowSeconds + seconds,
    jti: Buffer.from(randomBytes(JTI_BYTES)).toString('base64url'),
    ...(device !== undefined && { cnf: { jkt: device } }),
    ...(content && { content }),
    ...(tiers && { tiers }),
    ...(maxSessions !== undefined && { maxSessions }),
  });
}
