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

/**
 * Below `/vod/<title>/` the same names hold, and these. A title has no parts.
 */

/** The manifests that name byte ranges of one file for each rendition. */
export const SINGLE_MULTIVARIANT_NAME = 'single.m3u8';
export const SINGLE_MPD_NAME = 'single.mpd';
/** Chapters, in the format of Apple's players. */
export const CHAPTERS_NAME = 'chapters.json';
/** Where on which sheet each small picture is, as WebVTT. */
export const THUMBNAILS_VTT_NAME = 'thumbnails.vtt';
/** Id of the small pictures: their folder, and their playlist, which no rendition's and no text's is. */
export const THUMBNAILS_ID = 'thumbnails';

/** What a path of a title names. */
export type TitlePath =
  | { readonly kind: 'chapters' | 'thumbnails-vtt' }
  /** `single`: of byte ranges of one file for each rendition. */
  | { readonly kind: 'multivariant' | 'mpd'; readonly single?: true }
  /** Of a rendition, of a text, or of the small pictures ({@link THUMBNAILS_ID}). */
  | { readonly kind: 'playlist'; readonly id: string; readonly single?: true }
  /** The key frames of a rendition. */
  | { readonly kind: 'key-frames'; readonly id: string; readonly single?: true }
  /** All that a rendition has in a period. */
  | { readonly kind: 'file'; readonly rendition: string; readonly period: string }
  /** A rendition with sound, to be kept. */
  | { readonly kind: 'download'; readonly rendition: string }
  | { readonly kind: 'init'; readonly rendition: string; readonly period: string }
  | { readonly kind: 'segment'; readonly rendition: string; readonly period: string; readonly number: number }
  | { readonly kind: 'text'; readonly text: string; readonly period: string }
  | { readonly kind: 'thumbnail-sheet'; readonly period: string; readonly sheet: number };

/** Name of the playlist of a rendition's key frames. */
export function keyFramesName(rendition: string): string {
  return `${rendition}.iframes.m3u8`;
}

/** Name of the same playlist with byte ranges of one file. */
export function singleName(name: string): string {
  return name.replace('.', '.single.');
}

/** A rendition's initialization segment and segments of a period, as one file. */
export function renditionFilePath(rendition: string, period: string): string {
  return `${rendition}/${period}/media.mp4`;
}

export function downloadPath(rendition: string): string {
  return `download/${rendition}.mp4`;
}

export function textPath(text: string, period: string): string {
  return `${text}/${period}/text.vtt`;
}

export function thumbnailPath(period: string, sheet: number): string {
  return `${THUMBNAILS_ID}/${period}/${sheet}.jpg`;
}

const KEY_FRAMES = new RegExp(`^(${ID})(\\.single)?\\.iframes\\.m3u8$`);
const SINGLE_PLAYLIST = new RegExp(`^(${ID})\\.single\\.m3u8$`);
const RENDITION_FILE = new RegExp(`^(${ID})/(${ID})/media\\.mp4$`);
const DOWNLOAD = new RegExp(`^download/(${ID})\\.mp4$`);
const TEXT = new RegExp(`^(${ID})/(${ID})/text\\.vtt$`);
const SHEET = new RegExp(`^${THUMBNAILS_ID}/(${ID})/(${NUMBER})\\.jpg$`);

const FIXED_NAMES: ReadonlyMap<string, TitlePath> = new Map([
  [MULTIVARIANT_NAME, { kind: 'multivariant' }],
  [MPD_NAME, { kind: 'mpd' }],
  [SINGLE_MULTIVARIANT_NAME, { kind: 'multivariant', single: true }],
  [SINGLE_MPD_NAME, { kind: 'mpd', single: true }],
  [CHAPTERS_NAME, { kind: 'chapters' }],
  [THUMBNAILS_VTT_NAME, { kind: 'thumbnails-vtt' }],
]);

const SINGLE = { single: true } as const;

/** Reads a path relative to `/vod/<title>/`, without query; undefined when it is none of ours. */
export function parseTitlePath(path: string): TitlePath | undefined {
  const fixed = FIXED_NAMES.get(path);
  if (fixed) return fixed;
  const playlist = parsePlaylistPath(path);
  if (playlist !== undefined) return { kind: 'playlist', id: playlist };
  const keyFrames = KEY_FRAMES.exec(path);
  if (keyFrames) return { kind: 'key-frames', id: keyFrames[1] ?? '', ...(keyFrames[2] && SINGLE) };
  const single = SINGLE_PLAYLIST.exec(path)?.[1];
  if (single !== undefined) return { kind: 'playlist', id: single, ...SINGLE };
  const media = parseMediaPath(path);
  if (media) return media.kind === 'part' ? undefined : media;
  const file = RENDITION_FILE.exec(path);
  if (file) return { kind: 'file', rendition: file[1] ?? '', period: file[2] ?? '' };
  const download = DOWNLOAD.exec(path)?.[1];
  if (download !== undefined) return { kind: 'download', rendition: download };
  const sheet = SHEET.exec(path);
  if (sheet) return { kind: 'thumbnail-sheet', period: sheet[1] ?? '', sheet: Number(sheet[2]) };
  const text = TEXT.exec(path);
  return text ? { kind: 'text', text: text[1] ?? '', period: text[2] ?? '' } : undefined;
}
