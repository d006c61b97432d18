import { describe, expect, it } from 'vitest';
import { type ParsedPlaylist, type ParsedSegment, parsePlaylist } from '../../../test/support/playlist.ts';
import {
  DEFAULT_AUDIO,
  DEFAULT_VIDEO,
  type ModelOptions,
  WindowModel,
} from '../../../test/support/window-model.ts';
import { renderMediaPlaylist } from './media-playlist.ts';

/**
 * Long simulated runs, every version of every playlist read back and compared with the one before it (checklist 1.11,
 * 1.12, 2.x, 6.1, 7.1, 8.x). The rules are written here a second time, on parsed text.
 */

const RUN_MS = 150_000;

/** A repeatable source of events. */
function randomSource(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A broadcast's life: outages, re-anchored grids, codec changes, missing key frames, and the end. */
function live(window: WindowModel, seed: number): void {
  const random = randomSource(seed);
  const endMs = window.clock.wallMs() + RUN_MS;
  window.run(5000);
  while (window.clock.wallMs() < endMs) {
    window.run(3000 + random() * 25_000);
    const event = random();
    if (event < 0.3) {
      window.away().run(random() * 14_000);
      window.resume(random() < 0.5 ? 640 : undefined);
    } else if (event < 0.5) window.reanchor(Math.floor(random() * 3));
    else if (event < 0.65) window.retrack(640 + Math.floor(random() * 640));
    else if (event < 0.75) window.dependentNext = true;
  }
  window.run(4000).end();
}

type Scenario = readonly [name: string, options: ModelOptions, seed: number];

const SCENARIOS: readonly Scenario[] = [
  ['30 fps and 48 kHz', { video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO, windowSeconds: 30 }, 1],
  [
    '25 fps with short last parts, audio 0.6 s late',
    {
      video: { frameTicks: 3600, segmentFrames: 50, partFrames: 8 },
      audio: DEFAULT_AUDIO,
      audioLateMs: 600,
      windowSeconds: 16,
    },
    2,
  ],
  [
    '29.97 fps and 44.1 kHz, segments opened early',
    {
      video: { frameTicks: 3003, segmentFrames: 60, partFrames: 10 },
      audio: { sampleRate: 44_100, partFrames: 14 },
      eagerOpen: true,
      windowSeconds: 60,
    },
    3,
  ],
  [
    '59.94 fps alone',
    { video: { frameTicks: 1501.5, segmentFrames: 120, partFrames: 20 }, windowSeconds: 20 },
    4,
  ],
  ['audio alone', { audio: { sampleRate: 44_100, partFrames: 14 }, windowSeconds: 20 }, 5],
];

interface Snapshot {
  readonly text: string;
  readonly playlist: ParsedPlaylist;
  readonly state: WindowModel['state'];
}

/** Runs the scenario and hands every snapshot of every rendition to `check` with the one before it. */
function eachSnapshot(
  [, options, seed]: Scenario,
  check: (now: Snapshot, before: Snapshot | undefined, window: WindowModel, id: string) => void,
): void {
  const window = new WindowModel(options);
  const before = new Map<string, Snapshot>();
  window.onChange = () => {
    if (!window.published) return;
    for (const rendition of window.renditions) {
      const text = renderMediaPlaylist(window, rendition);
      if (before.get(rendition.id)?.text === text) continue;
      const now = { text, playlist: parsePlaylist(text), state: window.state };
      check(now, before.get(rendition.id), window, rendition.id);
      before.set(rendition.id, now);
    }
  };
  live(window, seed);
}

/** `expect` costs too much for millions of comparisons. */
function same(is: unknown, was: unknown, what: string): void {
  if (is !== was) throw new Error(`${what}: ${String(is)}, was or should be ${String(was)}`);
}

function all({ segments, open }: ParsedPlaylist): readonly ParsedSegment[] {
  return open ? [...segments, open] : segments;
}

/** The index of the last part a rendition lists, from the model (parts of an old segment are no longer in text). */
function lastInModel(window: WindowModel, id: string): { msn: number; part: number } {
  const segments = window.rendition(id).segments.filter((s) => s.state !== 'open' || s.parts.length > 0);
  const last = segments.at(-1);
  return { msn: last?.number ?? 0, part: last?.parts.at(-1)?.index ?? 0 };
}

describe.each(SCENARIOS)('over two and a half minutes of %s', (...scenario) => {
  it('only makes the edits that a playlist may see between reloads', () => {
    let snapshots = 0;
    eachSnapshot(scenario, (now, before) => {
      snapshots++;
      if (before) expectAllowedEdit(before.playlist, now.playlist);
    });
    expect(snapshots).toBeGreaterThan(250);
  });

  it('keeps the parts within their target, long enough, and near the edge', () => {
    eachSnapshot(scenario, ({ playlist }, _before, window) => {
      const { partTarget, targetDuration } = playlist;
      let ageSeconds = 0;
      for (const segment of all(playlist).toReversed()) {
        for (const part of segment.parts.toReversed()) {
          ageSeconds += part.duration;
          if (ageSeconds > 3 * targetDuration + 0.001)
            throw new Error('part listed beyond 3 target durations');
        }
        if (segment.parts.length === 0) ageSeconds += segment.duration ?? 0;
        expectPartRules(segment, partTarget);
      }
      const control = (name: string): number => Number(playlist.serverControl.get(name));
      if (!(control('PART-HOLD-BACK') >= 3 * partTarget)) throw new Error('PART-HOLD-BACK');
      if (!(control('CAN-SKIP-UNTIL') >= 6 * targetDuration)) throw new Error('CAN-SKIP-UNTIL');
      if (!(control('HOLD-BACK') >= 3 * targetDuration)) throw new Error('HOLD-BACK');
      same(targetDuration, window.plan.targetDurationSeconds, 'TARGETDURATION');
      same(partTarget, window.plan.partTargetSeconds, 'PART-TARGET');
    });
  });

  it('hints the very part that is listed next', () => {
    let met = 0;
    eachSnapshot(scenario, (now, before) => {
      if (!before || before.state !== 'live' || now.state !== 'live') {
        if (now.state !== 'live') same(now.playlist.hint, undefined, 'hint');
        return;
      }
      const old = new Set(all(before.playlist).flatMap((segment) => segment.parts.map((part) => part.uri)));
      const added = all(now.playlist).flatMap((segment) =>
        segment.parts.filter((part) => !old.has(part.uri)),
      );
      if (added[0] === undefined) return;
      met++;
      same(added[0].uri, before.playlist.hint, 'hinted part');
    });
    expect(met).toBeGreaterThan(200);
  });

  it('dates segments as a chain, equal across renditions to a frame', () => {
    const frameMs = 1000 / 29;
    eachSnapshot(scenario, ({ playlist }, _before, window, id) => {
      const segments = all(playlist);
      segments.forEach((segment, i) => {
        const next = segments[i + 1];
        if (!next || next.discontinuity || segment.duration === undefined) return;
        const step = next.dateMs - segment.dateMs;
        if (Math.abs(step - segment.duration * 1000) > frameMs) throw new Error(`date step ${step}`);
      });
      const other = window.renditions.find((rendition) => rendition.id !== id);
      if (!other) return;
      const peers = new Map(
        parsePlaylist(renderMediaPlaylist(window, other)).segments.map((segment) => [segment.msn, segment]),
      );
      for (const segment of playlist.segments) {
        const peer = peers.get(segment.msn);
        if (!peer || segment.gap || peer.gap) continue;
        if (Math.abs(peer.dateMs - segment.dateMs) > frameMs)
          throw new Error('dates part between renditions');
        same(peer.discontinuityNumber, segment.discontinuityNumber, 'discontinuity number');
        same(peer.discontinuity, segment.discontinuity, 'discontinuity');
      }
    });
  });

  it('adds up: EXTINF over any run of segments is the real duration to a frame', () => {
    eachSnapshot(scenario, ({ playlist }, _before, window, id) => {
      const { timescale, segments } = window.rendition(id);
      let sum = 0;
      let startTicks: number | undefined;
      for (const segment of playlist.segments) {
        const real = segments[segment.msn - (segments[0]?.number ?? 0)];
        if (!real) throw new Error('listed segment is not held');
        if (segment.discontinuity || startTicks === undefined) {
          sum = 0;
          startTicks = real.startTicks;
        }
        sum += segment.duration ?? 0;
        const realSeconds = (real.startTicks + real.durationTicks - startTicks) / timescale;
        if (Math.abs(sum - realSeconds) > 0.001) throw new Error(`EXTINF off by ${sum - realSeconds}`);
        if (Math.round(segment.duration ?? 0) > playlist.targetDuration) throw new Error('TARGETDURATION');
      }
    });
  });

  it('reports for the other rendition what its own playlist says', () => {
    eachSnapshot(scenario, ({ playlist }, _before, window, id) => {
      const others = window.renditions.filter((rendition) => rendition.id !== id);
      same(
        playlist.reports.map((report) => report.uri).join(),
        others.map((other) => `${other.id}.m3u8`).join(),
        'reports',
      );
      others.forEach((other, i) => {
        const own = parsePlaylist(renderMediaPlaylist(window, other));
        const { msn, part } = playlist.reports[i] ?? { msn: 0, part: 0 };
        const last = lastInModel(window, other.id);
        same(`${msn}.${part}`, `${last.msn}.${last.part}`, 'report');
        same(msn, all(own).at(-1)?.msn, 'LAST-MSN');
      });
    });
  });
});

function expectPartRules(segment: ParsedSegment, partTarget: number): void {
  segment.parts.forEach((part, i) => {
    if (Number(part.durationText) > partTarget) throw new Error(`part of ${part.durationText} s`);
    const last = i === segment.parts.length - 1;
    if (part.duration < 0.85 * partTarget && !part.independent && !last) throw new Error('short part');
  });
  const sum = segment.parts.reduce((total, part) => total + part.duration, 0);
  if (
    segment.parts.length > 0 &&
    segment.duration !== undefined &&
    Math.abs(sum - segment.duration) > 0.001
  ) {
    throw new Error('parts are not their segment');
  }
}

/** What may change between two snapshots of one playlist (6.2.1), segment by segment. */
function expectAllowedEdit(before: ParsedPlaylist, now: ParsedPlaylist): void {
  for (const key of ['version', 'targetDuration', 'serverControlText', 'partTarget'] as const) {
    same(now[key], before[key], key);
  }
  if (before.ended) throw new Error('changed after ENDLIST');
  if (now.mediaSequence < before.mediaSequence) throw new Error('MEDIA-SEQUENCE went back');
  if (now.discontinuitySequence < before.discontinuitySequence)
    throw new Error('DISCONTINUITY-SEQUENCE went back');
  const old = new Map(all(before).map((segment) => [segment.msn, segment]));
  const fresh = new Set(all(now).map((segment) => segment.msn));
  for (const msn of old.keys()) {
    if (msn >= now.mediaSequence && !fresh.has(msn))
      throw new Error(`segment ${msn} vanished from the middle`);
  }
  for (const segment of all(now)) {
    const was = old.get(segment.msn);
    if (was) expectSameSegment(was, segment);
    else if (segment.msn < before.mediaSequence) throw new Error('an old segment came back');
  }
}

function expectSameSegment(was: ParsedSegment, is: ParsedSegment): void {
  const stable = ['discontinuity', 'discontinuityNumber', 'map', 'dateMs', 'gap'] as const;
  for (const key of stable) same(is[key], was[key], key);
  const closed = was.uri !== undefined;
  if (closed) same(`${is.uri} ${is.durationText}`, `${was.uri} ${was.durationText}`, 'segment');
  if (closed && is.parts.length === 0) return;
  if (closed) same(is.parts.length, was.parts.length, 'number of parts');
  was.parts.forEach((part, i) => {
    const now = is.parts[i];
    same(
      `${now?.uri} ${now?.durationText} ${now?.independent}`,
      `${part.uri} ${part.durationText} ${part.independent}`,
      'part',
    );
  });
}
