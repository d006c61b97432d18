import { CtrCipher } from './ctr-cipher.ts';
import { deriveKek, type KeyMaterial, type StreamKeys, unwrapKeys } from './key-material.ts';
import type { KeyFlag } from './packet.ts';

/**
 * The stream keys of one connection: an even and an odd one, so that the next can be there before the present is left.
 * It keeps the passphrase for as long as the connection lives: a peer may change its salt.
 */
export class KeyRing {
  readonly #passphrase: string;
  #kek: { readonly salt: Buffer; readonly key: Buffer } | undefined;
  #even: CtrCipher | undefined;
  #odd: CtrCipher | undefined;
  #updates: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  private constructor(passphrase: string) {
    this.#passphrase = passphrase;
  }

  /** Undefined when the passphrase does not open the key material. */
  static async open(passphrase: string, material: KeyMaterial): Promise<KeyRing | undefined> {
    const ring = new KeyRing(passphrase);
    return (await ring.#install(material)) ? ring : undefined;
  }

  /** Keys that were made here, to be sent to the other side. */
  static of(passphrase: string, kek: Buffer, material: KeyMaterial, keys: StreamKeys): KeyRing {
    const ring = new KeyRing(passphrase);
    ring.#kek = { salt: material.salt, key: kek };
    ring.#take(keys, material.salt);
    return ring;
  }

  /**
   * Takes what the peer sends while the connection is under way. One message is worked on and one waits; false for a
   * further one, and for what the passphrase does not open: the keys stay as they are then.
   */
  async update(material: KeyMaterial): Promise<boolean> {
    if (this.#waiting > 1) return false;
    this.#waiting += 1;
    const installed = this.#updates.then(() => this.#install(material));
    this.#updates = installed.catch(() => {});
    try {
      return await installed;
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Decrypts in place; false when there is no such key. */
  decrypt(flag: KeyFlag, sequence: number, payload: Buffer): boolean {
    const cipher = flag === 1 ? this.#even : flag === 2 ? this.#odd : undefined;
    cipher?.apply(sequence, payload);
    return cipher !== undefined;
  }

  async #install(material: KeyMaterial): Promise<boolean> {
    const { salt, keyBytes } = material;
    const known = this.#kek?.salt.equals(salt) === true && this.#kek.key.length === keyBytes;
    const kek = known && this.#kek ? this.#kek.key : await deriveKek(this.#passphrase, salt, keyBytes);
    const keys = unwrapKeys(kek, material);
    if (keys === undefined) return false;
    this.#kek = { salt, key: kek };
    this.#take(keys, salt);
    return true;
  }

  #take(keys: StreamKeys, salt: Buffer): void {
    if (keys.even) this.#even = new CtrCipher(keys.even, salt);
    if (keys.odd) this.#odd = new CtrCipher(keys.odd, salt);
  }
}
