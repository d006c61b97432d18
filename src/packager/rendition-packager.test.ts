import { describe, expect, it } from 'vitest';
import { PackagerBench } from '../../test/support/packager-bench.ts';
import {
  audioSamples,
  audioTrack,
  EPOCH_MS,
  interleave,
  timeline,
  VIDEO_TIMESCALE,
  videoSamples,
  videoTrack,
} from '../../test/support/sample-source.ts';
import { windowFaults } from '../../test/support/window-check.ts';
import type { Rendition, WindowChange } from '../stream/live-window.ts';
import type { Sample } from '../stream/track.ts';

/** Frames that last so many milliseconds each, over and over, as a hub gives them that holds one back. */
function unevenFrames(
  seconds: number,
  durationsMs: readonly number[],
  isKey: (n: number) => boolean,
): Sample[] {
  let dts = (EPOCH_MS / 1000) * VIDEO_TIMESCALE;
  const end = dts + seconds * VIDEO_TIMESCALE;
  const samples: Sample[] = [];
  for (let n = 0; dts < end; n++) {
    const duration = (durationsMs[n % durationsMs.length] ?? 33) * 90;
    const data = new Uint8Array(9);
    samples.push({ kind: 'video', dts, pts: dts, duration, key: isKey(n), nextKey: isKey(n + 1), data });
    dts += duration;
  }
  return samples;
}

/** How far what parts say is from what their segment lasts, milliseconds, of every complete segment. */
function partSumErrorsMs({ segments, timescale }: Rendition): number[] {
  return segments
    .filter(({ state }) => state === 'closed')
    .map(({ parts, durationTicks }) => {
      const sum = parts.reduce((total, part) => total + part.durationTicks, 0);
      return (Math.abs(sum - durationTicks) / timescale) * 1000;
    });
}

function unevenBench(durationsMs: readonly number[]): PackagerBench {
  const bench = new PackagerBench();
  bench.packager.begin(timeline({ video: videoTrack({ variable: true, gopFrames: 0 }) }));
  bench.feed(unevenFrames(21, durationsMs, (n) => n % 60 === 0));
  return bench;
}

describe('what parts of uneven frames say', () => {
  it.each([
    ['33 ms and a little', [20, 45, 33, 31, 40, 33, 28]],
    ['up to 58 ms', [58, 8, 33, 50, 17, 58, 58, 30, 41]],
    ['up to 74 ms', [74, 9, 33, 70, 17, 74, 30, 41]],
    ['100 ms each', [100]],
  ])('keeps to PART-TARGET and to the least share of it where frames last %s', (_how, durationsMs) => {
    const bench = unevenBench(durationsMs);
    expect(windowFaults(bench.window, { continuousParts: true })).toEqual([]);
    expect(Math.max(...partSumErrorsMs(bench.rendition('video')))).toBeLessThanOrEqual(20);
  });

  it('is never far from what they hold', () => {
    const { segments } = unevenBench([58, 8, 33, 50, 17, 58, 58, 30, 41]).rendition('video');
    for (const { parts, startTicks, chunks } of segments.filter((segment) => segment.state === 'closed')) {
      expect(parts.at(-1)?.endChunk).toBe(chunks.length);
      let said = startTicks;
      for (const { durationTicks } of parts) said += durationTicks;
      expect(
        Math.abs(said - (segments.find((next) => next.startTicks > startTicks)?.startTicks ?? 0)),
      ).toBeLessThan(20 * 90);
    }
  });

  it('foretells the last part of a segment, and never a part that does not come', () => {
    const bench = new PackagerBench();
    bench.packager.begin(
      timeline({ video: videoTrack({ variable: true, gopFrames: 0 }), audio: audioTrack() }),
    );
    const promised = new Map<string, string>();
    let foretold = 0;
    const look = (change: WindowChange): void => {
      if (change.kind !== 'part') return;
      const { rendition, segment, part } = change;
      const name = `${segment.number}.${part.index}`;
      // A segment that ends sooner than foreseen breaks no promise; a part of the old segment would.
      if (part.index > 0) expect(promised.get(rendition) ?? name).toBe(name);
      promised.set(
        rendition,
        segment.partsForetold ? `${segment.number + 1}.0` : `${segment.number}.${part.index + 1}`,
      );
      if (segment.partsForetold) foretold += 1;
    };
    const video = unevenFrames(13, [58, 8, 33, 50, 17, 58, 25, 30, 41], (n) => n % 56 === 0);
    interleave(video, audioSamples({ seconds: 13 })).forEach((sample, index) => {
      bench.packager.sample(sample);
      if (index === 0) bench.window.subscribe(look);
    });
    expect(foretold).toBeGreaterThanOrEqual(6);
  });
});

describe('frames that are lost', () => {
  it.each([1, 2, 4, 9])('leave what parts say adding up, %d of them', (lost) => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack() }));
    bench.feed(videoSamples({ seconds: 8 }).filter((_, n) => n < 93 || n >= 93 + lost));
    expect(windowFaults(bench.window)).toEqual([]);
    expect(Math.max(...partSumErrorsMs(bench.rendition('video')))).toBeLessThanOrEqual(1);
    expect(bench.window.periods).toHaveLength(1);
  });

  it('before a cut end the segment with what it holds', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack() }));
    bench.feed(videoSamples({ seconds: 8 }).filter((_, n) => n < 114 || n >= 120));
    const { segments } = bench.rendition('video');
    expect(segments.map(({ durationTicks }) => durationTicks / VIDEO_TIMESCALE).slice(0, 3)).toEqual([
      2, 1.8, 2,
    ]);
    expect(Math.max(...partSumErrorsMs(bench.rendition('video')))).toBe(0);
  });
});
