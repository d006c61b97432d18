import { describe, expect, it } from 'vitest';
import { RecordingLadder } from '../../test/support/recording-ladder.ts';
import { videoSamples, videoTrack } from '../../test/support/sample-source.ts';
import { Metrics } from '../base/metrics.ts';
import { RungDelivery } from './rung-delivery.ts';
import { TranscodeMetrics } from './transcode-metrics.ts';

const TOP = { id: '480p', width: 854, height: 480, bitrateBps: 1 };
const LOW = { id: '240p', width: 426, height: 240, bitrateBps: 1 };
const FRAMES = videoSamples({ seconds: 1, isKey: (frame) => frame % 10 === 0 });

function open() {
  const metrics = new Metrics();
  const sink = new RecordingLadder();
  const delivery = new RungDelivery(sink, new TranscodeMetrics(metrics));
  const give = (from: number, to: number): void => {
    for (const frame of FRAMES.slice(from, to)) delivery.sample(TOP, frame);
  };
  /** Which frames the rung got. */
  const got = (): number[] => sink.pts('480p').map((pts) => FRAMES.findIndex((frame) => frame.pts === pts));
  return { metrics, sink, delivery, give, got };
}

describe('the delivery of rungs', () => {
  it('begins with a key frame, and again when told so', () => {
    const { delivery, give, got } = open();
    delivery.track(TOP, videoTrack());
    give(8, 12);
    delivery.awaitKey(TOP);
    give(12, 22);
    expect(got()).toEqual([10, 11, 20, 21]);
  });

  it('never gives a frame twice or goes back, and counts what it left out', async () => {
    const { metrics, delivery, give, got } = open();
    delivery.track(TOP, videoTrack());
    give(0, 5);
    give(0, 8);
    expect(got()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(await metrics.registry.metrics()).toContain('frames_dropped_total{cause="behind"} 5');
  });

  it('says what the frames are before them, of each encoder anew', () => {
    const { sink, delivery, give } = open();
    delivery.track(TOP, videoTrack());
    expect(sink.rung('480p').tracks).toEqual([]);
    give(0, 5);
    delivery.track(TOP, videoTrack());
    give(5, 10);
    expect(sink.rung('480p').tracks).toHaveLength(2);
    const other = videoTrack({ fps: 25 });
    delivery.track(TOP, other);
    expect(sink.rung('480p').tracks).toHaveLength(2);
    give(10, 12);
    expect(sink.rung('480p').tracks.at(-1)).toEqual(other);
  });

  it('knows the last frame that all rungs have', () => {
    const { delivery, give } = open();
    delivery.track(TOP, videoTrack());
    delivery.track(LOW, videoTrack());
    give(0, 5);
    expect(delivery.lowestPts([TOP, LOW])).toBeUndefined();
    for (const frame of FRAMES.slice(0, 3)) delivery.sample(LOW, frame);
    expect(delivery.lowestPts([TOP, LOW])).toBe(FRAMES[2]?.pts);
    delivery.joinAt(LOW, [TOP]);
    expect(delivery.lowestPts([TOP, LOW])).toBe(FRAMES[4]?.pts);
  });

  it('gives nothing once it is closed', () => {
    const { sink, delivery, give } = open();
    delivery.track(TOP, videoTrack());
    delivery.close();
    give(0, 5);
    delivery.expect([TOP]);
    delivery.flushed([TOP]);
    expect([sink.pts('480p'), sink.expected, sink.rung('480p').flushes]).toEqual([[], [], 0]);
  });
});
