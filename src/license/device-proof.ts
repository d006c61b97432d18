import { createHash, type KeyObject } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import type { ReplayCache } from '../state/session-store.ts';
import { parseCompactJws } from './compact-jws.ts';
import { verifyEs256 } from './jws-signature.ts';
import { deviceKey, type DeviceJwk, jwkThumbprint, parseDeviceJwk } from './jwk-thumbprint.ts';
import type { ProofNonces } from './proof-nonces.ts';

/** What a proof must be of. */
export interface ProofContext {
  /** The `DPoP` header, as it came. */
  readonly proof: string;
  /** Of the request it came with. */
  readonly method: string;
  /** Without query and fragment. */
  readonly url: string;
  /** The access token it came with. */
  readonly token: string;
}

export type ProofRefusal = 'invalid' | 'nonce';

export type ProofOutcome =
  | { readonly kind: 'proven'; readonly thumbprint: string; readonly jti: string }
  | { readonly kind: 'refused'; readonly refusal: ProofRefusal };

export interface ProofDeps {
  readonly clock: Clock;
  readonly replay: ReplayCache;
  /** Undefined: proofs need no nonce of ours. */
  readonly nonces: ProofNonces | undefined;
}

/** How far `iat` may be from now, either way (RFC 9449 11.1). */
export const PROOF_AGE_MS = 60_000;
/** Longest proof that is looked at. */
const MAX_PROOF_LENGTH = 4096;
/** At least 96 bits of randomness in base64url (RFC 9449 4.2), at most what is worth remembering. */
const JTI = /^[\x21-\x7e]{16,128}$/;
/** Verification keys of devices that asked lately. */
const MAX_KEYS = 10_000;

const INVALID: ProofOutcome = { kind: 'refused', refusal: 'invalid' };

/** Checks proofs that whoever asks holds the private key of a device (DPoP, RFC 9449 4.3), once each. */
export class DeviceProofs {
  readonly #deps: ProofDeps;
  readonly #keys = new Map<string, KeyObject>();

  constructor(deps: ProofDeps) {
    this.#deps = deps;
  }

  /**
   * Judges a proof. The thumbprint is that of the key it was made with: the caller compares it to what the token is
   * bound to, and only then marks the proof as used with {@link DeviceProofs.use}.
   */
  judge(context: ProofContext): ProofOutcome {
    // Two headers come joined by a comma, which no compact JWS has.
    const jws = parseCompactJws(context.proof, MAX_PROOF_LENGTH);
    if (jws === undefined) return INVALID;
    const { typ, alg, jwk, crit } = jws.header;
    if (typ !== 'dpop+jwt' || alg !== 'ES256' || crit !== undefined) return INVALID;
    const device = parseDeviceJwk(jwk);
    const key = device && this.#keyOf(device);
    if (device === undefined || key === undefined) return INVALID;
    const { jti, htm, htu, iat, ath, nonce } = jws.payload;
    if (typeof jti !== 'string' || !JTI.test(jti)) return INVALID;
    if (htm !== context.method || !isSameUrl(htu, context.url)) return INVALID;
    if (typeof iat !== 'number' || !(Math.abs(this.#deps.clock.wallMs() - iat * 1000) <= PROOF_AGE_MS))
      return INVALID;
    if (ath !== accessTokenHash(context.token)) return INVALID;
    if (!verifyEs256(key, Buffer.from(jws.signed, 'latin1'), jws.signature)) return INVALID;
    if (this.#deps.nonces && !this.#deps.nonces.isCurrent(nonce))
      return { kind: 'refused', refusal: 'nonce' };
    return { kind: 'proven', thumbprint: jwkThumbprint(device), jti };
  }

  /** Marks a proof as used; false when it was already. @throws AppError LICENSE_STATE_UNAVAILABLE */
  async use(thumbprint: string, jti: string): Promise<boolean> {
    const nowMs = this.#deps.clock.wallMs();
    // One device cannot use up what another may choose. Valid for so long after, if its clock is ahead.
    return this.#deps.replay.claim(`p:${thumbprint}:${jti}`, nowMs + 2 * PROOF_AGE_MS, nowMs);
  }

  #keyOf(device: DeviceJwk): KeyObject | undefined {
    const name = device.x + device.y;
    const known = this.#keys.get(name);
    if (known) return known;
    const key = deviceKey(device);
    if (key === undefined) return undefined;
    const oldest = this.#keys.size >= MAX_KEYS ? this.#keys.keys().next().value : undefined;
    if (oldest !== undefined) this.#keys.delete(oldest);
    this.#keys.set(name, key);
    return key;
  }
}

/** `ath` of RFC 9449 4.2. */
export function accessTokenHash(token: string): string {
  return createHash('sha256').update(token, 'latin1').digest('base64url');
}

/** Same after normalisation (RFC 3986 6.2.2, 6.2.3), without query and fragment (RFC 9449 4.3 (9)). */
function isSameUrl(claimed: unknown, asked: string): boolean {
  if (typeof claimed !== 'string' || claimed.length > 2048) return false;
  const normal = normalUrl(claimed);
  return normal !== undefined && normal === normalUrl(asked);
}

function normalUrl(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined;
  return `${url.origin}${url.pathname}`;
}
