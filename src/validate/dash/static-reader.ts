import { readBoxes } from '../../media/isobmff/box-reader.ts';
import { readSegmentIndex } from '../media/side-boxes.ts';
import type { BoundaryBoard } from './boundary-board.ts';
import type { DashRun } from './dash-run.ts';
import type { Mpd } from './mpd-model.ts';
import type { Placed } from './mpd-query.ts';
import { checkRange, SegmentJudge } from './segment-judge.ts';
import { type SegmentRef, segmentAt, segmentCount } from './segments.ts';

/** How much shorter than its Period the media may be. */
const MOST_SHORT_SECONDS = 0.5;
const MAX_SUBSEGMENTS = 10_000;

/** Reads one Representation of a presentation that is not live from its first to its last segment. */
export async function readStatic(
  run: DashRun,
  mpd: Mpd,
  placed: Placed,
  boundaries: BoundaryBoard,
): Promise<SegmentJudge> {
  const judge = new SegmentJudge(run, placed, boundaries);
  await judge.readInit();
  const segments = await listSegments(run, placed);
  let complete = true;
  for (const segment of segments) {
    if (run.over) {
      complete = false;
      break;
    }
    complete = (await readSegment(run, judge, segment)) && complete;
  }
  judge.finish(mpd);
  if (complete) checkLength(run, placed, judge);
  return judge;
}

/** All segments; those of a single file with an index are what the index lists. */
async function listSegments(run: DashRun, placed: Placed): Promise<Iterable<SegmentRef>> {
  const { representation, period } = placed;
  const whole = segmentAt(representation, period, 0);
  if (representation.addressing?.kind !== 'single') return numbered(placed);
  const { indexRange } = representation.addressing;
  if (!whole) return [];
  if (indexRange === undefined) return [whole];
  return (await readIndex(run, whole, indexRange)) ?? [];
}

function* numbered({ representation, period }: Placed): Iterable<SegmentRef> {
  const count = segmentCount(representation, period) ?? 0;
  for (let index = 0; index < count; index++) {
    const segment = segmentAt(representation, period, index);
    if (segment) yield segment;
  }
}

/** The subsegments that the sidx at `indexRange` lists (ISO/IEC 14496-12 8.16.3). */
async function readIndex(
  run: DashRun,
  whole: SegmentRef,
  indexRange: string,
): Promise<SegmentRef[] | undefined> {
  const outcome = await run.get(whole.url, { range: indexRange });
  if (outcome.kind === 'failed' || (outcome.status !== 200 && outcome.status !== 206)) {
    const what = outcome.kind === 'failed' ? outcome.detail : `the index gives status ${outcome.status}`;
    run.tell('dash-segment-missing', whole.url, what);
    return undefined;
  }
  if (!checkRange(run, outcome, indexRange, whole.url)) return undefined;
  const box = readBoxes(outcome.body).boxes.find(({ type }) => type === 'sidx');
  const index = box && readSegmentIndex(outcome.body, box);
  if (!index || index.timescale === 0) {
    run.tell('dash-media-type', whole.url, `no sidx that can be read in the indexRange ${indexRange}`);
    return undefined;
  }
  const from = Number(indexRange.split('-')[0]) + box.end + index.firstOffset;
  return subsegments(whole, index, from);
}

function subsegments(
  whole: SegmentRef,
  { references, timescale }: NonNullable<ReturnType<typeof readSegmentIndex>>,
  from: number,
): SegmentRef[] {
  const found: SegmentRef[] = [];
  let [offset, start] = [from, 0];
  for (const [index, { sizeBytes, durationTicks, toIndex }] of references
    .slice(0, MAX_SUBSEGMENTS)
    .entries()) {
    const duration = durationTicks / timescale;
    const range = `${offset}-${offset + sizeBytes - 1}`;
    if (!toIndex) found.push({ ...whole, index, number: index + 1, start, duration, range });
    offset += sizeBytes;
    start += duration;
  }
  return found;
}

async function readSegment(run: DashRun, judge: SegmentJudge, segment: SegmentRef): Promise<boolean> {
  const outcome = await run.get(segment.url, { range: segment.range });
  if (outcome.kind === 'response' && (outcome.status === 200 || outcome.status === 206)) {
    if (!checkRange(run, outcome, segment.range, segment.url)) return false;
    judge.judge(segment, outcome);
    return true;
  }
  judge.breakChain();
  if (outcome.kind === 'failed') {
    if (outcome.reason !== 'aborted') run.tell('dash-segment-missing', segment.url, outcome.detail);
  } else {
    run.tell('dash-segment-missing', segment.url, `segment ${segment.number} gives status ${outcome.status}`);
  }
  return false;
}

/** The media must last as long as their Period. */
function checkLength(run: DashRun, { period, representation }: Placed, { mediaEnd }: SegmentJudge): void {
  if (mediaEnd === undefined || period.start === undefined || period.end === undefined) return;
  const duration = period.end - period.start;
  if (duration - mediaEnd <= MOST_SHORT_SECONDS) return;
  run.tell(
    'dash-media-short',
    representation.baseUrl,
    `${representation.place}: its media end at ${mediaEnd.toFixed(3)} s, the Period at ${duration.toFixed(3)} s`,
  );
}
