import type { ResumeRecord } from '../sdk/resume-types.ts';
import { fetchThumbnails, thumbnailAt } from './thumbnails.ts';
import { spokenTime, timeText } from './time-text.ts';

/** One title as `/vod/titles.json` lists it. */
export interface ListedTitle {
  readonly id: string;
  readonly name: string;
  readonly durationMs: number;
  /** `growing`: it is still being made. */
  readonly state: 'growing' | 'complete';
  readonly poster?: string;
  /** A sheet of small pictures; one of them does where there is no poster. */
  readonly thumbnails?: string;
  readonly watch: string;
}

/** A card that leads to a title, with how much of it was watched. */
export function titleTile(title: ListedTitle, record: ResumeRecord | undefined): HTMLLIElement {
  const item = document.createElement('li');
  item.className = 'card tile';
  const text = document.createElement('div');
  text.className = 'text';
  const link = document.createElement('a');
  link.className = 'main';
  link.href = title.watch;
  link.textContent = title.name === '' ? title.id : title.name;
  const facts = document.createElement('span');
  facts.className = 'facts';
  facts.textContent = factsOf(title, record);
  text.append(link, facts);
  item.append(posterOf(title, record), text);
  return item;
}

function factsOf({ durationMs, state }: ListedTitle, record: ResumeRecord | undefined): string {
  const facts = [timeText(durationMs / 1000)];
  if (state === 'growing') facts.push('being made');
  if (record?.state === 'completed' && !record.isDeleted) facts.push('watched');
  else if (isBegun(record)) facts.push(`at ${timeText(record.positionMs / 1000)}`);
  return facts.join(' · ');
}

function posterOf(
  { poster, thumbnails, watch, durationMs }: ListedTitle,
  record: ResumeRecord | undefined,
): HTMLElement {
  const box = document.createElement('div');
  box.className = 'poster';
  if (poster !== undefined) box.style.backgroundImage = `url("${encodeURI(poster)}")`;
  else if (thumbnails !== undefined) void showThumbnail(box, watch, durationMs);
  if (isBegun(record)) {
    const bar = document.createElement('progress');
    bar.max = Math.max(1, durationMs);
    bar.value = record.positionMs;
    bar.setAttribute('aria-label', `watched up to ${spokenTime(record.positionMs / 1000)}`);
    box.append(bar);
  }
  return box;
}

/** One of the small pictures: not the first, which is black more often than not. */
async function showThumbnail(box: HTMLElement, watch: string, durationMs: number): Promise<void> {
  const thumbnails = await fetchThumbnails(new URL(watch, location.href));
  const picture = thumbnailAt(thumbnails, durationMs / 10_000) ?? thumbnails[0];
  if (!picture) return;
  const sheet = new Image();
  sheet.src = picture.url.href;
  try {
    await sheet.decode();
  } catch {
    return;
  }
  const { x, y, width, height } = picture;
  const [columns, rows] = [sheet.naturalWidth / width, sheet.naturalHeight / height];
  // Per cent of what sticks out: of one column or row nothing does.
  const at = (offset: number, size: number, count: number): number =>
    count > 1 ? (100 * offset) / (size * (count - 1)) : 0;
  const { style } = box;
  style.backgroundImage = `url("${picture.url.href}")`;
  style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
  style.backgroundPosition = `${at(x, width, columns)}% ${at(y, height, rows)}%`;
}

function isBegun(record: ResumeRecord | undefined): record is ResumeRecord {
  return record !== undefined && !record.isDeleted && record.state !== 'completed' && record.positionMs > 0;
}
