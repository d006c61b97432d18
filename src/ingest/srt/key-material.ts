import { createCipheriv, createDecipheriv, pbkdf2 } from 'node:crypto';
import { promisify } from 'node:util';

const pbkdf2Async = promisify(pbkdf2);

/** A key material message (draft-sharabayko-srt 3.2.2): one or two stream keys, wrapped. */
export interface KeyMaterial {
  /** 1: the even key, 2: the odd one, 3: both, even first. */
  readonly keys: 1 | 2 | 3;
  readonly keyBytes: KeyBytes;
  readonly salt: Buffer;
  readonly wrapped: Buffer;
}

export type KeyBytes = 16 | 24 | 32;

/** Stream keys, unwrapped. */
export interface StreamKeys {
  readonly even: Buffer | undefined;
  readonly odd: Buffer | undefined;
}

export type KeyMaterialReading =
  | { readonly kind: 'material'; readonly material: KeyMaterial }
  /** Well made, but of a cipher that is not spoken here: AES-GCM. */
  | { readonly kind: 'unsupported' }
  | { readonly kind: 'malformed' };

const FIXED_BYTES = 16;
/** S, V = 1 and PT = 2, and the sign `HAI`. */
const START = 0x12_20_29;
const CIPHER_CTR = 2;
const CIPHER_GCM = 4;
/** Stream encapsulation: MPEG-TS over SRT, or anything over SRT. */
const ENCAPSULATIONS: ReadonlySet<number> = new Set([1, 2]);
const SALT_BYTES = 16;
const WRAP_OVERHEAD_BYTES = 8;
/** RFC 3394 2.2.3.1. */
const WRAP_IV = Buffer.alloc(8, 0xa6);
const ITERATIONS = 2048;
/** PBKDF2 takes the last 64 bits of the salt (6.1.4). */
const KEK_SALT_AT = 8;

const MALFORMED: KeyMaterialReading = { kind: 'malformed' };

/** Reads any bytes. */
export function parseKeyMaterial(bytes: Buffer): KeyMaterialReading {
  if (bytes.length < FIXED_BYTES || bytes.readUIntBE(0, 3) !== START) return MALFORMED;
  const keys = bytes.readUInt8(3);
  const [cipher, authentication, encapsulation] = [
    bytes.readUInt8(8),
    bytes.readUInt8(9),
    bytes.readUInt8(10),
  ];
  const saltBytes = bytes.readUInt8(14) * 4;
  const keyBytes = bytes.readUInt8(15) * 4;
  if ((keys !== 1 && keys !== 2 && keys !== 3) || !isKeyBytes(keyBytes)) return MALFORMED;
  if (cipher === CIPHER_GCM) return { kind: 'unsupported' };
  if (cipher !== CIPHER_CTR || authentication !== 0 || !ENCAPSULATIONS.has(encapsulation)) return MALFORMED;
  const wrappedAt = FIXED_BYTES + SALT_BYTES;
  const wrappedBytes = keyBytes * (keys === 3 ? 2 : 1) + WRAP_OVERHEAD_BYTES;
  if (saltBytes !== SALT_BYTES || bytes.length !== wrappedAt + wrappedBytes) return MALFORMED;
  // Kept longer than the packet.
  const salt = Buffer.from(bytes.subarray(FIXED_BYTES, wrappedAt));
  const wrapped = Buffer.from(bytes.subarray(wrappedAt));
  return { kind: 'material', material: { keys, keyBytes, salt, wrapped } };
}

export function writeKeyMaterial({ keys, keyBytes, salt, wrapped }: KeyMaterial): Buffer {
  const bytes = Buffer.alloc(FIXED_BYTES + salt.length + wrapped.length);
  bytes.writeUIntBE(START, 0, 3);
  bytes.writeUInt8(keys, 3);
  bytes.writeUInt8(CIPHER_CTR, 8);
  bytes.writeUInt8(2, 10);
  bytes.writeUInt8(salt.length / 4, 14);
  bytes.writeUInt8(keyBytes / 4, 15);
  bytes.set(salt, FIXED_BYTES);
  bytes.set(wrapped, FIXED_BYTES + salt.length);
  return bytes;
}

/** The key that wraps stream keys. Takes about a millisecond of a thread of the pool, none of the loop. */
export function deriveKek(passphrase: string, salt: Buffer, keyBytes: KeyBytes): Promise<Buffer> {
  return pbkdf2Async(passphrase, salt.subarray(KEK_SALT_AT), ITERATIONS, keyBytes, 'sha1');
}

/** Undefined when `kek` is not the key they were wrapped with. */
export function unwrapKeys(kek: Buffer, { keys, keyBytes, wrapped }: KeyMaterial): StreamKeys | undefined {
  let plain: Buffer;
  try {
    const decipher = createDecipheriv(wrapCipher(keyBytes), kek, WRAP_IV);
    plain = Buffer.concat([decipher.update(wrapped), decipher.final()]);
  } catch {
    return undefined;
  }
  if (keys === 1) return { even: plain, odd: undefined };
  if (keys === 2) return { even: undefined, odd: plain };
  return { even: plain.subarray(0, keyBytes), odd: plain.subarray(keyBytes) };
}

/** Wraps one key or two. */
export function wrapKeys(kek: Buffer, plain: Uint8Array): Buffer {
  const cipher = createCipheriv(wrapCipher(kek.length as KeyBytes), kek, WRAP_IV);
  return Buffer.concat([cipher.update(plain), cipher.final()]);
}

function wrapCipher(keyBytes: KeyBytes): string {
  return `id-aes${keyBytes * 8}-wrap`;
}

function isKeyBytes(bytes: number): bytes is KeyBytes {
  return bytes === 16 || bytes === 24 || bytes === 32;
}
