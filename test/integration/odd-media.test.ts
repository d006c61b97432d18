import process from 'node:process';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  backwards,
  chained,
  corrupted,
  duplicated,
  followedBy,
  frames,
  gap,
  isHeader,
  jump,
  late,
  makeClip,
  type Mutator,
  noKeyAtAll,
  noSequenceHeader,
  type OddTag,
  offset,
  pause,
  resetClock,
  same,
  signMasked,
  stops,
  uneven,
  without,
} from '../support/odd-media.ts';
import { OddMediaChain } from '../support/odd-media-chain.ts';
import { decodeServed, reportServed } from '../support/odd-media-report.ts';
import { FakePresentation, told } from '../support/presentation.ts';
import { windowFaults } from '../support/window-check.ts';

/**
 * What broadcasters really send, through the whole server from the RTMP message to the HTTP answer, on a clock of its
 * own. `SABOTAGE` breaks what is measured, to see each test fail: `lose-frames`, `shift-audio`, `break-bytes`, `stall`,
 * or `heal`, which sends what is to be refused without its fault.
 */
const SABOTAGE = process.env['SABOTAGE'] ?? '';

/** From here on there is something to watch. */
const WATCH_FROM_MS = 4500;
const CLIP_SECONDS = 12;
const FRAME_MS = 1000 / 30;

const clips: Record<'plain' | 'reordered' | 'larger' | 'short', OddTag[]> = {
  plain: [],
  reordered: [],
  larger: [],
  short: [],
};

beforeAll(async () => {
  [clips.plain, clips.reordered, clips.larger, clips.short] = await Promise.all([
    makeClip({ seconds: CLIP_SECONDS }),
    makeClip({ seconds: CLIP_SECONDS, bFrames: 3 }),
    makeClip({ seconds: 6, size: '320x180', noise: 8 }),
    makeClip({ seconds: 6 }),
  ]);
});

const chains: OddMediaChain[] = [];
afterEach(() => {
  for (const chain of chains.splice(0)) expect(chain.close(), 'timers left').toBe(0);
});

function openChain(): OddMediaChain {
  const chain = new OddMediaChain();
  chains.push(chain);
  return chain;
}

const SABOTAGES: Readonly<Record<string, Mutator>> = {
  'lose-frames': (tags) => tags.filter(({ trueMs, body }) => trueMs < 3000 || (body[30] ?? 0) % 16 !== 0),
  'shift-audio': (tags) =>
    tags.map((tag) =>
      tag.kind === 'audio' && tag.trueMs > 3000
        ? { ...tag, timestampMs: (tag.timestampMs + 120) >>> 0 }
        : tag,
    ),
  'break-bytes': corrupted(0.001, 1, 3000),
  stall: (tags) => tags.filter(({ trueMs }) => trueMs < 5000 || trueMs > 9000),
};

const sabotaged: Mutator = SABOTAGES[SABOTAGE] ?? ((tags) => [...tags]);

interface WatchOptions {
  readonly manifest?: string | undefined;
  /** Rules of the validator that the fault itself breaks. */
  readonly tolerated?: readonly string[] | undefined;
}

/** Plays it to its end, watching it by the rules of LL-HLS. */
async function playAndWatch(tags: readonly OddTag[], options: WatchOptions = {}): Promise<OddMediaChain> {
  const { manifest = 'index.m3u8', tolerated = [] } = options;
  const chain = openChain();
  chain.playTags(sabotaged(tags));
  chain.runTo(WATCH_FROM_MS);
  const endMs = Math.max(...tags.map(({ atMs }) => atMs));
  const watched = new FakePresentation(chain);
  const { findings } = await watched.validate(manifest, (endMs - WATCH_FROM_MS - 1000) / 1000);
  const broken = findings.filter(({ severity, rule }) => severity === 'error' && !tolerated.includes(rule));
  expect(told({ findings: broken })).toEqual([]);
  chain.runTo(endMs + 100);
  return chain;
}

interface Row {
  readonly id: string;
  readonly name: string;
  readonly clip?: keyof typeof clips;
  readonly mutate: Mutator;
  /** Longest time without a picture that is allowed; half a second of F16 unless the fault itself is longer. */
  readonly holeMs?: number;
  /** Share of the frames that must be served; without it all but two. */
  readonly keptShare?: number;
  readonly manifest?: string;
  readonly tolerated?: readonly string[];
}

/** What comes behind the hole does not begin with a key frame: the source sends none there. */
const NO_KEY_BEHIND = ['media-not-sync'];
/** Media of less than half a second that are lost are missed inside a segment, by time and by what it holds. */
const LOST = ['media-gap', 'hls-part-duration-wrong', 'hls-duration-wrong'];

const ROWS: readonly Row[] = [
  {
    id: 'F15',
    name: 'another resolution',
    clip: 'short',
    mutate: (tags) => followedBy(clips.larger, 6000)(tags),
    keptShare: 0.98,
  },
  {
    id: 'F15',
    name: 'another resolution behind a hole of 49 ms',
    clip: 'short',
    // Without the last sound, which is the same silence in every clip.
    mutate: (tags) =>
      followedBy(
        clips.larger.filter((tag) => tag.kind === 'video' || isHeader(tag) || tag.trueMs < 5990),
        6049,
      )(tags),
    keptShare: 0.98,
  },
  ...[5, 60, 600, 86_400].map((seconds) => ({
    id: 'F16',
    name: `a clock that jumps ${seconds} s ahead`,
    mutate: jump(6100, seconds * 1000),
  })),
  {
    id: 'F16',
    name: 'a clock that jumps 600 s, in DASH',
    mutate: jump(6100, 600_000),
    manifest: 'index.mpd',
  },
  { id: 'F17', name: 'a clock that jumps 3 s back', mutate: jump(7000, -3000), keptShare: 0.98 },
  { id: 'F17', name: 'a clock that begins at 0 again', mutate: resetClock(7000), keptShare: 0.98 },
  ...[2 ** 24, 2 ** 31, 2 ** 32].map((wrap) => ({
    id: 'F18',
    name: `a clock that passes 2^${Math.log2(wrap)} ms`,
    mutate: offset(wrap - 6000),
  })),
  {
    id: 'F18',
    name: 'a clock that wraps at 2^31 ms',
    mutate: chained(offset(2 ** 31 - 6000), signMasked()),
  },
  { id: 'F22', name: 'B-frames', clip: 'reordered', mutate: (tags) => [...tags] },
  { id: 'F22', name: 'B-frames and a jump', clip: 'reordered', mutate: jump(6100, 60_000), keptShare: 0.98 },
  { id: 'F22', name: 'every fifth frame twice', mutate: duplicated(5), keptShare: 0.98 },
  { id: 'F22', name: 'every fifth time stamp 40 ms back', mutate: backwards(5, 40), keptShare: 0.98 },
  { id: 'F22', name: 'a variable rate', mutate: uneven(3, 25), keptShare: 0.98 },
  { id: 'F22', name: 'a rate that varies more', mutate: uneven(5, 45), keptShare: 0.98 },
  {
    id: 'F23',
    name: 'nothing for 2 s',
    mutate: gap(6100, 2000),
    holeMs: 2000 + 50,
    tolerated: NO_KEY_BEHIND,
  },
  { id: 'F23', name: 'nothing until a key frame', mutate: gap(6100, 1900), holeMs: 1900 + 50 },
  { id: 'F23', name: 'nothing for 4 s until a key frame', mutate: gap(6100, 3900), holeMs: 3900 + 50 },
  {
    id: 'F23',
    name: 'nothing for 2 s, at a variable rate',
    mutate: chained(uneven(3, 25), gap(6100, 2000)),
    keptShare: 0.98,
    holeMs: 2000 + 100,
    tolerated: NO_KEY_BEHIND,
  },
  {
    id: 'F23',
    name: 'no picture for 1.9 s',
    mutate: pause('video', 6100, 1900),
    holeMs: 1900 + 50,
    // No part has a picture while none is sent.
    tolerated: ['hls-part-late'],
  },
  {
    id: 'F23',
    name: 'no sound for 2 s',
    mutate: pause('audio', 6100, 2000),
    holeMs: 2000 + 50,
  },
  { id: 'F23', name: 'nothing for 130 ms', mutate: gap(6100, 130), tolerated: LOST },
];

describe('odd media', () => {
  it.each(ROWS)('$id: $name: is served whole, in step, and decodes', async (row) => {
    const tags = row.mutate(clips[row.clip ?? 'plain']);
    const chain = await playAndWatch(tags, row);
    const report = reportServed(chain.window, tags);
    for (const kind of ['video', 'audio'] as const) {
      const wanted = row.keptShare === undefined ? report.sent[kind] - 2 : report.sent[kind] * row.keptShare;
      expect(report.kept[kind], `${kind} frames kept of ${report.sent[kind]}`).toBeGreaterThanOrEqual(wanted);
      expect(report.surplus[kind], `${kind} frames too many`).toBeLessThanOrEqual(2);
      expect(report.longestHoleMs[kind], `hole in ${kind}`).toBeLessThanOrEqual(row.holeMs ?? 500);
    }
    expect(report.avOffsetMs, 'between sound and picture').toBeLessThanOrEqual(50);
    expect(report.backwardSteps).toBe(0);
    expect(chain.publishedAtMs).toBeLessThanOrEqual(3000);
    expect(windowFaults(chain.window, { continuousParts: false })).toEqual([]);
    const decoded = await decodeServed(chain.window, 'video');
    expect(decoded.errors).toEqual([]);
    expect(decoded.frames).toBe(report.kept.video + report.surplus.video);
    expect((await decodeServed(chain.window, 'audio')).errors).toEqual([]);
    expect(chain.closings).toEqual([]);
  });
});

interface Missing {
  readonly name: string;
  readonly mutate: Mutator;
  /** The track that is never to stall. */
  readonly steady: 'video' | 'audio';
}

const MISSING: readonly Missing[] = [
  { name: 'no audio', mutate: without('audio'), steady: 'video' },
  { name: 'no video', mutate: without('video'), steady: 'audio' },
  { name: 'audio 5 s late', mutate: late('audio', 5000), steady: 'video' },
  { name: 'audio that stops', mutate: stops('audio', 6000), steady: 'video' },
  { name: 'audio that stops in the middle of a segment', mutate: stops('audio', 6469), steady: 'video' },
  { name: 'video that stops', mutate: stops('video', 6000), steady: 'audio' },
  { name: 'video that stops in the middle of a segment', mutate: stops('video', 6469), steady: 'audio' },
];

describe('F19: a missing track', () => {
  it.each(MISSING)('$name: the other starts within 3 s and never stalls', async ({ mutate, steady }) => {
    const tags = mutate(clips.plain);
    const chain = await playAndWatch(tags);
    expect(chain.publishedAtMs).toBeLessThanOrEqual(3000);
    const report = reportServed(chain.window, tags);
    expect(report.kept[steady]).toBeGreaterThanOrEqual(report.sent[steady] - 2);
    expect(report.longestHoleMs[steady]).toBeLessThanOrEqual(2 * FRAME_MS);
    expect(report.avOffsetMs).toBeLessThanOrEqual(50);
    expect(windowFaults(chain.window, { continuousParts: false })).toEqual([]);
    expect((await decodeServed(chain.window, steady)).errors).toEqual([]);
  });

  it('is heard once it comes, from the next key frame on', async () => {
    const tags = late('audio', 5000)(clips.plain);
    const chain = await playAndWatch(tags);
    const after = frames(tags, 'audio').filter(({ trueMs }) => trueMs > 6050).length;
    expect(reportServed(chain.window, tags).kept.audio).toBeGreaterThanOrEqual(after);
  });
});

interface Refused {
  readonly id: string;
  readonly name: string;
  readonly mutate: Mutator;
  readonly code: string;
  /** Counted from the first media. */
  readonly withinMs: number;
}

const REFUSED: readonly Refused[] = [
  {
    id: 'F20',
    name: 'no key frame at all',
    mutate: noKeyAtAll(),
    code: 'STREAM_NO_KEY_FRAME',
    withinMs: 20_100,
  },
  {
    id: 'F21',
    name: 'no sequence header',
    mutate: noSequenceHeader(),
    code: 'STREAM_NO_SEQUENCE_HEADER',
    withinMs: 5100,
  },
  {
    id: 'F22',
    name: 'one and the same time stamp',
    mutate: same(),
    code: 'STREAM_TIMESTAMPS_STUCK',
    withinMs: 8000,
  },
];

/** The clip again and again on one clock, for as long as a patient server listens. */
function looped(tags: readonly OddTag[], times: number): OddTag[] {
  const again = (time: number): Mutator => followedBy(tags, (time + 1) * CLIP_SECONDS * 1000);
  return chained(...Array.from({ length: times - 1 }, (_, time) => again(time)))(tags);
}

describe('media that can never be played', () => {
  it.each(REFUSED)('$id: $name: is refused with the reason', async ({ mutate, code, withinMs }) => {
    const chain = openChain();
    const heal = SABOTAGE === 'heal';
    chain.playTags(heal ? looped(clips.plain, 2) : mutate(looped(clips.plain, 2)));
    chain.runTo(withinMs);
    expect(chain.closings[0]?.reason).toBe(code);
    expect(chain.closings[0]?.atMs).toBeLessThanOrEqual(withinMs);
    expect(await chain.metric('stream_publishers_closed_total', { code })).toBeGreaterThanOrEqual(1);
  });
});

describe('F20: a GOP of 30 s', () => {
  it('is warned of and counted, cut into segments of twice the target at most, and decodes', async () => {
    const clip = await makeClip({ seconds: 34, gop: 900 });
    const tags = SABOTAGE === 'heal' ? looped(clips.plain, 3) : clip;
    const chain = await playAndWatch(tags);
    expect(await chain.metric('stream_long_gops_total')).toBe(1);
    const { window } = chain;
    const longest = Math.max(
      ...window.renditions.flatMap(({ segments, timescale }) =>
        segments.map(({ durationTicks }) => durationTicks / timescale),
      ),
    );
    expect(longest).toBeLessThanOrEqual(2 * window.plan.targetDurationSeconds);
    const report = reportServed(window, clip);
    expect(report.kept.video).toBeGreaterThanOrEqual(report.sent.video - 2);
    expect((await decodeServed(window, 'video')).errors).toEqual([]);
  });
});

describe('F24: bits that flip', () => {
  const rates = [0.0001, 0.001, 0.01];
  const SEEDS = 10;
  /** Decoding costs more than all the rest. */
  const DECODED_SEEDS = 2;

  it.each(rates)('at %f of them the stream lives on, and is clean again within a GOP', async (rate) => {
    for (let seed = 0; seed < SEEDS; seed++) await survive(rate, seed);
  });

  async function survive(rate: number, seed: number): Promise<void> {
    const [fromMs, toMs] = [4100, 7000];
    const damaged = corrupted(rate, seed, fromMs, SABOTAGE === 'break-bytes' ? undefined : toMs)(clips.plain);
    const chain = openChain();
    const startedMs = performance.now();
    chain.playTags(damaged);
    chain.runTo(CLIP_SECONDS * 1000 + 100);
    expect(performance.now() - startedMs, 'hung').toBeLessThan(10_000);
    expect(windowFaults(chain.window, { continuousParts: false })).toEqual([]);
    // The next key frame comes at 8 s; a publisher that was let go for its bytes needs one more to be back.
    const cleanMs = chain.closings.length > 0 ? 10_000 : 8000;
    const clean = (kind: 'video' | 'audio') =>
      frames(clips.plain, kind).filter(({ trueMs }) => trueMs >= cleanMs - 5);
    const report = reportServed(chain.window, [...clean('video'), ...clean('audio')]);
    expect(report.kept.video, `seed ${seed}`).toBeGreaterThanOrEqual(report.sent.video - 2);
    expect(report.kept.audio, `seed ${seed}`).toBeGreaterThanOrEqual(report.sent.audio - 4);
    if (seed >= DECODED_SEEDS) return;
    const { hashes } = await decodeServed(chain.window, 'video');
    const whole = await cleanHashes();
    expect(hashes.slice(-report.sent.video)).toEqual(whole.slice(-report.sent.video));
  }

  /** What a decoder makes of the clip when nothing happens to it. */
  let known: readonly string[] | undefined;
  async function cleanHashes(): Promise<readonly string[]> {
    if (known === undefined) {
      const chain = openChain();
      chain.playTags(clips.plain);
      chain.runTo(CLIP_SECONDS * 1000 + 100);
      known = (await decodeServed(chain.window, 'video')).hashes;
      expect(known).toHaveLength(frames(clips.plain, 'video').length);
    }
    return known;
  }
});
