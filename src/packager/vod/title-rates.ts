import type { TitleSegment } from '../../stream/title.ts';

export interface MeasuredRates {
  readonly peakBps: number;
  readonly averageBps: number;
}

/** Shares of the target duration that a row of segments must last for its rate to count (RFC 8216bis 4.4.6.2). */
const LEAST_SHARE = 0.5;
const MOST_SHARE = 1.5;

/**
 * What the segments of one rendition take, bits a second: the mean over all, and the greatest of any row of segments that
 * lasts half to one and a half times the target duration. So a short last segment counts only with those before it. Rows
 * never reach over a gap. The peak is never below the mean.
 */
export function measureRates(
  stretches: readonly { readonly segments: readonly TitleSegment[]; readonly timescale: number }[],
  targetSeconds: number,
): MeasuredRates {
  let bits = 0;
  let seconds = 0;
  let peakBps = 0;
  for (const { segments, timescale } of stretches) {
    for (const [index, { isGap, sizeBytes, durationTicks }] of segments.entries()) {
      if (isGap) continue;
      bits += sizeBytes * 8;
      seconds += durationTicks / timescale;
      peakBps = Math.max(peakBps, peakFrom(segments, index, timescale, targetSeconds));
    }
  }
  const averageBps = seconds > 0 ? Math.ceil(bits / seconds) : 0;
  return { peakBps: Math.max(Math.ceil(peakBps), averageBps), averageBps };
}

/** The greatest rate of a row that begins with the segment at `from`. */
function peakFrom(
  segments: readonly TitleSegment[],
  from: number,
  timescale: number,
  targetSeconds: number,
): number {
  let bits = 0;
  let seconds = 0;
  let peakBps = 0;
  for (let index = from; index < segments.length; index++) {
    const segment = segments[index];
    if (!segment || segment.isGap) break;
    bits += segment.sizeBytes * 8;
    seconds += segment.durationTicks / timescale;
    if (seconds > MOST_SHARE * targetSeconds && index > from) break;
    if (seconds >= LEAST_SHARE * targetSeconds) peakBps = Math.max(peakBps, bits / seconds);
  }
  return peakBps;
}
