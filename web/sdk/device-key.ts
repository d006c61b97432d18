import type { KeyValueStore } from './key-value-store.ts';

/** The key that this browser is known by. Its private part cannot be read, by this page either. */
export interface DeviceKey {
  /** RFC 7517, the public part. */
  readonly publicJwk: Readonly<Record<'kty' | 'crv' | 'x' | 'y', string>>;
  /** ES256: 64 bytes, r and s. */
  sign(data: Uint8Array): Promise<Uint8Array>;
}

const NAME = 'device';
const CURVE = { name: 'ECDSA', namedCurve: 'P-256' } as const;

/** This browser's key, made at its first visit. @throws where the browser makes or keeps no keys: on a page without TLS, say */
export async function openDeviceKey(store: KeyValueStore): Promise<DeviceKey> {
  return asDeviceKey((await load(store)) ?? (await make(store)));
}

async function asDeviceKey({ privateKey, publicKey }: CryptoKeyPair): Promise<DeviceKey> {
  const { kty = '', crv = '', x = '', y = '' } = await crypto.subtle.exportKey('jwk', publicKey);
  return {
    publicJwk: { kty, crv, x, y },
    async sign(data) {
      const algorithm = { name: 'ECDSA', hash: 'SHA-256' };
      return new Uint8Array(await crypto.subtle.sign(algorithm, privateKey, Uint8Array.from(data)));
    },
  };
}

async function make(store: KeyValueStore): Promise<CryptoKeyPair> {
  const pair = await crypto.subtle.generateKey(CURVE, false, ['sign', 'verify']);
  if (await store.add(NAME, pair)) return pair;
  // Another tab was first: its key counts.
  return (await load(store)) ?? pair;
}

async function load(store: KeyValueStore): Promise<CryptoKeyPair | undefined> {
  return (await store.get(NAME)) as CryptoKeyPair | undefined;
}
