import { createDecipheriv, createHash } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { jwtDecrypt, jwtVerify } from 'jose';

/** One request as a DRM service got it. */
export interface ServiceCall {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** What a service answers. */
export interface ServiceAnswer {
  readonly status: number;
  readonly body: string | Buffer;
  readonly contentType?: string;
}

/** Undefined: nothing ever comes. */
type Behaviour = (call: ServiceCall) => ServiceAnswer | undefined | Promise<ServiceAnswer | undefined>;

/** A service over real HTTP that remembers its calls and may be told to misbehave. */
export class DrmService {
  readonly calls: ServiceCall[] = [];
  /** In the place of what the service does by itself. */
  misbehave: Behaviour | undefined;
  /** Ends connections that bring a second request, as one does whose patience just ran out. */
  oneRequestEach = false;
  /** Connections taken. */
  connections = 0;
  readonly #used = new WeakSet();
  readonly #behave: Behaviour;
  readonly #server = createServer((request, response) => void this.#serve(request, response));

  constructor(behave: Behaviour) {
    this.#behave = behave;
    this.#server.on('connection', () => (this.connections += 1));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/service`;
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    if (this.oneRequestEach && this.#used.has(request.socket)) return void request.socket.destroy();
    this.#used.add(request.socket);
    const pieces: Buffer[] = [];
    try {
      for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
    } catch {
      return;
    }
    const { method = '', url = '', headers } = request;
    const call = { method, path: url, headers, body: Buffer.concat(pieces) };
    this.calls.push(call);
    const answer = await (this.misbehave ?? this.#behave)(call);
    if (!answer) return;
    response.writeHead(answer.status, { 'Content-Type': answer.contentType ?? 'application/octet-stream' });
    response.end(answer.body);
  }
}

export interface KeySpec {
  readonly track_type: string;
  readonly security_level: number;
  readonly required_output_protection: { readonly hdcp: string };
  readonly key: string;
  readonly key_id: string;
}

/** A message to the Widevine service, as it was signed. */
export interface WidevineMessage {
  readonly payload: string;
  readonly provider: string;
  readonly content_id?: string;
  readonly content_key_specs?: readonly KeySpec[];
  readonly policy_overrides?: Readonly<Record<string, unknown>>;
  readonly session_init?: { readonly provider_session_token: string };
}

/**
 * Stands in for Widevine's cloud service: refuses what is not signed by the provider, then makes a "licence" (JSON, for
 * tests to read) with the keys that the device in the challenge may have. A challenge is the text `device:<1..5>`, by
 * the highest security level that the device satisfies.
 */
export function widevineService(key: Uint8Array, iv: Uint8Array, provider: string): DrmService {
  return new DrmService(({ method, path, headers, body }) => {
    const word = (status: string): ServiceAnswer => json({ status });
    if (method !== 'POST' || !path.startsWith('/service') || headers['content-type'] !== 'application/json')
      return { status: 404, body: 'not found' };
    const envelope = JSON.parse(body.toString()) as Record<string, string>;
    if (envelope['signer'] !== provider) return word('UNKNOWN_PROVIDER');
    const request = Buffer.from(envelope['request'] ?? '', 'base64');
    if (!isSigned(request, envelope['signature'] ?? '', key, iv)) return word('SIGNATURE_FAILED');
    return json(widevineAnswer(JSON.parse(request.toString()) as WidevineMessage));
  });
}

function isSigned(request: Buffer, signature: string, key: Uint8Array, iv: Uint8Array): boolean {
  try {
    const decipher = createDecipheriv('aes-256-cbc', key, iv);
    const digest = Buffer.concat([decipher.update(signature, 'base64'), decipher.final()]);
    return digest.equals(createHash('sha1').update(request).digest());
  } catch {
    return false;
  }
}

function widevineAnswer(message: WidevineMessage): Readonly<Record<string, unknown>> {
  const challenge = Buffer.from(message.payload, 'base64');
  if (challenge.equals(Buffer.from([8, 4]))) return license('certificate of the service');
  const level = Number(/^device:([1-5])$/.exec(challenge.toString())?.[1]);
  if (!level) return { status: 'INVALID_LICENSE_CHALLENGE' };
  const specs = message.content_key_specs ?? [];
  if (specs.length === 0) return { status: 'INVALID_CONTENT_KEY_SPEC' };
  const durations = ['license', 'rental', 'playback'].map(
    (name) => message.policy_overrides?.[`${name}_duration_seconds`],
  );
  if (!durations.every((seconds) => typeof seconds === 'number' && seconds > 0 && seconds <= 86_400))
    return { status: 'INVALID_POLICY' };
  const keys = specs
    .filter((spec) => spec.security_level <= level)
    .map(({ key_id, key }) => ({ key_id, key }));
  return keys.length === 0
    ? { status: 'ACCESS_DENIED_SECURITY_LEVEL' }
    : { ...license(JSON.stringify({ keys })), security_level: level >= 3 ? 1 : 3 };
}

function license(text: string): Readonly<Record<string, unknown>> {
  return { status: 'OK', license: Buffer.from(text).toString('base64') };
}

function json(value: unknown): ServiceAnswer {
  return { status: 200, body: JSON.stringify(value), contentType: 'application/json' };
}

/** The message inside a call of the Widevine service. */
export function widevineMessage(call: ServiceCall | undefined): WidevineMessage {
  const { request } = JSON.parse(call?.body.toString() ?? '{}') as { request: string };
  return JSON.parse(Buffer.from(request, 'base64').toString()) as WidevineMessage;
}

export interface EntitledKey {
  readonly kid: string;
  readonly tier: string;
  readonly output: string;
  readonly security_level: number;
  readonly k?: string;
  readonly iv?: string;
}

/** What our token says to a service that shares the secret. @throws when it is not ours or not for `system` */
export async function readEntitlement(
  token: string,
  secret: Uint8Array,
  system: string,
  now: Date,
): Promise<Readonly<Record<string, unknown>> & { readonly keys: readonly EntitledKey[] }> {
  const options = { issuer: 'headwater', audience: system, currentDate: now };
  const { payload } =
    token.split('.').length === 5
      ? await jwtDecrypt(token, secret, options)
      : await jwtVerify(token, secret, { ...options, algorithms: ['HS256'] });
  return payload as never;
}

const SOAP = 'http://schemas.xmlsoap.org/soap/envelope/';
const PROTOCOLS = 'http://schemas.microsoft.com/DRM/2007/03/protocols';

/** A challenge as a PlayReady client makes it, with custom data of the app. */
export function playReadyChallenge(customData = ''): string {
  return (
    `<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="${SOAP}"><soap:Body>` +
    `<AcquireLicense xmlns="${PROTOCOLS}"><challenge><Challenge xmlns="${PROTOCOLS}/messages">` +
    `<LA xmlns="${PROTOCOLS}" Id="SignedData"><Version>1</Version><ContentHeader/>` +
    `<CustomData>${customData}</CustomData></LA></Challenge></challenge></AcquireLicense></soap:Body></soap:Envelope>`
  );
}

/** A fault as a PlayReady server says it. */
export function playReadyFault(code: string, words = ''): ServiceAnswer {
  const body =
    `<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="${SOAP}"><soap:Body><soap:Fault>` +
    '<faultcode>soap:Server</faultcode><faultstring>refused</faultstring><detail><Exception>' +
    `<StatusCode>0x${code}</StatusCode><CustomData>${words}</CustomData></Exception></detail>` +
    '</soap:Fault></soap:Body></soap:Envelope>';
  return { status: 500, body, contentType: 'text/xml; charset=utf-8' };
}

const PLAYREADY_LICENSE =
  `<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="${SOAP}"><soap:Body>` +
  `<AcquireLicenseResponse xmlns="${PROTOCOLS}"><AcquireLicenseResult><Response><LicenseResponse/>` +
  '</Response></AcquireLicenseResult></AcquireLicenseResponse></soap:Body></soap:Envelope>';

/** Stands in for a PlayReady licence server: a fault for every request without an entitlement of ours. */
export function playReadyService(secret: Uint8Array, header: string, now: () => Date): DrmService {
  return new DrmService(async ({ headers, body }) => {
    const action = '"http://schemas.microsoft.com/DRM/2007/03/protocols/AcquireLicense"';
    if (headers['soapaction'] !== action || !String(headers['content-type']).startsWith('text/xml'))
      return playReadyFault('8004C60B');
    if (!body.includes('<AcquireLicense')) return playReadyFault('8004C601');
    try {
      await readEntitlement(String(headers[header.toLowerCase()]), secret, 'playready', now());
      return { status: 200, body: PLAYREADY_LICENSE, contentType: 'text/xml; charset=utf-8' };
    } catch {
      return playReadyFault('8004C604', 'no entitlement');
    }
  });
}

/** An SPC in form only. */
export const SPC = Buffer.concat([Buffer.from([0, 0, 0, 1]), Buffer.alloc(200, 0xc5)]);
/** A CKC in form only. */
export const CKC = Buffer.concat([Buffer.from([0, 0, 0, 1]), Buffer.alloc(96, 0xcc)]);

/** Stands in for a FairPlay key security module that takes an SPC as bytes or as a form. */
export function fairPlayService(
  secret: Uint8Array,
  header: string,
  format: 'binary' | 'form',
  now: () => Date,
): DrmService {
  return new DrmService(async ({ headers, body }) => {
    const spc =
      format === 'binary'
        ? body
        : Buffer.from(new URLSearchParams(body.toString()).get('spc') ?? '', 'base64');
    if (!spc.equals(SPC)) return { status: 400, body: 'not the SPC' };
    try {
      await readEntitlement(String(headers[header.toLowerCase()]), secret, 'fairplay', now());
    } catch {
      return { status: 403, body: 'not entitled' };
    }
    return format === 'binary'
      ? { status: 200, body: CKC }
      : { status: 200, body: `<ckc>${CKC.toString('base64')}</ckc>`, contentType: 'text/plain' };
  });
}
