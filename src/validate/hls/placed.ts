import { allSegments, secondsOf, type MediaPlaylist, type Segment } from './playlist.ts';

/** A segment on the common clock of a presentation. */
export interface Placed {
  readonly segment: Segment;
  readonly startMs: number;
  readonly endMs: number;
}

/** By date; a VOD playlist without dates, by time from its start. Undefined when neither is known. */
export function place(playlist: MediaPlaylist): readonly Placed[] | undefined {
  const dated = allSegments(playlist).some(({ dateMs }) => dateMs !== undefined);
  if (!dated && playlist.type !== 'VOD') return undefined;
  const placed: Placed[] = [];
  let atMs = dated ? undefined : 0;
  for (const segment of playlist.segments) {
    atMs = segment.dateMs ?? atMs;
    if (atMs === undefined) continue;
    const endMs = atMs + secondsOf(segment) * 1000;
    placed.push({ segment, startMs: atMs, endMs });
    atMs = endMs;
  }
  return placed;
}

/** The segment of a moment. Those of a playlist stand in order of time, or it has findings of its own. */
export function at(placed: readonly Placed[], ms: number): Placed | undefined {
  let [low, high] = [0, placed.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((placed[middle]?.endMs ?? 0) <= ms) low = middle + 1;
    else high = middle;
  }
  const found = placed[low];
  return found && found.startMs <= ms ? found : undefined;
}
