import { EXPIRES_HEADER, type LicenseClient, NONCE_HEADER } from '../license-client.ts';

/** Shaka's RequestType of a licence. */
const LICENSE = 2;

interface ShakaRequest {
  uris: string[];
  readonly body: BufferSource | null;
  readonly headers: Record<string, string>;
}
interface ShakaResponse {
  readonly headers: Readonly<Record<string, string>>;
}

/** The part of Shaka's networking engine that is used here. */
export interface ShakaNetworking {
  registerRequestFilter(filter: (type: number, request: ShakaRequest) => Promise<void>): void;
  registerResponseFilter(filter: (type: number, response: ShakaResponse) => Promise<void>): void;
}

interface Shaka {
  configure(config: object): boolean;
  getNetworkingEngine(): ShakaNetworking | null;
}

/** Tells Shaka where licences come from, and what to send along; before it loads. */
export function protectShaka(shaka: Shaka, licenses: LicenseClient): void {
  shaka.configure({ drm: { servers: { 'org.w3.clearkey': licenses.url.href } } });
  const network = shaka.getNetworkingEngine();
  network?.registerRequestFilter(async (type, request) => {
    if (type === LICENSE) Object.assign(request.headers, await licenses.headers(bytesOf(request.body)));
    else request.uris = request.uris.map((uri) => licenses.freshUrl(uri));
  });
  network?.registerResponseFilter((type, response) => {
    if (type === LICENSE) {
      const { headers } = response;
      licenses.answered({
        status: 200,
        expires: headers[EXPIRES_HEADER] ?? null,
        nonce: headers[NONCE_HEADER] ?? null,
      });
    }
    return Promise.resolve();
  });
}

function bytesOf(body: BufferSource | null): Uint8Array {
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  return body ? new Uint8Array(body.buffer, body.byteOffset, body.byteLength) : new Uint8Array();
}
