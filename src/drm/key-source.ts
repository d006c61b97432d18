import type { KeyTier, ProtectionScheme, SystemData } from '../media/protection.ts';
import type { CryptoPeriod, KeyOwner } from './content-key.ts';

/** Keys that a key server elsewhere is asked for. */
export interface KeyRequest {
  readonly owner: KeyOwner;
  readonly period: CryptoPeriod;
  readonly scheme: ProtectionScheme;
  /** One a tier; the KIDs are new. */
  readonly keys: readonly { readonly tier: KeyTier; readonly kid: Uint8Array }[];
}

/** A key from a key server elsewhere. */
export interface SourcedKey {
  /** One of those asked for. */
  readonly kid: Uint8Array;
  /** 16 bytes. */
  readonly key: Uint8Array;
  /** 16 bytes; undefined: we make one. */
  readonly constantIv: Uint8Array | undefined;
  /** What players are to be told; undefined: as we are configured. */
  readonly systems: readonly SystemData[] | undefined;
}

/** A key server elsewhere (SPEKE) in the place of our own random keys. */
export interface KeySource {
  /** All keys asked for, or it rejects; nothing is stored then, and it is asked again. */
  fetch(request: KeyRequest): Promise<readonly SourcedKey[]>;
}
