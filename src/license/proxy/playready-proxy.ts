import { AppError } from '../../base/errors.ts';
import { type EntitlementDeps, type EntitlementOptions, mintEntitlement } from './vendor-entitlement.ts';
import { isPlayReadyLicense, readPlayReadyChallenge, readPlayReadyFault } from './playready-message.ts';
import type { LicenseProxy, VendorReply } from './proxy.ts';
import type { VendorAnswer, VendorBackend } from './vendor-backend.ts';

export interface PlayReadyProxyOptions {
  /** The licence server's rightsmanager.asmx or the like. */
  readonly url: string;
  /** Header that the entitlement goes out in. */
  readonly entitlementHeader: string;
  readonly entitlement: Omit<EntitlementOptions, 'system'>;
}

const ACQUIRE_LICENSE = '"http://schemas.microsoft.com/DRM/2007/03/protocols/AcquireLicense"';
const CONTENT_TYPE = 'text/xml; charset=utf-8';

/** Faults by their code (PlayReady's drmresults): those that say no to this device or user, and those of a bad message. */
const DENIALS: ReadonlySet<string> = new Set([
  '8004C580', // not in the domain
  '8004C602', // too many devices
  '8004C603', // to be individualised first
  '8004C604', // whatever the service's own rule is
  '8004C605', // a domain is required
  '8004C606', // the domain is to be renewed
  '8004C608', // too many computers
  '8004C60A', // not a member
  '8004C60C', // no such account
]);
const MALFORMED: ReadonlySet<string> = new Set(['8004C601', '8004C60B']);
const INTERNAL = '8004C600';

/** Challenges of PlayReady, for a licence server that believes our entitlement. */
export function createPlayReadyProxy(
  { url, entitlementHeader, entitlement }: PlayReadyProxyOptions,
  backend: VendorBackend,
  deps: EntitlementDeps,
): LicenseProxy {
  return {
    system: 'playready',
    sendsKeys: entitlement.sendsKeys,
    head: (request) => ({
      contentType: request.header('content-type'),
      soapAction: request.header('soapaction'),
    }),
    read: (body) => readPlayReadyChallenge(body),
    async ask({ bytes }, grant, keys, signal) {
      const token = await mintEntitlement(grant, keys, { ...entitlement, system: 'playready' }, deps);
      const headers = {
        'Content-Type': CONTENT_TYPE,
        SOAPAction: ACQUIRE_LICENSE,
        [entitlementHeader]: token,
      };
      return readReply(await backend.call({ method: 'POST', url, headers, body: bytes }, signal));
    },
  };
}

/** A fault comes with status 500 and is an answer all the same, unless it says that the server itself failed. */
export function isPlayReadyBroken({ status, body }: VendorAnswer): boolean {
  if (status < 500) return false;
  const fault = readPlayReadyFault(body);
  return fault === undefined || fault.code === INTERNAL;
}

function readReply({ status, body, bytes }: VendorAnswer): VendorReply {
  if (status === 200 && isPlayReadyLicense(body))
    return { kind: 'license', contentType: CONTENT_TYPE, body: bytes };
  const fault = readPlayReadyFault(body);
  const reason = fault ? `fault_${fault.code || 'unnamed'}` : `http_${status}`;
  const refused = { kind: 'refused', reason } as const;
  // The app in the page reads the service's own words for the viewer from the fault.
  const shown = { body: { contentType: CONTENT_TYPE, bytes } };
  if (fault && DENIALS.has(fault.code))
    return { ...refused, ...shown, outcome: 'vendor_denied', error: new AppError('LICENSE_VENDOR_DENIED') };
  if (fault && MALFORMED.has(fault.code))
    return { ...refused, ...shown, outcome: 'malformed', error: new AppError('LICENSE_REQUEST_MALFORMED') };
  return { ...refused, outcome: 'vendor_unusable', error: new AppError('LICENSE_VENDOR_UNUSABLE') };
}
