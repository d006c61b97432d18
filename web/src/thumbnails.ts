/** A small picture: a part of a sheet, for a stretch of the title. */
export interface Thumbnail {
  readonly startSeconds: number;
  readonly endSeconds: number;
  readonly url: URL;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const TIMES = /^(\d+):(\d{2}):(\d{2})\.(\d{3}) --> (\d+):(\d{2}):(\d{2})\.(\d{3})/;
const PLACE = /^(.+)#xywh=(\d+),(\d+),(\d+),(\d+)$/;

/** Reads WebVTT whose cues are `<sheet>#xywh=x,y,w,h` (Media Fragments URI); anything else in it counts for nothing. */
export function parseThumbnails(vtt: string, base: URL): readonly Thumbnail[] {
  return vtt.split(/\r?\n\r?\n/).flatMap((block) => {
    const lines = block.split(/\r?\n/);
    const timing = lines.findIndex((line) => TIMES.test(line));
    const times = TIMES.exec(lines[timing] ?? '')
      ?.slice(1)
      .map(Number);
    const [, uri, ...place] = PLACE.exec(lines[timing + 1] ?? '') ?? [];
    const url = uri === undefined ? null : URL.parse(uri, base);
    if (!times || !url) return [];
    const [x = 0, y = 0, width = 0, height = 0] = place.map(Number);
    const [startSeconds, endSeconds] = [secondsOf(times.slice(0, 4)), secondsOf(times.slice(4))];
    return [{ startSeconds, endSeconds, url, x, y, width, height }];
  });
}

/** The one for a place in the title. */
export function thumbnailAt(thumbnails: readonly Thumbnail[], seconds: number): Thumbnail | undefined {
  return thumbnails.find(({ startSeconds, endSeconds }) => startSeconds <= seconds && seconds < endSeconds);
}

/** Those of a title; none where it has none. */
export async function fetchThumbnails(titleUrl: URL): Promise<readonly Thumbnail[]> {
  const url = new URL('thumbnails.vtt', titleUrl);
  try {
    const answer = await fetch(url);
    return answer.ok ? parseThumbnails(await answer.text(), url) : [];
  } catch {
    return [];
  }
}

function secondsOf([hours = 0, minutes = 0, seconds = 0, thousandths = 0]: readonly number[]): number {
  return hours * 3600 + minutes * 60 + seconds + thousandths / 1000;
}
