import { createHash } from 'node:crypto';
import { rescaleTicks, ticksToMs } from '../packager/ticks.ts';
import { mediaEndMs } from '../packager/vod/title-growth.ts';
import { measureRates } from '../packager/vod/title-rates.ts';
import type { ArchivedRendition, ArchivedSegment, ArchivedStretch } from '../stream/archive.ts';
import type { Period } from '../stream/live-window.ts';
import type { Title, TitlePeriod, TitleRendition, TitleSegment, TitleTrack } from '../stream/title.ts';

/** What the title of a recording is to be called, and why there is one. */
export interface RecordingWish {
  readonly id: string;
  readonly name: string;
  readonly isAutomatic: boolean;
  /** Ms since the Unix epoch. */
  readonly createdMs: number;
}

/** A segment whose bytes go from the archive to the title as they are. */
export interface SegmentCopy {
  readonly rendition: string;
  readonly number: number;
  /** Of the live stream. */
  readonly from: string;
  /** Of the title. */
  readonly to: string;
}

/** A recording: a title, and what its files are copies of. */
export interface Recording {
  readonly title: Title;
  readonly copies: readonly SegmentCopy[];
  /** Of the keys that its media is encrypted with, each once. */
  readonly kids: readonly Uint8Array[];
}

/** A run of segments of one live period, in which there is media all the time: a period of the title. */
interface Part {
  readonly period: Period;
  /** Into the segments of every rendition: `[from, end)`. */
  readonly from: number;
  readonly end: number;
  /** Its media runs on from the part before. */
  readonly continues: boolean;
}

/**
 * A title of a stretch of a live stream, its segments as they are. Undefined: there is no media in it.
 *
 * Where no rendition has media, as in an outage, the title has nothing: its time closes up, with a period of its own behind
 * (a discontinuity, liveMs tells the real time), so that nobody sits through it. Where one rendition has none while another
 * goes on there is a gap.
 *
 * Segments keep their numbers. A URL of a title then is that of the live segment with another folder before it, and
 * whatever becomes of the title, it never stands for another body: not for one of another stretch, since a number is that
 * of a time; nor, the stream being part of the period's id, for one of another stream under the same name.
 */
export function recordingOf(stretch: ArchivedStretch, wish: RecordingWish): Recording | undefined {
  const renditions = bestFirst(stretch);
  const parts = partsOf(stretch, renditions);
  const [first] = parts;
  const last = parts.at(-1);
  if (!first || !last) return undefined;
  const periods = titlePeriods(stretch.stream, renditions, parts);
  const lead = renditions[0]?.segments;
  const title: Title = {
    id: wish.id,
    name: wish.name,
    state: 'complete',
    durationMs: 0,
    segmentMs: nominalMs(periods, parts),
    renditions: [],
    periods,
    texts: [],
    thumbnails: undefined,
    chapters: [],
    createdMs: wish.createdMs,
    updatedMs: wish.createdMs,
    recording: {
      stream: stretch.stream,
      firstNumber: lead?.[first.from]?.number ?? 0,
      lastNumber: lead?.[last.end - 1]?.number ?? 0,
      isAutomatic: wish.isAutomatic,
    },
  };
  const described = { ...title, renditions: describeAll(title, renditions) };
  return {
    title: { ...described, durationMs: mediaEndMs(described) },
    copies: copiesOf(periods, parts),
    kids: kidsOf(periods),
  };
}

/** A track that stopped within it holds less than it lasts: live, too, it was listed as a gap. */
function hasMedia({ state, brokenOff }: ArchivedSegment): boolean {
  return state === 'kept' && !brokenOff;
}

/** Those that have media: pictures before sound, the larger and richer first. */
function bestFirst({ renditions, periods }: ArchivedStretch): ArchivedRendition[] {
  const ranks = new Map(renditions.map((each) => [each, [pixelsOf(each, periods), rateOf(each)] as const]));
  const rank = (each: ArchivedRendition): readonly [number, number] => ranks.get(each) ?? [0, 0];
  return renditions
    .filter(({ segments }) => segments.some(hasMedia))
    .toSorted((one, other) => rank(other)[0] - rank(one)[0] || rank(other)[1] - rank(one)[1]);
}

/** Of its largest pictures; of sound 0. */
function pixelsOf({ id }: ArchivedRendition, periods: readonly Period[]): number {
  const tracks = periods.map((period) => period.tracks.get(id));
  return Math.max(0, ...tracks.map((track) => (track?.kind === 'video' ? track.width * track.height : 0)));
}

function rateOf({ segments, timescale }: ArchivedRendition): number {
  let bytes = 0;
  let ticks = 0;
  for (const segment of segments) {
    if (!hasMedia(segment)) continue;
    bytes += segment.sizeBytes;
    ticks += segment.durationTicks;
  }
  return ticks > 0 ? (bytes * timescale) / ticks : 0;
}

function partsOf({ periods }: ArchivedStretch, renditions: readonly ArchivedRendition[]): Part[] {
  const byId = new Map(periods.map((period) => [period.id, period]));
  const count = Math.max(0, ...renditions.map(({ segments }) => segments.length));
  const parts: Part[] = [];
  for (let index = 0; index < count; index++) {
    const period = byId.get(periodWithMedia(renditions, index) ?? '');
    if (!period) continue;
    const last = parts.at(-1);
    if (last?.end === index && last.period === period) {
      parts[parts.length - 1] = { ...last, end: index + 1 };
      continue;
    }
    const continues = last?.end === index && period.continues === last.period.id;
    parts.push({ period, from: index, end: index + 1, continues });
  }
  return parts;
}

/** Undefined: no rendition has media there. */
function periodWithMedia(renditions: readonly ArchivedRendition[], index: number): string | undefined {
  for (const { segments } of renditions) {
    const segment = segments[index];
    if (segment && hasMedia(segment)) return segment.periodId;
  }
  return undefined;
}

function titlePeriods(
  stream: string,
  renditions: readonly ArchivedRendition[],
  parts: readonly Part[],
): TitlePeriod[] {
  const periods: TitlePeriod[] = [];
  const ids = new Set<string>();
  let before: { readonly startMs: number; readonly span: Span } | undefined;
  for (const part of parts) {
    const span = spanOf(renditions, part);
    const runMs = before && (part.continues ? span.startMs : before.span.endMs) - before.span.startMs;
    const startMs = before ? before.startMs + (runMs ?? 0) : 0;
    const id = uniqueId(stream, part, renditions, ids);
    ids.add(id);
    periods.push({
      id,
      startMs,
      continues: part.continues,
      liveMs: span.startMs,
      tracks: tracksOf(renditions, part, span),
    });
    before = { startMs, span };
  }
  return periods;
}

/** When a part was live, ms since the Unix epoch. */
interface Span {
  readonly startMs: number;
  readonly endMs: number;
  /** The same start on the clock that tells it. */
  readonly startTicks: number;
  readonly timescale: number;
}

/** By its pictures, or by its sound where there are none. */
function spanOf(renditions: readonly ArchivedRendition[], { from, end }: Part): Span {
  const leads = (index: number): ArchivedRendition | undefined =>
    renditions.find(({ segments }) => {
      const segment = segments[index];
      return segment !== undefined && hasMedia(segment);
    });
  const [head, tail] = [leads(from), leads(end - 1)];
  const first = head?.segments[from];
  const last = tail?.segments[end - 1];
  if (!head || !tail || !first || !last) throw new Error('a part begins and ends with media');
  return {
    startMs: ticksToMs(first.startTicks, head.timescale),
    endMs: ticksToMs(last.startTicks + last.durationTicks, tail.timescale),
    startTicks: first.startTicks,
    timescale: head.timescale,
  };
}

const STREAM_DIGITS = 8;

/** Later parts of the same live period have the number of their first segment besides. */
function uniqueId(
  stream: string,
  { period, from }: Part,
  [lead]: readonly ArchivedRendition[],
  taken: ReadonlySet<string>,
): string {
  const mark = createHash('sha256').update(stream).digest('hex').slice(0, STREAM_DIGITS);
  const id = `${period.id}-${mark}`;
  return taken.has(id) ? `${id}_${lead?.segments[from]?.number ?? 0}` : id;
}

/** A rendition that only has gaps in a part is not in it. */
function tracksOf(
  renditions: readonly ArchivedRendition[],
  { period, from, end }: Part,
  span: Span,
): Map<string, TitleTrack> {
  const tracks = new Map<string, TitleTrack>();
  for (const { id, segments } of renditions) {
    const own = segments.slice(from, end);
    const track = period.tracks.get(id);
    const init = period.inits.get(id);
    if (!track || !init || !own.some(hasMedia)) continue;
    tracks.set(id, {
      track,
      init,
      protection: period.protections.get(id),
      offsetTicks: Math.round(rescaleTicks(span.startTicks, span.timescale, track.timescale)),
      segments: own.map(titleSegment),
    });
  }
  return tracks;
}

function titleSegment(segment: ArchivedSegment): TitleSegment {
  const { number, startTicks, durationTicks, sizeBytes, keyFrameBytes } = segment;
  const isGap = !hasMedia(segment);
  return {
    number,
    startTicks,
    durationTicks,
    sizeBytes: isGap ? 0 : sizeBytes,
    keyFrameBytes: isGap ? 0 : keyFrameBytes,
    isGap,
  };
}

/** How much longer than nominal a segment of pictures may be; see {@link Title.segmentMs}. */
const LONGEST_SHARE = 1.5;

function nominalMs(periods: readonly TitlePeriod[], parts: readonly Part[]): number {
  let most = 1;
  for (const { period } of parts) {
    most = Math.max(most, ticksToMs(period.segmentTicks, period.segmentTimescale));
  }
  for (const { tracks } of periods) {
    for (const { track, segments } of tracks.values()) {
      if (track.kind !== 'video') continue;
      for (const { durationTicks } of segments) {
        most = Math.max(most, ticksToMs(durationTicks, track.timescale) / LONGEST_SHARE);
      }
    }
  }
  return most;
}

/** Nobody has said in which language a live stream is. */
const UNKNOWN_LANGUAGE = 'und';
const SOUND_LABEL = 'Audio';

function describeAll(
  { periods, segmentMs }: Title,
  renditions: readonly ArchivedRendition[],
): TitleRendition[] {
  const described: TitleRendition[] = [];
  for (const { id, kind } of renditions) {
    const own = periods.flatMap(({ tracks }) => tracks.get(id) ?? []);
    if (own.length === 0) continue;
    const isSound = kind === 'audio';
    described.push({
      id,
      kind,
      language: isSound ? UNKNOWN_LANGUAGE : undefined,
      label: isSound ? SOUND_LABEL : undefined,
      isDefault: isSound && !described.some((other) => other.isDefault),
      ...measureRates(
        own.map(({ segments, track: { timescale } }) => ({ segments, timescale })),
        segmentMs / 1000,
      ),
    });
  }
  return described;
}

function copiesOf(periods: readonly TitlePeriod[], parts: readonly Part[]): SegmentCopy[] {
  const copies: SegmentCopy[] = [];
  for (const [index, { id: to, tracks }] of periods.entries()) {
    const from = parts[index]?.period.id ?? '';
    for (const [rendition, { segments }] of tracks) {
      for (const { number, isGap } of segments) if (!isGap) copies.push({ rendition, number, from, to });
    }
  }
  return copies;
}

function kidsOf(periods: readonly TitlePeriod[]): Uint8Array[] {
  const kids = new Map<string, Uint8Array>();
  for (const { tracks } of periods) {
    for (const { protection } of tracks.values()) {
      if (protection) kids.set(Buffer.from(protection.kid).toString('hex'), protection.kid);
    }
  }
  return [...kids.values()];
}

/** The stretch without the segments that turned out not to be there. */
export function withoutSegments(stretch: ArchivedStretch, missing: readonly SegmentCopy[]): ArchivedStretch {
  const gone = new Set(missing.map(({ rendition, number }) => `${rendition}/${number}`));
  return {
    ...stretch,
    renditions: stretch.renditions.map(({ segments, ...rendition }) => ({
      ...rendition,
      segments: segments.map((segment) =>
        gone.has(`${rendition.id}/${segment.number}`) ? { ...segment, state: 'lost' as const } : segment,
      ),
    })),
  };
}

/** The stretch with the segments `[firstNumber, lastNumber]` alone. */
export function clipStretch(
  stretch: ArchivedStretch,
  { firstNumber, lastNumber }: { readonly firstNumber: number; readonly lastNumber: number },
): ArchivedStretch {
  return {
    ...stretch,
    renditions: stretch.renditions.map(({ segments, ...rendition }) => ({
      ...rendition,
      segments: segments.filter(({ number }) => number >= firstNumber && number <= lastNumber),
    })),
  };
}
