/** What became of one media message. */
export type FeedResult =
  | { readonly kind: 'fed' }
  /** Passed over, and nothing wrong with it; counted already. */
  | { readonly kind: 'ignored' }
  | { readonly kind: 'unsupported'; readonly codec: string }
  | { readonly kind: 'malformed' };

export const FED: FeedResult = { kind: 'fed' };
export const IGNORED: FeedResult = { kind: 'ignored' };
export const MALFORMED: FeedResult = { kind: 'malformed' };

const WEIGHTS: Readonly<Record<FeedResult['kind'], number>> = {
  ignored: 0,
  fed: 1,
  unsupported: 2,
  malformed: 3,
};

/** What became of a message of several tracks: the gravest of what became of each. */
export function gravest(results: readonly FeedResult[]): FeedResult {
  return results.reduce((worst, each) => (WEIGHTS[each.kind] > WEIGHTS[worst.kind] ? each : worst), IGNORED);
}
