import type { Title } from '../../stream/title.ts';
import { isoTime } from '../iso-time.ts';
import { textPath } from '../media-path.ts';
import { headLines, tailLines } from './title-listing.ts';

/** No tag of these playlists needs more. */
const VERSION = 3;

/**
 * The texts that are offered, once nothing grows any more: a text is one file, and only playlists of VOD may have a target
 * duration of their own (RFC 8216bis 6.2.4).
 */
export function offeredTexts({ state, texts }: Title): Title['texts'] {
  return state === 'complete' ? texts : [];
}

/** The playlist of a text, one segment as long as the title. Undefined: there is no such text. */
export function renderTextPlaylist(title: Title, id: string): string | undefined {
  const period = title.periods[0];
  if (!period || !offeredTexts(title).some((text) => text.id === id)) return undefined;
  const durationSeconds = Math.max(1, title.durationMs) / 1000;
  const lines = headLines(title, {
    version: VERSION,
    targetDuration: Math.max(1, Math.ceil(durationSeconds)),
    sequence: 0,
  });
  if (period.liveMs !== undefined) lines.push(`#EXT-X-PROGRAM-DATE-TIME:${isoTime(period.liveMs)}`);
  lines.push(`#EXTINF:${durationSeconds.toFixed(5)},`, textPath(id, period.id), ...tailLines(title));
  return lines.join('\n');
}
