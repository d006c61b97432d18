import { CONFIG_SCHEMA } from '../config.ts';
import type { FieldValue } from '../config/field.ts';
import { listKeys } from '../config/schema.ts';
import { isStreamName } from '../stream/stream-name.ts';
import { FAMILIES, isOn, isValues, LEFTOVER, PATH_NOTES, type Values } from './mediamtx-leftovers.ts';
import { parseAddress, parseDurationMs, parseSizeBytes } from './migrate-values.ts';

/** Something of the old configuration that the new one cannot say. */
export interface MigrationNote {
  /** Where it stands there: `paths.studio.record`. */
  readonly key: string;
  readonly reason: string;
}

/** What becomes of a configuration. */
export interface Migration {
  /** By path of ours; every value is one that our table takes. */
  readonly settings: ReadonlyMap<string, { readonly value: FieldValue; readonly comment: string }>;
  readonly notes: readonly MigrationNote[];
  /** Streams to make a publish key for. */
  readonly streams: readonly string[];
}

/** Shortest window that our table takes. */
const MIN_WINDOW_SECONDS = 6;
const KEYS = new Map(listKeys(CONFIG_SCHEMA).map((key) => [key.path, key.field]));

/** Collects the outcome; a value that our table does not take becomes a note. */
class Draft {
  readonly settings = new Map<string, { value: FieldValue; comment: string }>();
  readonly notes: MigrationNote[] = [];
  readonly streams: string[] = [];
  /** Items of srt.pull. */
  readonly pulls: string[] = [];

  set(path: string, value: FieldValue, from: string): void {
    const reading = KEYS.get(path)?.read(value);
    if (reading === undefined) this.note(from, 'this version of Headwater has no such setting');
    else if ('problem' in reading) this.note(from, `${path}: ${reading.problem}`);
    else this.settings.set(path, { value: reading.value, comment: `from ${from}` });
  }

  note(key: string, reason: string): void {
    if (this.notes.some((note) => note.key === key && note.reason === reason)) return;
    this.notes.push({ key, reason });
  }

  stream(name: string): void {
    if (!this.streams.includes(name)) this.streams.push(name);
  }
}

/** Reads one top-level key. */
type Carry = (value: unknown, draft: Draft, all: Values) => void;

/** Turns the parsed `mediamtx.yml` into settings of ours and says what is left over. Undefined when it is no such file. */
export function migrateMediamtx(config: unknown): Migration | undefined {
  if (!isValues(config) || !Object.keys(config).some((key) => isKnown(key))) return undefined;
  const draft = new Draft();
  for (const [key, value] of Object.entries(config)) {
    const carry = CARRIED[key];
    if (carry) carry(value, draft, config);
    else if (!isKnown(key)) draft.note(key, 'not a key of MediaMTX that this command knows');
    else noteLeftover(key, value, draft);
  }
  for (const family of FAMILIES) {
    if (family.isOn(config)) draft.note(family.key, family.reason);
  }
  carryAuth(config, draft);
  carryPaths(config, draft);
  settleSegments(draft);
  return { settings: draft.settings, notes: draft.notes, streams: draft.streams };
}

/** Keys that are looked at together with others, or whose meaning depends on one that is carried. */
const ELSEWHERE =
  /^(auth[A-Z]|externalAuthenticationURL$|paths$|pathDefaults$|hls(Segment|Part)|rtmp(Encryption|sAddress|Server(Key|Cert))$|(api|metrics)Address$)/;

function isKnown(key: string): boolean {
  return (
    key in CARRIED ||
    ELSEWHERE.test(key) ||
    FAMILIES.some(({ pattern }) => pattern.test(key)) ||
    LEFTOVER.some(({ pattern }) => pattern.test(key))
  );
}

function noteLeftover(key: string, value: unknown, draft: Draft, prefix = ''): void {
  const rule = LEFTOVER.find(({ pattern }) => pattern.test(key));
  if (rule === undefined) return;
  if (!rule.defaults.some((each) => JSON.stringify(each) === JSON.stringify(value))) {
    draft.note(`${prefix}${key}`, rule.reason);
  }
}

const CARRIED: Readonly<Record<string, Carry>> = {
  logLevel: (value, draft) => carryText('log.level', value, 'logLevel', draft),
  readTimeout: (value, draft) => {
    const ms = parseDurationMs(value);
    if (ms !== undefined && ms !== 10_000) draft.set('rtmp.silenceTimeoutMs', ms, 'readTimeout');
  },
  rtmp: (value, draft) => {
    if (!isOn(value, true))
      draft.note('rtmp', 'RTMP is always listened for: set rtmp.host to 127.0.0.1, or close the port');
  },
  rtmpAddress: (value, draft, all) => {
    if (all['rtmpEncryption'] === 'strict') {
      draft.note(
        'rtmpEncryption',
        'RTMP without TLS is always listened for: set rtmp.host to 127.0.0.1, or close the port',
      );
    }
    carryAddress('rtmp', value, 'rtmpAddress', draft);
  },
  rtmpEncryption: (value, draft, all) => {
    if (!isOn(value, false)) return;
    carryAddress('rtmps', all['rtmpsAddress'] ?? ':1936', 'rtmpsAddress', draft);
    carryText('rtmps.keyPath', all['rtmpServerKey'] ?? 'server.key', 'rtmpServerKey', draft);
    carryText('rtmps.certPath', all['rtmpServerCert'] ?? 'server.crt', 'rtmpServerCert', draft);
  },
  srt: (value, draft) => {
    if (!isOn(value, true)) draft.set('srt.enabled', false, 'srt');
  },
  srtAddress: (value, draft, all) => {
    if (isOn(all['srt'], true)) carryAddress('srt', value, 'srtAddress', draft);
  },
  hls: (value, draft) => {
    if (!isOn(value, true))
      draft.note('hls', 'the media port is always open: set http.host to 127.0.0.1, or close the port');
  },
  hlsAddress: (value, draft) => carryAddress('http', value, 'hlsAddress', draft),
  hlsSegmentMaxSize: (value, draft) => {
    const bytes = parseSizeBytes(value);
    if (bytes !== undefined && bytes !== parseSizeBytes('50M'))
      draft.set('live.maxSegmentBytes', bytes, 'hlsSegmentMaxSize');
  },
  hlsSegmentDuration: (value, draft) =>
    carryDuration('live.segmentMs', value, 1000, 'hlsSegmentDuration', draft),
  hlsPartDuration: (value, draft) => carryDuration('live.partMs', value, 200, 'hlsPartDuration', draft),
  hlsSegmentCount: (value, draft, all) => {
    const ms = parseDurationMs(all['hlsSegmentDuration'] ?? '1s');
    if (typeof value !== 'number' || ms === undefined) return draft.note('hlsSegmentCount', 'not a number');
    if (value === 7 && ms === 1000) return;
    const seconds = Math.max(MIN_WINDOW_SECONDS, Math.ceil((value * ms) / 1000));
    draft.set('live.windowSeconds', seconds, 'hlsSegmentCount × hlsSegmentDuration');
  },
  metrics: (value, draft, all) => {
    if (isOn(value, false))
      carryAddress('metrics', all['metricsAddress'] ?? ':9998', 'metricsAddress', draft);
  },
  api: (value, draft, all) => {
    if (!isOn(value, false)) return;
    carryAddress('control', all['apiAddress'] ?? ':9997', 'apiAddress', draft);
    draft.note(
      'api',
      'the control API is another one (/v1/openapi.json) and always asks for the admin token',
    );
  },
};

/** The rules between our keys: no value that was carried may break them. */
function settleSegments(draft: Draft): void {
  const numberAt = (path: string): number =>
    Number(draft.settings.get(path)?.value ?? KEYS.get(path)?.default);
  const segmentMs = numberAt('live.segmentMs');
  if (numberAt('live.partMs') * 2 > segmentMs) {
    draft.settings.set('live.partMs', {
      value: Math.floor(segmentMs / 2),
      comment: 'a part is at most half a segment',
    });
  }
  const leastSeconds = Math.max(MIN_WINDOW_SECONDS, Math.ceil((segmentMs * 3) / 1000));
  if (numberAt('live.windowSeconds') < leastSeconds) {
    draft.settings.set('live.windowSeconds', {
      value: leastSeconds,
      comment: 'a playlist has at least three segments',
    });
  }
  const windowBytes = numberAt('live.maxWindowBytes');
  if (numberAt('live.maxSegmentBytes') > windowBytes) {
    draft.settings.delete('live.maxSegmentBytes');
    draft.note('hlsSegmentMaxSize', `above live.maxWindowBytes (${windowBytes})`);
  }
}

function carryAuth(all: Values, draft: Draft): void {
  const old = all['externalAuthenticationURL'];
  const method = typeof old === 'string' && old !== '' ? 'http' : (all['authMethod'] ?? 'internal');
  if (method === 'http') carryHttpAuth(all, draft);
  else if (method === 'jwt') carryTokens(all, draft);
  else carryUsers(all['authInternalUsers'], draft);
}

function carryHttpAuth(all: Values, draft: Draft): void {
  const key = all['authHTTPAddress'] === undefined ? 'externalAuthenticationURL' : 'authHTTPAddress';
  const url = all[key];
  if (typeof url !== 'string' || url === '') {
    draft.note(
      key,
      'no URL to ask: nothing of the authentication was carried over, publish keys are asked for',
    );
    return;
  }
  draft.set('ingest.webhook.url', url, key);
  if (!draft.settings.has('ingest.webhook.url')) return;
  draft.set('ingest.auth', 'webhook', 'authMethod');
  draft.set('ingest.webhook.format', 'mediamtx', 'authMethod');
  draft.note(key, 'asked for publishing only: viewers, API and metrics are not put to it');
  noteFingerprint('authHTTPFingerprint', all, draft);
  if (excludesPublish(all['authHTTPExclude'])) {
    draft.note('authHTTPExclude', 'publishing cannot be excluded from the webhook: let it answer 200');
  }
}

function carryTokens(all: Values, draft: Draft): void {
  const url = all['authJWTJWKS'];
  if (typeof url !== 'string' || url === '') {
    draft.note(
      'authJWTJWKS',
      'no URL of keys: nothing of the authentication was carried over, publish keys are asked for',
    );
    return;
  }
  draft.set('ingest.jwt.jwksUrl', url, 'authJWTJWKS');
  if (!draft.settings.has('ingest.jwt.jwksUrl')) return;
  draft.set('ingest.auth', 'jwt', 'authMethod');
  const claim = all['authJWTClaimKey'];
  if (claim !== undefined && claim !== 'mediamtx_permissions') {
    carryText('ingest.jwt.permissionsClaim', claim, 'authJWTClaimKey', draft);
  }
  for (const [key, path] of [
    ['authJWTIssuer', 'ingest.jwt.issuer'],
    ['authJWTAudience', 'ingest.jwt.audience'],
  ] as const) {
    if (typeof all[key] === 'string' && all[key] !== '') carryText(path, all[key], key, draft);
  }
  draft.note('authMethod', 'tokens must have an expiry (exp), and are asked for when publishing only');
  noteFingerprint('authJWTJWKSFingerprint', all, draft);
  if (excludesPublish(all['authJWTExclude'])) {
    draft.note('authJWTExclude', 'publishing cannot be excluded from tokens');
  }
}

function noteFingerprint(key: string, all: Values, draft: Draft): void {
  if (typeof all[key] === 'string' && all[key] !== '') {
    draft.note(key, 'certificates are checked as usual: name the authority in NODE_EXTRA_CA_CERTS');
  }
}

function excludesPublish(list: unknown): boolean {
  return Array.isArray(list) && list.some((entry) => isValues(entry) && entry['action'] === 'publish');
}

/** Users become publish keys: one of each path that somebody may publish. */
function carryUsers(users: unknown, draft: Draft): void {
  const list = Array.isArray(users) ? users.filter(isValues) : undefined;
  if (list === undefined) {
    draft.note(
      'authInternalUsers',
      'MediaMTX lets anybody publish by default; Headwater asks for a publish key',
    );
    return;
  }
  for (const [index, user] of list.entries()) carryUser(user, `authInternalUsers[${index}]`, draft);
}

function carryUser(user: Values, key: string, draft: Draft): void {
  const permissions = Array.isArray(user['permissions']) ? user['permissions'].filter(isValues) : [];
  const publishing = permissions.filter(({ action }) => action === 'publish');
  if (publishing.length === 0) {
    if (permissions.some(({ action }) => action === 'read') && user['user'] !== 'any') {
      draft.note(key, 'this version asks viewers for no password');
    }
    return;
  }
  draft.note(
    key,
    user['user'] === 'any'
      ? 'anybody could publish; Headwater asks for a publish key'
      : 'user and password are replaced by a publish key, which is all that the encoder sends',
  );
  if (Array.isArray(user['ips']) && user['ips'].length > 0) {
    draft.note(`${key}.ips`, 'publishers are not told apart by address');
  }
  for (const { path } of publishing) {
    if (typeof path !== 'string' || path === '') continue;
    if (path.startsWith('~'))
      draft.note(`${key}.permissions`, `a publish key is for one stream: ${path} has no counterpart`);
    else carryStream(path, `${key}.permissions`, draft);
  }
}

/** A path of MediaMTX as a stream of ours, which has no slash in its name. */
function carryStream(path: string, key: string, draft: Draft): void {
  const name = path.replace(/^live\//, '');
  if (isStreamName(name)) return draft.stream(name);
  const near = name.replace(/[^A-Za-z0-9_-]+/g, '-').slice(0, 64);
  draft.note(key, `${path} cannot name a stream (letters, digits, - and _, at most 64): ${near} might`);
}

function carryPaths(all: Values, draft: Draft): void {
  const defaults = isValues(all['pathDefaults']) ? all['pathDefaults'] : {};
  notePath(defaults, 'pathDefaults', draft);
  if (!isOn(defaults['overridePublisher'], true)) {
    draft.set('live.onSecondPublisher', 'reject', 'pathDefaults.overridePublisher');
  }
  const paths = isValues(all['paths']) ? all['paths'] : {};
  for (const [name, value] of Object.entries(paths)) {
    const settings = isValues(value) ? value : {};
    if (!/^(~|all(_others)?$)/.test(name)) carryStream(name, `paths.${name}`, draft);
    else if (name.startsWith('~')) draft.note(`paths.${name}`, 'streams are made one by one, not by pattern');
    notePath(settings, `paths.${name}`, draft);
    carrySource(name, settings, draft);
    if (settings['overridePublisher'] !== undefined) noteOverride(settings['overridePublisher'], name, draft);
  }
  if (draft.pulls.length > 0) draft.set('srt.pull', draft.pulls.join(' '), 'paths with a source of srt://');
}

function noteOverride(value: unknown, name: string, draft: Draft): void {
  const ours = draft.settings.get('live.onSecondPublisher')?.value ?? 'takeover';
  if (isOn(value, true) !== (ours === 'takeover')) {
    draft.note(`paths.${name}.overridePublisher`, 'is set for all streams at once: live.onSecondPublisher');
  }
}

function notePath(settings: Values, prefix: string, draft: Draft): void {
  for (const [key, value] of Object.entries(settings)) {
    const rule = PATH_NOTES.find(({ pattern }) => pattern.test(key));
    if (rule?.isSet(value)) draft.note(`${prefix}.${key}`, rule.reason);
  }
}

/** Where a path's media come from, if not from publishers: only SRT is fetched by us too. */
function carrySource(name: string, settings: Values, draft: Draft): void {
  const { source } = settings;
  if (typeof source !== 'string' || source === '' || source === 'publisher') return;
  const key = `paths.${name}.source`;
  const stream = name.replace(/^live\//, '');
  if (!source.startsWith('srt://')) draft.note(key, sourceReason(source));
  else if (/[?&]passphrase=/.test(source)) {
    draft.note(
      key,
      'write the passphrase to a file and name it in srt.pull: NAME=srt://…?passphraseFile=FILE',
    );
  } else if ('problem' in (KEYS.get('srt.pull')?.read(`${stream}=${source}`) ?? { problem: '' })) {
    draft.note(key, 'not an address that srt.pull takes');
  } else draft.pulls.push(`${stream}=${source}`);
}

function sourceReason(source: string): string {
  const scheme = /^[a-z+0-9]+(?=:)/i.exec(source)?.[0] ?? source;
  const away = 'Headwater fetches streams by SRT only: push it, e.g.';
  if (/^(rtsp|rtmp|http|udp)/.test(scheme))
    return `${away} ffmpeg -i <source> -c copy -f flv rtmp://HOST/live/KEY`;
  return `no counterpart of the source ${scheme}`;
}

function carryAddress(section: string, value: unknown, from: string, draft: Draft): void {
  const address = parseAddress(value);
  if (address === undefined) return draft.note(from, 'not an address and port');
  draft.set(`${section}.port`, address.port, from);
  if (address.host !== undefined) draft.set(`${section}.host`, address.host, from);
  else if (KEYS.get(`${section}.host`)?.default !== '0.0.0.0') draft.set(`${section}.host`, '0.0.0.0', from);
}

function carryText(path: string, value: unknown, from: string, draft: Draft): void {
  if (typeof value === 'string') draft.set(path, value, from);
  else draft.note(from, 'not a text');
}

/** A duration at MediaMTX's default is nobody's wish: ours stays. */
function carryDuration(path: string, value: unknown, defaultMs: number, from: string, draft: Draft): void {
  const ms = parseDurationMs(value);
  if (ms === undefined) draft.note(from, 'not a duration');
  else if (ms !== defaultMs) draft.set(path, ms, from);
}
