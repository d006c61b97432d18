import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { Kek, KekSource, KeyWrapper, WrappedSecret } from './key-wrapper.ts';

const CIPHER = 'aes-256-gcm';
/** NIST SP 800-38D 8.2.2: random, 96 bits; good for 2^32 keys under one KEK. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Wraps under KEKs in memory: AES-256-GCM, `nonce | ciphertext | tag`. New keys under the newest, any unwraps. */
export class Keyring implements KeyWrapper {
  readonly #source: KekSource;
  readonly #randomBytes: (size: number) => Uint8Array;
  #keks: readonly Kek[];
  #version: string;

  private constructor(
    source: KekSource,
    loaded: { readonly keks: readonly Kek[]; readonly version: string },
    randomBytes: (size: number) => Uint8Array,
  ) {
    this.#source = source;
    this.#keks = loaded.keks;
    this.#version = loaded.version;
    this.#randomBytes = randomBytes;
  }

  /**
   * `randomBytes` must be cryptographically strong.
   * @throws AppError SECRET_FILE_UNSAFE
   */
  static async open(source: KekSource, randomBytes: (size: number) => Uint8Array): Promise<Keyring> {
    return new Keyring(source, await loadFrom(source), randomBytes);
  }

  /**
   * Takes over KEKs that were added or taken away since, by whichever process.
   * @throws AppError SECRET_FILE_UNSAFE; those from before stay in use
   */
  async refresh(): Promise<void> {
    if ((await this.#source.version()) === this.#version) return;
    const loaded = await loadFrom(this.#source);
    this.#keks = loaded.keks;
    this.#version = loaded.version;
  }

  get kekId(): string {
    return this.#newest().id;
  }

  has(kekId: string): boolean {
    return this.#keks.some(({ id }) => id === kekId);
  }

  wrap(secret: Uint8Array, context: Uint8Array): WrappedSecret {
    const { id, key } = this.#newest();
    const nonce = this.#randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES }).setAAD(context);
    const sealed = Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
    return { kekId: id, sealed };
  }

  unwrap({ kekId, sealed }: WrappedSecret, context: Uint8Array): Uint8Array | undefined {
    const kek = this.#keks.find(({ id }) => id === kekId);
    if (kek === undefined || sealed.length < NONCE_BYTES + TAG_BYTES) return undefined;
    const tagAt = sealed.length - TAG_BYTES;
    const decipher = createDecipheriv(CIPHER, kek.key, sealed.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    })
      .setAAD(context)
      .setAuthTag(sealed.subarray(tagAt));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, tagAt)), decipher.final()]);
    } catch {
      return undefined;
    }
  }

  #newest(): Kek {
    const newest = this.#keks.at(-1);
    if (newest === undefined) throw new RangeError('a keyring without a key');
    return newest;
  }
}

/** The version is asked for first: what changes while loading is then seen at the next refresh. */
async function loadFrom(source: KekSource) {
  const version = await source.version();
  return { version, keks: await source.load() };
}
