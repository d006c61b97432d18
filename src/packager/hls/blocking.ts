import type { LiveWindow, Rendition, SegmentPlan } from '../../stream/live-window.ts';
import { type Edge, edgeOf } from './listing.ts';
import type { SkipKind } from './media-playlist.ts';

/** Delivery directives of one request (RFC 8216bis 6.2.5). */
export interface ReloadDirectives {
  /** `_HLS_msn` */
  readonly msn: number | undefined;
  /** `_HLS_part` */
  readonly part: number | undefined;
  /** `_HLS_skip`; a value we do not know is no request to skip. */
  readonly skip: SkipKind | undefined;
  /** Why the directives cannot be obeyed; undefined when they are well formed. */
  readonly malformed: string | undefined;
}

/** What is to become of a playlist request. */
export type ReloadDecision =
  | { readonly kind: 'now' }
  /** Hold until part `part` of segment `msn` is listed, or with `part` undefined until that segment is complete. */
  | { readonly kind: 'wait'; readonly msn: number; readonly part: number | undefined }
  | { readonly kind: 'badRequest'; readonly reason: string };

/**
 * How far past the last complete segment a request may ask. The standard says two; the draft leaves open what "last"
 * is while only parts exist, and hls.js tunes in up to 1.5 target durations ahead.
 */
const ADVANCE_SEGMENTS = 2;
/** Seconds' worth of parts that a request may be ahead of the last listed part; in whole parts of a second or more. */
const ADVANCE_PART_SECONDS = 3;
const ADVANCE_PARTS_OF_A_SECOND = 3;

const NOW: ReloadDecision = { kind: 'now' };
const DECIMAL = /^[0-9]{1,15}$/;

/** Reads the directives out of a query (without `?`). Total; other parameters, known or not, are left alone. */
export function parseDirectives(query: string): ReloadDirectives {
  const parameters = new URLSearchParams(query);
  const msn = parseDecimal(parameters.get('_HLS_msn'));
  const part = parseDecimal(parameters.get('_HLS_part'));
  const skip = parameters.get('_HLS_skip');
  return {
    msn: msn === 'bad' ? undefined : msn,
    part: part === 'bad' ? undefined : part,
    skip: skip === 'YES' || skip === 'v2' ? skip : undefined,
    malformed: malformed(msn, part),
  };
}

type Parsed = number | undefined | 'bad';

function parseDecimal(text: string | null): Parsed {
  if (text === null) return undefined;
  return DECIMAL.test(text) ? Number(text) : 'bad';
}

function malformed(msn: Parsed, part: Parsed): string | undefined {
  if (msn === 'bad') return '_HLS_msn is not a decimal integer';
  if (part === 'bad') return '_HLS_part is not a decimal integer';
  if (part !== undefined && msn === undefined) return '_HLS_part without _HLS_msn';
  return undefined;
}

/**
 * Decides a playlist request by 6.2.5.2. Ask again after each change of the window: a decision to wait turns into
 * `now`, never into `badRequest`. A wait for a part that turns out not to exist (its segment closed with fewer) goes
 * on as a wait for part 0 of the next segment.
 */
export function decideReload(
  window: LiveWindow,
  rendition: Rendition,
  directives: ReloadDirectives,
): ReloadDecision {
  if (window.state === 'ended') return NOW;
  if (directives.malformed !== undefined) return { kind: 'badRequest', reason: directives.malformed };
  const { msn, part } = directives;
  if (msn === undefined) return NOW;
  const edge = edgeOf(rendition);
  if (msn > edge.lastNumber + ADVANCE_SEGMENTS) {
    return { kind: 'badRequest', reason: '_HLS_msn is too far ahead' };
  }
  if (part === undefined) {
    return msn <= edge.lastNumber ? NOW : { kind: 'wait', msn, part: undefined };
  }
  if (isComplete(edge, msn, part)) return NOW;
  // Past the final part of a closed segment is part 0 of the next one.
  if (msn <= edge.lastNumber) return awaitPart(window.plan, edge, msn + 1, 0);
  return awaitPart(window.plan, edge, msn, part);
}

/** Whether part `part` of segment `msn` lies before the last complete segment's end. */
function isComplete({ lastComplete, lastNumber }: Edge, msn: number, part: number): boolean {
  if (msn !== lastNumber) return msn < lastNumber;
  // A gap has no parts: with it listed, what was asked about has passed. Holding would hide it from the player.
  if (!lastComplete || lastComplete.state === 'gap') return true;
  const finalPart = lastComplete.parts.at(-1);
  return finalPart !== undefined && part <= finalPart.index;
}

function awaitPart(plan: SegmentPlan, { open }: Edge, msn: number, part: number): ReloadDecision {
  const lastPart = open?.number === msn ? (open.parts.at(-1)?.index ?? -1) : -1;
  if (part <= lastPart) return NOW;
  if (part > lastPart + advancePartLimit(plan)) {
    return { kind: 'badRequest', reason: '_HLS_part is too far ahead' };
  }
  return { kind: 'wait', msn, part };
}

/** The advance part limit of 6.2.5.2. */
function advancePartLimit(plan: SegmentPlan): number {
  const { partTargetSeconds } = plan;
  return partTargetSeconds < 1
    ? Math.ceil(ADVANCE_PART_SECONDS / partTargetSeconds)
    : ADVANCE_PARTS_OF_A_SECOND;
}
