import type { TitlePeriod, TitleSegment } from '../../stream/title.ts';
import { initPath, renditionFilePath, segmentPath } from '../media-path.ts';
import { type RenditionFile, renditionFile } from '../files/title-file.ts';

/** The lines with which the playlists of one rendition name its media: files of their own, or byte ranges of one file. */
export class MediaNames {
  readonly #rendition: string;
  readonly #single: boolean;
  readonly #files = new Map<string, RenditionFile | undefined>();

  /** @param single whether it is one file for each period */
  constructor(rendition: string, single: boolean) {
    this.#rendition = rendition;
    this.#single = single;
  }

  map(period: TitlePeriod): string {
    const file = this.#fileOf(period);
    if (!file) return `#EXT-X-MAP:URI="${initPath(this.#rendition, period.id)}"`;
    return `#EXT-X-MAP:URI="${renditionFilePath(this.#rendition, period.id)}",BYTERANGE="${file.initBytes}@0"`;
  }

  segment(period: TitlePeriod, segment: TitleSegment): string[] {
    return this.#named(period, segment, undefined);
  }

  keyFrame(period: TitlePeriod, segment: TitleSegment): string[] {
    return this.#named(period, segment, segment.keyFrameBytes);
  }

  /** @param bytes of its beginning; undefined: all of it. A gap is in no file, and nobody loads it. */
  #named(period: TitlePeriod, { number, sizeBytes }: TitleSegment, bytes: number | undefined): string[] {
    const offset = this.#fileOf(period)?.offsets.get(number);
    const range = bytes === undefined ? [] : [`#EXT-X-BYTERANGE:${bytes}@${offset ?? 0}`];
    if (offset === undefined) return [...range, segmentPath(this.#rendition, period.id, number)];
    return [
      `#EXT-X-BYTERANGE:${bytes ?? sizeBytes}@${offset}`,
      renditionFilePath(this.#rendition, period.id),
    ];
  }

  #fileOf(period: TitlePeriod): RenditionFile | undefined {
    if (!this.#single) return undefined;
    if (!this.#files.has(period.id)) this.#files.set(period.id, renditionFile(period, this.#rendition));
    return this.#files.get(period.id);
  }
}
