import { parseDateTime } from '../date-time.ts';
import { excerpt } from './attribute-list.ts';
import {
  attribute,
  keyOf,
  numberAttribute,
  toNumber,
  type ByteRange,
  type InitSection,
  type Key,
  type MediaPlaylist,
  type Part,
  type PlaylistText,
  type PreloadHint,
  type RenditionReport,
  type Segment,
  type ServerControl,
  type Skip,
  type Tag,
} from './playlist.ts';
import type { Reading } from './reading.ts';
import { TAGS } from './tag-table.ts';

const EXTINF = /^(\d+(?:\.\d+)?)(,.*)?$/;
const RANGE = /^(\d{1,15})(?:@(\d{1,15}))?$/;

/** Builds a media playlist out of its lines. */
export function parseMedia(reading: Reading, base: PlaylistText): MediaPlaylist {
  const first = (name: string): Tag | undefined => base.tags.find((tag) => tag.name === name);
  const all = (name: string): readonly Tag[] => base.tags.filter((tag) => tag.name === name);
  const partInf = first('EXT-X-PART-INF');
  const skip = skipOf(first('EXT-X-SKIP'));
  const mediaSequence = toNumber(first('EXT-X-MEDIA-SEQUENCE')?.value) ?? 0;
  const discontinuitySequence = toNumber(first('EXT-X-DISCONTINUITY-SEQUENCE')?.value) ?? 0;
  const builder = new SegmentBuilder(reading, mediaSequence + (skip?.count ?? 0), discontinuitySequence);
  for (const entry of reading.entries) {
    if (entry.kind === 'tag') builder.tag(entry.tag);
    else builder.uri(entry.uri, entry.line);
  }
  return {
    ...base,
    targetDuration: toNumber(first('EXT-X-TARGETDURATION')?.value),
    partTarget: partInf && numberAttribute(partInf, 'PART-TARGET'),
    serverControl: serverControlOf(first('EXT-X-SERVER-CONTROL')),
    mediaSequence,
    discontinuitySequence,
    type: first('EXT-X-PLAYLIST-TYPE')?.value,
    ended: first('EXT-X-ENDLIST') !== undefined,
    iFramesOnly: first('EXT-X-I-FRAMES-ONLY') !== undefined,
    independentSegments: first('EXT-X-INDEPENDENT-SEGMENTS') !== undefined,
    skip,
    segments: builder.segments,
    open: builder.finish(),
    hints: all('EXT-X-PRELOAD-HINT').map((tag) => hintOf(tag, reading)),
    reports: all('EXT-X-RENDITION-REPORT').map((tag) => reportOf(tag, reading)),
    dateRanges: all('EXT-X-DATERANGE'),
  };
}

/** Walks the lines, gathering the tags of one segment after the other. */
class SegmentBuilder {
  readonly segments: Segment[] = [];
  readonly #reading: Reading;
  readonly #firstMsn: number;
  #discontinuityNumber: number;
  #map: InitSection | undefined;
  #keys: readonly Key[] = [];
  /** End of the last range of each resource. */
  readonly #rangeEnds = new Map<string, number>();
  #pending: Tag[] = [];

  constructor(reading: Reading, firstMsn: number, discontinuitySequence: number) {
    this.#reading = reading;
    this.#firstMsn = firstMsn;
    this.#discontinuityNumber = discontinuitySequence;
  }

  tag(tag: Tag): void {
    if (!Object.hasOwn(TAGS, tag.name) || TAGS[tag.name]?.scope !== 'segment') return;
    this.#pending.push(tag);
    if (tag.name === 'EXT-X-MAP') this.#map = this.#mapOf(tag);
    if (tag.name === 'EXT-X-DISCONTINUITY') this.#discontinuityNumber += 1;
    if (tag.name === 'EXT-X-KEY') this.#addKey(keyOf(tag));
  }

  uri(uri: string, line: number): void {
    this.segments.push(this.#build(uri, line));
  }

  /** What stands after the last URI: the parts of the segment to come. */
  finish(): Segment | undefined {
    if (!this.#pending.some(({ name }) => name === 'EXT-X-PART')) return undefined;
    return this.#build(undefined, this.#pending[0]?.line ?? 0);
  }

  #build(uri: string | undefined, line: number): Segment {
    const tags = this.#pending;
    this.#pending = [];
    const msn = this.#firstMsn + this.segments.length;
    const find = (name: string): Tag | undefined => tags.find((tag) => tag.name === name);
    const date = find('EXT-X-PROGRAM-DATE-TIME');
    const firstPart = tags.findIndex(({ name }) => name === 'EXT-X-PART');
    const url = uri === undefined ? '' : this.#reading.resolve(uri, line);
    const range = find('EXT-X-BYTERANGE');
    return {
      msn,
      uri,
      url,
      seconds: this.#extinf(find('EXTINF'), uri, line),
      line,
      discontinuity: find('EXT-X-DISCONTINUITY') !== undefined,
      discontinuityNumber: this.#discontinuityNumber,
      map: this.#map,
      keys: this.#keys,
      openingTags: tags.filter(({ name }) => name === 'EXT-X-KEY' || name === 'EXT-X-MAP'),
      dateMs: date && parseDateTime(date.value),
      gap: find('EXT-X-GAP') !== undefined,
      range: range && this.#range(range.value, url, range.line, '4.4.4.2'),
      parts: this.#parts(
        tags.filter(({ name }) => name === 'EXT-X-PART'),
        msn,
      ),
      tagsAfterParts: firstPart < 0 ? [] : tags.slice(firstPart).filter(({ name }) => name !== 'EXT-X-PART'),
    };
  }

  #extinf(tag: Tag | undefined, uri: string | undefined, line: number): number | undefined {
    if (!tag) {
      if (uri !== undefined) this.#reading.fault('malformed', line, '4.4.4.1', 'a segment without EXTINF');
      return undefined;
    }
    const seconds = EXTINF.exec(tag.value)?.[1];
    if (seconds !== undefined) return Number(seconds);
    this.#reading.fault('malformed', tag.line, '4.4.4.1', `EXTINF is ${excerpt(tag.value)}`);
    return undefined;
  }

  #parts(tags: readonly Tag[], msn: number): Part[] {
    return tags.map((tag, index) => {
      const uri = attribute(tag, 'URI') ?? '';
      const url = uri === '' ? '' : this.#reading.resolve(uri, tag.line);
      const range = attribute(tag, 'BYTERANGE');
      return {
        msn,
        index,
        uri,
        url,
        seconds: numberAttribute(tag, 'DURATION') ?? 0,
        independent: attribute(tag, 'INDEPENDENT') === 'YES',
        gap: attribute(tag, 'GAP') === 'YES',
        range: range === undefined ? undefined : this.#range(range, url, tag.line, '4.4.4.9'),
        line: tag.line,
      };
    });
  }

  #mapOf(tag: Tag): InitSection {
    const uri = attribute(tag, 'URI') ?? '';
    const url = uri === '' ? '' : this.#reading.resolve(uri, tag.line);
    const range = attribute(tag, 'BYTERANGE');
    return {
      url,
      range: range === undefined ? undefined : this.#range(range, url, tag.line, '4.4.4.5'),
      line: tag.line,
    };
  }

  /** A key holds until the next one with the same KEYFORMAT, or METHOD=NONE (4.4.4.4). */
  #addKey(key: Key): void {
    const none = 'NONE';
    const others = this.#keys.filter(
      ({ method, keyFormat }) => method !== none && keyFormat !== key.keyFormat,
    );
    this.#keys = key.method === none ? [key] : [...others, key];
  }

  #range(text: string, url: string, line: number, section: string): ByteRange | undefined {
    const match = RANGE.exec(text);
    if (!match) {
      this.#reading.fault('malformed', line, section, `byte range ${excerpt(text)} is not <n>[@<o>]`);
      return undefined;
    }
    const length = Number(match[1]);
    const explicit = match[2] !== undefined;
    const offset = explicit ? Number(match[2]) : this.#rangeEnds.get(url);
    if (offset !== undefined) this.#rangeEnds.set(url, offset + length);
    return { length, offset, explicit };
  }
}

function skipOf(tag: Tag | undefined): Skip | undefined {
  if (!tag) return undefined;
  return {
    count: numberAttribute(tag, 'SKIPPED-SEGMENTS') ?? 0,
    removedDateRanges: attribute(tag, 'RECENTLY-REMOVED-DATERANGES'),
    line: tag.line,
  };
}

function serverControlOf(tag: Tag | undefined): ServerControl | undefined {
  if (!tag) return undefined;
  return {
    text: tag.value,
    canSkipUntilSeconds: numberAttribute(tag, 'CAN-SKIP-UNTIL'),
    canSkipDateRanges: attribute(tag, 'CAN-SKIP-DATERANGES') === 'YES',
    holdBackSeconds: numberAttribute(tag, 'HOLD-BACK'),
    partHoldBackSeconds: numberAttribute(tag, 'PART-HOLD-BACK'),
    canBlockReload: attribute(tag, 'CAN-BLOCK-RELOAD') === 'YES',
  };
}

function hintOf(tag: Tag, reading: Reading): PreloadHint {
  const uri = attribute(tag, 'URI') ?? '';
  return {
    type: attribute(tag, 'TYPE') ?? '',
    uri,
    url: uri === '' ? '' : reading.resolve(uri, tag.line),
    rangeStart: numberAttribute(tag, 'BYTERANGE-START'),
    rangeLength: numberAttribute(tag, 'BYTERANGE-LENGTH'),
    line: tag.line,
  };
}

function reportOf(tag: Tag, reading: Reading): RenditionReport {
  const uri = attribute(tag, 'URI') ?? '';
  return {
    uri,
    url: uri === '' ? '' : reading.resolve(uri, tag.line),
    lastMsn: numberAttribute(tag, 'LAST-MSN'),
    lastPart: numberAttribute(tag, 'LAST-PART'),
    line: tag.line,
  };
}
