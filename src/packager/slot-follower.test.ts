import { expect, it } from 'vitest';
import { PackagerBench } from '../../test/support/packager-bench.ts';
import {
  audioSamples,
  audioTrack,
  interleave,
  timeline,
  videoSamples,
  videoTrack,
} from '../../test/support/sample-source.ts';
import { windowFaults } from '../../test/support/window-check.ts';

it('keeps TARGETDURATION where sound ran on behind the picture when the publisher went', async () => {
  const bench = new PackagerBench();
  bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
  bench.feed(interleave(videoSamples({ seconds: 5.99 }), audioSamples({ seconds: 6.52 })));
  bench.packager.away();
  expect(windowFaults(bench.window)).toEqual([]);
  const last = bench.rendition('audio').segments.findLast(({ state }) => state === 'closed');
  expect((last?.durationTicks ?? 0) / 48_000).toBeGreaterThan(2.3);
  expect(await bench.metric('packager_dropped_samples_total', { reason: 'held_too_long' })).toBe(1);
});
