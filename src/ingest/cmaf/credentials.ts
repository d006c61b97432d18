import { createHash } from 'node:crypto';

/** What a request shows to prove who it is; secrets. */
export interface Credentials {
  readonly user?: string;
  /** A publish key or a password. */
  readonly password?: string;
  /** A signed token. */
  readonly token?: string;
}

/** Longer ones are not looked at. */
const MAX_LENGTH = 4096;
/** The form of a signed token (RFC 7515 7.1); a publish key has no dots. */
const SIGNED_TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

/**
 * Reads an Authorization header: Bearer (RFC 6750) with a signed token or a publish key, or Basic (RFC 7617). Undefined
 * when it holds neither.
 */
export function parseCredentials(authorization: string): Credentials | undefined {
  if (authorization.length > MAX_LENGTH) return undefined;
  const bearer = /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
  if (bearer !== undefined) return SIGNED_TOKEN.test(bearer) ? { token: bearer } : { password: bearer };
  const basic = /^Basic +([A-Za-z0-9+/_=-]+) *$/i.exec(authorization)?.[1];
  if (basic === undefined) return undefined;
  const text = Buffer.from(basic, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** Names credentials (or their absence) without keeping them. */
export function credentialsHash(credentials: Credentials | undefined): string {
  const { user, password, token } = credentials ?? {};
  return createHash('sha256')
    .update(JSON.stringify([user, password, token]))
    .digest('base64');
}
