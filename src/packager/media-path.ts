/**
 * URLs below `/live/<stream>/`, in one place: the renderers write them, the origin reads them. All playlists and
 * manifests are siblings, so that every relative URI in them has the same base. A media URL carries the period as its
 * generation: the same URL never has two different bodies.
 */

export const MULTIVARIANT_NAME = 'index.m3u8';
export const MPD_NAME = 'index.mpd';
/** MPD Patch document; takes the query `publishTime`. */
export const MPD_PATCH_NAME = 'patch.mpp';

/** What a media path names. */
export type MediaPath =
  | { readonly kind: 'init'; readonly rendition: string; readonly period: string }
  | { readonly kind: 'segment'; readonly rendition: string; readonly period: string; readonly number: number }
  | {
      readonly kind: 'part';
      readonly rendition: string;
      readonly period: string;
      readonly number: number;
      readonly part: number;
    };

/** Name of a rendition's media playlist: `<rendition>.m3u8`. */
export function playlistName(rendition: string): string {
  return `${rendition}.m3u8`;
}

/** The same with what a player must say of keys again in each request. */
export function playlistUri(rendition: string, keyFormat: string | undefined): string {
  return keyFormat === undefined
    ? playlistName(rendition)
    : `${playlistName(rendition)}?${KEY_FORMAT}=${keyFormat}`;
}

/** Query parameter of playlists: the one KEYFORMAT that the player knows. */
export const KEY_FORMAT = 'kf';

export function initPath(rendition: string, period: string): string {
  return `${rendition}/${period}/init.mp4`;
}

export function segmentPath(rendition: string, period: string, number: number): string {
  return `${rendition}/${period}/${number}.m4s`;
}

export function partPath(rendition: string, period: string, number: number, part: number): string {
  return `${rendition}/${period}/${number}.${part}.m4s`;
}

/** Ids as they may stand in a URL; the bound keeps a hostile path from being looked at twice. */
const ID = '[A-Za-z0-9_-]{1,64}';
/** Canonical decimals only (no sign, no leading zero): one resource has one URL, so caches hold it once. */
const NUMBER = '(?:0|[1-9][0-9]{0,14})';
const PLAYLIST = new RegExp(`^(${ID})\\.m3u8$`);
const MEDIA = new RegExp(`^(${ID})/(${ID})/(?:(init)\\.mp4|(${NUMBER})(?:\\.(${NUMBER}))?\\.m4s)$`);

/** The rendition whose media playlist `path` (relative to `/live/<stream>/`) would be; never the multivariant's name. */
export function parsePlaylistPath(path: string): string | undefined {
  return path === MULTIVARIANT_NAME ? undefined : PLAYLIST.exec(path)?.[1];
}

/** Reads a path relative to `/live/<stream>/`, without query; undefined when it is no media path of ours. */
export function parseMediaPath(path: string): MediaPath | undefined {
  const match = MEDIA.exec(path);
  if (!match) return undefined;
  const [, rendition = '', period = '', init, number, part] = match;
  if (init !== undefined) return { kind: 'init', rendition, period };
  if (part === undefined) return { kind: 'segment', rendition, period, number: Number(number) };
  return { kind: 'part', rendition, period, number: Number(number), part: Number(part) };
}
