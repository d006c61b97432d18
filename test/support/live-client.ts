import { createHash } from 'node:crypto';

/** Fetches a URL whole; throws with status and text when it is not a success. */
export async function get(url: string): Promise<Buffer> {
  const response = await fetch(url);
  const body = Buffer.from(await response.arrayBuffer());
  if (!response.ok) throw new Error(`${response.status} for ${url}: ${body.toString('utf8').slice(0, 300)}`);
  return body;
}

export async function getText(url: string): Promise<string> {
  return (await get(url)).toString('utf8');
}

/** HTTP status alone; the body is read and dropped. */
export async function statusOf(url: string): Promise<number> {
  const response = await fetch(url);
  await response.arrayBuffer();
  return response.status;
}

/** A media playlist, just enough of it to fetch what it lists. */
export interface ListedMedia {
  readonly mediaSequence: number;
  readonly maps: string[];
  /** URIs of complete segments that are not gaps, in order. */
  readonly segments: string[];
  readonly gaps: number;
  readonly discontinuities: number;
  /** Part URIs by the segment number they belong to. */
  readonly parts: Map<number, string[]>;
  readonly ended: boolean;
}

/** Reads a media playlist of ours. The strict parser that judges playlists is `playlist.ts`; this one only fetches. */
export function listMedia(text: string): ListedMedia {
  const lines = text.split('\n');
  const mediaSequence = Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)?.[1] ?? Number.NaN);
  const listed: ListedMedia = {
    mediaSequence,
    maps: [],
    segments: [],
    gaps: 0,
    discontinuities: lines.filter((line) => line === '#EXT-X-DISCONTINUITY').length,
    parts: new Map(),
    ended: lines.includes('#EXT-X-ENDLIST'),
  };
  let gap = false;
  let number = mediaSequence;
  let gaps = 0;
  for (const line of lines) {
    const map = /^#EXT-X-MAP:URI="([^"]+)"/.exec(line)?.[1];
    if (map !== undefined && listed.maps.at(-1) !== map) listed.maps.push(map);
    const part = /^#EXT-X-PART:.*URI="([^"]+)"/.exec(line)?.[1];
    if (part !== undefined) listed.parts.set(number, [...(listed.parts.get(number) ?? []), part]);
    if (line === '#EXT-X-GAP') gap = true;
    if (line === '' || line.startsWith('#')) continue;
    if (gap) gaps += 1;
    else listed.segments.push(line);
    gap = false;
    number += 1;
  }
  return { ...listed, gaps };
}

export function sha256(...pieces: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}
