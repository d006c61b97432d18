import type { TokenUse } from './issuer-tokens.ts';
import type { TokenAlgorithm } from './jws-signature.ts';
import type { SessionServiceOptions } from './session-service.ts';

/** One issuer of tokens, as it is configured: its keys at a URL or in a file. */
export interface IssuerSettings {
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly string[];
  readonly uses: readonly TokenUse[];
  readonly jwksUrl: string | undefined;
  readonly keyPath: string | undefined;
}

/** How the licence server works; every field stands in docs/config.md under `license` or `auth`. */
export interface LicenseOptions extends SessionServiceOptions {
  /** Absolute. Secrets are in `secrets/` below it. */
  readonly dataDir: string;
  readonly issuers: readonly IssuerSettings[];
  readonly tokenAlgorithm: TokenAlgorithm;
  /** The keys of our own tokens are only changed by hand: other servers have copies of the file. */
  readonly keepsTokenKeys?: boolean | undefined;
  /** Whether proofs must carry a nonce of ours. */
  readonly proofNonce: boolean;
  /** Scheme and host that players use for these calls; '' = as they ask. */
  readonly publicUrl: string;
  /** Scheme and host of the manifests; '' = the same. */
  readonly mediaUrl: string;
  /** Address blocks of the proxies in front. */
  readonly trustedProxies: string;
  readonly countryHeader: string;
  readonly addresses: { readonly allow: string; readonly deny: string };
  readonly countries: { readonly allow: string; readonly deny: string };
  /** Longest licence. */
  readonly maxLicenseMs: number;
  readonly maxKeysPerLicense: number;
  /** A session begun by a back end's own token is over when no licence is asked for so long. */
  readonly foreignIdleMs: number;
  readonly maxPerAddressPerSecond: number;
  readonly maxPerSessionPerSecond: number;
  readonly maxSessionCallsPerAddressPerSecond: number;
}
