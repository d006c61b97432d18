import { describe, expect, test } from 'vitest';
import { running, setUp, START_MS } from '../../test/support/hub-bench.ts';
import {
  AAC_44K,
  AAC_48K,
  AVC_1080P2997,
  AVC_360P30,
  AVC_720P25,
  accessUnit,
  frameNumber,
  RTMP_INFO,
} from '../../test/support/stream-source.ts';
import type { Sample } from './track.ts';

function epochMs(sample: Sample, timescale = 90_000): number {
  return (sample.dts / timescale) * 1000;
}

/** Gaps between samples in ticks: 0 where the track is continuous. */
function holes(samples: readonly Sample[]): number[] {
  return samples.slice(1).flatMap((sample, index) => {
    const before = samples[index];
    const hole = before ? sample.dts - before.dts - before.duration : 0;
    return hole === 0 ? [] : [hole];
  });
}

function expectEveryFrame(samples: readonly Sample[], from: number, to: number): void {
  expect(samples.map(frameNumber)).toEqual(Array.from({ length: to - from }, (_, index) => from + index));
}

describe('start', () => {
  test('media time is wall-clock time, nothing is lost, and cadence and GOP are known', () => {
    const { sink, source } = running(3000);
    expect(sink().reasons).toEqual(['start']);
    const [timeline] = sink().timelines;
    expect(timeline?.video).toMatchObject({
      codecString: 'avc1.42c01e',
      width: 640,
      height: 360,
      cadence: { frameTicks: 3000, gopTicks: 180_000 },
    });
    expect(timeline?.audio).toMatchObject({ codecString: 'mp4a.40.2', timescale: 48_000, frameTicks: 1024 });
    expect(timeline?.startMs).toBeCloseTo(START_MS, -0.5);
    const video = sink().samples('video');
    expectEveryFrame(video, 0, source.framesSent);
    expect(holes(video)).toEqual([]);
    expect(holes(sink().samples('audio'))).toEqual([]);
    expect(video[0]?.dts).toBe(video[0]?.pts);
    expect(timeline?.startMs).toBe((video[0]?.dts ?? 0) / 90);
  });

  test('after the warm-up each sample is handed on in the call that brought it', () => {
    const { sink } = running(5000);
    const late = sink().events.flatMap((event) =>
      event.type === 'sample' && event.sample.kind === 'video' && event.atMs > START_MS + 2100
        ? [event.atMs - epochMs(event.sample)]
        : [],
    );
    expect(late.length).toBeGreaterThan(80);
    expect(Math.max(...late)).toBeLessThan(2.5);
  });

  test('it waits for the second key frame, but no longer than 1.3 segments', () => {
    const long = running(2500, { gopFrames: 300 });
    expect(long.sinks).toHaveLength(0);
    long.source.run(200);
    expect(long.sink().timelines[0]?.video?.cadence).toEqual({ frameTicks: 3000, gopTicks: undefined });
    const short = running(1200, { gopFrames: 30 });
    expect(short.sink().timelines[0]?.video?.cadence.gopTicks).toBe(90_000);
  });

  test('the anchor is the least delay, not the first packet’s', () => {
    const { clock, sink, hub } = setUp();
    const publisher = hub.publish('show', RTMP_INFO, () => {});
    publisher.videoConfig('avc1', AVC_360P30);
    // The first 12 frames come together, 400 ms late; then all is on time.
    clock.advance(400);
    for (let frame = 0; frame < 100; frame++) {
      const dts = Math.floor((frame * 1000) / 30);
      if (dts > 400) clock.advance(dts - (clock.wallMs() - START_MS));
      publisher.write({
        kind: 'video',
        dts,
        compositionOffset: 0,
        key: true,
        data: accessUnit(frame % 60 === 0, frame),
      });
    }
    expect(sink().timelines[0]?.startMs).toBeCloseTo(START_MS, -0.5);
  });

  test('frames before the first key frame, and the audio beside them, are left out', () => {
    const { publish, sink, metric } = setUp();
    const { source } = publish({ gopFrames: 30 });
    source.configure();
    source.noKeys = true;
    source.run(500);
    source.noKeys = false;
    source.run(4000);
    const [timeline] = sink().timelines;
    expect(frameNumber(sink().samples('video')[0] as Sample)).toBe(30);
    expect(timeline?.startMs).toBeCloseTo(START_MS + 1000, -0.5);
    const firstAudioMs = epochMs(sink().samples('audio')[0] as Sample, 48_000);
    expect(firstAudioMs).toBeGreaterThanOrEqual(timeline?.startMs ?? 0);
    expect(firstAudioMs - (timeline?.startMs ?? 0)).toBeLessThan(23);
    return expect(metric('stream_samples_dropped_total', { cause: 'before_key' })).resolves.toBe(30);
  });

  test.each([
    ['25', 25, 50, 3600],
    ['29.97', 30000 / 1001, 60, 3003],
    ['59.94', 60000 / 1001, 120, 1501.5],
  ])('%s fps is told exactly and has no hole over a minute', (_name, fps, gopFrames, frameTicks) => {
    const { sink, source } = running(60_000, { fps, gopFrames, sampleRate: 44_100 });
    expect(sink().timelines[0]?.video?.cadence).toEqual({ frameTicks, gopTicks: gopFrames * frameTicks });
    const video = sink().samples('video');
    expectEveryFrame(video, 0, source.framesSent);
    expect(holes(video)).toEqual([]);
    expect(holes(sink().samples('audio'))).toEqual([]);
    expect(sink().timelines[0]?.audio?.timescale).toBe(44_100);
  });

  test.each([
    ['0', 0],
    ['2^24 ms', 2 ** 24 - 1500],
    ['2^31 ms', 2 ** 31 - 1500],
    ['2^32 ms', 2 ** 32 - 1500],
  ])('timestamps that start near %s and wrap are one timeline', (_name, startMs) => {
    const { sink, source } = running(6000, { startMs });
    expect(sink().reasons).toEqual(['start']);
    expectEveryFrame(sink().samples('video'), 0, source.framesSent);
    expect(holes(sink().samples('video'))).toEqual([]);
    expect(sink().timelines[0]?.startMs).toBeCloseTo(START_MS, -0.5);
  });

  test('B-frames keep their order, their place on the grid, and dts = pts at every key frame', () => {
    // I P B B P B B …, offsets in frames.
    const reorder = (place: number): number => (place === 0 ? 1 : (place - 1) % 3 === 0 ? 3 : 0);
    const { sink } = running(5000, { fps: 25, gopFrames: 49, reorder });
    const video = sink().samples('video');
    for (const sample of video.filter(({ key }) => key)) expect(sample.pts).toBe(sample.dts);
    expect(new Set(video.map((sample) => (sample.pts - sample.dts) / 3600))).toEqual(new Set([0, 2, -1]));
    const shown = video.map(({ pts }) => pts).sort((a, b) => a - b);
    expect(new Set(shown).size).toBe(shown.length);
    expect(sink().timelines[0]?.startMs).toBeCloseTo(START_MS + 40, -0.5);
  });

  test('audio and video stay in step as sent: video within 1 ms, audio within half a frame', () => {
    const { sink } = running(30_000, { fps: 30000 / 1001, sampleRate: 44_100 });
    for (const sample of sink().samples('video')) {
      const truth = START_MS + (frameNumber(sample) * 1001) / 30;
      expect(Math.abs(epochMs(sample) - truth)).toBeLessThanOrEqual(2);
    }
    for (const sample of sink().samples('audio')) {
      const truth = START_MS + (frameNumber(sample) * 1_024_000) / 44_100;
      expect(Math.abs(epochMs(sample, 44_100) - truth)).toBeLessThan(11.6);
    }
  });

  test('a variable frame rate is said to be one, and every frame gets its true duration', () => {
    const { clock, hub, sink } = setUp();
    const publisher = hub.publish('show', RTMP_INFO, () => {});
    publisher.videoConfig('avc1', AVC_360P30);
    const steps = [20, 55, 31, 44, 70, 25];
    let dts = 0;
    for (let frame = 0; frame < 200; frame++) {
      publisher.write({
        kind: 'video',
        dts,
        compositionOffset: 0,
        key: true,
        data: accessUnit(frame % 40 === 0, frame),
      });
      const step = steps[frame % steps.length] ?? 0;
      dts += step;
      clock.advance(step);
    }
    publisher.close('unpublished');
    expect(sink().timelines[0]?.video?.cadence).toEqual({ frameTicks: undefined, gopTicks: undefined });
    const video = sink().samples('video');
    expect(video).toHaveLength(200);
    expect(video.slice(0, 199).map(({ duration }) => duration / 90)).toEqual(
      Array.from({ length: 199 }, (_, frame) => steps[frame % steps.length]),
    );
  });
});

describe('tracks', () => {
  test('video alone and audio alone start after the anchor time', () => {
    const video = running(2200, { audio: false });
    expect(video.sink().timelines[0]).toMatchObject({ reason: 'start', audio: undefined });
    const audio = running(1100, { video: false });
    expect(audio.sink().timelines[0]).toMatchObject({ reason: 'start', video: undefined });
    expect(audio.sink().timelines[0]?.startMs).toBeCloseTo(START_MS, -0.5);
    expect(holes(audio.sink().samples('audio'))).toEqual([]);
  });

  test('a track that is announced but does not come is waited for 2 s', () => {
    const { publish, sinks, sink } = setUp();
    const { publisher, source } = publish({ audio: false, gopFrames: 15 });
    publisher.announce({ video: true, audio: true });
    source.configure();
    source.run(1900);
    expect(sinks).toHaveLength(0);
    source.run(200);
    expect(sink().timelines[0]?.audio).toBeUndefined();
  });

  test('audio that comes late joins at the next key frame, and the video runs on', () => {
    const { publish, sink } = setUp();
    const { source } = publish();
    source.configure();
    source.muted = { audio: true };
    source.run(5000);
    source.muted = {};
    source.run(3000);
    expect(sink().reasons).toEqual(['start', 'tracks']);
    const [, joined] = sink().timelines;
    expect(joined?.audio?.timescale).toBe(48_000);
    expect(joined?.startMs).toBeCloseTo(START_MS + 6000, -0.5);
    expect(holes(sink().samples('video'))).toEqual([]);
    expectEveryFrame(sink().samples('video'), 0, source.framesSent);
    expect(epochMs(sink().samples('audio')[0] as Sample, 48_000)).toBeGreaterThanOrEqual(
      joined?.startMs ?? 0,
    );
  });

  test('video that comes late joins at a key frame, with its cadence known', () => {
    const { publish, sink } = setUp();
    const { source } = publish({ fps: 25, gopFrames: 50 });
    source.configure();
    source.muted = { video: true };
    source.run(5000);
    source.muted = {};
    source.run(6000);
    expect(sink().reasons).toEqual(['start', 'tracks']);
    const [, joined] = sink().timelines;
    expect(joined?.video?.cadence).toEqual({ frameTicks: 3600, gopTicks: 180_000 });
    expect(sink().samples('video')[0]?.key).toBe(true);
    expect(holes(sink().samples('audio'))).toEqual([]);
  });

  test('audio that falls silent leaves the timeline, and joins again', () => {
    const { source, sink } = running(5000);
    source.muted = { audio: true };
    source.run(6000);
    expect(sink().reasons).toEqual(['start', 'tracks']);
    expect(sink().timelines.at(-1)?.audio).toBeUndefined();
    source.muted = {};
    source.run(3000);
    expect(sink().timelines.at(-1)?.audio).toBeDefined();
    expectEveryFrame(sink().samples('video'), 0, source.framesSent);
  });

  test('video that falls silent leaves audio alone after 10 s', () => {
    const { source, sink } = running(5000);
    source.muted = { video: true };
    source.run(9500);
    expect(sink().reasons).toEqual(['start']);
    source.run(1000);
    expect(sink().timelines.at(-1)).toMatchObject({ reason: 'tracks', video: undefined });
    expect(holes(sink().samples('audio'))).toEqual([]);
  });

  test('a sequence header sent again changes nothing', () => {
    const { source, sink } = running(3000);
    source.configure();
    source.run(3000);
    expect(sink().reasons).toEqual(['start']);
  });

  test('a new video configuration is a new timeline at its key frame, on the same clock', () => {
    const { publisher, source, sink } = running(3990, { startMs: 0.95 });
    const level31 = AVC_360P30.slice();
    level31[3] = 0x1f;
    level31[11] = 0x1f;
    publisher.videoConfig('avc1', level31);
    source.run(3000);
    expect(sink().reasons).toEqual(['start', 'tracks']);
    const [, changed] = sink().timelines;
    expect(changed?.video).toMatchObject({
      codecString: 'avc1.42c01f',
      cadence: { frameTicks: 3000, gopTicks: 180_000 },
    });
    expect(changed?.startMs).toBeCloseTo(START_MS + 4000, -0.5);
    expectEveryFrame(sink().samples('video'), 0, source.framesSent);
    expect(holes(sink().samples('video'))).toEqual([]);
    expect(holes(sink().samples('audio'))).toEqual([]);
  });

  test('a new configuration that truthfully tells another frame rate changes the cadence', () => {
    const { clock, hub, sink } = setUp();
    const publisher = hub.publish('show', RTMP_INFO, () => {});
    let ms = 0;
    const send = (frames: number, stepMs: number): void => {
      for (let frame = 0; frame < frames; frame++) {
        const data = accessUnit(frame % 50 === 0, frame);
        publisher.write({ kind: 'video', dts: Math.floor(ms + 1e-6), compositionOffset: 0, key: true, data });
        ms += stepMs;
        clock.advance(stepMs);
      }
    };
    publisher.videoConfig('avc1', AVC_720P25);
    send(100, 40);
    publisher.videoConfig('avc1', AVC_360P30);
    send(100, 100 / 3);
    expect(sink().reasons).toEqual(['start', 'tracks']);
    expect(sink().timelines.map((timeline) => timeline.video?.cadence)).toEqual([
      { frameTicks: 3600, gopTicks: 180_000 },
      { frameTicks: 3000, gopTicks: undefined },
    ]);
    expect(sink().samples('video')).toHaveLength(200);
    expect(holes(sink().samples('video'))).toEqual([]);
  });

  test('frames between a new configuration and its key frame are left out', async () => {
    const { publisher, source, sink, metric } = running(3000);
    publisher.videoConfig('avc1', AVC_1080P2997);
    source.run(3000);
    expect(
      sink()
        .samples('video')
        .map(frameNumber)
        .filter((frame) => frame >= 90 && frame < 120),
    ).toEqual([]);
    expect(await metric('stream_samples_dropped_total', { kind: 'video', cause: 'new_timeline' })).toBe(30);
  });

  test('a new audio configuration is a new timeline at the next key frame', () => {
    const { publisher, source, sink } = running(3000);
    publisher.audioConfig('mp4a', AAC_44K);
    source.run(2000);
    expect(sink().reasons).toEqual(['start', 'tracks']);
    expect(sink().timelines.at(-1)?.audio?.timescale).toBe(44_100);
  });

  test('NAL lengths of 2 bytes reach the sink as 4, in the samples and in the configuration', () => {
    const { clock, hub, sink } = setUp();
    const publisher = hub.publish('show', RTMP_INFO, () => {});
    const config = AVC_360P30.slice();
    config[4] = 0xfd;
    publisher.videoConfig('avc1', config);
    for (let frame = 0; frame < 70; frame++) {
      const data = Uint8Array.of(0, 3, frame % 30 === 0 ? 0x65 : 0x41, 1, frame);
      publisher.write({
        kind: 'video',
        dts: Math.floor((frame * 100) / 3),
        compositionOffset: 0,
        key: false,
        data,
      });
      clock.advance(100 / 3);
    }
    expect(sink().timelines[0]?.video?.config).toEqual(AVC_360P30);
    expect(sink().samples('video')[1]?.data).toEqual(Uint8Array.of(0, 0, 0, 3, 0x41, 1, 1));
  });
});

describe('clocks that misbehave', () => {
  test.each([
    ['+5 s', 5000],
    ['+600 s', 600_000],
    ['+86 400 s', 86_400_000],
    ['-3 s', -3000],
    ['-8 s, nearly to zero', -8000],
  ])(
    'a jump of %s is rebased: every frame kept, times run on, a new timeline at the key frame',
    (_name, jumpMs) => {
      const { source, sink } = running(8100);
      source.skewMs = jumpMs;
      source.run(6000);
      expect(sink().reasons).toEqual(['start', 'jump']);
      const video = sink().samples('video');
      expectEveryFrame(video, 0, source.framesSent);
      for (const sample of video) {
        expect(Math.abs(epochMs(sample) - (START_MS + source.videoTimeMs(frameNumber(sample))))).toBeLessThan(
          50,
        );
      }
      for (const sample of sink().samples('audio')) {
        const truth = START_MS + (frameNumber(sample) * 1_024_000) / 48_000;
        expect(Math.abs(epochMs(sample, 48_000) - truth)).toBeLessThan(50);
      }
      expect(sink().samples('audio').length).toBeGreaterThan(14_100 / 21.34 - 5);
    },
  );

  test('a source that loops over and over does not run away from the wall clock', () => {
    const { clock, source, sink } = running(10_000);
    for (let loop = 0; loop < 40; loop++) {
      source.skewMs -= 10_000;
      source.run(10_000);
    }
    expect(sink().reasons.filter((reason) => reason === 'jump')).toHaveLength(40);
    const last = sink().samples('video').at(-1) as Sample;
    expect(Math.abs(clock.wallMs() - epochMs(last) - 33)).toBeLessThan(60);
    expectEveryFrame(sink().samples('video'), 0, source.framesSent);
  });

  test('a jump of one track alone is rebased too, once', () => {
    const { clock, hub, sink } = setUp();
    const publisher = hub.publish('show', RTMP_INFO, () => {});
    publisher.videoConfig('avc1', AVC_360P30);
    publisher.audioConfig('mp4a', AAC_48K);
    for (let frame = 0; frame < 300; frame++) {
      const dts = frame * 40;
      publisher.write({
        kind: 'video',
        dts,
        compositionOffset: 0,
        key: true,
        data: accessUnit(frame % 50 === 0, frame),
      });
      const audioDts = dts + (frame > 200 ? 100_000 : 0);
      publisher.write({
        kind: 'audio',
        dts: audioDts,
        compositionOffset: 0,
        key: true,
        data: Uint8Array.of(frame, 1),
      });
      clock.advance(40);
    }
    expect(sink().reasons).toEqual(['start', 'jump']);
    expectEveryFrame(sink().samples('video'), 0, 300);
    expect(epochMs(sink().samples('audio').at(-1) as Sample, 48_000)).toBeLessThan(clock.wallMs() + 1000);
  });

  test('a real pause keeps presentation times, on the same timeline', () => {
    const { source, sink } = running(5000);
    source.pause(2000);
    source.run(3000);
    expect(sink().reasons).toEqual(['start']);
    const video = sink().samples('video');
    expect(holes(video).map((ticks) => ticks / 90_000)).toEqual([2]);
    expect(epochMs(video.at(-1) as Sample)).toBeCloseTo(
      START_MS + source.videoTimeMs(source.framesSent - 1),
      -0.5,
    );
  });

  test('frames dropped by a sender whose network stalled are a gap, not a jump', () => {
    const { clock, hub, sink } = setUp();
    const publisher = hub.publish('show', RTMP_INFO, () => {});
    publisher.videoConfig('avc1', AVC_360P30);
    const send = (frame: number): void =>
      publisher.write({
        kind: 'video',
        dts: frame * 40,
        compositionOffset: 0,
        key: true,
        data: accessUnit(frame % 50 === 0, frame),
      });
    for (let frame = 0; frame < 200; frame++) {
      send(frame);
      clock.advance(40);
    }
    // 4 s of stall, of which the sender's queue held the first second.
    clock.advance(4000);
    for (let frame = 200; frame < 225; frame++) send(frame);
    for (let frame = 300; frame < 400; frame++) {
      send(frame);
      clock.advance(40);
    }
    expect(sink().reasons).toEqual(['start']);
    expect(holes(sink().samples('video'))).toEqual([75 * 3600]);
  });

  test('missing frames leave whole places empty, repeats are dropped, small steps back lose nothing', async () => {
    const { clock, hub, sink, metric } = setUp();
    const publisher = hub.publish('show', RTMP_INFO, () => {});
    publisher.videoConfig('avc1', AVC_360P30);
    const missing = new Set([100, 101, 150]);
    let sent = 0;
    for (let frame = 0; frame < 300; frame++) {
      if (missing.has(frame)) {
        clock.advance(40);
        continue;
      }
      const dts = frame * 40 - (frame === 200 ? 30 : 0);
      const sample = {
        kind: 'video',
        dts,
        compositionOffset: 0,
        key: true,
        data: accessUnit(frame % 50 === 0, frame),
      } as const;
      publisher.write(sample);
      if (frame % 60 === 7) publisher.write({ ...sample, data: sample.data.slice() });
      sent++;
      clock.advance(40);
    }
    const video = sink().samples('video');
    expect(video).toHaveLength(sent);
    expect(holes(video)).toEqual([2 * 3600, 3600]);
    expect(sink().reasons).toEqual(['start']);
    expect(await metric('stream_samples_dropped_total', { cause: 'duplicate' })).toBe(5);
    expect(await metric('stream_missing_frames_total')).toBe(3);
  });

  test('timestamps that never move close the publisher after 5 s', () => {
    const { clock, hub, closedWith } = setUp();
    const publisher = hub.publish('show', RTMP_INFO, (code) => closedWith.push(code));
    publisher.videoConfig('avc1', AVC_360P30);
    for (let frame = 0; frame < 151; frame++) {
      publisher.write({
        kind: 'video',
        dts: 0,
        compositionOffset: 0,
        key: true,
        data: accessUnit(frame % 50 === 0, frame),
      });
      clock.advance(40);
    }
    expect(closedWith).toEqual(['STREAM_TIMESTAMPS_STUCK']);
    expect(hub.streams()).toEqual([]);
  });

  test('a clock that runs slow is anchored again once it is a second off', () => {
    const { clock, hub, sink } = setUp();
    const publisher = hub.publish('show', RTMP_INFO, () => {});
    publisher.videoConfig('avc1', AVC_360P30);
    // 2 % slow: a second in 50 s.
    for (let frame = 0; frame < 25 * 100; frame++) {
      publisher.write({
        kind: 'video',
        dts: frame * 40,
        compositionOffset: 0,
        key: true,
        data: accessUnit(frame % 50 === 0, frame),
      });
      clock.advance(40.8);
    }
    expect(sink().reasons).toEqual(['start', 'jump']);
    const lag = clock.wallMs() - epochMs(sink().samples('video').at(-1) as Sample);
    expect(lag).toBeLessThan(1500);
    expect(sink().samples('video')).toHaveLength(2500);
  });

  test('a clock that runs fast is anchored again by leaving media out, never by going back', () => {
    const { clock, hub, sink } = setUp();
    const publisher = hub.publish('show', RTMP_INFO, () => {});
    publisher.videoConfig('avc1', AVC_360P30);
    for (let frame = 0; frame < 25 * 200; frame++) {
      publisher.write({
        kind: 'video',
        dts: frame * 40,
        compositionOffset: 0,
        key: true,
        data: accessUnit(frame % 50 === 0, frame),
      });
      clock.advance(39.2);
    }
    expect(sink().reasons.slice(0, 3)).toEqual(['start', 'jump', 'jump']);
    expect(epochMs(sink().samples('video').at(-1) as Sample) - clock.wallMs()).toBeLessThan(2200);
  });

  test('a file pushed ten times too fast does not run away from the wall clock', () => {
    const { clock, hub, sink } = setUp();
    const publisher = hub.publish('show', RTMP_INFO, () => {});
    publisher.videoConfig('avc1', AVC_360P30);
    for (let frame = 0; frame < 25 * 300; frame++) {
      publisher.write({
        kind: 'video',
        dts: frame * 40,
        compositionOffset: 0,
        key: true,
        data: accessUnit(frame % 50 === 0, frame),
      });
      clock.advance(4);
    }
    expect(epochMs(sink().samples('video').at(-1) as Sample) - clock.wallMs()).toBeLessThan(4000);
  });

  test('stepping our wall clock moves nothing', () => {
    const { clock, source, sink } = running(4000);
    clock.stepWall(-3_600_000);
    source.run(4000);
    expect(sink().reasons).toEqual(['start']);
    expectEveryFrame(sink().samples('video'), 0, source.framesSent);
    expect(holes(sink().samples('video'))).toEqual([]);
  });

  test('the drift is shown', async () => {
    const { clock, hub, metric } = setUp();
    const publisher = hub.publish('show', RTMP_INFO, () => {});
    publisher.videoConfig('avc1', AVC_360P30);
    for (let frame = 0; frame < 25 * 40; frame++) {
      publisher.write({
        kind: 'video',
        dts: frame * 40,
        compositionOffset: 0,
        key: true,
        data: accessUnit(frame % 50 === 0, frame),
      });
      clock.advance(40.4);
    }
    expect(await metric('stream_clock_drift_ms')).toBeGreaterThan(50);
    expect(hub.stream('show')?.clockDriftMs).toBeLessThan(410);
  });
});

describe('coming and going', () => {
  test('a publisher back within the grace time resumes the stream, with its GOP remembered', () => {
    const first = running(4000);
    first.publisher.close('disconnected');
    expect(first.sink().signals).toEqual(['begin:start', 'away']);
    first.clock.advance(5000);
    const again = first.publish({ startMs: 77_000 });
    again.source.configure();
    again.source.run(1500);
    expect(first.sinks).toHaveLength(1);
    expect(first.sink().signals).toEqual(['begin:start', 'away', 'begin:resume']);
    const [, resumed] = first.sink().timelines;
    expect(resumed?.startMs).toBeCloseTo(START_MS + 9000, -0.5);
    expect(resumed?.video?.cadence).toEqual({ frameTicks: 3000, gopTicks: 180_000 });
    first.clock.advance(60_000);
    expect(first.sink().signals).not.toContain('end');
    again.publisher.close('unpublished');
    expect(first.clock.pendingTimers).toBe(1);
  });

  test('a publisher that stays away ends the stream at the grace time, and the next one starts a new one', () => {
    const { clock, publisher, publish, sinks, sink, hub } = running(4000);
    publisher.close('disconnected');
    clock.advance(29_999);
    expect(sink().signals).toEqual(['begin:start', 'away']);
    expect(hub.stream('show')?.state).toBe('away');
    clock.advance(1);
    expect(sink().signals).toEqual(['begin:start', 'away', 'end']);
    expect(hub.stream('show')?.state).toBe('ended');
    const again = publish();
    again.source.configure();
    again.source.run(3000);
    expect(sinks).toHaveLength(2);
    expect(sink(1).signals).toEqual(['begin:start']);
  });

  test('the grace time goes on while a publisher that came back sends nothing usable', () => {
    const { clock, publisher, publish, sinks, sink } = running(4000);
    publisher.close('disconnected');
    clock.advance(20_000);
    const mute = publish();
    clock.advance(9_999);
    expect(sink().signals).not.toContain('end');
    clock.advance(1);
    expect(sink().signals).toContain('end');
    mute.source.configure();
    mute.source.run(3000);
    expect(sink(1).signals).toEqual(['begin:start']);
    expect(sinks).toHaveLength(2);
  });

  test('a timeline never begins before the last one ended', () => {
    const { publisher, publish, source, sink } = running(4000);
    // The encoder's clock is most of a second ahead when it goes, and right when it comes back.
    source.skewMs = 900;
    source.run(2000);
    publisher.close('disconnected');
    const again = publish();
    again.source.configure();
    again.source.run(2000);
    const ends = sink()
      .samples('video')
      .map((sample) => sample.dts + sample.duration);
    expect(sink().signals).toEqual(['begin:start', 'away', 'begin:resume']);
    expect(ends.every((end, index) => index === 0 || end > (ends[index - 1] ?? 0))).toBe(true);
  });

  test('one publisher at a time; the stranger changes nothing', () => {
    const { hub, publish, source, sink } = running(3000, {}, { onSecondPublisher: 'reject' });
    expect(() => publish()).toThrow(expect.objectContaining({ code: 'STREAM_BUSY' }));
    source.run(1000);
    expect(holes(sink().samples('video'))).toEqual([]);
    expect(hub.streams()).toHaveLength(1);
  });

  test('calls of a publisher that is closed do nothing', () => {
    const { publisher, source, sink, hub } = running(3000);
    publisher.close('unpublished');
    const before = sink().events.length;
    source.configure();
    source.run(1000);
    publisher.close('error');
    publisher.announce({ video: true, audio: true });
    expect(sink().events).toHaveLength(before);
    expect(hub.stream('show')?.state).toBe('away');
  });

  test('names and the number of publishers are limited, and refusals counted', async () => {
    const { publish, metric } = setUp({ maxPublishers: 2 });
    for (const name of ['', 'a/b', '../etc', 'x'.repeat(65), 'ü', 'a b']) {
      expect(() => publish({}, name)).toThrow(expect.objectContaining({ code: 'STREAM_NAME_INVALID' }));
    }
    publish({}, 'one');
    const two = publish({}, 'two');
    expect(() => publish({}, 'three')).toThrow(expect.objectContaining({ code: 'STREAM_LIMIT' }));
    two.publisher.close('unpublished');
    publish({}, 'three');
    expect(await metric('stream_publishers_refused_total', { code: 'STREAM_NAME_INVALID' })).toBe(6);
    expect(await metric('stream_publishers')).toBe(2);
  });

  test('fifty comings and goings leave one stream, one sink and one timer', () => {
    const { clock, publish, hub, sinks, sink } = setUp();
    for (let round = 0; round < 50; round++) {
      const { publisher, source } = publish();
      source.configure();
      source.run(round % 2 === 0 ? 2500 : 20);
      publisher.close('unpublished');
      clock.advance(20);
    }
    expect(clock.pendingTimers).toBe(1);
    expect(hub.streams()).toHaveLength(1);
    expect(sinks).toHaveLength(1);
    expect(sink().reasons.filter((reason) => reason === 'start')).toHaveLength(1);
    clock.advance(30_000);
    expect(clock.pendingTimers).toBe(0);
  });

  test('publishers that never get anywhere leave nothing behind', () => {
    const { clock, publish, hub, sinks } = setUp();
    for (let round = 0; round < 50; round++) {
      const { publisher, source } = publish({}, `show-${round}`);
      source.run(20);
      publisher.close('disconnected');
    }
    expect(hub.streams()).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
    expect(sinks).toEqual([]);
  });

  test('only so many ended streams are remembered', () => {
    const { clock, publish, hub } = setUp({ graceMs: 10 });
    for (let round = 0; round < 120; round++) {
      const { publisher, source } = publish({ gopFrames: 15 }, `show-${round}`);
      source.configure();
      source.run(1100);
      publisher.close('unpublished');
      clock.advance(20);
    }
    expect(hub.streams()).toHaveLength(100);
    expect(hub.stream('show-119')?.state).toBe('ended');
    expect(hub.stream('show-0')).toBeUndefined();
  });

  test('an operator can disconnect a publisher', async () => {
    const { hub, closedWith, sink, metric } = running(3000);
    hub.kick('show');
    expect(closedWith).toEqual(['STREAM_KICKED']);
    expect(sink().signals).toEqual(['begin:start', 'away']);
    expect(await metric('stream_publishers_closed_total', { code: 'STREAM_KICKED' })).toBe(1);
    expect(await metric('stream_publishers')).toBe(0);
    expect(() => hub.kick('show')).toThrow(expect.objectContaining({ code: 'STREAM_OFFLINE' }));
    expect(() => hub.kick('other')).toThrow(expect.objectContaining({ code: 'STREAM_NOT_FOUND' }));
  });

  test('stopping the server says away, not end, leaves no timer, and refuses what comes after', () => {
    const { hub, clock, closedWith, sink, publish } = running(3000);
    const gone = publish({}, 'gone');
    gone.source.configure();
    gone.source.run(3000);
    gone.publisher.close('unpublished');
    hub.close();
    hub.close();
    expect(closedWith).toEqual(['STREAM_CLOSING']);
    expect(sink().signals).toEqual(['begin:start', 'away']);
    expect(sink(1).signals).toEqual(['begin:start', 'away']);
    expect(clock.pendingTimers).toBe(0);
    clock.advance(60_000);
    expect(sink().signals).not.toContain('end');
    expect(() => publish({}, 'late')).toThrow(expect.objectContaining({ code: 'STREAM_CLOSING' }));
  });
});

describe('media that cannot be used', () => {
  test('media without a sequence header closes the publisher within 5 s', async () => {
    const { publish, closedWith, metric } = setUp();
    publish().source.run(5100);
    expect(closedWith).toEqual(['STREAM_NO_SEQUENCE_HEADER']);
    expect(await metric('stream_samples_dropped_total', { cause: 'no_config' })).toBeGreaterThan(300);
  });

  test('so does a sequence header that makes no sense', () => {
    const { publish, closedWith, log } = setUp();
    const { publisher, source } = publish({ audio: false });
    publisher.videoConfig('avc1', Uint8Array.of(1, 2, 3));
    source.run(5100);
    expect(closedWith).toEqual(['STREAM_NO_SEQUENCE_HEADER']);
    expect(log.lines.some((line) => line.message === 'codec configuration not usable')).toBe(true);
  });

  test('configurations that make no sense are warned about once a kind and counted each time', async () => {
    const { publisher, log, metric } = running(3000);
    for (let i = 0; i < 1000; i++) {
      publisher.videoConfig('avc1', Uint8Array.of(1, 2, i & 0xff));
      publisher.audioConfig('mp4a', Uint8Array.of(0xff));
    }
    const warned = log.lines.filter((line) => line.message === 'codec configuration not usable');
    expect(warned.map((line) => line.fields['kind'])).toEqual(['video', 'audio']);
    expect(await metric('stream_unusable_configs_total', { kind: 'video' })).toBe(1000);
  });

  test('a picture over the limit is refused before anything is held', () => {
    const { publish, closedWith, hub } = setUp({ maxVideoPixels: 1280 * 720 - 1 });
    publish().publisher.videoConfig('avc1', AVC_720P25);
    expect(closedWith).toEqual(['STREAM_VIDEO_TOO_LARGE']);
    expect(hub.streams()).toEqual([]);
  });

  test.each([
    [60, []],
    [120, ['STREAM_FRAME_RATE_TOO_HIGH']],
  ] as const)('video of %d frames a second is closed with %j once they were counted', (fps, codes) => {
    const { publish, closedWith } = setUp();
    const { source } = publish({ fps, gopFrames: fps * 2 });
    source.configure();
    source.run(5000);
    expect(closedWith).toEqual(codes);
  });

  test('video without any key frame is not held, leaves audio playing, and is closed after 20 s', () => {
    const { publish, sink, closedWith, hub } = setUp();
    const { source } = publish({ frameBytes: 100_000 });
    source.configure();
    source.noKeys = true;
    source.run(19_900);
    expect(closedWith).toEqual([]);
    expect(sink().timelines).toHaveLength(1);
    expect(sink().timelines[0]?.video).toBeUndefined();
    source.run(200);
    expect(closedWith).toEqual(['STREAM_NO_KEY_FRAME']);
    expect(hub.stream('show')?.state).toBe('away');
  });

  test('a warm-up that fills its bytes ends early', () => {
    const { sink, publish } = setUp({ gopCacheBytes: 1_000_000 });
    const made = publish({ frameBytes: 50_000, gopFrames: 600, audio: false });
    made.source.configure();
    made.source.run(700);
    expect(sink().reasons).toEqual(['start']);
    expect(made.source.framesSent).toBeLessThan(25);
  });

  test('a GOP over 10 s is warned about once and counted each time', async () => {
    const { log, metric, closedWith } = running(36_000, { gopFrames: 360 });
    expect(closedWith).toEqual([]);
    expect(log.lines.filter((line) => line.message === 'key frames are too far apart')).toHaveLength(1);
    expect(await metric('stream_long_gops_total')).toBe(3);
  });

  test('broken and empty samples are dropped and counted, and the rest goes on', async () => {
    const { publisher, source, sink, metric, hub } = running(3000);
    const odd = (data: number[]): void =>
      publisher.write({
        kind: 'video',
        dts: 3001,
        compositionOffset: 0,
        key: true,
        data: Uint8Array.from(data),
      });
    odd([]);
    odd([0, 0, 0, 9, 0x65]);
    odd([0, 0, 0, 2, 0x06, 0x01]);
    publisher.write({
      kind: 'video',
      dts: 3001,
      compositionOffset: 8_000_000,
      key: false,
      data: accessUnit(false, 0),
    });
    publisher.write({ kind: 'audio', dts: 3001, compositionOffset: 0, key: true, data: new Uint8Array(0) });
    source.run(1000);
    expect(holes(sink().samples('video'))).toEqual([]);
    expect(await metric('stream_samples_dropped_total', { cause: 'malformed' })).toBe(2);
    expect(await metric('stream_samples_dropped_total', { cause: 'empty' })).toBe(3);
    expect(hub.stream('show')?.droppedSamples).toBe(5);
  });
});

describe('for the control API', () => {
  test('a stream shows its state, publisher, tracks and rates', () => {
    const { hub, publisher } = running(8000, { frameBytes: 5000 });
    const shown = {
      protocol: 'rtmp',
      role: 'primary',
      onAir: true,
      session: 'session-1',
      remoteAddress: '127.0.0.1:50000',
      sinceMs: START_MS,
    };
    expect(hub.streams()).toEqual([
      {
        stream: 'show',
        state: 'live',
        publisher: shown,
        publishers: [shown],
        switches: 0,
        tracks: [
          {
            kind: 'video',
            codec: 'avc1.42c01e',
            bitrateBps: 30 * 5000 * 8,
            width: 640,
            height: 360,
            frameRate: 30,
            gopSeconds: 2,
          },
          {
            kind: 'audio',
            codec: 'mp4a.40.2',
            bitrateBps: expect.closeTo(47 * 64, -2),
            sampleRate: 48_000,
            channels: 2,
          },
        ],
        droppedSamples: 0,
        resyncs: 0,
        clockDriftMs: expect.closeTo(0, -0.5),
        subscribers: 0,
      },
    ]);
    publisher.close('unpublished');
    expect(hub.stream('show')).toMatchObject({ state: 'away', publisher: undefined });
  });
});

describe('further readers', () => {
  test('a subscriber that replays begins with the cached GOPs and goes on live', async () => {
    const { hub, source, publisher, clock } = running(7000);
    const subscription = hub.subscribe('show', { replay: true, maxQueueBytes: 1e7, maxQueueSamples: 10_000 });
    source.run(1000);
    publisher.close('unpublished');
    clock.advance(30_000);
    const seen: string[] = [];
    const frames: number[] = [];
    for await (const event of subscription) {
      if (event.type === 'sample' && event.sample.kind === 'video') frames.push(frameNumber(event.sample));
      if (event.type !== 'sample') seen.push(event.type);
    }
    expect(seen).toEqual(['begin', 'away', 'end']);
    expect(frames).toEqual(Array.from({ length: 240 }, (_, index) => index));
  });

  test('an unknown stream has none', () => {
    const { hub } = setUp();
    expect(() => hub.subscribe('nope', { replay: false, maxQueueBytes: 1, maxQueueSamples: 1 })).toThrow(
      expect.objectContaining({ code: 'STREAM_NOT_FOUND' }),
    );
  });
});
