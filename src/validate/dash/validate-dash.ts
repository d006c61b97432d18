import type { ValidateDash, WatchedRendition, WatchedSummary } from '../contracts.ts';
import { periodAt } from './availability.ts';
import { BoundaryBoard } from './boundary-board.ts';
import { checkClocks } from './check-clock.ts';
import { checkDocument } from './check-document.ts';
import { DashRun } from './dash-run.ts';
import { findRepresentation, type FollowedKey, LiveFollower } from './live-follower.ts';
import { MpdFollower } from './mpd-follower.ts';
import type { ContentKind, Mpd } from './mpd-model.ts';
import { hasLowLatency, type Placed, placedRepresentations } from './mpd-query.ts';
import { parseMpd } from './parse-mpd.ts';
import type { ReadTotals } from './segment-judge.ts';
import { readStatic } from './static-reader.ts';
import { probeWindow } from './window-probe.ts';

/** Representations read side by side; a ladder with its languages is smaller. */
const MAX_REPRESENTATIONS = 24;

/** Judges the DASH presentation whose MPD is `manifestText`, fetched from `url`. */
export const validateDash: ValidateDash = async (context, url, manifestText) => {
  const run = new DashRun(context);
  try {
    return await judgePresentation(run, url, manifestText);
  } finally {
    run.close();
  }
};

async function judgePresentation(run: DashRun, url: string, manifestText: string): Promise<WatchedSummary> {
  const outcome = parseMpd(manifestText, url);
  if (outcome.kind === 'unreadable') {
    run.tell('dash-mpd-unreadable', url, outcome.reason);
    return { format: 'dash', live: false, lowLatency: false, renditions: [] };
  }
  const { mpd } = outcome;
  checkDocument(mpd, run.reportTo(url));
  return mpd.dynamic ? watchLive(run, mpd, url) : readAll(run, mpd, url);
}

async function watchLive(run: DashRun, mpd: Mpd, url: string): Promise<WatchedSummary> {
  const reading = await checkClocks(run, mpd, url);
  if (reading) {
    run.clockOffsetMs = reading.offsetMs;
    run.clockUncertaintyMs = reading.uncertaintyMs;
  }
  const mpds = new MpdFollower(run, url, mpd);
  // The headers of the MPD, and whether it is still the same, are of interest from the start.
  await mpds.refresh();
  const boundaries = new BoundaryBoard();
  const keys = keysOf(mpds.current, run.nowMs()).slice(0, MAX_REPRESENTATIONS);
  const followers = keys.map((key) => ({ ...key, follower: new LiveFollower(run, mpds, key, boundaries) }));
  await Promise.all([
    mpds.follow(),
    ...followers.map(({ follower }) => follower.follow()),
    ...keys.map((key) => probe(run, mpds.current, key)),
  ]);
  return {
    format: 'dash',
    live: true,
    lowLatency: hasLowLatency(mpd),
    renditions: followers.map(({ representation, kind, follower }) =>
      watched(representation, kind, mpds.updates, follower.totals),
    ),
  };
}

async function probe(run: DashRun, mpd: Mpd, key: FollowedKey): Promise<void> {
  const period = periodAt(mpd, run.nowMs());
  const placed = period && findRepresentation(period, key);
  if (placed) await probeWindow(run, mpd, placed);
}

/** Everything there is to follow in the Period of this moment. */
function keysOf(mpd: Mpd, nowMs: number): (FollowedKey & { readonly kind: ContentKind })[] {
  const period = periodAt(mpd, nowMs);
  return (period?.adaptationSets ?? []).flatMap((set, index) =>
    set.representations.flatMap(({ id }) =>
      id === undefined ? [] : [{ set: set.id ?? `#${index}`, representation: id, kind: set.kind }],
    ),
  );
}

async function readAll(run: DashRun, mpd: Mpd, url: string): Promise<WatchedSummary> {
  await new MpdFollower(run, url, mpd).refresh();
  const boundaries = new BoundaryBoard();
  const read = async (placed: Placed): Promise<WatchedRendition> => {
    const { totals } = await readStatic(run, mpd, placed, boundaries);
    return watched(placed.representation.id ?? placed.representation.place, placed.set.kind, 1, totals);
  };
  const renditions = await Promise.all(placedRepresentations(mpd).slice(0, MAX_REPRESENTATIONS).map(read));
  return { format: 'dash', live: false, lowLatency: false, renditions };
}

function watched(id: string, kind: ContentKind, updates: number, totals: ReadTotals): WatchedRendition {
  return {
    id,
    kind: kind === 'other' ? 'unknown' : kind,
    updates,
    segments: totals.segments,
    parts: totals.chunks,
    mediaSeconds: totals.mediaSeconds,
    bytes: totals.bytes,
  };
}
