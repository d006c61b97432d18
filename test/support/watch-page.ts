import type { Page } from 'playwright-core';
import type { HeadwaterPage } from '../../web/src/page-api.ts';
import { until } from './until.ts';

export const PLAYERS = ['hls', 'dash', 'shaka'] as const;
export type PlayerName = (typeof PLAYERS)[number];

/** What the page says of itself now: see `web/src/page-api.ts`. */
export type PageReading = Omit<HeadwaterPage, 'reset' | 'selectRendition' | 'renditions' | 'rendition'> & {
  readonly renditions: ReturnType<HeadwaterPage['renditions']>;
  readonly rendition: string | undefined;
};

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
      starts: at.starts,
      targetMs: at.targetMs,
      backoffs: at.backoffs,
      switches: at.switches,
      wishedRendition: at.wishedRendition,
      loadingRendition: at.loadingRendition,
      pass: at.pass,
      renditions: at.renditions(),
      rendition: at.rendition(),
    };
  });
}

/** Plays a rendition by its id, or lets the network decide with `auto`. */
export function selectRendition(page: Page, wish: string): Promise<void> {
  return page.evaluate(
    (id) => (window as unknown as { headwater: HeadwaterPage }).headwater.selectRendition(id),
    wish,
  );
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
    60_000,
  );
}

/** The little of a reading that is cheap enough to ask for again and again: no samples. */
export type PageGlance = Pick<
  PageReading,
  'state' | 'rendition' | 'currentTime' | 'playbackRate' | 'bufferMs' | 'glassToGlassMs'
>;

/** Reads how playback goes, cheaply. */
export function glanceAtPage(page: Page): Promise<PageGlance> {
  return page.evaluate(() => {
    const at = (window as unknown as { headwater: HeadwaterPage }).headwater;
    return {
      state: at.state,
      rendition: at.rendition(),
      currentTime: at.currentTime,
      playbackRate: at.playbackRate,
      bufferMs: at.bufferMs,
      glassToGlassMs: at.glassToGlassMs,
    };
  });
}

/** Waits until the rendition with this id is shown, and plays. */
export async function whenShown(page: Page, rendition: string, withinMs = 60_000): Promise<PageGlance> {
  return until(
    async () => {
      const reading = await glanceAtPage(page);
      return reading.rendition === rendition && reading.state === 'playing' ? reading : undefined;
    },
    `${rendition} shown`,
    withinMs,
  );
}

/** A frame as it was shown. */
export interface ShownFrame {
  readonly mediaSeconds: number;
  /** By the page's clock. */
  readonly shownMs: number;
}

interface RecordingWindow {
  shownFrames?: ShownFrame[];
}

/** Begins to note every frame that the page shows. */
export function recordFrames(page: Page): Promise<void> {
  return page.evaluate(() => {
    const at = window as unknown as RecordingWindow;
    const video = document.querySelector('video');
    if (!video) throw new Error('the page has no video');
    at.shownFrames = [];
    const note = (now: number, frame: VideoFrameCallbackMetadata): void => {
      at.shownFrames?.push({ mediaSeconds: frame.mediaTime, shownMs: now });
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
  });
}

/** The frames shown since the last time they were taken. */
export function takeFrames(page: Page): Promise<readonly ShownFrame[]> {
  return page.evaluate(() => {
    const at = window as unknown as RecordingWindow;
    const taken = at.shownFrames ?? [];
    at.shownFrames = [];
    return taken;
  });
}

/** Makes the page's link thin, by the browser's own means; returns how to make it free again. */
export async function throttle(page: Page, kbps: number): Promise<() => Promise<void>> {
  const session = await page.context().newCDPSession(page);
  const limit = async (downloadThroughput: number, latency: number): Promise<void> => {
    const conditions = { offline: false, latency, downloadThroughput, uploadThroughput: -1 };
    await session.send('Network.emulateNetworkConditions', conditions);
  };
  await session.send('Network.enable');
  await limit(kbps * 125, 20);
  return () => limit(-1, 0);
}
