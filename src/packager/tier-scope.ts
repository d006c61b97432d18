import { KEY_TIERS, type KeyTier } from '../media/protection.ts';
import type { Period } from '../stream/live-window.ts';

/** Tiers that a viewer may have. */
export type Tiers = ReadonlySet<KeyTier>;

/** What a viewer's manifests may name; undefined: everything. What is not encrypted anybody may have. */
export type TierScope = Tiers | undefined;

/** Whether a rendition of a period may be named. Only a courtesy: what enforces it is the key that is not given out. */
export function inScope(period: Period, rendition: string, scope: TierScope): boolean {
  const protection = period.protections.get(rendition);
  return scope === undefined || protection === undefined || scope.has(protection.tier);
}

/** A name for what the scope lets through: there are few, so that each has its own rendering. */
export function scopeName(scope: TierScope): string {
  return scope ? KEY_TIERS.filter((tier) => scope.has(tier)).join('+') : 'all';
}
