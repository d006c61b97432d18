import type { ContentKey } from '../drm/content-key.ts';

/** A ClearKey licence request (Encrypted Media Extensions 9.1.3). */
export interface ClearKeyRequest {
  /** 16 bytes each, each once. */
  readonly kids: readonly Uint8Array[];
  readonly type: 'temporary' | 'persistent-license';
}

/** Kids that one request may name. */
export const MAX_REQUEST_KIDS = 32;
const KID_BYTES = 16;
/** Base64 in either alphabet, with or without padding. */
const BASE64 = /^[A-Za-z0-9+/_-]{22}(==)?$/;

/** Reads a request by its body alone: players send any Content-Type or none. Undefined when it is none. */
export function parseClearKeyRequest(body: Uint8Array): ClearKeyRequest | undefined {
  const json = parseJson(body);
  if (typeof json !== 'object' || json === null || !('kids' in json) || !Array.isArray(json.kids))
    return undefined;
  const type = 'type' in json ? json.type : 'temporary';
  if (type !== 'temporary' && type !== 'persistent-license') return undefined;
  if (json.kids.length === 0 || json.kids.length > MAX_REQUEST_KIDS) return undefined;
  const kids = new Map<string, Uint8Array>();
  for (const text of json.kids) {
    const kid = typeof text === 'string' ? parseKid(text) : undefined;
    if (kid === undefined) return undefined;
    kids.set(kid.toString('hex'), kid);
  }
  return { kids: [...kids.values()], type };
}

/** The licence: a JWK set, ids and keys in base64url without padding (9.1.4). */
export function renderClearKeyLicense(keys: readonly ContentKey[]): Buffer {
  const set = keys.map(({ kid, key }) => ({ kty: 'oct', kid: base64url(kid), k: base64url(key) }));
  return Buffer.from(JSON.stringify({ keys: set, type: 'temporary' }));
}

/** A kid in a URL: 32 hex digits, a UUID, or base64url. */
export function parseUrlKid(text: string): Uint8Array | undefined {
  const hex = text.replaceAll('-', '');
  if (/^[0-9a-fA-F]{32}$/.test(hex)) return Buffer.from(hex, 'hex');
  return parseKid(text);
}

function parseKid(text: string): Buffer | undefined {
  if (!BASE64.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64url');
  return bytes.length === KID_BYTES ? bytes : undefined;
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}
