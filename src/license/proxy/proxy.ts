import type { AppError } from '../../base/errors.ts';
import type { ContentKey } from '../../drm/content-key.ts';
import type { HttpRequest } from '../../http/types.ts';
import type { GrantedKey, LicenseVerdict } from '../authorised-request.ts';
import type { ProxyOutcome, ProxySystem } from './vendor-metrics.ts';

/** A verdict that lets the vendor make a licence. */
export type Grant = Extract<LicenseVerdict, { granted: true }>;

/** Headers of a request that a proxy may look at; read before anything is awaited. */
export interface ChallengeHead {
  readonly contentType: string;
  /** `SOAPAction`; '' when absent. */
  readonly soapAction: string;
}

/** A challenge taken apart as far as it may be. */
export interface Challenge {
  /** As the vendor is to get it. */
  readonly bytes: Uint8Array;
  /** A playback token that stood in the challenge, for players that can set no header. */
  readonly token?: string | undefined;
  /** Asks for the service's certificate and not for keys. */
  readonly certificate?: boolean;
  /** How the player sent it, and so how it wants the answer. */
  readonly form?: 'binary' | 'text';
}

/** What the vendor's service said. */
export type VendorReply =
  | { readonly kind: 'license'; readonly contentType: string; readonly body: Uint8Array }
  /** An answer that is not a licence; `body` where the player's app is to see it. */
  | {
      readonly kind: 'refused';
      readonly outcome: Extract<
        ProxyOutcome,
        'malformed' | 'vendor_denied' | 'vendor_unusable' | 'vendor_unavailable'
      >;
      readonly error: AppError;
      /** A word of the vendor's for the log: no more than a code. */
      readonly reason: string;
      readonly body?: { readonly contentType: string; readonly bytes: Uint8Array };
    };

/** A granted key, unwrapped for a vendor's service that is sent keys. */
export interface OpenKey {
  readonly granted: GrantedKey;
  readonly content: ContentKey;
}

/** One system's part: everything but HTTP, policy and metrics. */
export interface LicenseProxy {
  readonly system: ProxySystem;
  /** Whether keys go to the service with each request; else it has them from elsewhere (SPEKE). */
  readonly sendsKeys: boolean;
  head(request: HttpRequest): ChallengeHead;
  /** Undefined: no challenge of this system. */
  read(body: Uint8Array, head: ChallengeHead): Challenge | undefined;
  /** `keys` is empty unless `sendsKeys`. @throws VendorUnavailable */
  ask(
    challenge: Challenge,
    grant: Grant,
    keys: readonly OpenKey[],
    signal: AbortSignal,
  ): Promise<VendorReply>;
}
