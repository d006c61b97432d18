import type { Page } from 'playwright-core';
import type { HeadwaterPage } from '../../web/src/page-api.ts';
import { until } from './until.ts';

export const PLAYERS = ['hls', 'dash', 'shaka'] as const;
export type PlayerName = (typeof PLAYERS)[number];

/** What the page says of itself now: see `web/src/page-api.ts`. */
export type PageReading = Omit<HeadwaterPage, 'reset'>;

/** Reads `window.headwater` of an open watch page. */
export function readPage(page: Page): Promise<PageReading> {
  return page.evaluate(() => {
    // Getters of a class: a spread would copy nothing.
    const at = (window as unknown as { headwater: HeadwaterPage }).headwater;
    return {
      player: at.player,
      mode: at.mode,
      state: at.state,
      error: at.error,
      latencyMs: at.latencyMs,
      glassToGlassMs: at.glassToGlassMs,
      glassSamples: at.glassSamples,
      stalls: at.stalls,
      stalledMs: at.stalledMs,
      bufferMs: at.bufferMs,
      droppedFrames: at.droppedFrames,
      playbackRate: at.playbackRate,
      currentTime: at.currentTime,
      fatalErrors: at.fatalErrors,
    };
  });
}

/** Forgets stalls and samples so far: from here on is what counts. */
export function resetPage(page: Page): Promise<void> {
  return page.evaluate(() => (window as unknown as { headwater: HeadwaterPage }).headwater.reset());
}

/** Waits until the page plays and reads the clock in its picture. */
export async function whenPlaying(page: Page): Promise<PageReading> {
  return until(
    async () => {
      const reading = await readPage(page);
      return reading.state === 'playing' && reading.glassToGlassMs !== undefined ? reading : undefined;
    },
    'playing, with the clock in the picture readable',
    40_000,
  );
}
