import type { DeviceKey } from './device-key.ts';

/** The request that a proof is made for. */
export interface ProvenRequest {
  readonly method: string;
  readonly url: URL;
  /** The access token that goes with it. */
  readonly token: string;
  /** What the server last asked for. */
  readonly nonce: string | undefined;
}

/** A DPoP proof (RFC 9449 4.2) that whoever has the token has the device's key too. Good for one request. */
export async function makeProof(key: DeviceKey, request: ProvenRequest, nowMs: number): Promise<string> {
  const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: key.publicJwk };
  const claims = {
    jti: base64Url(crypto.getRandomValues(new Uint8Array(16))),
    htm: request.method,
    htu: request.url.origin + request.url.pathname,
    iat: Math.floor(nowMs / 1000),
    ath: base64Url(new Uint8Array(await crypto.subtle.digest('SHA-256', bytesOf(request.token)))),
    ...(request.nonce === undefined ? {} : { nonce: request.nonce }),
  };
  const signed = `${jsonPart(header)}.${jsonPart(claims)}`;
  return `${signed}.${base64Url(await key.sign(bytesOf(signed)))}`;
}

function jsonPart(value: object): string {
  return base64Url(bytesOf(JSON.stringify(value)));
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(new TextEncoder().encode(text));
}

function base64Url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
