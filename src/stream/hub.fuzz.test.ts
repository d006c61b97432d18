import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { setUp } from '../../test/support/hub-bench.ts';
import {
  AAC_44K,
  AAC_48K,
  AVC_360P30,
  AVC_720P25,
  accessUnit,
  RTMP_INFO,
  SyntheticSource,
} from '../../test/support/stream-source.ts';

type Act =
  | { readonly kind: 'run' | 'pause' | 'skew' | 'away'; readonly ms: number }
  | { readonly kind: 'mute'; readonly video: boolean; readonly audio: boolean }
  | { readonly kind: 'video' | 'audio'; readonly which: boolean };

const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ kind: fc.constant('run' as const), ms: fc.integer({ min: 10, max: 6000 }) }),
  fc.record({ kind: fc.constant('pause' as const), ms: fc.integer({ min: 10, max: 4000 }) }),
  fc.record({ kind: fc.constant('skew' as const), ms: fc.integer({ min: -20_000, max: 20_000 }) }),
  fc.record({ kind: fc.constant('away' as const), ms: fc.integer({ min: 0, max: 35_000 }) }),
  fc.record({ kind: fc.constant('mute' as const), video: fc.boolean(), audio: fc.boolean() }),
  fc.record({ kind: fc.constantFrom('video' as const, 'audio' as const), which: fc.boolean() }),
);

test('whatever a publisher does, tracks grow, timelines do not overlap, and only declared tracks come', () => {
  fc.assert(
    fc.property(
      fc.array(act, { minLength: 3, maxLength: 14 }),
      fc.constantFrom(25, 30, 30000 / 1001),
      fc.constantFrom(15, 48, 60),
      fc.boolean(),
      (acts, fps, gopFrames, reordered) => {
        const { clock, hub, sinks } = setUp();
        const options = { fps, gopFrames, ...(reordered && { reorder: (place: number) => 1 + (place % 3) }) };
        let publisher = hub.publish('show', RTMP_INFO, () => {});
        let source = new SyntheticSource(clock, publisher, options);
        source.configure();
        for (const step of [...acts, { kind: 'run', ms: 5000 } as const]) {
          if (step.kind === 'run') source.run(step.ms);
          else if (step.kind === 'pause') source.pause(step.ms);
          else if (step.kind === 'skew') source.skewMs += step.ms;
          else if (step.kind === 'mute') source.muted = { video: step.video, audio: step.audio };
          else if (step.kind === 'video') publisher.videoConfig('avc1', step.which ? AVC_360P30 : AVC_720P25);
          else if (step.kind === 'audio') publisher.audioConfig('mp4a', step.which ? AAC_48K : AAC_44K);
          else if (step.kind === 'away') {
            publisher.close('disconnected');
            clock.advance(step.ms);
            publisher = hub.publish('show', RTMP_INFO, () => {});
            source = new SyntheticSource(clock, publisher, options);
            source.configure();
          }
        }
        hub.close();
        expect(clock.pendingTimers).toBe(0);
        // The sinks throw on any overlap; here only that a healthy tail reached the last one.
        if (acts.every(({ kind }) => kind === 'run'))
          expect(sinks.at(-1)?.samples('video').length).toBeGreaterThan(0);
      },
    ),
    { numRuns: 150 },
  );
}, 60_000);

test('random samples with random clocks never throw and never break a track', () => {
  const sample = fc.record({
    video: fc.boolean(),
    key: fc.boolean(),
    dts: fc.oneof(fc.nat(2 ** 32 - 1), fc.nat(20_000)),
    offset: fc.oneof(fc.constant(0), fc.integer({ min: -(2 ** 23), max: 2 ** 23 })),
    waitMs: fc.integer({ min: 0, max: 400 }),
    bytes: fc.oneof(fc.constant(undefined), fc.uint8Array({ maxLength: 12 })),
  });
  fc.assert(
    fc.property(fc.array(sample, { minLength: 20, maxLength: 200 }), (samples) => {
      const { clock, hub } = setUp();
      const publisher = hub.publish('show', RTMP_INFO, () => {});
      publisher.videoConfig('avc1', AVC_360P30);
      publisher.audioConfig('mp4a', AAC_48K);
      samples.forEach(({ video, key, dts, offset, waitMs, bytes }, index) => {
        clock.advance(waitMs);
        publisher.write({
          kind: video ? 'video' : 'audio',
          dts,
          compositionOffset: offset,
          key,
          data: bytes ?? accessUnit(key, index),
        });
      });
      hub.close();
      expect(clock.pendingTimers).toBe(0);
    }),
    { numRuns: 200 },
  );
}, 60_000);
