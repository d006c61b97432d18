import type { MediaPlayerClass } from 'dashjs';
import { EXPIRES_HEADER, type LicenseClient, NONCE_HEADER } from '../license-client.ts';

/** Tells dash.js where licences come from, and what to send along; before it is initialized. */
export function protectDash(dash: MediaPlayerClass, licenses: LicenseClient): void {
  dash.setProtectionData({ 'org.w3.clearkey': { serverURL: licenses.url.href } });
  dash.registerLicenseRequestFilter(async (request) => {
    Object.assign(request.headers, await licenses.headers(bytesOf(request.data)));
  });
  dash.registerLicenseResponseFilter(({ headers }) => {
    const named = headers as Readonly<Record<string, string>>;
    const expires = named[EXPIRES_HEADER] ?? null;
    licenses.answered({ status: 200, expires, nonce: named[NONCE_HEADER] ?? null });
    return Promise.resolve();
  });
  dash.addRequestInterceptor((request: { url: string }) => {
    request.url = licenses.freshUrl(request.url);
    return Promise.resolve(request);
  });
}

/** Typed as bytes; of Clear Key it is text. */
function bytesOf(data: ArrayBuffer | string): Uint8Array {
  return typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data);
}
