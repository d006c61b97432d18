import { hlsKeyAttributes, type HlsKeyTagOptions, hlsSessionKeyAttributes } from '../../drm/hls-key-tags.ts';
import type { TrackProtection } from '../../media/protection.ts';

/** The one KEYFORMAT that a player has to ask for, by the query of its playlists: Shaka's of ClearKey. */
export type KeyFormatChoice = 'identity';

/** Undefined when the text names none that has to be asked for. */
export function parseKeyFormat(text: string | undefined): KeyFormatChoice | undefined {
  return text === 'identity' ? text : undefined;
}

/** EXT-X-KEY tags of what follows in a media playlist (RFC 8216bis 4.4.4.4); of a clear track, the end of encryption. */
export function keyTags(protection: TrackProtection | undefined, choice?: KeyFormatChoice): string[] {
  if (!protection) return ['#EXT-X-KEY:METHOD=NONE'];
  return hlsKeyAttributes(protection, tagOptions([protection], choice)).map((list) => `#EXT-X-KEY:${list}`);
}

/** EXT-X-SESSION-KEY tags of a multivariant playlist (4.4.6.5): each key once. */
export function sessionKeyTags(protections: readonly TrackProtection[], choice?: KeyFormatChoice): string[] {
  const lists = hlsSessionKeyAttributes(protections, tagOptions(protections, choice));
  return lists.map((list) => `#EXT-X-SESSION-KEY:${list}`);
}

/** Plain keys come from beside the ClearKey licences. */
function tagOptions(
  protections: readonly TrackProtection[],
  choice: KeyFormatChoice | undefined,
): HlsKeyTagOptions {
  const clearKey = protections.flatMap(({ systems }) => systems).find(({ system }) => system === 'clearkey');
  const url = clearKey?.licenseUrl;
  return {
    keyFormat: choice ?? 'systems',
    identityKeyUrl: url === undefined ? undefined : (kid) => `${url.replace(/[^/]*$/, '')}key/${kid}`,
  };
}
