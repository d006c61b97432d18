import { AppError } from '../../base/errors.ts';
import { type EntitlementDeps, type EntitlementOptions, mintEntitlement } from './vendor-entitlement.ts';
import { readCkc, readSpc } from './fairplay-message.ts';
import type { Challenge, LicenseProxy, VendorReply } from './proxy.ts';
import type { VendorAnswer, VendorBackend } from './vendor-backend.ts';

export interface FairPlayProxyOptions {
  /** The key security module (KSM). */
  readonly url: string;
  /** How the module takes an SPC: as bytes, or as base64 in the form field `spc`. */
  readonly format: 'binary' | 'form';
  /** Header that the entitlement goes out in. */
  readonly entitlementHeader: string;
  readonly entitlement: Omit<EntitlementOptions, 'system'>;
}

/** FairPlay's SPC, for a key security module that believes our entitlement. */
export function createFairPlayProxy(
  { url, format, entitlementHeader, entitlement }: FairPlayProxyOptions,
  backend: VendorBackend,
  deps: EntitlementDeps,
): LicenseProxy {
  return {
    system: 'fairplay',
    sendsKeys: entitlement.sendsKeys,
    head: (request) => ({ contentType: request.header('content-type'), soapAction: '' }),
    read: (body, { contentType }) => readSpc(body, contentType),
    async ask(challenge, grant, keys, signal) {
      const token = await mintEntitlement(grant, keys, { ...entitlement, system: 'fairplay' }, deps);
      const { contentType, body } = written(challenge.bytes, format);
      const headers = { 'Content-Type': contentType, [entitlementHeader]: token };
      return readReply(await backend.call({ method: 'POST', url, headers, body }, signal), challenge);
    },
  };
}

export function isFairPlayBroken({ status }: VendorAnswer): boolean {
  return status >= 500;
}

function written(
  spc: Uint8Array,
  format: 'binary' | 'form',
): { contentType: string; body: string | Uint8Array } {
  if (format === 'binary') return { contentType: 'application/octet-stream', body: spc };
  const body = `spc=${encodeURIComponent(Buffer.from(spc).toString('base64'))}`;
  return { contentType: 'application/x-www-form-urlencoded', body };
}

function readReply({ status, bytes }: VendorAnswer, { form }: Challenge): VendorReply {
  const ckc = status === 200 ? readCkc(bytes) : undefined;
  if (ckc && form === 'text')
    return {
      kind: 'license',
      contentType: 'text/plain',
      body: Buffer.from(Buffer.from(ckc).toString('base64')),
    };
  if (ckc) return { kind: 'license', contentType: 'application/octet-stream', body: ckc };
  const refused = { kind: 'refused', reason: `http_${status}` } as const;
  if (status === 401 || status === 403)
    return { ...refused, outcome: 'vendor_denied', error: new AppError('LICENSE_VENDOR_DENIED') };
  if (status === 400 || status === 422)
    return { ...refused, outcome: 'malformed', error: new AppError('LICENSE_REQUEST_MALFORMED') };
  return { ...refused, outcome: 'vendor_unusable', error: new AppError('LICENSE_VENDOR_UNUSABLE') };
}
