import type { Title, TitleThumbnails } from '../../stream/title.ts';
import { isoTime } from '../iso-time.ts';
import { thumbnailPath } from '../media-path.ts';
import { headLines, tailLines } from './title-listing.ts';

/** EXT-X-TILES is of no version of the standard; EXTINF with decimals needs it. */
const VERSION = 3;

/** A sheet of small pictures in the title. */
export interface Sheet {
  readonly uri: string;
  readonly startMs: number;
  readonly durationMs: number;
  readonly sizeBytes: number;
}

/** The sheets that there are, in order. */
export function sheetsOf({ thumbnails, periods, durationMs }: Title): Sheet[] {
  const [period] = periods;
  if (!thumbnails || !period) return [];
  const sheetMs = thumbnails.intervalMs * thumbnails.columns * thumbnails.rows;
  return thumbnails.sheetBytes.flatMap((sizeBytes, sheet) => {
    const startMs = sheet * sheetMs;
    if (startMs >= durationMs) return [];
    const uri = thumbnailPath(period.id, sheet);
    return [{ uri, startMs, durationMs: Math.min(sheetMs, durationMs - startMs), sizeBytes }];
  });
}

/** As {@link offeredTexts}: a sheet lasts longer than any segment. */
export function offeredSheets(title: Title): Sheet[] {
  return title.state === 'complete' ? sheetsOf(title) : [];
}

/** What they take, bits a second. */
export function sheetRates(sheets: readonly Sheet[]): { peakBps: number; averageBps: number } {
  const rate = (bytes: number, ms: number): number => (bytes * 8000) / Math.max(1, ms);
  const bytes = sheets.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const ms = sheets.reduce((sum, { durationMs }) => sum + durationMs, 0);
  const peakBps = Math.max(0, ...sheets.map(({ sizeBytes, durationMs }) => rate(sizeBytes, durationMs)));
  return { peakBps, averageBps: rate(bytes, ms) };
}

/**
 * The image media playlist of the small pictures (HLS Image Media Playlist specification 1.0: EXT-X-IMAGES-ONLY and
 * EXT-X-TILES). Undefined: there are none.
 */
export function renderImagePlaylist(title: Title): string | undefined {
  const sheets = offeredSheets(title);
  const { thumbnails } = title;
  if (!thumbnails || sheets.length === 0) return undefined;
  const longest = Math.max(...sheets.map(({ durationMs }) => durationMs));
  const lines = headLines(title, {
    version: VERSION,
    targetDuration: Math.max(1, Math.ceil(longest / 1000)),
    sequence: 0,
  });
  lines.push('#EXT-X-IMAGES-ONLY');
  const liveMs = title.periods[0]?.liveMs;
  for (const { uri, startMs, durationMs } of sheets) {
    if (liveMs !== undefined) lines.push(`#EXT-X-PROGRAM-DATE-TIME:${isoTime(liveMs + startMs)}`);
    lines.push(tilesTag(thumbnails), `#EXTINF:${(durationMs / 1000).toFixed(5)},`, uri);
  }
  lines.push(...tailLines(title));
  return lines.join('\n');
}

function tilesTag({ width, height, columns, rows, intervalMs }: TitleThumbnails): string {
  return `#EXT-X-TILES:RESOLUTION=${width}x${height},LAYOUT=${columns}x${rows},DURATION=${intervalMs / 1000}`;
}

/**
 * The same as WebVTT, for players that read no image playlist: a cue for each small picture, `<sheet>#xywh=x,y,w,h`
 * (Media Fragments URI). Without any it has no cue.
 */
export function renderThumbnailsVtt(title: Title): string {
  const { thumbnails } = title;
  const blocks = ['WEBVTT'];
  for (const { uri, startMs, durationMs } of thumbnails ? sheetsOf(title) : []) {
    blocks.push(...cuesOf(thumbnails as TitleThumbnails, uri, startMs, startMs + durationMs));
  }
  return `${blocks.join('\n\n')}\n`;
}

function cuesOf(
  { columns, rows, width, height, intervalMs }: TitleThumbnails,
  uri: string,
  startMs: number,
  endMs: number,
): string[] {
  const cues: string[] = [];
  for (let index = 0; index < columns * rows && startMs + index * intervalMs < endMs; index++) {
    const from = startMs + index * intervalMs;
    const [x, y] = [(index % columns) * width, Math.floor(index / columns) * height];
    cues.push(
      `${vttTime(from)} --> ${vttTime(Math.min(endMs, from + intervalMs))}\n${uri}#xywh=${x},${y},${width},${height}`,
    );
  }
  return cues;
}

/** `hh:mm:ss.ttt` */
function vttTime(ms: number): string {
  const whole = Math.round(ms);
  const pad = (value: number, width = 2): string => String(value).padStart(width, '0');
  const hours = Math.floor(whole / 3_600_000);
  return `${pad(hours)}:${pad(Math.floor(whole / 60_000) % 60)}:${pad(Math.floor(whole / 1000) % 60)}.${pad(whole % 1000, 3)}`;
}
