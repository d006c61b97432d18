import { describe, expect, it } from 'vitest';
import { renditionIdOf, renditionsOf, type ShakaTrack } from './shaka-renditions.ts';

const HEIGHTS: Readonly<Record<string, number>> = { video: 720, '480p': 480, '240p': 240 };

/** A track that began as the first of these renditions and is the last one now. */
function track(...ids: readonly string[]): ShakaTrack {
  const height = HEIGHTS[ids[0] ?? ''] ?? 0;
  const bandwidth = height * 1000 + 96_000;
  return {
    active: false,
    audioId: 1,
    width: height * 2,
    height,
    bandwidth,
    videoBandwidth: height * 1000,
    originalVideoId: ids.join(','),
  };
}

const heights = (...tracks: readonly ShakaTrack[]) =>
  renditionsOf(tracks).map(({ id, height, bitrateBps }) => [id, height, bitrateBps]);

describe('the renditions of Shaka', () => {
  it('are its tracks, best first', () => {
    expect(heights(track('240p'), track('video'), track('480p'))).toEqual([
      ['video', 720, 720_000],
      ['480p', 480, 480_000],
      ['240p', 240, 240_000],
    ]);
  });

  it('count once with several renditions of the sound', () => {
    expect(heights(track('video'), { ...track('video'), audioId: 2 })).toHaveLength(1);
  });

  it.each([
    ['before it', [track('video'), track('480p', '240p'), track('240p')]],
    ['after it', [track('240p'), track('video'), track('480p', '240p')]],
  ])('have their own size and rate when a track that was another %s took their place', (_where, tracks) => {
    expect(heights(...tracks)).toEqual([
      ['video', 720, 720_000],
      ['240p', 240, 240_000],
    ]);
  });

  it('are themselves again when they come back', () => {
    const tracks = [track('video'), track('480p', '240p', '480p'), track('240p')];
    expect(heights(...tracks).map(([id, height]) => [id, height])).toEqual([
      ['video', 720],
      ['480p', 480],
      ['240p', 240],
    ]);
  });

  it('are none while the manifest is not known, or has no picture', () => {
    expect(renditionsOf([])).toEqual([]);
    expect(renditionsOf([{ ...track('video'), originalVideoId: null }])).toEqual([]);
    expect(renditionIdOf({ ...track('video'), originalVideoId: null })).toBeUndefined();
  });
});
