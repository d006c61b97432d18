import type { KeyTier, ProtectionScheme, SystemData } from '../media/protection.ts';
import type { ContentKey } from './content-key.ts';

const KEY_BYTES = 16;

/** What a content key is made of. */
export interface KeyParts {
  readonly tier: KeyTier;
  readonly kid: Uint8Array;
  /** 16 bytes. */
  readonly key: Uint8Array;
  /** 16 bytes. */
  readonly constantIv: Uint8Array;
  readonly systems?: readonly SystemData[] | undefined;
}

/** A content key in the clear that does not show itself in logs, JSON or an inspector. */
export class ClearKey implements ContentKey {
  readonly tier: KeyTier;
  readonly kid: Uint8Array;
  readonly scheme: ProtectionScheme;
  readonly systems: readonly SystemData[] | undefined;
  readonly #key: Uint8Array;
  readonly #constantIv: Uint8Array;

  constructor(scheme: ProtectionScheme, { tier, kid, key, constantIv, systems }: KeyParts) {
    this.scheme = scheme;
    this.tier = tier;
    this.kid = kid;
    this.systems = systems;
    this.#key = key;
    this.#constantIv = constantIv;
  }

  get key(): Uint8Array {
    return this.#key;
  }

  get constantIv(): Uint8Array {
    return this.#constantIv;
  }
}

/** Key and constant IV as they are wrapped together. */
export function sealable({ key, constantIv }: KeyParts): Uint8Array {
  return Buffer.concat([key, constantIv]);
}

/** What {@link sealable} joined; undefined when it is not that. */
export function unsealed(secret: Uint8Array): Pick<KeyParts, 'key' | 'constantIv'> | undefined {
  if (secret.length !== 2 * KEY_BYTES) return undefined;
  return { key: secret.subarray(0, KEY_BYTES), constantIv: secret.subarray(KEY_BYTES) };
}

/** Random keys for these tiers, each under a KID for which `isFree`. */
export function randomKeys(
  slots: readonly { readonly tier: KeyTier; readonly kid: Uint8Array }[],
  randomBytes: (size: number) => Uint8Array,
): readonly KeyParts[] {
  return slots.map(({ tier, kid }) => ({
    tier,
    kid,
    key: Uint8Array.from(randomBytes(KEY_BYTES)),
    constantIv: Uint8Array.from(randomBytes(KEY_BYTES)),
  }));
}
