import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto';

/** Signatures that our own tokens may have. */
export type TokenAlgorithm = 'HS256' | 'ES256' | 'EdDSA';

export const TOKEN_ALGORITHMS: readonly TokenAlgorithm[] = ['HS256', 'ES256', 'EdDSA'];

/** A key that signs and verifies with exactly one algorithm. */
export interface SigningKey {
  readonly algorithm: TokenAlgorithm;
  readonly signer: KeyObject;
  readonly verifier: KeyObject;
}

const ES256_SIGNATURE_BYTES = 64;

/** A key out of its private form: a PKCS #8 key in DER, or the bytes of a shared secret. */
export function signingKey(algorithm: TokenAlgorithm, secret: Buffer): SigningKey {
  if (algorithm === 'HS256') {
    const key = createSecretKey(secret);
    return { algorithm, signer: key, verifier: key };
  }
  const signer = createPrivateKey({ key: secret, format: 'der', type: 'pkcs8' });
  return { algorithm, signer, verifier: createPublicKey(signer) };
}

/** The signature of a JWS with that key. */
export function signJws({ algorithm, signer }: SigningKey, signed: string): Buffer {
  if (algorithm === 'HS256') return createHmac('sha256', signer).update(signed).digest();
  const data = Buffer.from(signed, 'latin1');
  if (algorithm === 'EdDSA') return sign(null, data, signer);
  return sign('sha256', data, { key: signer, dsaEncoding: 'ieee-p1363' });
}

/** Whether a signature is of that key. The algorithm is the key's, never what the token says. */
export function verifyJws(key: SigningKey, signed: string, signature: Uint8Array): boolean {
  const { algorithm, verifier } = key;
  if (algorithm === 'HS256') {
    const expected = signJws(key, signed);
    return signature.length === expected.length && timingSafeEqual(signature, expected);
  }
  const data = Buffer.from(signed, 'latin1');
  return algorithm === 'EdDSA'
    ? verify(null, data, verifier, signature)
    : verifyEs256(verifier, data, signature);
}

/** ECDSA on P-256 with SHA-256 in the form of JWS: r and s of 32 bytes each. */
export function verifyEs256(key: KeyObject, data: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== ES256_SIGNATURE_BYTES) return false;
  return verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, signature);
}
