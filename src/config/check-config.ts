import { type Config, isLoopback } from '../config.ts';
import type { ConfigDraft } from './sources.ts';
import { checkStorage } from './storage-section.ts';

/** Rules between keys; each complaint points at the key to change, where it was given. */
export function checkConfig(config: Config, draft: ConfigDraft): void {
  const refuse = (path: string, what: string): void => draft.refuse(draft.origin(path), path, what);
  const { live } = config;
  for (const name of publishListeners(config)) {
    const { host: address } = config[name];
    if (config.ingest.auth !== 'none' || isLoopback(address)) continue;
    refuse(
      'ingest.auth',
      `none lets anybody publish: set ${name}.host to 127.0.0.1 (it is ${address}) or use keys`,
    );
  }
  const { certPath, keyPath } = config.rtmps;
  if ((certPath === '') !== (keyPath === '')) {
    const missing = certPath === '' ? 'certPath' : 'keyPath';
    refuse(`rtmps.${missing}`, 'RTMP over TLS needs both rtmps.certPath and rtmps.keyPath');
  }
  if (live.partMs * 2 > live.segmentMs) {
    refuse('live.partMs', `must be at most half of live.segmentMs (${live.segmentMs})`);
  }
  // RFC 8216bis 6.2.2: never fewer than three target durations in a live playlist.
  if (live.windowSeconds * 1000 < live.segmentMs * 3) {
    refuse('live.windowSeconds', `must hold at least three segments of ${live.segmentMs} ms`);
  }
  if (live.maxSegmentBytes > live.maxWindowBytes) {
    refuse('live.maxSegmentBytes', `must not be above live.maxWindowBytes (${live.maxWindowBytes})`);
  }
  const { ladder } = config;
  if (ladder.startTimeoutMs < ladder.watchdogMs) {
    refuse('ladder.startTimeoutMs', `must not be below ladder.watchdogMs (${ladder.watchdogMs})`);
  }
  // A new encoder is fed the cached GOPs first: they must fit.
  if (ladder.maxQueueBytes < live.gopCacheBytes) {
    refuse('ladder.maxQueueBytes', `must not be below live.gopCacheBytes (${live.gopCacheBytes})`);
  }
  checkIngest(config, refuse);
  checkDrm(config, refuse);
  if (draft.origin('drm.kek') === '--set') {
    refuse(
      'drm.kek',
      'a command line can be read by everybody on this machine: use HEADWATER_DRM__KEK or drm.kekPath',
    );
  }
  checkStorage(config, refuse);
  if (draft.origin('storage.s3.credentials') === '--set') {
    refuse(
      'storage.s3.credentials',
      'a command line can be read by everybody on this machine: use HEADWATER_STORAGE__S3__CREDENTIALS',
    );
  }
  if (config.vod.queue === 'redis' && config.state.driver !== 'redis') {
    refuse('vod.queue', 'servers that share the work must share the state, too: set state.driver to redis');
  }
  if (!config.vod.work && config.vod.queue !== 'redis') {
    refuse('vod.work', 'nobody else could do the work: leave it true, or set vod.queue to redis');
  }
  checkLicense(config, refuse);
  checkVendors(config, refuse);
  checkViewers(config, refuse);
  refuseSharedPorts(config, refuse);
}

/** Services that licences or keys come from: each with what it needs, and no content key on an open line. */
function checkVendors({ drm, license }: Config, refuse: (path: string, what: string) => void): void {
  const { widevine, playready, fairplay } = license;
  for (const name of ['provider', 'signingKeyPath', 'signingIvPath'] as const) {
    if (widevine.url !== '' && widevine[name] === '')
      refuse(`license.widevine.${name}`, 'license.widevine.url is set: it is needed too');
  }
  for (const [name, { url, entitlementKeyPath }] of Object.entries({ playready, fairplay })) {
    if (url !== '' && entitlementKeyPath === '')
      refuse(`license.${name}.entitlementKeyPath`, `license.${name}.url is set: it is needed too`);
  }
  const { speke } = drm;
  if ((speke.certPath === '') !== (speke.keyPath === '')) {
    const missing = speke.certPath === '' ? 'certPath' : 'keyPath';
    refuse(`drm.speke.${missing}`, 'encrypted keys need both drm.speke.certPath and drm.speke.keyPath');
  }
  const open = {
    'license.widevine.url': widevine.url,
    'drm.speke.url': speke.certPath === '' ? speke.url : '',
  };
  for (const [path, url] of Object.entries(open)) {
    if (url.startsWith('http:') && !isLoopback(new URL(url).hostname.replace(/^\[|\]$/g, '')))
      refuse(path, 'content keys go over this line: use https');
  }
}

/** In MPDs each encrypted segment is said to be 10 microseconds shorter (see packager/dash): at most half a segment in all. */
function longestRotationSeconds(segmentMs: number): number {
  const mostSegments = (segmentMs * 1000) / 2 / 10;
  return Math.floor((mostSegments * segmentMs) / 1000);
}

function checkDrm({ drm, live }: Config, refuse: (path: string, what: string) => void): void {
  // A period must begin at a segment, and players need two of them to get the next key.
  if (drm.rotationSeconds * 1000 < live.segmentMs * 3) {
    refuse('drm.rotationSeconds', `must hold at least three segments of ${live.segmentMs} ms`);
  }
  const mostSeconds = longestRotationSeconds(live.segmentMs);
  if (drm.rotationSeconds > mostSeconds) {
    refuse('drm.rotationSeconds', `must be at most ${mostSeconds} with segments of ${live.segmentMs} ms`);
  }
  if (!drm.licenseUrls.fairplay.includes('{kid}')) {
    refuse('drm.licenseUrls.fairplay', 'must have {kid} in it');
  }
  if (drm.kek !== '' && drm.kekPath !== '') {
    refuse('drm.kek', 'set either drm.kek or drm.kekPath, not both');
  }
}

function checkLicense({ license, auth }: Config, refuse: (path: string, what: string) => void): void {
  if (license.sessionTtlSeconds < 2 * license.heartbeatSeconds) {
    refuse(
      'license.sessionTtlSeconds',
      `must be at least twice license.heartbeatSeconds (${license.heartbeatSeconds}): one report may be lost`,
    );
  }
  // The token must outlive the time to the next report that brings a new one.
  if (license.tokenSeconds < license.heartbeatSeconds) {
    refuse(
      'license.tokenSeconds',
      `must not be below license.heartbeatSeconds (${license.heartbeatSeconds})`,
    );
  }
  if (license.countryHeader !== '' && auth.trustedProxies === '') {
    refuse('auth.trustedProxies', 'license.countryHeader is believed from trusted proxies only: name them');
  }
  if (license.countryHeader === '' && license.allowCountries + license.denyCountries !== '') {
    refuse('license.countryHeader', 'rules on countries need the header that a trusted proxy gives them in');
  }
}

function checkViewers({ viewers }: Config, refuse: (path: string, what: string) => void): void {
  const { url, secretPath } = viewers.entitlement;
  if (url !== '' && secretPath === '') {
    refuse(
      'viewers.entitlement.secretPath',
      'calls are signed: name a file with the secret (`openssl rand -hex 32 > FILE; chmod 600 FILE`), and give it to the back end',
    );
  }
  if (viewers.maxStreamsPerViewer > viewers.maxStreams) {
    refuse('viewers.maxStreamsPerViewer', `must not be above viewers.maxStreams (${viewers.maxStreams})`);
  }
}

function checkIngest(
  { ingest, rtmp, srt, cmaf }: Config,
  refuse: (path: string, what: string) => void,
): void {
  if (ingest.auth === 'webhook') {
    checkWebhook(ingest.webhook, refuse);
    for (const [name, { authTimeoutMs }] of Object.entries({ rtmp, srt, cmaf })) {
      if (ingest.webhook.timeoutMs < authTimeoutMs) continue;
      refuse('ingest.webhook.timeoutMs', `must be below ${name}.authTimeoutMs (${authTimeoutMs})`);
    }
  }
  if (ingest.auth === 'jwt' || ingest.auth === 'keys+jwt') checkTokenKeys(ingest.jwt, refuse);
}

function checkWebhook(
  { url, format, secretPath }: Config['ingest']['webhook'],
  refuse: (path: string, what: string) => void,
): void {
  if (url === '') refuse('ingest.webhook.url', 'ingest.auth is webhook: set the URL to ask');
  if (secretPath === '' && (format === 'headwater' || format === 'ome')) {
    const how = 'make one with `openssl rand -hex 32 > FILE; chmod 600 FILE`, and give it to the back end';
    refuse(
      'ingest.webhook.secretPath',
      `the format ${format} signs its calls: name a file with the secret (${how})`,
    );
  }
}

function checkTokenKeys(
  { jwksUrl, keyPath, algorithms }: Config['ingest']['jwt'],
  refuse: (path: string, what: string) => void,
): void {
  if ((jwksUrl === '') === (keyPath === '')) {
    refuse(
      'ingest.jwt.jwksUrl',
      'publish tokens need either ingest.jwt.jwksUrl or ingest.jwt.keyPath, and not both',
    );
  }
  const shared = algorithms.split(',').filter((name) => name.startsWith('HS')).length;
  if (shared === 0) return;
  if (shared !== algorithms.split(',').length) {
    refuse(
      'ingest.jwt.algorithms',
      'HS256 and the like (a shared secret) cannot be mixed with signatures by a public key',
    );
  } else if (jwksUrl !== '') {
    refuse(
      'ingest.jwt.algorithms',
      'HS256 and the like need ingest.jwt.keyPath: a secret is nothing to publish',
    );
  }
}

/** Sections of the TCP listeners for publishers that are on. */
function publishListeners(config: Config): readonly ('rtmp' | 'rtmps')[] {
  return config.rtmps.certPath === '' ? ['rtmp'] : ['rtmp', 'rtmps'];
}

function refuseSharedPorts(config: Config, refuse: (path: string, what: string) => void): void {
  const taken = new Map<number, string>();
  for (const name of [...publishListeners(config), 'http', 'control', 'metrics'] as const) {
    const number = config[name].port;
    const other = taken.get(number);
    if (number !== 0 && other) refuse(`${name}.port`, `${number} is also ${other}.port`);
    taken.set(number, name);
  }
}
