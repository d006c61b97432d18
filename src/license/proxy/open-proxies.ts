import type { BreakerLimits } from '../../base/circuit-breaker.ts';
import type { Clock } from '../../base/clock.ts';
import { AppError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { OutgoingHttp } from '../../base/outgoing-http.ts';
import type { KeyDirectory } from '../../drm/content-key.ts';
import type { Route } from '../../http/router.ts';
import type { LicenseGate } from '../authorised-request.ts';
import { createFairPlayProxy, isFairPlayBroken } from './fairplay-proxy.ts';
import { createPlayReadyProxy, isPlayReadyBroken } from './playready-proxy.ts';
import type { LicenseProxy } from './proxy.ts';
import { proxyRoutes } from './proxy-routes.ts';
import { type VendorAnswer, VendorBackend } from './vendor-backend.ts';
import type { VendorMetrics, VendorName } from './vendor-metrics.ts';
import { readVendorKey } from './vendor-secret.ts';
import { createWidevineProxy, isWidevineBroken } from './widevine-proxy.ts';

/** The licence services that are configured, as they are in the configuration; those with an empty URL are off. */
export interface ProxyOptions {
  readonly widevine: {
    readonly url: string;
    readonly provider: string;
    readonly signingKeyPath: string;
    readonly signingIvPath: string;
    readonly renewSeconds: number;
    readonly renewalUrl: string;
  };
  readonly playready: EntitledService;
  readonly fairplay: EntitledService & { readonly format: 'binary' | 'form' };
  readonly vendor: VendorLimits & {
    /** A longer challenge is answered 413. */
    readonly maxChallengeBytes: number;
  };
}

/** A service that believes a token of ours. */
export interface EntitledService {
  readonly url: string;
  readonly entitlementHeader: string;
  readonly entitlementKeyPath: string;
  /** Whether content keys go along, encrypted. */
  readonly sendKeys: boolean;
}

/** How services outside are asked, the key server too. */
export interface VendorLimits {
  readonly timeoutMs: number;
  readonly maxConcurrent: number;
  /** Failures in a row after which a service is left alone. */
  readonly maxFailures: number;
  readonly pauseMs: number;
}

export interface ProxyDeps {
  readonly keys: Pick<KeyDirectory, 'unwrap'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** One for all services of the process. */
  readonly metrics: VendorMetrics;
  /** Cryptographically strong. */
  readonly randomBytes: (size: number) => Uint8Array;
}

/** The proxies that are configured, with what they hold open. */
export interface OpenProxies {
  /** For the router of the licence server. */
  routes(gate: LicenseGate): readonly Route[];
  /** Ends calls under way. Idempotent. */
  close(): void;
}

const SIGNING_KEY_BYTES = 32;
const SIGNING_IV_BYTES = 16;
const SECRET_BYTES = 32;
/** A licence or certificate is some kilobytes. */
const MAX_ANSWER_BYTES = 256 * 1024;
const MAX_WAITING = 256;
const MAX_IDLE_CONNECTIONS = 16;
/** Longest time that a service that keeps failing is left alone. */
const MAX_PAUSE_MS = 60_000;

/**
 * Reads the secrets of the configured services and opens their proxies; the caller closes them.
 * @throws AppError SECRET_FILE_UNSAFE; CONFIG_INVALID for a header that cannot be one
 */
export async function openLicenseProxies(options: ProxyOptions, deps: ProxyDeps): Promise<OpenProxies> {
  const { clock, log, metrics } = deps;
  const opened: OutgoingHttp[] = [];
  // Each with calls and connections of its own: a slow service takes no turns from another.
  const backend = (system: VendorName, isBroken: (answer: VendorAnswer) => boolean): VendorBackend => {
    const http = vendorHttp(options.vendor, MAX_ANSWER_BYTES, clock);
    opened.push(http);
    const breaker = breakerLimits(options.vendor);
    return new VendorBackend({ system, breaker, isBroken }, { http, clock, log, metrics });
  };
  const proxies: LicenseProxy[] = [];
  const { widevine, playready, fairplay } = options;
  if (widevine.url !== '') {
    const key = await readVendorKey(widevine.signingKeyPath, SIGNING_KEY_BYTES);
    const iv = await readVendorKey(widevine.signingIvPath, SIGNING_IV_BYTES);
    const { provider, url, renewSeconds, renewalUrl } = widevine;
    const signer = { provider, key, iv };
    const policy = { renewSeconds, renewalUrl };
    proxies.push(createWidevineProxy({ url, signer, policy }, backend('widevine', isWidevineBroken)));
  }
  if (playready.url !== '') {
    const service = await entitled(playready);
    proxies.push(createPlayReadyProxy(service, backend('playready', isPlayReadyBroken), deps));
  }
  if (fairplay.url !== '') {
    const service = { ...(await entitled(fairplay)), format: fairplay.format };
    proxies.push(createFairPlayProxy(service, backend('fairplay', isFairPlayBroken), deps));
  }
  return {
    routes: (gate) =>
      proxyRoutes(
        proxies,
        { maxChallengeBytes: options.vendor.maxChallengeBytes },
        { gate, keys: deps.keys, log, metrics },
      ),
    close: () => opened.forEach((http) => http.close()),
  };
}

/** Calls to services outside within these limits; the caller closes it. */
export function vendorHttp(
  { timeoutMs, maxConcurrent }: VendorLimits,
  maxAnswerBytes: number,
  clock: Clock,
): OutgoingHttp {
  const limits = { maxAnswerBytes, maxWaiting: MAX_WAITING, maxIdleConnections: MAX_IDLE_CONNECTIONS };
  return new OutgoingHttp({ timeoutMs, maxConcurrent, ...limits }, clock);
}

/** When a service outside is left alone. */
export function breakerLimits({ maxFailures, pauseMs }: VendorLimits): BreakerLimits {
  return { maxFailures, pauseMs, maxPauseMs: Math.max(pauseMs, MAX_PAUSE_MS) };
}

interface Entitled {
  readonly url: string;
  readonly entitlementHeader: string;
  readonly entitlement: { readonly secret: Uint8Array; readonly sendsKeys: boolean };
}

async function entitled({
  url,
  entitlementHeader,
  entitlementKeyPath,
  sendKeys,
}: EntitledService): Promise<Entitled> {
  if (!/^[A-Za-z0-9-]{1,64}$/.test(entitlementHeader))
    throw new AppError('CONFIG_INVALID', 'an entitlement header must be letters, digits and hyphens');
  const secret = await readVendorKey(entitlementKeyPath, SECRET_BYTES);
  return { url, entitlementHeader, entitlement: { secret, sendsKeys: sendKeys } };
}
