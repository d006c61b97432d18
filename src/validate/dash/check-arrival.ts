import type { FetchResult } from '../fetcher.ts';
import type { SegmentTimes } from './availability.ts';
import type { BehaviourRule } from './behaviour-rules.ts';

/** When a segment in progress was asked for and came, presentation time, ms. */
export interface Arrival {
  readonly askedMs: number;
  readonly headersMs: number;
  readonly firstByteMs: number;
  /** When the last piece of the body came. */
  readonly lastByteMs: number;
  readonly bytes: number;
}

/** Below that, a segment in progress is too near its end to tell how it comes. */
const LEAST_REMAINING_MS = 400;
/** Share of the time that was left over which the bytes must have been spread. */
const LEAST_SPREAD = 0.5;
/** What a request may take on its way, and a server to wake up. */
const SLACK_MS = 250;
/** What may lie between the end of a segment on the MPD's time line and its last byte. */
const MOST_LATE_MS = 1000;

export function arrivalOf(result: FetchResult, presentationMsOf: (monotonicMs: number) => number): Arrival {
  return {
    askedMs: presentationMsOf(result.startedMs),
    headersMs: presentationMsOf(result.headersMs),
    firstByteMs: presentationMsOf(result.firstByteMs),
    lastByteMs: presentationMsOf(result.chunks.at(-1)?.atMs ?? result.endedMs),
    bytes: result.body.length,
  };
}

/** Judges how a segment came that was asked for while it was being made (availabilityTimeComplete="false"). */
export function checkArrival(
  arrival: Arrival,
  { endMs, availableMs, beginMs }: SegmentTimes,
): { readonly rule: BehaviourRule; readonly message: string }[] {
  const leftMs = endMs - arrival.askedMs;
  if (leftMs < LEAST_REMAINING_MS) return [];
  const spreadMs = arrival.lastByteMs - arrival.firstByteMs;
  const waitedMs = arrival.firstByteMs - arrival.askedMs;
  const chunkMs = availableMs - beginMs;
  if (spreadMs < leftMs * LEAST_SPREAD) {
    const what = `its ${arrival.bytes} bytes came over ${spreadMs.toFixed(0)} ms`;
    const message = `asked for ${leftMs.toFixed(0)} ms before its end, ${what}, the first after ${waitedMs.toFixed(0)} ms`;
    return [{ rule: 'dash-edge-not-progressive', message }];
  }
  if (waitedMs <= 2 * chunkMs + SLACK_MS) return [];
  const message = `the first byte came ${waitedMs.toFixed(0)} ms after the request, a chunk is ${chunkMs.toFixed(0)} ms`;
  return [{ rule: 'dash-edge-first-byte', message }];
}

/** Judges when a segment was there whole. */
export function checkCompletion(
  arrival: Arrival,
  { endMs }: SegmentTimes,
): { readonly rule: BehaviourRule; readonly message: string } | undefined {
  const lateMs = arrival.lastByteMs - endMs;
  // Asked for late, or a slow line: not the server's doing.
  if (lateMs <= MOST_LATE_MS || arrival.askedMs > endMs) return undefined;
  const message = `its last byte came ${lateMs.toFixed(0)} ms after its end on the MPD's time line`;
  return { rule: 'dash-segment-slow', message };
}
