import process from 'node:process';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { EncoderFarm } from '../../src/transcode/encoder-farm.ts';
import { createSpawnEncoder } from '../../src/transcode/spawn-encoder.ts';
import { LADDER } from '../support/encoder-fixture.ts';
import { run } from '../support/ffmpeg.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { makeClip, type OddTag } from '../support/odd-media.ts';
import { OddMediaChain } from '../support/odd-media-chain.ts';
import { decodeServed } from '../support/odd-media-report.ts';
import { RecordingLadder } from '../support/recording-ladder.ts';
import { race, type Runner, seen } from '../support/relay-race.ts';
import { until } from '../support/until.ts';

/**
 * What viewers see where one publisher takes over from another in the middle of its GOP: the picture goes on at the
 * time it was captured. `SABOTAGE=late` publishes the second half a second behind its clock.
 */
const LATE_MS = process.env['SABOTAGE'] === 'late' ? 500 : 0;
const FRAME_MS = 1000 / 30;
const RUNG = '90p';
/** A frame, or what is missing between two when the last one came before those that are shown before it. */
const LONGEST_STAY_MS = { plain: 1.6 * FRAME_MS, reordered: 3.1 * FRAME_MS };

type Kind = 'plain' | 'reordered';
const clips: Record<Kind, { first: OddTag[]; second: OddTag[] }> = {
  plain: { first: [], second: [] },
  reordered: { first: [], second: [] },
};

beforeAll(async () => {
  const clip = (bFrames: number, rate: string) => makeClip({ seconds: 16, size: '320x180', bFrames, rate });
  const [plain, reordered] = await Promise.all([clip(0, '30'), clip(2, '30')]);
  clips.plain = { first: plain, second: differing(plain) };
  clips.reordered = { first: reordered, second: differing(reordered) };
});

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

/** The same pictures by other bytes: a filler NAL unit behind each. */
function differing(tags: readonly OddTag[]): OddTag[] {
  return tags.map((tag) => {
    if (tag.kind !== 'video' || tag.body[1] !== 1) return tag;
    return { ...tag, body: Uint8Array.from([...tag.body, 0, 0, 0, 3, 12, 0xff, 0x80]) };
  });
}

/** A primary and a backup that is `phaseMs` behind it; the primary is away as told. */
function pair(kind: Kind, phaseMs: number, ...away: Runner['away']): Runner[] {
  const { first, second } = clips[kind];
  const late = second.map((tag) => ({ ...tag, atMs: tag.atMs + LATE_MS }));
  return [
    { role: 'primary', tags: first, startMs: 0, away },
    { role: 'backup', tags: late, startMs: phaseMs, away: [] },
  ];
}

function chainWith(onStream?: (stream: string) => void): OddMediaChain {
  const chain = new OddMediaChain({ gopCacheMs: 60_000, gopCacheFrames: 4000, graceMs: 5000 }, onStream);
  open.push(chain);
  return chain;
}

/** Runs a race and looks at what is served of it. */
async function watch(runners: readonly Runner[]) {
  const chain = chainWith();
  const epochMs = chain.clock.wallMs();
  race(chain, runners);
  const pictures = seen(chain.window, runners, epochMs);
  const decoded = await decodeServed(chain.window, 'video');
  return { chain, pictures, decoded };
}

/** Furthest that a picture on the screen is from when it was captured. */
function worstOffsetMs(pictures: ReturnType<typeof seen>): number {
  return Math.max(
    ...pictures
      .filter(({ shownMs }) => shownMs > 1)
      .map(({ ptsMs, capturedMs }) => Math.abs(ptsMs - capturedMs)),
  );
}

const KINDS: readonly Kind[] = ['plain', 'reordered'];
const PHASES = [333, 1200, 1950, 1990];
const CASES = KINDS.flatMap((kind) => PHASES.map((phaseMs) => ({ kind, phaseMs })));

describe('a backup that takes over in the middle of its GOP', () => {
  it.each(CASES)('goes on in time, and decodes ($kind, $phaseMs ms into it)', async ({ kind, phaseMs }) => {
    const { chain, pictures, decoded } = await watch(pair(kind, phaseMs, [6000, 100_000]));
    expect(chain.hub.stream('cam')?.publisher?.role).toBe('backup');
    expect(pictures.map(({ runner }) => runner).join('')).toMatch(/^0+1+$/);
    const stays = pictures.map(({ shownMs }) => shownMs);
    expect(Math.min(...stays)).toBeGreaterThan(0);
    expect(Math.max(...stays)).toBeLessThan(LONGEST_STAY_MS[kind]);
    // Half a frame for the picture nearest to the seam, and what rounding to milliseconds costs.
    expect(worstOffsetMs(pictures)).toBeLessThan(FRAME_MS / 2 + 2);
    expect(decoded.errors).toEqual([]);
    expect(decoded.frames).toBe(pictures.length);
  });

  it.each(CASES)('has segments that begin with key frames again ($kind, $phaseMs ms)', async (one) => {
    const { chain } = await watch(pair(one.kind, one.phaseMs, [6000, 100_000]));
    const video = chain.window.renditions.find(({ id }) => id === 'video');
    const segments = video?.segments ?? [];
    const seam = segments.findIndex(({ discontinuity }) => discontinuity);
    const after = segments.slice(seam).filter(({ state }) => state === 'closed');
    expect(after.length).toBeGreaterThan(3);
    expect(after.map(({ chunks }) => chunks[0]?.independent)).toEqual(after.map(() => true));
    // The first segment holds a GOP, however short it is: no reason to declare many times the rate.
    expect(video?.peakBps).toBeLessThan(2.5 * (video?.averageBps ?? 0));
    const numbers = segments.map(({ number }) => number);
    expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index));
  });

  it.each(KINDS)('and back, and again: latency does not grow (%s)', async (kind) => {
    const [primary, backup] = pair(kind, 1200, [4000, 6500], [10_000, 20_000]);
    if (!primary || !backup) throw new Error('no pair');
    const { pictures, decoded } = await watch([primary, { ...backup, away: [[8000, 9000]] }]);
    expect(pictures.map(({ runner }) => runner).join('')).toMatch(/^0+1+0+1+$/);
    expect(worstOffsetMs(pictures)).toBeLessThan(FRAME_MS / 2 + 2);
    expect(Math.max(...pictures.map(({ shownMs }) => shownMs))).toBeLessThan(LONGEST_STAY_MS[kind]);
    expect(decoded.errors).toEqual([]);
  });

  it.each(KINDS)('has sound that goes on beside it (%s)', async (kind) => {
    const { chain } = await watch(pair(kind, 1200, [6000, 100_000]));
    const audio = chain.window.renditions.find(({ id }) => id === 'audio');
    const segments = (audio?.segments ?? []).filter(({ state }) => state === 'closed');
    const holes = segments.slice(1).map((segment, index) => {
      const before = segments[index];
      return before ? segment.startTicks - before.startTicks - before.durationTicks : 0;
    });
    expect(Math.max(...holes.map(Math.abs))).toBeLessThan(0.06 * (audio?.timescale ?? 0));
  });
});

describe('the rung of an encoder', () => {
  it.each(KINDS)('crosses the seam with the source (%s)', async (kind) => {
    const ladder = new RecordingLadder();
    const metrics = new Metrics();
    const chain = chainWith((stream) => farm.attach(stream, ladder));
    const rungs = [{ height: 90, bitrateBps: 100_000 }];
    const farm = new EncoderFarm(
      { ...LADDER, rungs, watchdogMs: 20_000, startTimeoutMs: 20_000 },
      {
        clock: systemClock,
        log: createMemoryLog(),
        metrics,
        source: chain.hub,
        spawn: createSpawnEncoder(process.env, []),
        cores: 2,
        toneMapper: { kind: 'zscale' },
        random: () => 0.5,
        queue: { maxQueueBytes: 64 * 1024 * 1024, maxQueueSamples: 8192 },
      },
    );
    open.push(farm);
    const epochMs = chain.clock.wallMs();
    const runners = pair(kind, 1200, [6000, 100_000]);
    race(chain, runners);
    const pictures = seen(chain.window, runners, epochMs);
    chain.hub.kick('cam');
    await until(() => ladder.rung(RUNG).flushes >= 2, 'the rung at its end', 30_000);
    const shown = pictures.filter(({ shownMs }) => shownMs > 1).map(({ ptsMs }) => Math.round(ptsMs * 90));
    expect(ladder.pts(RUNG)).toEqual(shown);
    const seam = pictures.find(({ runner, shownMs }) => runner === 1 && shownMs > 1);
    expect(ladder.keys(RUNG)).toContain(Math.round((seam?.ptsMs ?? 0) * 90));
    const { stderr, stdout } = await run(
      'ffmpeg',
      [
        ...['-hide_banner', '-nostats', '-loglevel', 'error', '-err_detect', 'explode', '-copyts'],
        ...['-f', 'mp4', '-i', 'pipe:0', '-fps_mode', 'passthrough', '-f', 'framemd5', 'pipe:1'],
      ],
      { stdin: ladder.file(RUNG) },
    );
    expect(stderr).toBe('');
    const decoded = stdout
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(decoded).toHaveLength(shown.length);
  });
});
