import { createHash, createHmac } from 'node:crypto';
import type { PublishProtocol } from '../stream/publisher.ts';
import type { PublishRequest } from './authorise.ts';
import type { WebhookFormat } from './ingest-options.ts';

/** What a format's requests are made of besides the publisher's own words. */
export interface WebhookSetting {
  /** RTMP application that back ends are told. */
  readonly app: string;
  /** Host name for URLs that back ends are told. */
  readonly publicHost: string;
  /** Put before the name in MediaMTX's `path`. */
  readonly pathPrefix: string;
  /** Random id of this server, the same for its life. */
  readonly serverId: string;
  /** Signs; undefined: requests go unsigned. */
  readonly secret: Uint8Array | undefined;
}

/** A publisher that was let in and is gone. */
export interface EndedPublish {
  readonly request: PublishRequest;
  readonly stream: string;
  /** Milliseconds since it was let in. */
  readonly lastedMs: number;
}

/** A request as it goes out. */
export interface WebhookRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** An answer as it came in. */
export interface WebhookAnswer {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: string;
}

/** What an answer means. `stream` is not checked yet; `broken`: the back end does not speak the format, or is ill. */
export type WebhookVerdict =
  | {
      readonly kind: 'allow';
      readonly stream: string;
      readonly lifetimeMs?: number;
      readonly passphrase?: string;
    }
  | { readonly kind: 'deny' }
  | { readonly kind: 'broken' };

/** One kind of back end. */
export interface WebhookShape {
  /** `nowMs` is wall-clock time. */
  publish(request: PublishRequest, setting: WebhookSetting, nowMs: number): WebhookRequest;
  verdict(answer: WebhookAnswer, request: PublishRequest, setting: WebhookSetting): WebhookVerdict;
  /** Undefined: the format knows no such call. */
  readonly unpublish:
    | ((ended: EndedPublish, setting: WebhookSetting, nowMs: number) => WebhookRequest)
    | undefined;
  /** Its calls for the end of a publish go to the same URL when no other is given. */
  readonly oneUrl: boolean;
}

const JSON_TYPE = { 'Content-Type': 'application/json' };
const DENY: WebhookVerdict = { kind: 'deny' };
const BROKEN: WebhookVerdict = { kind: 'broken' };

/** Our own: JSON both ways. */
const headwater: WebhookShape = {
  publish({ protocol, session, key, query, user = '', password = '', token = '', remoteAddress }, setting) {
    const facts = { protocol, session, address: plainAddress(remoteAddress), app: setting.app };
    return json({ event: 'publish', ...facts, key, query, user, password, token });
  },
  verdict(answer, { key }) {
    if (!isSuccess(answer.status)) return failedOrDenied(answer.status);
    const { allow, stream = key, lifetimeMs, passphrase } = fieldsOf(answer.body);
    if (allow === false) return DENY;
    if (allow !== true || typeof stream !== 'string') return BROKEN;
    if (lifetimeMs !== undefined && !isLifetime(lifetimeMs)) return BROKEN;
    if (passphrase !== undefined && !isPassphrase(passphrase)) return BROKEN;
    return {
      kind: 'allow',
      stream,
      ...(lifetimeMs !== undefined && { lifetimeMs }),
      ...(passphrase !== undefined && { passphrase }),
    };
  },
  unpublish({ request: { protocol, session, remoteAddress }, stream, lastedMs }, { app }) {
    const address = plainAddress(remoteAddress);
    return json({
      event: 'unpublish',
      protocol,
      session,
      address,
      app,
      stream,
      lastedMs: Math.round(lastedMs),
    });
  },
  oneUrl: true,
};

/** MediaMTX `authMethod: http`: 2xx is yes, whatever the body. */
const mediamtx: WebhookShape = {
  publish(request, { pathPrefix }) {
    const { protocol, session, key, query, remoteAddress } = request;
    const { user, password } = credentials(request);
    return json({
      ip: plainAddress(remoteAddress),
      user,
      password,
      token: request.token ?? '',
      action: 'publish',
      path: `${pathPrefix}${key}`,
      protocol: plainProtocol(protocol),
      id: uuidOf(session),
      query,
    });
  },
  verdict: ({ status }, { key }) => byStatus(status, key),
  unpublish: undefined,
  oneUrl: false,
};

/** SRS http_hooks: 200 with the number 0, alone or as `code` of an object, is yes. */
const srs: WebhookShape = {
  publish: (request, setting) => json(srsBody('on_publish', request, request.key, setting)),
  verdict({ status, body }, { key }) {
    if (status !== 200) return failedOrDenied(status);
    const answer = parseJson(body);
    const code = typeof answer === 'number' ? answer : fieldsOf(body)['code'];
    if (typeof code !== 'number') return BROKEN;
    return code === 0 ? { kind: 'allow', stream: key } : DENY;
  },
  unpublish: ({ request, stream }, setting) => json(srsBody('on_unpublish', request, stream, setting)),
  oneUrl: false,
};

function srsBody(action: string, request: PublishRequest, stream: string, setting: WebhookSetting): object {
  const { protocol, session, query, remoteAddress } = request;
  return {
    server_id: setting.serverId,
    action,
    client_id: session,
    ip: plainAddress(remoteAddress),
    vhost: '__defaultVhost__',
    app: setting.app,
    tcUrl: `${plainProtocol(protocol)}://${setting.publicHost}/${setting.app}`,
    stream,
    param: query === '' ? '' : `?${query}`,
    stream_url: `/${setting.app}/${stream}`,
    stream_id: session,
  };
}

/** nginx-rtmp on_publish: a form; 2xx is yes, 3xx is yes under the name in `Location`. */
const nginxRtmp: WebhookShape = {
  publish: (request, setting) => form(nginxFields('publish', request, request.key, setting, true)),
  verdict({ status, location }, { key }) {
    if (status < 300 || status > 399) return byStatus(status, key);
    if (location === undefined || location === '') return { kind: 'allow', stream: key };
    // An rtmp:// URL would have nginx-rtmp relay the stream elsewhere, which is another thing than a name.
    return { kind: 'allow', stream: location };
  },
  unpublish: ({ request, stream }, setting) =>
    form(nginxFields('publish_done', request, stream, setting, false)),
  oneUrl: false,
};

/** In nginx-rtmp's order; the publisher's own arguments last, and never under one of these names. */
function nginxFields(
  call: string,
  { protocol, session, query, remoteAddress }: PublishRequest,
  name: string,
  setting: WebhookSetting,
  typed: boolean,
): [string, string][] {
  const fields: [string, string][] = [
    ['app', setting.app],
    ['flashver', ''],
    ['swfurl', ''],
    ['tcurl', `${plainProtocol(protocol)}://${setting.publicHost}/${setting.app}`],
    ['pageurl', ''],
    ['addr', plainAddress(remoteAddress)],
    ['clientid', String(numberOf(session))],
    ['call', call],
    ['name', name],
    ...(typed ? [['type', 'live'] satisfies [string, string]] : []),
  ];
  const reserved = new Set([...fields.map(([field]) => field), 'type']);
  const own = [...new URLSearchParams(query)].filter(([field]) => !reserved.has(field.toLowerCase()));
  return [...fields, ...own];
}

/** OvenMediaEngine AdmissionWebhooks: signed with HMAC-SHA-1, answered in JSON. */
const ome: WebhookShape = {
  publish: (request, setting, nowMs) =>
    signedForOme(omeBody('opening', request, request.key, undefined, setting, nowMs), setting),
  verdict({ status, body }, { key }, { app }) {
    if (status !== 200) return failedOrDenied(status);
    const { allowed, new_url: newUrl, lifetime } = fieldsOf(body);
    if (allowed === false) return DENY;
    if (allowed !== true) return BROKEN;
    if (lifetime !== undefined && lifetime !== null && !isLifetime(lifetime)) return BROKEN;
    const stream = newUrl === undefined || newUrl === null ? key : streamOfUrl(newUrl, app);
    if (stream === undefined) return BROKEN;
    return { kind: 'allow', stream, ...(isLifetime(lifetime) && lifetime > 0 && { lifetimeMs: lifetime }) };
  },
  unpublish: ({ request, stream }, setting, nowMs) =>
    signedForOme(omeBody('closing', request, request.key, stream, setting, nowMs), setting),
  oneUrl: true,
};

function omeBody(
  status: 'opening' | 'closing',
  { protocol, query, remoteAddress }: PublishRequest,
  name: string,
  stream: string | undefined,
  { app, publicHost }: WebhookSetting,
  nowMs: number,
): object {
  const url = (last: string): string =>
    `${plainProtocol(protocol)}://${publicHost}/${app}/${last}${query === '' ? '' : `?${query}`}`;
  const address = plainAddress(remoteAddress);
  return {
    client: { address, port: 0, real_ip: address },
    request: {
      direction: 'incoming',
      protocol: plainProtocol(protocol),
      status,
      url: url(name),
      ...(stream !== undefined && stream !== name && { new_url: url(stream) }),
      // oxlint-disable-next-line no-restricted-globals -- only written as text: the time comes from the clock
      time: new Date(nowMs).toISOString(),
    },
  };
}

function signedForOme(body: object, { secret = new Uint8Array() }: WebhookSetting): WebhookRequest {
  const request = json(body);
  const signature = createHmac('sha1', secret).update(request.body).digest('base64url');
  return {
    ...request,
    headers: { ...request.headers, Accept: 'application/json', 'X-OME-Signature': signature },
  };
}

/** `scheme://host/app/stream[/file][?query]`: the stream, when the application is ours. */
function streamOfUrl(url: unknown, app: string): string | undefined {
  if (typeof url !== 'string' || !URL.canParse(url)) return undefined;
  const [, inApp, stream] = new URL(url).pathname.split('/');
  return inApp === app ? stream : undefined;
}

export const WEBHOOK_SHAPES: Readonly<Record<WebhookFormat, WebhookShape>> = {
  headwater,
  mediamtx,
  srs,
  'nginx-rtmp': nginxRtmp,
  ome,
};

function json(body: object): WebhookRequest {
  return { headers: JSON_TYPE, body: JSON.stringify(body) };
}

function form(fields: [string, string][]): WebhookRequest {
  const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
  return { headers, body: new URLSearchParams(fields).toString() };
}

function isSuccess(status: number): boolean {
  return status >= 200 && status <= 299;
}

/** For back ends that say yes with the status alone. */
function byStatus(status: number, stream: string): WebhookVerdict {
  return isSuccess(status) ? { kind: 'allow', stream } : failedOrDenied(status);
}

/** 4xx is an answer, anything else (5xx, a redirect) the lack of one; neither lets anybody in. */
function failedOrDenied(status: number): WebhookVerdict {
  return status >= 400 && status <= 499 ? DENY : BROKEN;
}

/** RTMP over TLS is RTMP to back ends that were made for other servers. */
function plainProtocol(protocol: PublishProtocol): string {
  return protocol === 'rtmps' ? 'rtmp' : protocol;
}

function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}

/** User and password: the protocol's own, or `user` and `pass` of the query, as MediaMTX has them for RTMP. */
function credentials({ user, password, query }: PublishRequest): { user: string; password: string } {
  if (user !== undefined || password !== undefined) return { user: user ?? '', password: password ?? '' };
  const values = new URLSearchParams(query);
  return { user: values.get('user') ?? '', password: values.get('pass') ?? '' };
}

/** A session's id in the form of a UUID (version 8, RFC 9562 5.8), always the same one. */
function uuidOf(session: string): string {
  const bytes = createHash('sha256').update(session).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** A session's id as a number, always the same one. */
function numberOf(session: string): number {
  return createHash('sha256').update(session).digest().readUInt32BE(0);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The properties of a JSON object; none when it is none. */
function fieldsOf(text: string): Readonly<Record<string, unknown>> {
  const value = parseJson(text);
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {};
}

function isLifetime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

/** As SRT takes it. */
function isPassphrase(value: unknown): value is string {
  return typeof value === 'string' && value.length >= 10 && value.length <= 79;
}
