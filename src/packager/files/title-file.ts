import type { TitlePeriod, TitleSegment, TitleTrack } from '../../stream/title.ts';
import { MAX_INDEXED_STRETCHES, writeSegmentIndex } from './segment-index.ts';

/** A stored segment as part of a file. */
export interface StoredPart {
  readonly rendition: string;
  readonly period: string;
  readonly number: number;
  readonly sizeBytes: number;
  /** What is changed of it, its length aside; undefined: nothing. */
  readonly refit?: SegmentRefit | undefined;
}

/** How a segment is made to fit into a file with other tracks. */
export interface SegmentRefit {
  readonly trackId: number;
  /** Added to its decode times, ticks of its track. */
  readonly shiftTicks: number;
  /** Of its first fragment; the next ones count on. */
  readonly sequence: number;
}

/** A file that is nowhere as a whole: bytes of its own, and stored segments, one behind the other. */
export interface TitleFile {
  readonly parts: readonly (Uint8Array | StoredPart)[];
  readonly sizeBytes: number;
}

/** All that one rendition has in one period, as one file (ISO/IEC 23009-1 8.3, RFC 8216bis 4.4.4.2). */
export interface RenditionFile extends TitleFile {
  readonly initBytes: number;
  /** Where the Segment Index is, both ends inclusive; undefined: there are gaps, which it cannot tell of. */
  readonly index: { readonly start: number; readonly end: number } | undefined;
  /** Where segments begin, by number. Gaps are not there. */
  readonly offsets: ReadonlyMap<number, number>;
}

/** The file of a rendition in a period of a title that is complete. */
export function renditionFile(period: TitlePeriod, rendition: string): RenditionFile | undefined {
  const own = period.tracks.get(rendition);
  if (!own) return undefined;
  const { init, segments } = own;
  const stored = segments.filter(({ isGap }) => !isGap);
  const index = isIndexable(segments) ? indexOf(own) : undefined;
  const headBytes = init.length + (index?.length ?? 0);
  const offsets = new Map<number, number>();
  let sizeBytes = headBytes;
  for (const segment of stored) {
    offsets.set(segment.number, sizeBytes);
    sizeBytes += segment.sizeBytes;
  }
  return {
    parts: [
      init,
      ...(index ? [index] : []),
      ...stored.map((segment) => storedPart(rendition, period.id, segment)),
    ],
    sizeBytes,
    initBytes: init.length,
    index: index && { start: init.length, end: headBytes - 1 },
    offsets,
  };
}

export function storedPart(
  rendition: string,
  period: string,
  { number, sizeBytes }: TitleSegment,
  refit?: SegmentRefit,
): StoredPart {
  return { rendition, period, number, sizeBytes, refit };
}

/** An index tells of lengths alone: each segment begins where the one before it ends. */
function isIndexable(segments: readonly TitleSegment[]): boolean {
  if (segments.length === 0 || segments.length > MAX_INDEXED_STRETCHES) return false;
  return segments.every(({ isGap, startTicks }, at) => {
    const before = segments[at - 1];
    return !isGap && (!before || before.startTicks + before.durationTicks === startTicks);
  });
}

function indexOf({ track, segments }: TitleTrack): Uint8Array {
  const stretches = segments.map(({ sizeBytes, durationTicks, keyFrameBytes }) => ({
    sizeBytes,
    durationTicks,
    isIndependent: track.kind === 'audio' || keyFrameBytes > 0,
  }));
  return writeSegmentIndex(track.timescale, segments[0]?.startTicks ?? 0, stretches);
}

/** Reads the bytes of a stored part, as many as it says. */
export type ReadPart = (part: StoredPart) => Promise<Uint8Array>;

/** Bytes `start` to `end` (inclusive) of a file, part by part: what is not asked for is not read. */
export async function* readTitleFile(
  { parts }: TitleFile,
  start: number,
  end: number,
  read: ReadPart,
): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const part of parts) {
    const sizeBytes = part instanceof Uint8Array ? part.length : part.sizeBytes;
    const from = Math.max(0, start - at);
    const until = Math.min(sizeBytes, end + 1 - at);
    at += sizeBytes;
    if (until <= 0) return;
    if (from >= until) continue;
    const bytes = part instanceof Uint8Array ? part : await read(part);
    yield bytes.subarray(from, until);
  }
}
