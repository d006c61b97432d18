import { describe, expect, test } from 'vitest';
import { RecordingSink } from '../../test/support/stream-source.ts';
import { FanOut, type StreamEvent, type SubscribeOptions, type Subscription } from './fan-out.ts';
import { GopCache } from './gop-cache.ts';
import type { Sample, Timeline } from './track.ts';

const TIMELINE: Timeline = {
  reason: 'start',
  startMs: 0,
  video: {
    kind: 'video',
    codec: 'avc1',
    codecString: 'avc1.42c01e',
    timescale: 90_000,
    config: new Uint8Array(0),
    width: 640,
    height: 360,
    cadence: { frameTicks: 3600, gopTicks: undefined },
  },
  audio: {
    kind: 'audio',
    codec: 'mp4a',
    codecString: 'mp4a.40.2',
    timescale: 48_000,
    config: new Uint8Array(0),
    channels: 2,
    frameTicks: 1024,
  },
};
const AUDIO_ONLY: Timeline = { ...TIMELINE, video: undefined };
const LIMITS = { maxMs: 10_000, maxFrames: 600, maxBytes: 1_000_000 };
const ROOMY: SubscribeOptions = { replay: true, maxQueueBytes: 1e9, maxQueueSamples: 1e6 };

function frame(number: number, gop = 25, sizeBytes = 100): Sample {
  const dts = number * 3600;
  return {
    kind: 'video',
    dts,
    pts: dts,
    duration: 3600,
    key: number % gop === 0,
    data: new Uint8Array(sizeBytes),
  };
}

function sound(number: number): Sample {
  const dts = number * 1024;
  return { kind: 'audio', dts, pts: dts, duration: 1024, key: true, data: new Uint8Array(10) };
}

function readAll(subscription: Subscription): StreamEvent[] {
  const events: StreamEvent[] = [];
  for (let event = subscription.read(); event; event = subscription.read()) events.push(event);
  return events;
}

/** `begin`, `away`, `end`, and frame numbers of video. */
function told(events: readonly StreamEvent[]): (string | number)[] {
  return events.flatMap((event): (string | number)[] => {
    if (event.type !== 'sample') return [event.type];
    return event.sample.kind === 'video' ? [event.sample.dts / 3600] : [];
  });
}

function fanOut(limits = LIMITS) {
  const dropped: number[] = [];
  const made = new FanOut(limits, (samples) => dropped.push(samples));
  const first = new RecordingSink();
  made.setFirst(first);
  return { made, first, dropped };
}

describe('the GOP cache', () => {
  test('keeps whole GOPs within its time', () => {
    const cache = new GopCache({ ...LIMITS, maxMs: 2500 });
    cache.begin(TIMELINE);
    for (let number = 0; number < 110; number++) cache.add(frame(number));
    const kept = [...cache.samples()];
    expect(kept[0]).toMatchObject({ key: true, dts: 50 * 3600 });
    expect(kept).toHaveLength(60);
    expect(cache.frames).toBe(60);
  });

  test('keeps no more bytes and frames than it may', () => {
    for (const limits of [
      { ...LIMITS, maxBytes: 4000 },
      { ...LIMITS, maxFrames: 40 },
    ]) {
      const cache = new GopCache(limits);
      cache.begin(TIMELINE);
      for (let number = 0; number < 200; number++) {
        cache.add(frame(number));
        expect(cache.sizeBytes).toBeLessThanOrEqual(limits.maxBytes);
        expect(cache.frames).toBeLessThanOrEqual(limits.maxFrames);
      }
      expect([...cache.samples()][0]?.key).toBe(true);
      expect(cache.frames).toBeGreaterThanOrEqual(15);
    }
  });

  test('lets a GOP go that never ends, and keeps nothing until the next key frame', () => {
    const cache = new GopCache({ ...LIMITS, maxBytes: 3000 });
    cache.begin(TIMELINE);
    for (let number = 0; number < 1000; number++) cache.add(frame(number, 1_000_000));
    expect([...cache.samples()]).toEqual([]);
    expect(cache.sizeBytes).toBe(0);
    cache.add(frame(0));
    expect([...cache.samples()]).toHaveLength(1);
  });

  test('keeps no media when it is given no time: nobody is going to join', () => {
    const cache = new GopCache({ ...LIMITS, maxMs: 0 });
    cache.begin(TIMELINE);
    cache.add(frame(0));
    for (let number = 1; number < 25; number++) {
      cache.add(frame(number));
      cache.add(sound(number));
      expect(cache.sizeBytes).toBe(0);
    }
    expect(cache.timeline).toBe(TIMELINE);
  });

  test('keeps audio beside its video, and audio alone by time', () => {
    const cache = new GopCache({ ...LIMITS, maxMs: 3000 });
    cache.begin(TIMELINE);
    cache.add(sound(0));
    cache.add(frame(0));
    cache.add(sound(1));
    expect([...cache.samples()].map(({ kind }) => kind)).toEqual(['video', 'audio']);
    cache.begin(AUDIO_ONLY);
    for (let number = 0; number < 1000; number++) cache.add(sound(number));
    const seconds = ([...cache.samples()].length * 1024) / 48_000;
    expect(seconds).toBeGreaterThan(1.9);
    expect(seconds).toBeLessThan(3.1);
  });
});

describe('a subscriber', () => {
  test('that replays is given the timeline and the cached GOPs, then what comes', () => {
    const { made, first } = fanOut();
    made.begin(TIMELINE);
    for (let number = 0; number < 30; number++) made.sample(frame(number));
    const subscription = made.subscribe(ROOMY);
    made.sample(frame(30));
    made.away();
    expect(told(readAll(subscription))).toEqual([
      'begin',
      ...Array.from({ length: 31 }, (_, n) => n),
      'away',
    ]);
    expect(first.samples('video')).toHaveLength(31);
    expect(first.signals).toEqual(['begin:start', 'away']);
  });

  test('that does not replay starts at the next key frame', () => {
    const { made } = fanOut();
    made.begin(TIMELINE);
    for (let number = 0; number < 30; number++) made.sample(frame(number));
    const subscription = made.subscribe({ ...ROOMY, replay: false });
    for (let number = 30; number < 53; number++) {
      made.sample(sound(number));
      made.sample(frame(number));
    }
    expect(told(readAll(subscription))).toEqual(['begin', 50, 51, 52]);
    expect(subscription.droppedSamples).toBe(0);
  });

  test('that comes before the stream is live is given everything', () => {
    const { made } = fanOut();
    const subscription = made.subscribe(ROOMY);
    made.begin(AUDIO_ONLY);
    made.sample(sound(0));
    made.end();
    expect(readAll(subscription).map(({ type }) => type)).toEqual(['begin', 'sample', 'end']);
    expect(made.subscribers).toBe(0);
  });

  test('that is slow loses what waits up to the next key frame, counted, and holds up nobody', () => {
    const { made, first, dropped } = fanOut();
    const slow = made.subscribe({ ...ROOMY, maxQueueSamples: 11 });
    const quick = made.subscribe(ROOMY);
    made.begin(TIMELINE);
    for (let number = 0; number < 55; number++) {
      made.sample(frame(number));
      expect(slow.queuedEvents).toBeLessThanOrEqual(11);
    }
    // begin and frames 0-9 filled the queue at frame 10; again at 25-34 and 35; then 50-54.
    expect(told(readAll(slow))).toEqual(['begin', 50, 51, 52, 53, 54]);
    expect(slow.droppedSamples).toBe(50);
    expect(dropped.reduce((sum, count) => sum + count, 0)).toBe(50);
    expect(told(readAll(quick))).toHaveLength(56);
    expect(first.samples('video')).toHaveLength(55);
  });

  test('is bounded in bytes too, and goes on at a key frame that itself overflows the queue', () => {
    const { made } = fanOut();
    const slow = made.subscribe({ ...ROOMY, maxQueueBytes: 2500 });
    made.begin(TIMELINE);
    for (let number = 0; number < 27; number++) {
      made.sample(frame(number));
      expect(slow.queuedBytes).toBeLessThanOrEqual(2500);
    }
    expect(told(readAll(slow))).toEqual(['begin', 25, 26]);
    expect(slow.droppedSamples).toBe(25);
    expect(slow.queuedBytes).toBe(0);
  });

  test('that never reads does not gather signals either', () => {
    const { made } = fanOut();
    made.setFirst(undefined);
    const dead = made.subscribe({ ...ROOMY, maxQueueSamples: 8 });
    for (let round = 0; round < 1000; round++) {
      made.begin(TIMELINE);
      made.sample(frame(0));
      made.away();
      expect(dead.queuedEvents).toBeLessThanOrEqual(8);
    }
  });

  test('can be read as it comes, and stops at the end', async () => {
    const { made } = fanOut();
    const subscription = made.subscribe(ROOMY);
    const seen: StreamEvent[] = [];
    const reading = (async () => {
      for await (const event of subscription) seen.push(event);
    })();
    made.begin(TIMELINE);
    await Promise.resolve();
    made.sample(frame(0));
    made.end();
    await reading;
    expect(told(seen)).toEqual(['begin', 0, 'end']);
  });

  test('that leaves its loop is forgotten', async () => {
    const { made } = fanOut();
    const subscription = made.subscribe(ROOMY);
    made.begin(TIMELINE);
    made.sample(frame(0));
    for await (const event of subscription) {
      expect(event.type).toBe('begin');
      break;
    }
    expect(made.subscribers).toBe(0);
    made.sample(frame(1));
    expect(subscription.queuedEvents).toBe(0);
  });

  test('learns of a shutdown as the end of its reading, without an end of the stream', async () => {
    const { made } = fanOut();
    const subscription = made.subscribe(ROOMY);
    made.begin(TIMELINE);
    made.close();
    const seen: StreamEvent[] = [];
    for await (const event of subscription) seen.push(event);
    expect(told(seen)).toEqual(['begin']);
  });
});
