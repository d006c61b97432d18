import { createHash, createPublicKey, type KeyObject } from 'node:crypto';

/** The public key of a device: ECDSA on P-256, coordinates of 32 bytes in base64url. */
export interface DeviceJwk {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
}

/** 32 bytes in base64url without padding; the last character has two bits that must be 0. */
const COORDINATE = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;
/** Members that a public key may not have (RFC 9449 4.2, 4.3 (7)). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const;

/** The P-256 public key that a value is; undefined when it is none, has a private part, or is not on the curve. */
export function parseDeviceJwk(value: unknown): DeviceJwk | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { kty, crv, x, y } = value as Readonly<Record<string, unknown>>;
  if (kty !== 'EC' || crv !== 'P-256' || typeof x !== 'string' || typeof y !== 'string') return undefined;
  if (!COORDINATE.test(x) || !COORDINATE.test(y)) return undefined;
  if (PRIVATE_MEMBERS.some((name) => name in value)) return undefined;
  return { kty, crv, x, y };
}

/** The key to verify with; undefined when the point is not on the curve. */
export function deviceKey(jwk: DeviceJwk): KeyObject | undefined {
  try {
    return createPublicKey({ key: { ...jwk }, format: 'jwk' });
  } catch {
    return undefined;
  }
}

/** RFC 7638: SHA-256 over the required members in the order of their names, in base64url; 43 characters. */
export function jwkThumbprint({ crv, kty, x, y }: DeviceJwk): string {
  return createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
}

/** Whether any value has the form of a SHA-256 thumbprint. */
export function isThumbprint(value: unknown): value is string {
  return typeof value === 'string' && COORDINATE.test(value);
}
