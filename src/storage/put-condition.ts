import type { PutOptions } from './blob-store.ts';

/** What must be so for a put to happen. */
export type PutCondition =
  | { readonly kind: 'none' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'match'; readonly etag: string };

/** @throws TypeError when both are asked for: they can never hold together */
export function conditionOf({ ifAbsent, ifMatch }: PutOptions = {}): PutCondition {
  if (ifAbsent && ifMatch !== undefined) throw new TypeError('ifAbsent and ifMatch exclude each other');
  if (ifAbsent) return { kind: 'absent' };
  return ifMatch === undefined ? { kind: 'none' } : { kind: 'match', etag: ifMatch };
}
