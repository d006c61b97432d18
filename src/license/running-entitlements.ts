import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import type { KeyOwner } from '../drm/content-key.ts';
import {
  type Entitlement,
  type EntitlementQuestion,
  type Entitlements,
  lastingClaims,
} from './entitlement.ts';

/** Who a session's login was, and what it said of itself. */
export type SessionLogin = Pick<EntitlementQuestion, 'issuer' | 'subject' | 'claims'>;

export interface RunningEntitlementsOptions {
  /** While nobody answers a session goes on for so long after the last yes. */
  readonly graceMs: number;
}

export interface RunningEntitlementsDeps {
  readonly entitlements: Entitlements;
  /** 32 bytes, the same on all servers that share sessions. */
  readonly key: Uint8Array;
  /** Cryptographically strong. */
  readonly randomBytes: (size: number) => Uint8Array;
  readonly clock: Clock;
}

/** A session that plays, and where it does. */
export interface RunningSession {
  readonly id: string;
  /** What {@link RunningEntitlements.seal} gave when it began. */
  readonly login: string;
  readonly owner: KeyOwner;
  readonly country: string | undefined;
  /** When somebody last said that it may be played, ms since the Unix epoch. */
  readonly allowedAtMs: number;
}

export type RunningVerdict =
  | { readonly kind: 'allowed'; readonly entitlement: Entitlement }
  /** Nobody answers; the last yes still counts. */
  | { readonly kind: 'kept' }
  /** Nobody has answered for longer than that. */
  | { readonly kind: 'overdue' }
  | { readonly kind: 'refused' };

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Judges sessions that play by what may be played now. A no counts at once; that nobody answers does not throw out who
 * is watching, for a while. Who asks keeps the login with the session, as text that only our key opens: the name of a
 * user is in no store.
 */
export class RunningEntitlements {
  readonly #options: RunningEntitlementsOptions;
  readonly #deps: RunningEntitlementsDeps;

  constructor(options: RunningEntitlementsOptions, deps: RunningEntitlementsDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** The login as text for the session's record. It opens for no other session. */
  seal(sessionId: string, { issuer, subject, claims }: SessionLogin): string {
    const { key, randomBytes } = this.#deps;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(sessionId));
    const text = JSON.stringify({ issuer, subject, claims: lastingClaims(claims) });
    const sealed = [cipher.update(text, 'utf8'), cipher.final()];
    return Buffer.concat([nonce, ...sealed, cipher.getAuthTag()]).toString('base64url');
  }

  /** Never rejects. */
  async judge({ id, login, owner, country, allowedAtMs }: RunningSession): Promise<RunningVerdict> {
    const { entitlements, clock } = this.#deps;
    const nowMs = clock.wallMs();
    const known = this.#open(id, login);
    const found =
      known &&
      (await entitlements.entitle({ ...known, owner, country, nowMs }).then(
        (entitlement) => ({ entitlement }),
        () => undefined,
      ));
    if (!found) return { kind: nowMs - allowedAtMs < this.#options.graceMs ? 'kept' : 'overdue' };
    const { entitlement } = found;
    const isHere = entitlement?.countries?.includes(country ?? '') ?? true;
    return entitlement && isHere ? { kind: 'allowed', entitlement } : { kind: 'refused' };
  }

  /** Undefined: it was not sealed for this session with our key. */
  #open(sessionId: string, sealed: string): SessionLogin | undefined {
    const bytes = Buffer.from(sealed, 'base64url');
    if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
    const decipher = createDecipheriv(CIPHER, this.#deps.key, bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(sessionId)).setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES), undefined, 'utf8');
      return JSON.parse(text + decipher.final('utf8')) as SessionLogin;
    } catch {
      return undefined;
    }
  }
}
