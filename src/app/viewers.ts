import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Closer } from '../base/closer.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { OutgoingHttp } from '../base/outgoing-http.ts';
import { readTextSecretFile } from '../base/secret-file.ts';
import type { Config } from '../config.ts';
import { readPlainYaml } from '../config/plain-yaml.ts';
import type { DocumentedApi } from '../control/openapi.ts';
import type { KeyDirectory } from '../drm/content-key.ts';
import { LICENSE_CALLS, LICENSE_SCHEMAS } from '../license/api-document.ts';
import { bothEntitle } from '../license/catalogue.ts';
import { CatalogueFile } from '../license/catalogue-file.ts';
import { claimEntitlements, type Entitlements } from '../license/entitlement.ts';
import { EntitlementMetrics } from '../license/entitlement-metrics.ts';
import { EntitlementWebhook } from '../license/entitlement-webhook.ts';
import { type LicenseService, openLicenseService } from '../license/license-service.ts';
import { openLicenseProxies } from '../license/proxy/open-proxies.ts';
import type { VendorMetrics } from '../license/proxy/vendor-metrics.ts';
import { RESUME_CALLS, RESUME_SCHEMAS } from '../license/resume/api-document.ts';
import type { ResumeOptions } from '../license/resume/open-resume.ts';
import type { AdminAccess } from '../license/session-admin-routes.ts';
import type { State } from '../state/open-state.ts';
import { licenseOptions } from './license-options.ts';

export interface ViewersDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly state: State;
  readonly adminAccess: AdminAccess;
}

/** An answer on one title is a few words. */
const MAX_ANSWER_BYTES = 16 * 1024;
const MAX_WAITING_CALLS = 256;
const MIN_SECRET_BYTES = 32;
/** A back end that goes on failing is tried at least so often. */
const MAX_PAUSE_MS = 60_000;

/** What licences are made of; undefined: there are sessions alone. */
export interface LicenseParts {
  readonly keys: KeyDirectory;
  readonly vendorMetrics: VendorMetrics;
}

/** Everything that has to do with who watches what: sessions, licences in them, and where viewers are. */
export interface Viewers {
  readonly service: LicenseService;
  readonly documented: DocumentedApi;
}

/**
 * Opens what the configuration asks for; `closer` closes it. Undefined: neither sessions nor licences are wanted.
 * @throws AppError SECRET_FILE_UNSAFE, TOKEN_KEY_UNUSABLE, CONFIG_INVALID
 */
export async function openViewers(
  config: Config,
  deps: ViewersDeps,
  licenses: LicenseParts | undefined,
  closer: Closer,
): Promise<Viewers | undefined> {
  if (!config.viewers.enabled && !licenses) return undefined;
  const { clock, metrics, adminAccess, state } = deps;
  const isResumeKept = config.viewers.enabled;
  const log = deps.log.child({ area: 'license' });
  const options = licenseOptions(config);
  const proxies =
    licenses &&
    (await openLicenseProxies(config.license, {
      keys: licenses.keys,
      clock,
      log,
      metrics: licenses.vendorMetrics,
      randomBytes,
    }));
  closer.defer(() => proxies?.close());
  const catalogue = await openCatalogue(config, deps, closer);
  const webhook = await openWebhook(config, deps, closer);
  const service = await openLicenseService(options, {
    keys: licenses?.keys,
    store: state.sessions,
    replay: state.replay,
    adminAccess,
    proxies: proxies && ((gate) => proxies.routes(gate)),
    entitlements: [catalogue, webhook].reduce<Entitlements>(
      (all, each) => (each ? bothEntitle(all, each) : all),
      claimEntitlements,
    ),
    entitlementGraceMs: config.viewers.entitlement.graceSeconds * 1000,
    resume: isResumeKept
      ? {
          store: state.resume,
          pubSub: state.pubSub,
          options: resumeOptions(config),
          factsOf: (title) => ({ creditsMs: catalogue?.creditsMs({ kind: 'vod', id: title }) }),
        }
      : undefined,
    clock,
    log,
    metrics,
    randomBytes,
  });
  closer.defer(() => service.close());
  const documented = isResumeKept
    ? { calls: [...LICENSE_CALLS, ...RESUME_CALLS], schemas: { ...LICENSE_SCHEMAS, ...RESUME_SCHEMAS } }
    : { calls: LICENSE_CALLS, schemas: LICENSE_SCHEMAS };
  return { service, documented };
}

async function openCatalogue(
  { viewers }: Config,
  { clock, log }: ViewersDeps,
  closer: Closer,
): Promise<CatalogueFile | undefined> {
  if (viewers.cataloguePath === '') return undefined;
  const deps = { read: readPlainYaml, clock, log: log.child({ area: 'catalogue' }) };
  const catalogue = await CatalogueFile.open(resolve(viewers.cataloguePath), deps);
  closer.defer(() => catalogue.close());
  return catalogue;
}

async function openWebhook(
  { viewers }: Config,
  { clock, log, metrics }: ViewersDeps,
  closer: Closer,
): Promise<EntitlementWebhook | undefined> {
  const { url, secretPath, timeoutMs, maxConcurrent, cacheSeconds, maxCached, maxFailures, pauseMs } =
    viewers.entitlement;
  const entitlementMetrics = new EntitlementMetrics(metrics);
  if (url === '') return undefined;
  const secret = await readTextSecretFile(secretPath, MIN_SECRET_BYTES);
  const http = new OutgoingHttp(
    {
      ...{ timeoutMs, maxConcurrent, maxWaiting: MAX_WAITING_CALLS },
      maxAnswerBytes: MAX_ANSWER_BYTES,
      maxIdleConnections: maxConcurrent,
    },
    clock,
  );
  closer.defer(() => http.close());
  const breaker = { maxFailures, pauseMs, maxPauseMs: Math.max(pauseMs, MAX_PAUSE_MS) };
  return new EntitlementWebhook(
    { url, secret, cacheMs: cacheSeconds * 1000, maxCached, breaker },
    { http, clock, log: log.child({ area: 'entitlement' }), metrics: entitlementMetrics },
  );
}

function resumeOptions({ viewers }: Config): ResumeOptions {
  return { ...viewers, minWatchedMs: viewers.minWatchedSeconds * 1000 };
}
