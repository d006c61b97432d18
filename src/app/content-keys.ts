import type { Config } from '../config.ts';
import type { ContentKeysOptions } from '../drm/content-keys.ts';
import type { SignallingOptions } from '../drm/signalling.ts';
import type { DrmSystem } from '../media/protection.ts';

/** How content keys are kept, and what players are told of them, by the configuration. */
export function contentKeysOptions(config: Config): ContentKeysOptions {
  const { drm, live, license } = config;
  return {
    scheme: drm.scheme,
    rotationMs: drm.rotationSeconds * 1000,
    leadMs: drm.leadSeconds * 1000,
    windowMs: Math.max(live.windowSeconds, live.dvrSeconds) * 1000,
    licenseTtlMs: license.maxLicenseSeconds * 1000,
    kek: { path: drm.kekPath, given: drm.kek },
    signalling: signallingOptions(config),
    maxKeySets: drm.maxKeySets,
  };
}

/** What players are told of keys. */
export function signallingOptions({ drm }: Config): SignallingOptions {
  return {
    systems: drm.systems.split(',') as DrmSystem[],
    licenseUrls: toldUrls(drm.licenseUrls),
    widevineProvider: drm.widevineProvider,
  };
}

/** Without those that players are not told. */
function toldUrls(urls: Readonly<Record<DrmSystem, string>>): Partial<Record<DrmSystem, string>> {
  return Object.fromEntries(Object.entries(urls).filter(([, url]) => url !== ''));
}
