import type { AddressBlocks } from '../base/address-blocks.ts';
import type { KeyOwner } from '../drm/content-key.ts';

/** Where a request comes from and what it wants to play. */
export interface AccessQuestion {
  readonly address: string;
  /** Two letters, upper case; undefined when nobody has said. */
  readonly country: string | undefined;
  readonly owner: KeyOwner;
}

/** Says whether something may be played from somewhere. A rule of one's own is one of these. */
export interface AccessRule {
  /** A rejected promise is a no. */
  allows(question: AccessQuestion): boolean | Promise<boolean>;
}

export interface AddressRuleOptions {
  /** When not empty, only from these. */
  readonly allow: AddressBlocks;
  /** Never from these. */
  readonly deny: AddressBlocks;
}

/** By the viewer's address. */
export function addressRule({ allow, deny }: AddressRuleOptions): AccessRule {
  return { allows: ({ address }) => !deny.has(address) && (allow.size === 0 || allow.has(address)) };
}

export interface CountryRuleOptions {
  /** Two letters each. When not empty, only from these: a viewer whose country nobody knows is refused too. */
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

/** By the viewer's country, as a trusted proxy says it. */
export function countryRule({ allow, deny }: CountryRuleOptions): AccessRule {
  return {
    allows({ country }) {
      if (country === undefined) return allow.length === 0 && deny.length === 0;
      return !deny.includes(country) && (allow.length === 0 || allow.includes(country));
    },
  };
}

/** True when every rule says yes; one that fails says no. */
export async function allAllow(rules: readonly AccessRule[], question: AccessQuestion): Promise<boolean> {
  for (const rule of rules) {
    try {
      if (!(await rule.allows(question))) return false;
    } catch {
      return false;
    }
  }
  return true;
}
