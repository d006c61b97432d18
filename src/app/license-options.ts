import { resolve } from 'node:path';
import type { Config } from '../config.ts';
import { configuredIssuers } from '../config/token-issuers.ts';
import type { LicenseOptions } from '../license/license-options.ts';

/** The licence server's options out of the configuration. */
export function licenseOptions({ dataDir, auth, license, state }: Config, cwd = '.'): LicenseOptions {
  return {
    dataDir: resolve(cwd, dataDir),
    issuers: configuredIssuers(auth.issuers),
    tokenAlgorithm: license.tokenAlgorithm,
    // Each server would change them at another time.
    keepsTokenKeys: state.driver === 'redis',
    deviceProof: license.deviceProof,
    proofNonce: license.proofNonce,
    publicUrl: license.publicUrl,
    mediaUrl: license.mediaUrl,
    trustedProxies: auth.trustedProxies,
    countryHeader: license.countryHeader,
    addresses: { allow: license.allowAddresses, deny: license.denyAddresses },
    countries: { allow: license.allowCountries, deny: license.denyCountries },
    maxSessions: license.maxSessions,
    heartbeatMs: license.heartbeatSeconds * 1000,
    ttlMs: license.sessionTtlSeconds * 1000,
    maxSessionMs: license.maxSessionSeconds * 1000,
    maxLicenseMs: license.maxLicenseSeconds * 1000,
    tokenMs: license.tokenSeconds * 1000,
    pathTokenMs: license.pathTokenSeconds * 1000,
    foreignIdleMs: license.foreignIdleSeconds * 1000,
    maxKeysPerLicense: license.maxKeysPerLicense,
    maxPerAddressPerSecond: license.maxPerAddressPerSecond,
    maxPerSessionPerSecond: license.maxPerSessionPerSecond,
    maxSessionCallsPerAddressPerSecond: license.maxSessionCallsPerAddressPerSecond,
  };
}
