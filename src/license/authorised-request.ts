import type { AppError } from '../base/errors.ts';
import type { KeyEntry, KeyOwner } from '../drm/content-key.ts';
import type { HttpAnswer, HttpRequest } from '../http/types.ts';
import type { KeyTier, LicenseSystem, OutputProtection, Robustness } from './tiers.ts';

/**
 * Who asks, as the request says it; nothing of it is checked yet. Read it off the request before anything is awaited
 * ({@link LicenseGate.credentials}).
 */
export interface Credentials {
  /** Upper case. */
  readonly method: string;
  /** The URL that the player asked, as it sees it: scheme, host and path, without the query. */
  readonly url: string;
  /** `Authorization`, whole; '' when absent. */
  readonly authorization: string;
  /** `DPoP`; several of them joined by a comma, which makes none. */
  readonly proof: string;
  /** The viewer's address: that of the connection, or what a trusted proxy says. */
  readonly address: string;
  /** Two letters, upper case, where a trusted proxy says so. */
  readonly country: string | undefined;
}

/** What a licence is asked for. */
export interface LicenseAsk {
  readonly system: LicenseSystem;
  /** Key ids that the request names, 16 bytes each. Empty where the challenge cannot be read: all that is current. */
  readonly kids: readonly Uint8Array[];
  /**
   * What the device is, where the vendor's server has told; undefined: what the session claimed. It can lower what is
   * given, never raise it.
   */
  readonly robustness: Robustness | undefined;
  /** A player that has a licence asks again before it is over. Judged just the same. */
  readonly renewal: boolean;
}

/** The session that a licence is given to. */
export interface LicenseSession {
  readonly id: string;
  /** A name for the user that tells nobody who it is. */
  readonly viewer: string;
  /** Thumbprint of the device's key (RFC 7638) that the proof was made with. */
  readonly device: string | undefined;
  readonly owner: KeyOwner;
}

/** One key that may be given out. It is still wrapped: `KeyDirectory.unwrap(entry)`. */
export interface GrantedKey {
  readonly entry: KeyEntry;
  readonly tier: KeyTier;
  readonly output: OutputProtection;
}

/** What was decided. It has been logged and counted. */
export type LicenseVerdict =
  | {
      readonly granted: true;
      readonly session: LicenseSession;
      /** At least one: what was asked for and may be had, and what else is current or comes next. */
      readonly keys: readonly GrantedKey[];
      /** All tiers that the session may have at this system and level. */
      readonly tiers: readonly KeyTier[];
      readonly robustness: Robustness;
      /** How long the licence may last from now, at most 24 h. */
      readonly ttlMs: number;
      /** The same as a time, ms since the Unix epoch. */
      readonly expiresMs: number;
    }
  | {
      readonly granted: false;
      readonly error: AppError;
      /** `Retry-After`, `WWW-Authenticate` and the like, for {@link licenseProblem}. */
      readonly headers: NonNullable<HttpAnswer['extra']>;
    };

/** The one door to every licence, whatever the system. Each challenge goes through it, renewals too. */
export interface LicenseGate {
  /** Reads who asks; to be called before the handler first awaits. */
  credentials(request: HttpRequest): Credentials;
  /**
   * Checks limits, token, proof of the device, session and policy. Never throws for what a peer did.
   * A proof counts once: call it once for each request.
   */
  authorise(credentials: Credentials, ask: LicenseAsk): Promise<LicenseVerdict>;
}

/** The same credentials with a token that stood elsewhere in the request (PlayReady's custom data). */
export function withBearerToken(credentials: Credentials, token: string): Credentials {
  return { ...credentials, authorization: `Bearer ${token}` };
}
