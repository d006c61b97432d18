import { bestFirst, type Rendition } from './player.ts';

/** A pair of a video and an audio rendition, as Shaka tells of it. */
export interface ShakaTrack {
  readonly active: boolean;
  readonly audioId: number | null;
  /** Of the video alone, where the manifest tells. */
  readonly videoBandwidth: number | null;
  readonly bandwidth: number;
  readonly width: number | null;
  readonly height: number | null;
  /** The Representation's id in the MPD; of a track that runs through several Periods the ids of all, oldest first. */
  readonly originalVideoId: string | null;
}

/** The rendition that a track is now. */
export function renditionIdOf(track: ShakaTrack): string | undefined {
  return idsOf(track).at(-1);
}

/**
 * The renditions that there are now, best first. Where a rendition left the stream, its track goes on with another one
 * but keeps its own size and rate: of several tracks that are the same rendition now, the one that was the fewest
 * others tells what it is.
 */
export function renditionsOf(tracks: readonly ShakaTrack[]): readonly Rendition[] {
  const renditions = new Map<string, Rendition>();
  for (const track of tracks.toSorted((a, b) => idsOf(b).length - idsOf(a).length)) {
    const { width, height, videoBandwidth, bandwidth } = track;
    const id = renditionIdOf(track);
    if (id === undefined) continue;
    const bitrateBps = videoBandwidth ?? bandwidth;
    renditions.set(id, { id, width: width ?? 0, height: height ?? 0, bitrateBps });
  }
  return bestFirst([...renditions.values()]);
}

function idsOf({ originalVideoId }: ShakaTrack): readonly string[] {
  return originalVideoId?.split(',') ?? [];
}
