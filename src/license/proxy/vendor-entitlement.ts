import { EncryptJWT, SignJWT } from 'jose';
import type { Clock } from '../../base/clock.ts';
import { kidText } from '../../drm/kid.ts';
import type { Grant, OpenKey } from './proxy.ts';
import type { ProxySystem } from './vendor-metrics.ts';

/** What a licence service is told of a grant, and how. */
export interface EntitlementOptions {
  readonly system: ProxySystem;
  /** 32 bytes, shared with the service. */
  readonly secret: Uint8Array;
  /** Whether the content keys go along: the token is then encrypted (JWE), else only signed (JWS). */
  readonly sendsKeys: boolean;
}

export interface EntitlementDeps {
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
}

/** The token is for this one request. */
const TOKEN_SECONDS = 60;

/** PlayReady's security level that a device needs for a key of the tier: 2000 software, 3000 hardware. */
const SECURITY_LEVEL = { AUDIO: 2000, SD: 2000, HD: 3000, UHD: 3000 } as const;

/**
 * The token that tells a licence service what policy has granted: whom, which keys, how guarded, how long. HS256, or
 * with keys inside direct encryption with A256GCM, so that nothing on the way can read or change it.
 */
export async function mintEntitlement(
  grant: Grant,
  keys: readonly OpenKey[],
  { system, secret, sendsKeys }: EntitlementOptions,
  { clock, randomBytes }: EntitlementDeps,
): Promise<string> {
  const nowSeconds = Math.floor(clock.wallMs() / 1000);
  const token = new (sendsKeys ? EncryptJWT : SignJWT)(claims(grant, keys))
    .setIssuer('headwater')
    .setAudience(system)
    .setSubject(grant.session.viewer)
    .setJti(Buffer.from(randomBytes(16)).toString('base64url'))
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + TOKEN_SECONDS);
  return token instanceof EncryptJWT
    ? token.setProtectedHeader({ alg: 'dir', enc: 'A256GCM' }).encrypt(secret)
    : token.setProtectedHeader({ alg: 'HS256' }).sign(secret);
}

function claims(grant: Grant, open: readonly OpenKey[]): Record<string, unknown> {
  const { owner, id } = grant.session;
  const byKid = new Map(open.map(({ content }) => [kidText(content.kid), content]));
  return {
    sid: id,
    content_id: `${owner.kind}/${owner.id}`,
    robustness: grant.robustness,
    license_seconds: Math.max(1, Math.floor(grant.ttlMs / 1000)),
    persistent: false,
    keys: grant.keys.map(({ entry, tier, output }) => {
      const content = byKid.get(kidText(entry.kid));
      return {
        kid: kidText(entry.kid),
        tier,
        output,
        security_level: SECURITY_LEVEL[tier],
        ...(content && { k: base64url(content.key), iv: base64url(content.constantIv) }),
      };
    }),
  };
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
