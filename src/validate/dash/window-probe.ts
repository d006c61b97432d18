import { edgeSegment, oldestSegment, segmentTimes } from './availability.ts';
import { checkCompleteResponse, checkMissingResponse } from './check-response.ts';
import type { DashRun } from './dash-run.ts';
import type { Mpd } from './mpd-model.ts';
import type { Placed } from './mpd-query.ts';
import { type SegmentRef, segmentAt } from './segments.ts';

/** Segments of the time shift buffer that are asked for, spread evenly, the oldest and the newest among them. */
const MAX_PROBES = 6;
/** Segments behind the live edge that must not be there yet. */
const AHEAD = 4;
const PROBE_TIMEOUT_MS = 1500;

/** Asks for segments of the whole time shift buffer, and for one of the future. */
export async function probeWindow(run: DashRun, mpd: Mpd, placed: Placed): Promise<void> {
  const { period, representation } = placed;
  const nowMs = run.nowMs();
  const newest = edgeSegment(mpd, period, representation, nowMs);
  const oldest = oldestSegment(mpd, period, representation, nowMs);
  if (!newest || !oldest) return;
  // The newest may be in the making, and the oldest may leave while it is asked for.
  for (const index of spread(oldest.index + 1, newest.index - 1)) {
    const segment = segmentAt(representation, period, index);
    if (segment && !run.over) await probeOld(run, segment);
  }
  await probeFuture(run, mpd, placed, newest);
}

/** Whole numbers from first to last, at most {@link MAX_PROBES}. */
function spread(first: number, last: number): number[] {
  if (last < first) return [];
  const count = Math.min(MAX_PROBES, last - first + 1);
  const step = count === 1 ? 0 : (last - first) / (count - 1);
  return Array.from({ length: count }, (_, i) => Math.round(first + i * step));
}

async function probeOld(run: DashRun, segment: SegmentRef): Promise<void> {
  const outcome = await run.get(segment.url, { range: segment.range });
  if (outcome.kind === 'failed') {
    if (outcome.reason !== 'aborted') run.tell('dash-window-missing', segment.url, outcome.detail);
    return;
  }
  if (outcome.status !== 200 && outcome.status !== 206) {
    const message = `segment ${segment.number} of the time shift buffer gives status ${outcome.status}`;
    run.tell('dash-window-missing', segment.url, message);
    return;
  }
  checkCompleteResponse(run, outcome, segment.url);
}

async function probeFuture(
  run: DashRun,
  mpd: Mpd,
  { period, representation }: Placed,
  newest: SegmentRef,
): Promise<void> {
  const segment = segmentAt(representation, period, newest.index + AHEAD);
  const times = segment && segmentTimes(mpd, period, representation, segment);
  if (!segment || !times || run.over) return;
  const outcome = await run.get(segment.url, { timeoutMs: PROBE_TIMEOUT_MS });
  if (outcome.kind === 'failed') return;
  if (outcome.status === 200) {
    const seconds = ((times.beginMs - run.presentationMsOf(outcome.headersMs)) / 1000).toFixed(1);
    run.tell('dash-segment-early', segment.url, `status 200 for a segment that begins in ${seconds} s`);
  } else checkMissingResponse(run, outcome, segment.duration, segment.url);
}
