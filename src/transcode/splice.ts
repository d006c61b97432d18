import type { Sample } from '../stream/track.ts';

/**
 * Where in the cached frames a new encoder begins: at the newest key frame that is not after the last frame delivered,
 * so that the decoder has what the next frames refer to. From the oldest when nothing was delivered, or when that
 * lies before all that is cached. Undefined when there is no key frame.
 *
 * @param samples video in decode order
 * @param deliveredPts the last frame that all rungs have; undefined when some rung has none
 */
export function spliceStart(
  samples: readonly Sample[],
  deliveredPts: number | undefined,
): number | undefined {
  let start: number | undefined;
  for (const [index, { key, pts }] of samples.entries()) {
    if (!key) continue;
    if (start !== undefined && (deliveredPts === undefined || pts > deliveredPts)) break;
    start = index;
  }
  return start;
}

/** Where an encoder begins that has nothing to make up for: at the newest key frame. */
export function newestKey(samples: readonly Sample[]): number | undefined {
  const index = samples.findLastIndex(({ key }) => key);
  return index === -1 ? undefined : index;
}
