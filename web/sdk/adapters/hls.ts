import type { HlsConfig, LevelKey } from 'hls.js';
import { EXPIRES_HEADER, type LicenseClient, NONCE_HEADER } from '../license-client.ts';

const CLEAR_KEY = 'org.w3.clearkey';

/** What hls.js must be told to play what is encrypted. */
export function hlsProtection(licenses: LicenseClient): Partial<HlsConfig> {
  return {
    emeEnabled: true,
    drmSystems: {
      [CLEAR_KEY]: {
        licenseUrl: licenses.url.href,
        // Without this hls.js asks for nothing: it knows init data of other systems only.
        generateRequest: (_type, _data, { decryptdata }) => ({
          initDataType: 'keyids',
          initData: keyIdsOf(decryptdata),
        }),
      },
    },
    xhrSetup(request, url) {
      request.open('GET', licenses.freshUrl(url), true);
    },
    async licenseXhrSetup(request, url, _context, body) {
      const headers = await licenses.headers(body);
      request.open('POST', url, true);
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    },
    licenseResponseCallback(request) {
      const { status } = request;
      licenses.answered({
        status,
        expires: request.getResponseHeader(EXPIRES_HEADER),
        nonce: request.getResponseHeader(NONCE_HEADER),
      });
      return request.response as ArrayBuffer;
    },
  };
}

/** Clear Key's own init data: the key ids as JSON (W3C "keyids" initialization data format). */
function keyIdsOf({ keyId }: LevelKey): ArrayBuffer | null {
  if (!keyId) return null;
  const kid = btoa(String.fromCharCode(...keyId))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
  return Uint8Array.from(new TextEncoder().encode(JSON.stringify({ kids: [kid] }))).buffer;
}
