import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import type { KeyTier } from './tiers.ts';

/** What a path token lets through: below `prefix`, the renditions of `tiers`, until it is over. */
export interface PathScope {
  readonly sessionId: string;
  /** Path from the server's root, with a slash at both ends: `/live/studio/`. */
  readonly prefix: string;
  readonly tiers: readonly KeyTier[];
  /** Ms since the Unix epoch; kept in whole seconds, rounded down. */
  readonly expiresMs: number;
}

/** Where the token stands: `/t/<token>/live/…`. */
export const PATH_TOKEN_ROOT = '/t/';

const VERSION = 1;
/** HMAC-SHA256 cut to 128 bits (RFC 2104 5). */
const TAG_BYTES = 16;
/** Version, expiry (u32), tiers, length of the session id. */
const HEAD_BYTES = 7;
const MAX_TEXT_BYTES = 255;
const MAX_TOKEN_LENGTH = 1024;
/** Bits of the tiers on the wire: never given another meaning. */
const TIER_BITS: Readonly<Record<KeyTier, number>> = { AUDIO: 1, SD: 2, HD: 4, UHD: 8 };
const WIRE_TIERS: readonly KeyTier[] = ['AUDIO', 'SD', 'HD', 'UHD'];

/**
 * Tokens in a URL's path, for manifests that only one session may have. Every relative URL in a manifest keeps the token;
 * the origin takes it off before any cache sees the path. It opens no key: whoever is given the URL sees what the
 * session sees, and can play nothing of it.
 */
export class PathTokens {
  readonly #secret: Uint8Array;
  readonly #clock: Clock;

  constructor(secret: Uint8Array, clock: Clock) {
    this.#secret = secret;
    this.#clock = clock;
  }

  /** @throws RangeError when the session id or the prefix is longer than 255 bytes of ASCII */
  mint({ sessionId, prefix, tiers, expiresMs }: PathScope): string {
    if (sessionId.length > MAX_TEXT_BYTES || prefix.length > MAX_TEXT_BYTES) throw new RangeError('too long');
    const payload = Buffer.alloc(HEAD_BYTES + sessionId.length + prefix.length);
    payload.writeUInt8(VERSION, 0);
    payload.writeUInt32BE(Math.floor(expiresMs / 1000), 1);
    payload.writeUInt8(bitsOf(tiers), 5);
    payload.writeUInt8(sessionId.length, 6);
    payload.write(sessionId + prefix, HEAD_BYTES, 'latin1');
    return Buffer.concat([payload, this.#tag(payload)]).toString('base64url');
  }

  /** What a token lets through; undefined when it is not ours, was changed anywhere, or is over. */
  verify(token: string): PathScope | undefined {
    if (token.length > MAX_TOKEN_LENGTH) return undefined;
    const bytes = Buffer.from(token, 'base64url');
    if (bytes.length < HEAD_BYTES + TAG_BYTES) return undefined;
    // Decoding is lenient; one token has one spelling.
    if (bytes.toString('base64url') !== token) return undefined;
    const payload = bytes.subarray(0, -TAG_BYTES);
    if (!timingSafeEqual(bytes.subarray(-TAG_BYTES), this.#tag(payload))) return undefined;
    const expiresMs = payload.readUInt32BE(1) * 1000;
    if (payload.readUInt8(0) !== VERSION || expiresMs <= this.#clock.wallMs()) return undefined;
    const idEnd = HEAD_BYTES + payload.readUInt8(6);
    const bits = payload.readUInt8(5);
    return {
      sessionId: payload.toString('latin1', HEAD_BYTES, idEnd),
      prefix: payload.toString('latin1', idEnd),
      tiers: WIRE_TIERS.filter((tier) => (bits & TIER_BITS[tier]) !== 0),
      expiresMs,
    };
  }

  #tag(payload: Uint8Array): Buffer {
    return createHmac('sha256', this.#secret).update(payload).digest().subarray(0, TAG_BYTES);
  }
}

/** The token and the path behind it, of `/t/<token>/live/…`. Undefined for other paths. */
export function splitTokenPath(path: string): { readonly token: string; readonly path: string } | undefined {
  if (!path.startsWith(PATH_TOKEN_ROOT)) return undefined;
  const slash = path.indexOf('/', PATH_TOKEN_ROOT.length);
  if (slash < 0) return undefined;
  return { token: path.slice(PATH_TOKEN_ROOT.length, slash), path: path.slice(slash) };
}

function bitsOf(tiers: readonly KeyTier[]): number {
  let bits = 0;
  for (const tier of tiers) bits |= TIER_BITS[tier];
  return bits;
}
