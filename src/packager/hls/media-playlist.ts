import { type KeyFormatChoice, keyTags } from './key-format.ts';
import type { LiveWindow, Part, Period, Rendition, Segment, SegmentPlan } from '../../stream/live-window.ts';
import { isoTime } from '../iso-time.ts';
import { initPath, partPath, playlistUri, segmentPath } from '../media-path.ts';
import { floorMs, partSeconds, plannedSeconds, seconds } from './format.ts';
import {
  HISTORY_BLOCK,
  type HistoryBlock,
  type InForce,
  type PlaylistHistory,
  sameKey,
} from './playlist-history.ts';
import { edgeOf, endTicks, lastListed, type ListedRange, listedRange, nextPart } from './listing.ts';

/** Value of `_HLS_skip`: `v2` may also leave out date ranges (RFC 8216bis 6.2.5.1). */
export type SkipKind = 'YES' | 'v2';

export interface MediaPlaylistOptions {
  /** Asks for a delta update; ignored when nothing can be skipped or the stream has ended. */
  readonly skip?: SkipKind | undefined;
  /** The KEYFORMAT that was asked for. */
  readonly keyFormat?: KeyFormatChoice | undefined;
  /** What is known of the text from renderings before, of the same rendition and key format. */
  readonly history?: PlaylistHistory | undefined;
}

/** Parts are listed for segments that began within this many target durations of the live edge (6.2.2). */
const PART_LIST_TARGET_DURATIONS = 3;
/** HOLD-BACK as a multiple of the target duration: the least the standard allows (4.4.3.8). */
const HOLD_BACK_TARGET_DURATIONS = 3;
/**
 * Audio's PROGRAM-DATE-TIME is given this much early when there is video. hls.js finds the audio segment for a video
 * position by it, and a date one rounding too late makes it miss the segment at a boundary and stall. Less than a
 * frame, so the dates of all renditions still agree.
 */
const AUDIO_DATE_BIAS_MS = 10;
const SPLICE_TIMESCALE = 90_000;

/**
 * The media playlist of one rendition (RFC 8216bis 4.4.3 to 4.4.5), full or as a delta update. A pure function of the
 * window: call it once per version, rendition and skip kind. `rendition` must be one of the window's. A
 * history only saves work.
 */
export function renderMediaPlaylist(
  window: LiveWindow,
  rendition: Rendition,
  options: MediaPlaylistOptions = {},
): string {
  const { from, end } = listedRange(rendition);
  const skipped = skippedCount(window, rendition, { from, end }, options.skip);
  const lines = headLines(window.plan, rendition, skipped, options.skip);
  const listing = {
    window,
    rendition,
    keyFormat: options.keyFormat,
    dateBiasMs: dateBias(window, rendition),
    partsFromTicks: partsFrom(window.plan, rendition),
  };
  pushSegments(lines, listing, { from: from + skipped, end }, options.history);
  pushDateRanges(lines, window);
  if (window.state === 'ended') lines.push('#EXT-X-ENDLIST');
  pushHint(lines, window, rendition);
  pushReports(lines, window, rendition, options.keyFormat);
  lines.push('');
  return lines.join('\n');
}

/** EXT-X-VERSION is what the tags used need, no more (section 8): MAP 6, SKIP 9, SKIP that drops date ranges 10. */
function headLines(
  plan: SegmentPlan,
  rendition: Rendition,
  skipped: number,
  skip: SkipKind | undefined,
): string[] {
  const version = skipped === 0 ? 6 : skip === 'v2' ? 10 : 9;
  const holdBack = HOLD_BACK_TARGET_DURATIONS * plan.targetDurationSeconds;
  const lines = [
    '#EXTM3U',
    `#EXT-X-VERSION:${version}`,
    `#EXT-X-TARGETDURATION:${plan.targetDurationSeconds}`,
    `#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=${plannedSeconds(plan.canSkipUntilSeconds)},PART-HOLD-BACK=${plannedSeconds(plan.partHoldBackSeconds)},HOLD-BACK=${plannedSeconds(holdBack)}`,
    `#EXT-X-PART-INF:PART-TARGET=${plannedSeconds(plan.partTargetSeconds)}`,
    `#EXT-X-MEDIA-SEQUENCE:${rendition.firstListed}`,
    `#EXT-X-DISCONTINUITY-SEQUENCE:${rendition.discontinuitySequence}`,
  ];
  if (skipped > 0) {
    // A date range that left is one whose segments did, before those that are skipped here: none is to be named. The
    // attribute is required in a v2 delta all the same.
    const removed = skip === 'v2' ? ',RECENTLY-REMOVED-DATERANGES=""' : '';
    lines.push(`#EXT-X-SKIP:SKIPPED-SEGMENTS=${skipped}${removed}`);
  }
  return lines;
}

/**
 * How many leading segments a delta leaves out: those that lie, whole, at or beyond the skip boundary, measured from
 * the end of the last complete segment. 0 means: send the full playlist.
 */
function skippedCount(
  window: LiveWindow,
  rendition: Rendition,
  { from, end }: ListedRange,
  skip: SkipKind | undefined,
): number {
  const { segments, timescale } = rendition;
  const last = segments[end - 1];
  if (skip === undefined || window.state === 'ended' || !last) return 0;
  const boundaryTicks = endTicks(last) - window.plan.canSkipUntilSeconds * timescale;
  let kept = end;
  // From the newest on: a list may be a day long.
  for (; kept > from; kept--) {
    const segment = segments[kept - 1];
    if (!segment || endTicks(segment) <= boundaryTicks) break;
  }
  return kept - from;
}

/** What is the same for every line of one playlist. */
interface Listing {
  readonly window: LiveWindow;
  readonly rendition: Rendition;
  readonly keyFormat: KeyFormatChoice | undefined;
  readonly dateBiasMs: number;
  /** Segments that begin from here on have their parts listed. */
  readonly partsFromTicks: number;
}

function partsFrom(plan: SegmentPlan, rendition: Rendition): number {
  const newest = rendition.segments.at(-1);
  const listTicks = PART_LIST_TARGET_DURATIONS * plan.targetDurationSeconds * rendition.timescale;
  return newest ? endTicks(newest) - listTicks : Infinity;
}

function pushSegments(
  lines: string[],
  listing: Listing,
  { from, end }: ListedRange,
  history: PlaylistHistory | undefined,
): void {
  const { window, rendition } = listing;
  const { segments } = rendition;
  history?.keep(rendition, window, listing.dateBiasMs);
  // The KEY and MAP in force are stated before the first segment of the text, full or delta: players that keep old
  // segments across a delta do not all keep what they learned with them (5.3).
  let inForce: InForce = { map: undefined, protection: undefined };
  for (let i = from; i < end; i++) {
    const segment = segments[i];
    if (!segment) continue;
    const before = inForce;
    const block =
      segment.number % HISTORY_BLOCK === 0 && i + HISTORY_BLOCK <= end
        ? history?.block(segment.number, before, () => renderBlock(listing, i, before))
        : undefined;
    if (block) {
      lines.push(block.text);
      inForce = block.after;
      i += HISTORY_BLOCK - 1;
    } else inForce = pushSegment(lines, listing, segment, inForce);
  }
  const { open } = edgeOf(rendition);
  // Nothing of the open segment is said before its first part can be fetched.
  if (open && open.parts.length > 0) {
    pushOpening(lines, listing, open, inForce);
    pushParts(lines, window.plan, rendition, open);
  }
}

function pushSegment(lines: string[], listing: Listing, segment: Segment, before: InForce): InForce {
  const { window, rendition } = listing;
  const after = pushOpening(lines, listing, segment, before);
  if (isGap(window, rendition, segment)) lines.push('#EXT-X-GAP');
  else if (segment.startTicks >= listing.partsFromTicks) pushParts(lines, window.plan, rendition, segment);
  lines.push(`#EXTINF:${seconds(segment.durationTicks, rendition.timescale)},`);
  lines.push(segmentPath(rendition.id, segment.period.id, segment.number));
  return after;
}

/** The lines of a block that begins with the segment at `index`; undefined when some of them may still change. */
function renderBlock(listing: Listing, index: number, before: InForce): HistoryBlock | undefined {
  const { segments, id } = listing.rendition;
  const block = segments.slice(index, index + HISTORY_BLOCK);
  if (!block.every(({ state, place }) => state === 'gap' || place !== 'memory')) return undefined;
  const lines: string[] = [];
  let after = before;
  for (const segment of block) after = pushSegment(lines, listing, segment, after);
  const borrows = block.some(({ period }) => !period.inits.has(id));
  return { text: lines.join('\n'), before, after, borrows };
}

/** Listed for its time alone: it has no media, or none that players could use as a whole. */
function isGap(window: LiveWindow, rendition: Rendition, segment: Segment): boolean {
  return segment.state === 'gap' || segment.place === 'lost' || isBrokenOff(window, rendition, segment);
}

/**
 * A track stopped in the middle of it, or a rung's encoder did: its EXTINF would promise more than it has (4.4.4.1). As a gap
 * it lasts as long as the same segment of every other rendition.
 */
function isBrokenOff({ plan, renditions }: LiveWindow, rendition: Rendition, segment: Segment): boolean {
  if (segment.brokenOff) return true;
  if (segment.place !== 'memory') return false;
  if (rendition.kind !== 'video' || rendition.id === renditions[0]?.id) return false;
  const listedTicks = segment.parts.reduce((sum, part) => sum + part.durationTicks, 0);
  return segment.durationTicks - listedTicks > plan.partTargetSeconds * rendition.timescale;
}

/**
 * Tags that stand before a segment, and before its first part (4.4.4.9). Returns what is in force from here on.
 *
 * Every period states its own MAP, also one that continues the last with the same tracks: the MAP of a segment must
 * not change when the period before it leaves the window, or a player that kept the old text would ask for an
 * initialization segment that is gone. A KEY stands before the MAP: it applies to that, too.
 */
function pushOpening(
  lines: string[],
  { window, rendition, keyFormat, dateBiasMs }: Listing,
  segment: Segment,
  before: InForce,
): InForce {
  if (segment.discontinuity) lines.push('#EXT-X-DISCONTINUITY');
  const period = initPeriod(window, rendition, segment.period);
  const map = initPath(rendition.id, period.id);
  const protection = period.protections.get(rendition.id);
  if (!sameKey(protection, before.protection)) lines.push(...keyTags(protection, keyFormat));
  if (map !== before.map) lines.push(`#EXT-X-MAP:URI="${map}"`);
  const dateMs = floorMs(segment.startTicks, rendition.timescale) - dateBiasMs;
  lines.push(`#EXT-X-PROGRAM-DATE-TIME:${isoTime(dateMs)}`);
  return { map, protection };
}

/**
 * The period whose initialization segment stands for `period`: the period itself. One without the track has gaps
 * only and no initialization segment of its own, but a MAP must be there and must not be a 404: the last one before
 * it is named, or the first one after.
 */
function initPeriod({ periods }: LiveWindow, { id }: Rendition, period: Period): Period {
  if (period.inits.has(id)) return period;
  const before = periods.slice(0, Math.max(0, periods.indexOf(period)));
  const hasTrack = ({ inits }: Period): boolean => inits.has(id);
  return before.findLast(hasTrack) ?? periods.find(hasTrack) ?? period;
}

function dateBias(window: LiveWindow, rendition: Rendition): number {
  const withVideo = window.renditions.some((other) => other.kind === 'video');
  return rendition.kind === 'audio' && withVideo ? AUDIO_DATE_BIAS_MS : 0;
}

function pushParts(lines: string[], plan: SegmentPlan, rendition: Rendition, segment: Segment): void {
  for (const part of segment.parts) lines.push(partLine(plan, rendition, segment, part));
}

function partLine(plan: SegmentPlan, rendition: Rendition, segment: Segment, part: Part): string {
  const duration = partSeconds(part.durationTicks, rendition.timescale, plan.partTargetSeconds);
  const uri = partPath(rendition.id, segment.period.id, segment.number, part.index);
  return `#EXT-X-PART:DURATION=${duration},URI="${uri}"${part.independent ? ',INDEPENDENT=YES' : ''}`;
}

/** Every splice that is not over, in every playlist: deltas leave out segments only (RFC 8216bis 4.4.5.1). */
function pushDateRanges(lines: string[], { splices }: LiveWindow): void {
  for (const { id, atTicks, plannedTicks, durationTicks, ...sections } of splices) {
    const attributes = [`ID="${id}"`, `START-DATE="${isoTime(floorMs(atTicks, SPLICE_TIMESCALE))}"`];
    if (durationTicks !== undefined) attributes.push(`DURATION=${seconds(durationTicks, SPLICE_TIMESCALE)}`);
    if (plannedTicks !== undefined)
      attributes.push(`PLANNED-DURATION=${seconds(plannedTicks, SPLICE_TIMESCALE)}`);
    for (const direction of ['out', 'in', 'cmd'] as const) {
      const section = sections[direction];
      if (section)
        attributes.push(
          `SCTE35-${direction.toUpperCase()}=0x${Buffer.from(section).toString('hex').toUpperCase()}`,
        );
    }
    lines.push(`#EXT-X-DATERANGE:${attributes.join(',')}`);
  }
}

/** No hint after the end, nor while the publisher is away: its next part will be of a period without a name yet. */
function pushHint(lines: string[], window: LiveWindow, rendition: Rendition): void {
  const next = nextPart(window, rendition);
  if (!next) return;
  const uri = partPath(rendition.id, next.period, next.number, next.part);
  lines.push(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="${uri}"`);
}

/** Both numbers always: hls.js takes an absent one for the value of its own playlist. */
function pushReports(
  lines: string[],
  window: LiveWindow,
  rendition: Rendition,
  keyFormat: KeyFormatChoice | undefined,
): void {
  for (const other of window.renditions) {
    if (other.id === rendition.id) continue;
    const last = lastListed(other);
    if (!last) continue;
    lines.push(
      `#EXT-X-RENDITION-REPORT:URI="${playlistUri(other.id, keyFormat)}",LAST-MSN=${last.number},LAST-PART=${last.part}`,
    );
  }
}
