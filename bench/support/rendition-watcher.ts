import { setTimeout as delay } from 'node:timers/promises';
import { readFragments } from '../../src/media/isobmff/fragment-reader.ts';
import { receiveChunks } from './cmaf-chunks.ts';

/** One video frame as a viewer got it. */
export interface WatchedFrame {
  /** Its decode time, ticks of 90 kHz since the Unix epoch. */
  readonly ticks: number;
  readonly key: boolean;
  /** performance.now() when its chunk was complete here. */
  readonly receivedMs: number;
}

export const VIDEO_TIMESCALE = 90_000;

/** A viewer of one rendition. */
export interface RenditionWatcher {
  readonly rendition: string;
  /** All frames so far, as they came. */
  readonly frames: readonly WatchedFrame[];
  /** @throws Error why reading ended by itself, if it did. */
  close(): Promise<void>;
}

/**
 * Reads a rendition's growing segments one after the other, as an LL-DASH player does, until closed: each is asked for
 * as soon as the one before it is complete, and held by the origin until it begins, so that nothing is polled.
 *
 * @param liveUrl `http://host:port/live/<stream>`
 */
export function watchRendition(liveUrl: string, rendition: string): RenditionWatcher {
  const frames: WatchedFrame[] = [];
  const stopping = new AbortController();
  const { signal } = stopping;
  // Kept until somebody waits for it: a rejection nobody handles would end the process and leave its children behind.
  const over = follow(liveUrl, rendition, frames, signal).catch((error: unknown) =>
    signal.aborted ? undefined : new Error(`${rendition} could not be read on`, { cause: error }),
  );
  return {
    rendition,
    frames,
    async close() {
      stopping.abort();
      const failure = await over;
      if (failure) throw failure;
    },
  };
}

async function follow(
  liveUrl: string,
  rendition: string,
  frames: WatchedFrame[],
  signal: AbortSignal,
): Promise<never> {
  let next = await newestSegment(liveUrl, rendition, signal);
  for (;;) {
    const url = `${liveUrl}/${next.folder}/${next.number}.m4s`;
    const response = await fetch(url, { signal });
    if (response.ok && response.body) {
      await receive(response.body, frames);
      next = { ...next, number: next.number + 1 };
    } else {
      // A gap, or another period: the playlist says where it goes on.
      await response.arrayBuffer();
      await delay(RETRY_MS);
      const newest = await newestSegment(liveUrl, rendition, signal);
      if (newest.number >= next.number || newest.folder !== next.folder) next = newest;
    }
  }
}

const RETRY_MS = 20;

/** The one behind the newest that is listed: it grows now. */
async function newestSegment(
  liveUrl: string,
  rendition: string,
  signal: AbortSignal,
): Promise<{ folder: string; number: number }> {
  const response = await fetch(`${liveUrl}/${rendition}.m3u8`, { signal });
  const text = await response.text();
  const [, folder, number] = [...text.matchAll(/^(\S+)\/(\d+)\.m4s$/gm)].at(-1) ?? [];
  if (folder === undefined) throw new Error(`no segment is listed of ${rendition}`);
  return { folder, number: Number(number) + 1 };
}

/** Reads a body that grows, chunk by chunk. */
async function receive(body: AsyncIterable<Uint8Array>, frames: WatchedFrame[]): Promise<void> {
  for await (const { bytes, receivedMs } of receiveChunks(body)) {
    const fragments = readFragments(bytes) ?? [];
    for (const sample of fragments.flatMap(({ tracks }) => tracks).flatMap(({ samples }) => samples)) {
      frames.push({ ticks: sample.dts, key: sample.key, receivedMs });
    }
  }
}
