import { createCipheriv, randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CtrCipher } from './ctr-cipher.ts';
import {
  deriveKek,
  type KeyBytes,
  type KeyMaterial,
  parseKeyMaterial,
  unwrapKeys,
  wrapKeys,
  writeKeyMaterial,
} from './key-material.ts';
import { KeyRing } from './key-ring.ts';
import { addSequence } from './sequence.ts';

/** Counter mode by the book: draft-sharabayko-srt 6.2.2. */
function reference(key: Buffer, salt: Buffer, sequence: number, payload: Buffer): Buffer {
  const iv = Buffer.alloc(16);
  iv.writeUInt32BE(sequence, 10);
  for (let i = 0; i < 14; i++) iv[i] = (iv[i] ?? 0) ^ (salt[i] ?? 0);
  return createCipheriv(`aes-${key.length * 8}-ctr`, key, iv).update(payload);
}

async function materialOf(passphrase: string, keys: Buffer[], flag: 1 | 2 | 3): Promise<KeyMaterial> {
  const salt = randomBytes(16);
  const keyBytes = (keys[0]?.length ?? 16) as KeyBytes;
  const kek = await deriveKek(passphrase, salt, keyBytes);
  return { keys: flag, keyBytes, salt, wrapped: wrapKeys(kek, Buffer.concat(keys)) };
}

describe('CtrCipher', () => {
  it.each([16, 24, 32])(
    'is AES in counter mode with a key of %i bytes, whatever the order of packets',
    (size) => {
      const [key, salt] = [randomBytes(size), randomBytes(16)];
      const step = fc.record({
        by: fc.integer({ min: -40, max: 40 }),
        bytes: fc.integer({ min: 0, max: 2000 }),
      });
      fc.assert(
        fc.property(fc.nat(0x7fff_ffff), fc.array(step, { maxLength: 40 }), (first, steps) => {
          const cipher = new CtrCipher(key, salt);
          let sequence = first;
          for (const { by, bytes } of steps) {
            sequence = addSequence(sequence, by);
            const payload = randomBytes(bytes);
            const expected = reference(key, salt, sequence, payload);
            cipher.apply(sequence, payload);
            expect(payload.equals(expected)).toBe(true);
          }
        }),
        { numRuns: 60 },
      );
    },
  );

  it('goes over the end of the sequence numbers within one batch', () => {
    const [key, salt] = [randomBytes(16), randomBytes(16)];
    const cipher = new CtrCipher(key, salt);
    for (const sequence of [0x7fff_fffe, 0x7fff_ffff, 0, 1]) {
      const payload = randomBytes(1316);
      const expected = reference(key, salt, sequence, payload);
      cipher.apply(sequence, payload);
      expect(payload.equals(expected)).toBe(true);
    }
  });

  it('takes payload that does not lie at a multiple of four', () => {
    const [key, salt] = [randomBytes(16), randomBytes(16)];
    const plain = randomBytes(101);
    const payload = Buffer.alloc(104).subarray(1, 102);
    payload.set(plain);
    new CtrCipher(key, salt).apply(5, payload);
    expect(payload.equals(reference(key, salt, 5, plain))).toBe(true);
  });

  it('takes the largest payload that UDP carries', () => {
    const [key, salt] = [randomBytes(32), randomBytes(16)];
    const payload = randomBytes(65_491);
    const expected = reference(key, salt, 5, payload);
    new CtrCipher(key, salt).apply(5, payload);
    expect(payload.equals(expected)).toBe(true);
  });
});

describe('key material', () => {
  it('unwraps one key or two, and none with another passphrase', async () => {
    const [even, odd] = [randomBytes(24), randomBytes(24)];
    const material = await materialOf('correct horse', [even, odd], 3);
    const read = parseKeyMaterial(writeKeyMaterial(material));
    expect(read).toEqual({ kind: 'material', material });
    expect(unwrapKeys(await deriveKek('correct horse', material.salt, 24), material)).toEqual({ even, odd });
    expect(unwrapKeys(await deriveKek('wrong horse', material.salt, 24), material)).toBeUndefined();
    const single = await materialOf('correct horse', [odd], 2);
    const keys = unwrapKeys(await deriveKek('correct horse', single.salt, 24), single);
    expect(keys).toEqual({ even: undefined, odd });
  });

  it('is malformed when a byte is missing or too many', async () => {
    const whole = writeKeyMaterial(await materialOf('p', [randomBytes(16)], 1));
    expect(parseKeyMaterial(whole.subarray(0, whole.length - 1))).toEqual({ kind: 'malformed' });
    expect(parseKeyMaterial(Buffer.concat([whole, Buffer.alloc(4)]))).toEqual({ kind: 'malformed' });
  });
});

describe('KeyRing', () => {
  it('keeps its keys when the peer sends some that the passphrase does not open', async () => {
    const even = randomBytes(16);
    const material = await materialOf('right', [even], 1);
    const ring = await KeyRing.open('right', material);
    expect(await ring?.update(await materialOf('wrong', [randomBytes(16)], 1))).toBe(false);
    const payload = Buffer.from('hello');
    const sent = reference(even, material.salt, 3, payload);
    expect(ring?.decrypt(1, 3, sent)).toBe(true);
    expect(sent.toString()).toBe('hello');
  });

  it('takes a key for the other flag, with a new salt too, and says when it has none', async () => {
    const ring = await KeyRing.open('right', await materialOf('right', [randomBytes(16)], 1));
    expect(ring?.decrypt(2, 3, Buffer.from('hello'))).toBe(false);
    const odd = randomBytes(16);
    const next = await materialOf('right', [odd], 2);
    expect(await ring?.update(next)).toBe(true);
    const sent = reference(odd, next.salt, 9, Buffer.from('hello'));
    expect(ring?.decrypt(2, 9, sent)).toBe(true);
    expect(sent.toString()).toBe('hello');
    expect(ring?.decrypt(0, 9, sent)).toBe(false);
    expect(ring?.decrypt(3, 9, sent)).toBe(false);
  });

  it('works on one message and lets one wait, however many come', async () => {
    const ring = await KeyRing.open('right', await materialOf('right', [randomBytes(16)], 1));
    const materials = await Promise.all(
      Array.from({ length: 20 }, () => materialOf('right', [randomBytes(16)], 2)),
    );
    const taken = await Promise.all(materials.map(async (material) => ring?.update(material)));
    expect(taken.filter(Boolean)).toHaveLength(2);
  });
});
