import { AppError } from '../../base/errors.ts';
import type { LicenseProxy, VendorReply } from './proxy.ts';
import type { VendorAnswer, VendorBackend } from './vendor-backend.ts';
import {
  certificatePayload,
  type WidevinePolicy,
  type WidevineSigner,
  widevineEnvelope,
  widevinePayload,
} from './widevine-envelope.ts';

export interface WidevineProxyOptions {
  /** The service, with the provider at its end. */
  readonly url: string;
  readonly signer: WidevineSigner;
  readonly policy: WidevinePolicy;
}

/** What a player sends to learn the service's certificate. */
const CERTIFICATE_REQUEST = Buffer.from([0x08, 0x04]);

/** What the service's words for a request that it does not fulfil are to the player. */
const MALFORMED = /^(INVALID|MALFORMED)_(LICENSE_)?(CHALLENGE|REQUEST|MESSAGE)|^INVALID_PSSH/;
const DENIED = /DENIED|REVOKED|RESTRICTED|NOT_ALLOWED|INSUFFICIENT|SECURITY_LEVEL|UNSUPPORTED_DEVICE/;
/** Said when the service itself is in trouble. */
const BROKEN = /INTERNAL|UNAVAILABLE|TIMEOUT|THROTTLED/;

/** Challenges of Widevine, for its cloud licence service. */
export function createWidevineProxy(options: WidevineProxyOptions, backend: VendorBackend): LicenseProxy {
  const { url, signer, policy } = options;
  return {
    system: 'widevine',
    sendsKeys: true,
    head: () => ({ contentType: '', soapAction: '' }),
    read: (body) =>
      body.length === 0 ? undefined : { bytes: body, certificate: CERTIFICATE_REQUEST.equals(body) },
    async ask(challenge, grant, keys, signal) {
      const payload = challenge.certificate
        ? certificatePayload(challenge.bytes, signer.provider)
        : widevinePayload(challenge.bytes, grant, keys, signer.provider, policy);
      const body = widevineEnvelope(payload, signer);
      const headers = { 'Content-Type': 'application/json' };
      return readReply(await backend.call({ method: 'POST', url, headers, body }, signal));
    },
  };
}

/** In trouble by its own word, or a 5xx of something in front of it. */
export function isWidevineBroken({ status, body }: VendorAnswer): boolean {
  const word = statusOf(parseObject(body));
  return word === undefined ? status >= 500 : BROKEN.test(word);
}

function readReply(answer: VendorAnswer): VendorReply {
  const reply = parseObject(answer.body);
  const status = statusOf(reply);
  if (status === undefined) return unusable(`http_${answer.status}`);
  if (status !== 'OK') return refusal(status);
  const license = decodeLicense(reply?.['license']);
  return license
    ? { kind: 'license', contentType: 'application/octet-stream', body: license }
    : unusable('ok_without_license');
}

/** A word that is in neither list is between the two servers: nothing the player could do about. */
function refusal(status: string): VendorReply {
  const refused = { kind: 'refused', reason: status } as const;
  if (MALFORMED.test(status))
    return { ...refused, outcome: 'malformed', error: new AppError('LICENSE_REQUEST_MALFORMED') };
  if (DENIED.test(status))
    return { ...refused, outcome: 'vendor_denied', error: new AppError('LICENSE_VENDOR_DENIED') };
  return unusable(status);
}

function unusable(reason: string): VendorReply {
  return {
    kind: 'refused',
    outcome: 'vendor_unusable',
    error: new AppError('LICENSE_VENDOR_UNUSABLE'),
    reason,
  };
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** A closed form, since it is logged: what else it may be is not the service's word. */
function statusOf(reply: Readonly<Record<string, unknown>> | undefined): string | undefined {
  const status = reply?.['status'];
  return typeof status === 'string' && /^[A-Z_]{2,64}$/.test(status) ? status : undefined;
}

function decodeLicense(value: unknown): Uint8Array | undefined {
  if (typeof value !== 'string' || !/^[0-9A-Za-z+/]+={0,2}$/.test(value)) return undefined;
  const bytes = Buffer.from(value, 'base64');
  return bytes.length > 0 ? bytes : undefined;
}
