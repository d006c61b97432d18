import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { Closer } from '../base/closer.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Config } from '../config.ts';
import type { AdminToken } from '../control/admin-token.ts';
import { type ContentKeys, openContentKeys } from '../drm/content-keys.ts';
import type { DocumentedApi } from '../control/openapi.ts';
import type { HttpHandler } from '../http/types.ts';
import type { LicenseService } from '../license/license-service.ts';
import { VendorMetrics } from '../license/proxy/vendor-metrics.ts';
import type { AdminAccess } from '../license/session-admin-routes.ts';
import { openSpekeServer, openSpekeSource } from '../license/speke/open-speke.ts';
import type { ReadPathToken } from '../origin/path-scope.ts';
import type { Encryption } from '../packager/period-cipher.ts';
import type { State } from '../state/open-state.ts';
import { contentKeysOptions, signallingOptions } from './content-keys.ts';
import type { KeysOfRecordings } from './live-keeping.ts';
import { openViewers } from './viewers.ts';

/** Everything that keeps a stream for those who may watch it: content keys, licences, playback sessions. */
export interface Protection {
  /** How a live stream is encrypted; undefined: it goes in the clear. */
  encryptionOf(stream: string): Encryption | undefined;
  /** How a title is encrypted that is to be; undefined: there are no keys here. */
  encryptionOfTitle(title: string): Encryption | undefined;
  /** Keys of titles that are made of live streams; undefined: there are no keys here. */
  readonly keysOfRecordings: KeysOfRecordings | undefined;
  /** Reads path tokens for the origin; undefined when there are no sessions. */
  readonly pathTokens: ReadPathToken | undefined;
  /** What the API document says of its calls; undefined when there are none. */
  readonly documented: DocumentedApi | undefined;
  /** Calls of players and packagers; all others go to `next`. */
  handler(next: HttpHandler): HttpHandler;
  /** Ends answers that would go on for ever, so that listeners have nothing to wait for. Idempotent. */
  release(): void;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface ProtectionDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Where sessions and resume positions are; closed by whoever opened it, after this. */
  readonly state: State;
  readonly adminToken: AdminToken;
  readonly adminAccess: AdminAccess;
  /** Whether media of a stream from that time is kept, or may be. */
  readonly isKept: (stream: string, fromMs: number, toMs: number) => boolean;
}

const SPEKE_PATH = '/speke/v2';

/**
 * Opens what the configuration asks for. With neither encryption nor licences nor sessions nothing is opened.
 * @throws AppError SECRET_FILE_UNSAFE, TOKEN_KEY_UNUSABLE, DRM_KEYS_UNAVAILABLE, CONFIG_INVALID
 */
export async function openProtection(config: Config, deps: ProtectionDeps): Promise<Protection> {
  const closer = new Closer();
  try {
    return await openParts(config, deps, closer);
  } catch (error) {
    await closer.close();
    throw error;
  }
}

async function openParts(config: Config, deps: ProtectionDeps, closer: Closer): Promise<Protection> {
  const vendorMetrics = new VendorMetrics(deps.metrics);
  const isNeeded = config.drm.enabled || config.license.enabled || config.license.speke.enabled;
  const keys = isNeeded ? await openKeys(config, deps, vendorMetrics, closer) : undefined;
  const licenses = keys && config.license.enabled ? { keys, vendorMetrics } : undefined;
  const viewers = await openViewers(config, deps, licenses, closer);
  const license = viewers?.service;
  const speke =
    keys && config.license.speke.enabled
      ? await openSpekeServer(
          { ...config.license.speke, signalling: signallingOptions(config) },
          { ...deps, keys, isAdmin: (token) => deps.adminToken.matches(token), randomBytes },
        )
      : undefined;
  return {
    encryptionOf(stream) {
      if (!keys || !config.drm.enabled) return undefined;
      return { keys: keys.owner({ kind: 'live', id: stream }), clearAudio: config.drm.clearAudio };
    },
    encryptionOfTitle: (title) =>
      keys && { keys: keys.owner({ kind: 'vod', id: title }), clearAudio: config.drm.clearAudio },
    keysOfRecordings: keys && {
      adopt: (stream, title, kids) => keys.adopt({ kind: 'live', id: stream }, title, kids),
      release: (title) => keys.release(title),
      adopters: () => keys.adopters(),
    },
    pathTokens: license && readPathTokens(license),
    documented: viewers?.documented,
    handler: (next) => (request, response) => {
      if (license?.owns(request.path)) return license.handler(request, response);
      if (speke && request.path === SPEKE_PATH) return speke(request, response);
      return next(request, response);
    },
    release: () => license?.release(),
    close: () => closer.close(),
  };
}

async function openKeys(
  config: Config,
  { clock, log, metrics, isKept }: ProtectionDeps,
  vendorMetrics: VendorMetrics,
  closer: Closer,
): Promise<ContentKeys> {
  const { speke } = config.drm;
  const outside =
    speke.url === ''
      ? undefined
      : await openSpekeSource(
          { ...speke, vendor: config.license.vendor, signalling: signallingOptions(config) },
          { clock, log: log.child({ area: 'speke' }), metrics: vendorMetrics },
        );
  closer.defer(() => outside?.close());
  const keys = await openContentKeys(resolve(config.dataDir), contentKeysOptions(config), {
    clock,
    log: log.child({ area: 'drm' }),
    metrics,
    randomBytes,
    source: outside?.source,
    isNeeded: (owner, { startMs, endMs }) => owner.kind === 'live' && isKept(owner.id, startMs, endMs),
  });
  closer.defer(() => keys.close());
  return keys;
}

function readPathTokens({ pathTokens }: LicenseService): ReadPathToken {
  return (token) => {
    const scope = pathTokens.verify(token);
    return scope && { prefix: scope.prefix, tiers: new Set(scope.tiers) };
  };
}
