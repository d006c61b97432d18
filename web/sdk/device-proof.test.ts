import { createHash, createPublicKey, verify, webcrypto } from 'node:crypto';
import { expect, it } from 'vitest';
import type { DeviceKey } from './device-key.ts';
import { makeProof } from './device-proof.ts';

async function deviceKey(): Promise<DeviceKey> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const { privateKey, publicKey } = await webcrypto.subtle.generateKey(algorithm, false, ['sign', 'verify']);
  const { kty = '', crv = '', x = '', y = '' } = await webcrypto.subtle.exportKey('jwk', publicKey);
  return {
    publicJwk: { kty, crv, x, y },
    async sign(data) {
      const signature = await webcrypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, privateKey, data);
      return new Uint8Array(signature);
    },
  };
}

function partOf(proof: string, index: number): unknown {
  return JSON.parse(Buffer.from(proof.split('.')[index] ?? '', 'base64url').toString());
}

it('makes proofs as RFC 9449 wants them, signed by the device', async () => {
  const key = await deviceKey();
  const url = new URL('https://keys.example/license/clearkey?a=1#b');
  const request = { method: 'POST', url, token: 'token', nonce: 'n-1' };
  const proof = await makeProof(key, request, 1_800_000_000_900);
  expect(partOf(proof, 0)).toEqual({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.publicJwk });
  expect(partOf(proof, 1)).toEqual({
    jti: expect.stringMatching(/^[\w-]{22}$/) as string,
    htm: 'POST',
    htu: 'https://keys.example/license/clearkey',
    iat: 1_800_000_000,
    ath: createHash('sha256').update('token').digest('base64url'),
    nonce: 'n-1',
  });
  const [header, claims, signature = ''] = proof.split('.');
  const publicKey = createPublicKey({ format: 'jwk', key: { ...key.publicJwk } });
  const signed = Buffer.from(`${header}.${claims}`);
  const good = { key: publicKey, dsaEncoding: 'ieee-p1363' } as const;
  expect(verify('sha256', signed, good, Buffer.from(signature, 'base64url'))).toBe(true);
});

it('never makes the same proof twice', async () => {
  const key = await deviceKey();
  const request = { method: 'POST', url: new URL('https://keys.example/x'), token: 't', nonce: undefined };
  const [one, other] = await Promise.all([makeProof(key, request, 0), makeProof(key, request, 0)]);
  expect(partOf(one, 1)).not.toEqual(partOf(other, 1));
  expect(partOf(one, 1)).not.toHaveProperty('nonce');
});
