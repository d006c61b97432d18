import type { MediaPlaylist, Segment } from './playlist.ts';

/** A delta together with a full playlist that a client held (RFC 8216bis 6.3.7). */
export type Merged =
  | { readonly kind: 'merged'; readonly segments: readonly Segment[] }
  | { readonly kind: 'unmergeable'; readonly reason: string };

/** Puts back what a delta left out. */
export function mergeDelta(held: MediaPlaylist, delta: MediaPlaylist): Merged {
  const count = delta.skip?.count ?? 0;
  const byMsn = new Map(held.segments.map((segment) => [segment.msn, segment]));
  const skipped: Segment[] = [];
  for (let msn = delta.mediaSequence; msn < delta.mediaSequence + count; msn++) {
    const segment = byMsn.get(msn);
    if (!segment)
      return { kind: 'unmergeable', reason: `segment ${msn} is skipped, but no client can have it` };
    skipped.push(segment);
  }
  return { kind: 'merged', segments: [...skipped, ...delta.segments] };
}

/** How a merged playlist differs from the full one of the same moment; undefined when it does not. */
export function differenceOf(merged: readonly Segment[], full: MediaPlaylist): string | undefined {
  if (merged.length !== full.segments.length) {
    return `merged it has ${merged.length} segments, the full playlist ${full.segments.length}`;
  }
  for (const [index, segment] of full.segments.entries()) {
    const other = merged[index];
    if (!other || other.msn !== segment.msn) return `segment ${segment.msn} is missing`;
    if (other.url !== segment.url || other.seconds !== segment.seconds)
      return `segment ${segment.msn} is another one`;
    if (other.gap !== segment.gap) return `segment ${segment.msn} is a gap in one of them only`;
  }
  return undefined;
}
