import { setTimeout as delay } from 'node:timers/promises';

/** One LL-HLS part as a viewer learnt of it. */
export interface WatchedPart {
  readonly uri: string;
  readonly durationMs: number;
  /** performance.now() when the playlist that first lists it was here. */
  readonly listedMs: number;
}

/** A viewer of one rendition's playlist. */
export interface PartWatcher {
  readonly parts: readonly WatchedPart[];
  /** The playlist as last received. */
  readonly text: string;
  close(): Promise<void>;
}

/** Where the next blocking reload points. */
interface Edge {
  readonly number: number;
  readonly part: number;
}

const RETRY_MS = 20;

/**
 * Follows a live playlist with blocking reloads, as an LL-HLS player does, until closed.
 *
 * @param playlistUrl of a media playlist
 * @throws Error when the playlist is not there
 */
export async function watchParts(playlistUrl: string): Promise<PartWatcher> {
  const stopping = new AbortController();
  const parts: WatchedPart[] = [];
  const seen = new Set<string>();
  let text = await reload(playlistUrl, undefined, stopping.signal);
  let edge = note(text, parts, seen);
  const over = (async () => {
    while (!stopping.signal.aborted) {
      try {
        text = await reload(playlistUrl, edge, stopping.signal);
        const next = note(text, parts, seen);
        if (next.number === edge.number && next.part === edge.part) await delay(RETRY_MS);
        edge = next;
      } catch {
        // The stream is away: a blocked request was given up.
        await delay(RETRY_MS);
      }
    }
  })();
  return {
    parts,
    get text() {
      return text;
    },
    async close() {
      stopping.abort();
      await over;
    },
  };
}

async function reload(url: string, edge: Edge | undefined, signal: AbortSignal): Promise<string> {
  const response = await fetch(edge ? `${url}?_HLS_msn=${edge.number}&_HLS_part=${edge.part}` : url, {
    signal,
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return text;
}

/** Takes down the parts that are new; returns what to ask for next. */
function note(text: string, parts: WatchedPart[], seen: Set<string>): Edge {
  const listedMs = performance.now();
  let number = Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)?.[1]);
  let part = 0;
  for (const line of text.split('\n')) {
    const [, seconds, uri] = /^#EXT-X-PART:DURATION=([\d.]+),URI="([^"]+)"/.exec(line) ?? [];
    if (uri !== undefined) {
      part += 1;
      if (!seen.has(uri)) parts.push({ uri, durationMs: Number(seconds) * 1000, listedMs });
      seen.add(uri);
    } else if (line !== '' && !line.startsWith('#')) {
      number += 1;
      part = 0;
    }
  }
  return { number, part };
}
