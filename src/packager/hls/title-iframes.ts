import type { Title } from '../../stream/title.ts';
import {
  hasTrack,
  headLines,
  type ListedSegment,
  listedOf,
  tailLines,
  targetSeconds,
} from './title-listing.ts';
import { MediaNames } from './title-media-names.ts';
import { Opening, pushDate, type TitlePlaylistOptions } from './title-playlist.ts';

/** EXT-X-MAP in a playlist of I-frames needs it. */
const VERSION = 5;

/** A key frame with how long it stands for the picture: until the next one. */
interface KeyFrame {
  readonly listed: ListedSegment;
  durationSeconds: number;
}

/**
 * The playlist of a rendition's key frames (RFC 8216bis 4.4.3.6): of each segment the bytes of its first chunk. Undefined:
 * there are none.
 */
export function renderKeyFramesPlaylist(
  title: Title,
  id: string,
  options: TitlePlaylistOptions = {},
): string | undefined {
  if (!hasTrack(title, id) || (options.single && title.state !== 'complete')) return undefined;
  const frames = keyFramesOf(title, id);
  const [first] = frames;
  if (!first) return undefined;
  const longest = Math.max(...frames.map(({ durationSeconds }) => Math.round(durationSeconds)));
  const lines = headLines(title, {
    version: VERSION,
    targetDuration: Math.max(targetSeconds(title), longest),
    sequence: first.listed.segment.number,
  });
  lines.push('#EXT-X-I-FRAMES-ONLY');
  const names = new MediaNames(id, options.single ?? false);
  const opening = new Opening(title, id, names, options.keyFormat);
  for (const { listed, durationSeconds } of frames) {
    const { period, segment } = listed;
    opening.push(lines, listed);
    pushDate(lines, listed);
    lines.push(`#EXTINF:${durationSeconds.toFixed(5)},`, ...names.keyFrame(period, segment));
  }
  lines.push(...tailLines(title));
  return lines.join('\n');
}

/** Where there is none, the one before stands for longer. */
function keyFramesOf(title: Title, id: string): KeyFrame[] {
  const frames: KeyFrame[] = [];
  let broken = false;
  for (const listed of listedOf(title, id)) {
    const { segment, measure, isGap } = listed;
    const durationSeconds = segment.durationTicks / measure.track.timescale;
    broken ||= listed.discontinuity;
    const last = frames.at(-1);
    if (!isGap && segment.keyFrameBytes > 0) {
      frames.push({ listed: { ...listed, discontinuity: broken && last !== undefined }, durationSeconds });
      broken = false;
    } else if (last) {
      last.durationSeconds += durationSeconds;
    }
  }
  return frames;
}

/** What the key frames of a rendition take, bits a second; undefined: there are none. */
export function keyFrameRates(title: Title, id: string): { peakBps: number; averageBps: number } | undefined {
  const frames = keyFramesOf(title, id);
  if (frames.length === 0) return undefined;
  let peakBps = 0;
  let bits = 0;
  let seconds = 0;
  for (const { listed, durationSeconds } of frames) {
    const own = listed.segment.keyFrameBytes * 8;
    bits += own;
    seconds += durationSeconds;
    peakBps = Math.max(peakBps, own / Math.max(durationSeconds, 1));
  }
  const averageBps = bits / Math.max(seconds, 1);
  return { peakBps: Math.max(peakBps, averageBps), averageBps };
}
