import { describe, expect, it } from 'vitest';
import { Metrics } from '../base/metrics.ts';
import { writeFlvFrame, writeFlvStart } from '../media/flv-writer.ts';
import { FlvReader } from '../media/flv-reader.ts';
import { parseVideoTag } from '../media/flv.ts';
import { FanOut } from '../stream/fan-out.ts';
import type { Sample, Timeline } from '../stream/track.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { RecordingLadder } from '../../test/support/recording-ladder.ts';
import { EPOCH_MS, timeline, videoSamples, videoTrack } from '../../test/support/sample-source.ts';
import { accessUnit } from '../../test/support/stream-source.ts';
import { EncoderFarm } from './encoder-farm.ts';
import type { EncoderCommand, EncoderEvents, EncoderExit, EncoderProcess } from './encoder-process.ts';
import type { LadderOptions } from './ladder-options.ts';

const OPTIONS: LadderOptions = {
  rungs: [
    { height: 120, bitrateBps: 200_000 },
    { height: 100, bitrateBps: 100_000 },
  ],
  encoder: 'libx264',
  preset: 'veryfast',
  vaapiDevice: '/dev/dri/renderD128',
  ffmpeg: 'ffmpeg',
  maxChannels: 0,
  cpuShare: 60,
  watchdogMs: 800,
  startTimeoutMs: 5000,
  maxLagMs: 1000,
};
const IDS = ['120p', '100p'];

/** An encoder that gives each frame back at once on every rung, unless told to behave otherwise. */
class FakeEncoder implements EncoderProcess {
  readonly pid = 1;
  readonly command: EncoderCommand;
  readonly #events: EncoderEvents;
  readonly #reader = new FlvReader();
  readonly #starts: number[];
  readonly #owed: { ms: number; key: boolean }[] = [];
  #encoded: boolean[];
  #flows = true;
  #ending = false;
  #over = false;
  /** Takes input and gives nothing. */
  stuck = false;
  /** Gives one more frame when it is killed. */
  givesAtDeath = false;
  /** Takes so many milliseconds of media a second; undefined for all there is. */
  taken = 0;
  blocked = false;

  constructor(command: EncoderCommand, events: EncoderEvents) {
    this.command = command;
    this.#events = events;
    const graph = command.args[command.args.indexOf('-filter_complex') + 1] ?? '';
    const chains = graph.split(';').filter((chain) => chain.includes('scale='));
    this.#starts = chains.map((chain) => Number(/start_pts=(\d+)/.exec(chain)?.[1] ?? 0));
    this.#encoded = chains.map(() => false);
  }

  get over(): boolean {
    return this.#over;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#over) return false;
    for (const tag of this.#reader.push(bytes)) {
      const body = parseVideoTag(tag.body);
      if (body.kind !== 'frame') continue;
      this.taken++;
      this.#owed.push({ ms: tag.timestampMs + body.compositionOffsetMs, key: body.key });
    }
    if (!this.stuck) queueMicrotask(() => this.give());
    return !this.blocked;
  }

  /** Gives everything it owes, or the first so many frames. */
  give(count = this.#owed.length): void {
    if (this.#over || !this.#flows) return;
    for (const { ms, key } of this.#owed.splice(0, count)) {
      for (const [index, start] of this.#starts.entries()) {
        if (ms < start) continue;
        const isFirst = !this.#encoded[index];
        if (isFirst)
          this.#events.output(index, writeFlvStart({ config: videoTrack().config, frameRate: undefined }));
        this.#encoded[index] = true;
        const data = accessUnit(key || isFirst, 0);
        this.#events.output(index, writeFlvFrame({ dtsMs: ms, ptsMs: ms, key: key || isFirst, data }));
      }
    }
    if (this.#ending) this.exit({ kind: 'exited', code: 0, signal: null });
  }

  say(text: string): void {
    this.#events.said(Buffer.from(text));
  }

  unblock(): void {
    this.blocked = false;
    this.#events.drained();
  }

  output(index: number, bytes: Uint8Array): void {
    this.#events.output(index, bytes);
  }

  exit(exit: EncoderExit = { kind: 'exited', code: 1, signal: null }): void {
    if (this.#over) return;
    this.#over = true;
    this.#events.exited(exit);
  }

  end(): void {
    this.#ending = true;
    if (!this.stuck) queueMicrotask(() => this.give());
  }

  kill(): void {
    queueMicrotask(() => {
      if (this.givesAtDeath) this.give(1);
      this.exit({ kind: 'exited', code: null, signal: 'SIGKILL' });
    });
  }

  flow(on: boolean): void {
    this.#flows = on;
    if (on && !this.stuck) queueMicrotask(() => this.give());
  }
}

interface World {
  readonly clock: FakeClock;
  readonly fanOut: FanOut;
  /** A second stream of the same farm. */
  readonly otherFanOut: FanOut;
  readonly sink: RecordingLadder;
  readonly farm: EncoderFarm;
  readonly log: ReturnType<typeof createMemoryLog>;
  readonly encoders: FakeEncoder[];
  readonly settle: () => Promise<void>;
  /** Gives frames at their own pace. */
  readonly feed: (samples: readonly Sample[], during?: (sample: Sample) => void) => Promise<void>;
  readonly status: () => ReturnType<EncoderFarm['statusOf']>;
}

function open(
  options: Partial<LadderOptions> = {},
  behave: (encoder: FakeEncoder, count: number) => void = () => {},
): World {
  const clock = new FakeClock();
  const limits = { maxMs: 10_000, maxFrames: 600, maxBytes: 1e7 };
  const [fanOut, otherFanOut] = [new FanOut(limits, () => {}), new FanOut(limits, () => {})];
  const sink = new RecordingLadder(() => clock.monotonicMs());
  const log = createMemoryLog();
  const encoders: FakeEncoder[] = [];
  const farm = new EncoderFarm(
    { ...OPTIONS, ...options },
    {
      clock,
      log,
      metrics: new Metrics(),
      source: { subscribe: (name, how) => (name === 'stream' ? fanOut : otherFanOut).subscribe(how) },
      spawn: (command, events) => {
        const encoder = new FakeEncoder(command, events);
        encoders.push(encoder);
        behave(encoder, encoders.length);
        return encoder;
      },
      cores: 2,
      toneMapper: { kind: 'zscale' },
      random: () => 0.5,
      queue: { maxQueueBytes: 1e8, maxQueueSamples: 4096 },
    },
  );
  farm.attach('stream', sink);
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 200; i++) await Promise.resolve();
  };
  const feed: World['feed'] = async (samples, during) => {
    for (const sample of samples) {
      during?.(sample);
      fanOut.sample(sample);
      await settle();
      clock.advance(sample.duration / 90);
      await settle();
    }
  };
  return {
    clock,
    fanOut,
    otherFanOut,
    sink,
    farm,
    log,
    encoders,
    settle,
    feed,
    status: () => farm.statusOf('stream'),
  };
}

const TIMELINE = timeline({ video: videoTrack() });

function frames(seconds: number, startMs = EPOCH_MS): Sample[] {
  return videoSamples({ startMs, seconds, isKey: (frame) => frame % 60 === 0 }).map((sample, frame) => ({
    ...sample,
    data: accessUnit(sample.key, frame),
  }));
}

function ptsOf(samples: readonly Sample[]): number[] {
  return samples.map(({ pts }) => pts);
}

/** Places of the frames that a rung did not get. */
function lostOf(world: World, id: string, samples: readonly Sample[]): number[] {
  const got = new Set(world.sink.pts(id));
  expect(got.size).toBeLessThanOrEqual(samples.length);
  return samples.flatMap(({ pts }, frame) => (got.has(pts) ? [] : [frame]));
}

async function begin(world: World, what: Timeline = TIMELINE): Promise<void> {
  world.fanOut.begin(what);
  await world.settle();
}

describe('a channel', () => {
  it('names its rungs before the encoder gives anything, and is off until there is something to encode', async () => {
    const world = open({}, (encoder) => {
      encoder.stuck = true;
    });
    expect(world.status()).toMatchObject({ state: 'off', rungs: [], restarts: 0 });
    await begin(world);
    expect(world.sink.expected).toEqual([IDS]);
    expect(world.status()?.state).toBe('starting');
    await world.farm.close();
  });

  it('gives every frame with its exact time and then says that all was given', async () => {
    const world = open();
    const samples = frames(3);
    await begin(world);
    await world.feed(samples);
    expect(world.status()).toMatchObject({ state: 'running', lagMs: 0 });
    world.fanOut.away();
    await world.settle();
    for (const id of IDS) {
      expect(lostOf(world, id, samples)).toEqual([]);
      expect(world.sink.keys(id)).toEqual([samples[0]?.pts, samples[60]?.pts]);
      expect(world.sink.rung(id)).toMatchObject({ flushes: 1, tracks: [{ width: 320, height: 240 }] });
    }
    await world.farm.close();
    expect(world.clock.pendingTimers).toBe(0);
  });

  it('has no rungs without video, above the source, or when none are wanted', async () => {
    for (const [options, what] of [
      [{}, timeline({})],
      [{ rungs: [{ height: 480, bitrateBps: 1e6 }] }, TIMELINE],
      [{ rungs: 'none' as const }, TIMELINE],
    ] as const) {
      const world = open(options);
      await begin(world, what);
      expect(world.sink.expected).toEqual([[]]);
      expect(world.encoders).toEqual([]);
      expect(world.status()?.state).toBe('off');
      await world.farm.close();
    }
  });

  it('waits while the encoder takes no more, and goes on when it does', async () => {
    const world = open({}, (encoder) => {
      encoder.stuck = true;
      encoder.blocked = true;
    });
    await begin(world);
    await world.feed(frames(0.3));
    const [encoder] = world.encoders;
    expect(encoder?.taken).toBe(0);
    encoder?.unblock();
    await world.settle();
    expect(encoder?.taken).toBe(9);
    await world.farm.close();
  });

  it('holds back the frames of a new timeline until the old one has been given', async () => {
    const world = open({}, (encoder, count) => {
      encoder.stuck = count === 1;
    });
    const first = frames(1);
    const second = frames(1, EPOCH_MS + 5000);
    await begin(world);
    await world.feed(first);
    await begin(world, { ...TIMELINE, reason: 'jump', startMs: EPOCH_MS + 5000 });
    await world.feed(second.slice(0, 15));
    expect(world.sink.pts('120p')).toEqual([]);
    world.encoders[0]?.give();
    await world.settle();
    expect(world.sink.pts('120p')).toEqual(ptsOf([...first, ...second.slice(0, 15)]));
    expect(world.sink.rung('120p').flushes).toBe(1);
    await world.farm.close();
  });

  it('waits for the rest of a timeline no longer than two seconds', async () => {
    const world = open({}, (encoder, count) => {
      encoder.stuck = count === 1;
    });
    await begin(world);
    await world.feed(frames(0.5));
    world.fanOut.away();
    await world.settle();
    world.clock.advance(1999);
    await world.settle();
    expect(world.sink.rung('120p').flushes).toBe(0);
    world.clock.advance(1);
    await world.settle();
    expect(world.sink.rung('120p').flushes).toBe(1);
    expect(world.encoders[0]?.over).toBe(true);
    await world.farm.close();
  });

  it('brings its source down to SDR from the timeline on that is HDR, and reckons with what that takes', async () => {
    const world = open({ rungs: 'auto' });
    const large = { ...videoTrack(), width: 1920, height: 1080 };
    const pq = Uint8Array.of(1, 0, 0, 0, 2, 41, 0xa2, 9, 16, 9, 0, 0);
    await begin(world, timeline({ video: large }));
    await begin(world, {
      ...timeline({ video: { ...large, codec: 'vp09', codecString: 'vp09.02.41.10', config: pq } }),
      ...{ reason: 'jump', startMs: EPOCH_MS + 5000 },
    });
    expect(world.sink.expected).toEqual([
      ['720p', '480p', '360p'],
      ['480p', '360p'],
    ]);
    const [sdr, hdr] = world.encoders.map(({ command }) => command.args.join(' '));
    expect(sdr).not.toContain('tonemap=');
    expect(hdr).toContain('zscale=w=854:h=480:tin=smpte2084');
    await world.farm.close();
  });

  it('ends with its stream', async () => {
    const world = open();
    await begin(world);
    await world.feed(frames(0.5));
    world.fanOut.end();
    await world.settle();
    expect(world.farm.status()).toEqual([]);
    expect(world.encoders.map(({ over }) => over)).toEqual([true]);
    await world.farm.close();
    expect(world.clock.pendingTimers).toBe(0);
  });
});

describe('a channel whose encoder ends', () => {
  it('starts another at once in the cached GOPs, which gives only what is missing', async () => {
    const world = open();
    const samples = frames(4);
    await begin(world);
    await world.feed(samples, ({ pts }) => {
      if (pts === samples[100]?.pts) world.encoders[0]?.exit();
    });
    expect(world.encoders).toHaveLength(2);
    // From the key frame of that GOP: 60 to 119, and none before.
    expect(world.encoders[1]?.taken).toBe(60);
    for (const id of IDS) {
      expect(lostOf(world, id, samples)).toEqual([]);
      expect(world.sink.keys(id)).toEqual([0, 60, 100].map((frame) => samples[frame]?.pts));
      expect(world.sink.rung(id).tracks).toHaveLength(2);
    }
    expect(world.status()).toMatchObject({ state: 'running', restarts: 1 });
    await world.farm.close();
  });

  it('replaces one that gives nothing, but not one that has nothing to give', async () => {
    const world = open();
    const samples = frames(6);
    await begin(world);
    await world.feed(samples.slice(0, 70));
    world.clock.advance(60_000);
    await world.settle();
    expect(world.encoders).toHaveLength(1);
    const [first] = world.encoders;
    if (first) first.stuck = true;
    await world.feed(samples.slice(70));
    expect(world.encoders).toHaveLength(2);
    expect(lostOf(world, '120p', samples)).toEqual([]);
    expect(world.status()?.lastCode).toBe('TRANSCODE_ENCODER_HUNG');
    await world.farm.close();
  });

  it('gives one that starts more time', async () => {
    const world = open({}, (encoder) => {
      encoder.stuck = true;
    });
    await begin(world);
    await world.feed(frames(4.9));
    expect(world.encoders).toHaveLength(1);
    await world.feed(frames(0.5, EPOCH_MS + 4900));
    expect(world.encoders).toHaveLength(2);
    await world.farm.close();
  });

  it('replaces one whose output is not FLV', async () => {
    const world = open();
    await begin(world);
    await world.feed(frames(0.5));
    world.encoders[0]?.output(0, new Uint8Array(100).fill(0xff));
    await world.settle();
    expect(world.encoders).toHaveLength(2);
    expect(world.status()?.lastCode).toBe('TRANSCODE_OUTPUT_MALFORMED');
    await world.farm.close();
  });

  it('is degraded after three in a row, and shows its rungs again when one has run for two seconds', async () => {
    const world = open({}, (encoder, count) => {
      if (count <= 4) queueMicrotask(() => encoder.exit());
    });
    const samples = frames(12);
    await begin(world);
    await world.feed(samples.slice(0, 60));
    expect(world.sink.expected).toEqual([IDS, []]);
    expect(world.status()).toMatchObject({ state: 'degraded', rungs: [] });
    await world.feed(samples.slice(60));
    expect(world.encoders).toHaveLength(5);
    expect(world.sink.expected).toEqual([IDS, [], IDS]);
    expect(world.status()).toMatchObject({ state: 'running', lastCode: undefined });
    const [firstPts] = world.sink.pts('120p');
    expect(samples.find(({ pts }) => pts === firstPts)?.key).toBe(true);
    expect(world.sink.pts('120p')).toEqual(ptsOf(samples.filter(({ pts }) => pts >= (firstPts ?? 0))));
    await world.farm.close();
  });

  it('stays degraded while encoders start well and fail within two seconds', async () => {
    const world = open();
    await begin(world);
    let ageMs = 0;
    await world.feed(frames(20), () => {
      const encoder = world.encoders.at(-1);
      ageMs = encoder?.over === false ? ageMs + 33 : 0;
      if (ageMs > 1500) encoder?.exit();
    });
    expect(world.encoders.length).toBeGreaterThan(5);
    expect(world.sink.expected).toEqual([IDS, []]);
    await world.farm.close();
  });

  it('says once that ffmpeg is missing, and looks for it every half minute', async () => {
    const world = open({}, (encoder, count) => {
      if (count <= 2) queueMicrotask(() => encoder.exit({ kind: 'missing' }));
    });
    await begin(world);
    await world.feed(frames(29));
    expect(world.encoders).toHaveLength(1);
    expect(world.status()).toMatchObject({ state: 'degraded', lastCode: 'TRANSCODE_FFMPEG_MISSING' });
    expect(world.log.lines.filter(({ level }) => level === 'warn')).toHaveLength(2);
    await world.feed(frames(33, EPOCH_MS + 29_000));
    expect(world.encoders).toHaveLength(3);
    expect(world.log.lines.filter(({ level }) => level === 'warn')).toHaveLength(2);
    await world.farm.close();
  });

  it('gives up what is missing when the publisher went meanwhile', async () => {
    const world = open({}, (encoder) => queueMicrotask(() => encoder.exit()));
    await begin(world);
    await world.feed(frames(0.2));
    world.fanOut.away();
    await world.settle();
    expect(world.sink.rung('120p').flushes).toBe(1);
    const started = world.encoders.length;
    world.clock.advance(60_000);
    await world.settle();
    expect(world.encoders).toHaveLength(started);
    await world.farm.close();
    expect(world.clock.pendingTimers).toBe(0);
  });
});

describe('a channel whose encoder is too slow', () => {
  /** Gives a frame every other time it is fed one when it has more than so many rungs. */
  function slowAbove(rungs: number, machine = { isFast: false }) {
    return (encoder: FakeEncoder): void => {
      encoder.stuck = encoder.command.outputs > rungs && !machine.isFast;
    };
  }

  function workSlowly(world: World): (sample: Sample) => void {
    let turn = 0;
    return () => {
      turn++;
      const encoder = world.encoders.at(-1);
      if (encoder?.stuck && turn % 3 > 0) encoder.give(1);
    };
  }

  it('leaves its top rung out, and tries it again after half a minute of calm', async () => {
    const machine = { isFast: false };
    const world = open({}, slowAbove(1, machine));
    const [slow, calm] = [frames(10), frames(40, EPOCH_MS + 10_000)];
    await begin(world);
    await world.feed(slow, workSlowly(world));
    expect(world.sink.expected).toEqual([IDS, ['100p']]);
    expect(world.status()).toMatchObject({ state: 'running', shed: ['120p'], lagMs: 0 });
    expect(lostOf(world, '100p', slow)).toEqual([]);
    machine.isFast = true;
    const given = world.sink.pts('120p').length;
    await world.feed(calm);
    expect(world.sink.expected).toEqual([IDS, ['100p'], IDS]);
    expect(lostOf(world, '100p', [...slow, ...calm])).toEqual([]);
    expect(world.sink.pts('120p').length).toBeGreaterThan(given);
    await world.farm.close();
  });

  it('is degraded when even the lowest is too slow, and tries that one later', async () => {
    const slow = slowAbove(0);
    const world = open({}, (encoder) => {
      slow(encoder);
      // What is in its pipe still comes, and proves nothing.
      encoder.givesAtDeath = true;
    });
    await begin(world);
    await world.feed(frames(20), workSlowly(world));
    expect(world.sink.expected).toEqual([IDS, ['100p'], []]);
    expect(world.status()).toMatchObject({
      state: 'degraded',
      shed: ['120p'],
      lastCode: 'TRANSCODE_TOO_SLOW',
    });
    const started = world.encoders.length;
    await world.feed(frames(40, EPOCH_MS + 20_000), workSlowly(world));
    expect(world.encoders.length).toBeGreaterThan(started);
    expect(world.encoders.at(-1)?.command.outputs).toBe(1);
    await world.farm.close();
  });
});

describe('the farm', () => {
  const limits: [string, Partial<LadderOptions>, string][] = [
    ['as many streams as it may', { maxChannels: 1 }, 'channel_limit'],
    ['all the cores it may', { rungs: 'auto', cpuShare: 8 }, 'no_cores'],
  ];

  it.each(limits)('that encodes %s takes the next one up when one ends', async (_what, options, reason) => {
    const world = open(options);
    const other = new RecordingLadder();
    const large = timeline({ video: { ...videoTrack(), width: 640, height: 360 } });
    world.farm.attach('other', other);
    await begin(world, large);
    world.otherFanOut.begin(large);
    await world.settle();
    expect(other.expected).toEqual([[]]);
    expect(world.farm.statusOf('other')).toMatchObject({ state: 'off', lastCode: 'TRANSCODE_NO_ROOM' });
    expect(world.log.lines.map(({ fields }) => fields)).toEqual([
      { stream: 'other', code: 'TRANSCODE_NO_ROOM', reason },
    ]);
    for (const sample of frames(3)) world.otherFanOut.sample(sample);
    world.fanOut.end();
    await world.settle();
    expect(other.expected).toHaveLength(2);
    const [id = ''] = other.expected[1] ?? [];
    // From the newest key frame in the cache.
    expect(other.pts(id)).toEqual(ptsOf(frames(3).slice(60)));
    await world.farm.close();
    expect(world.clock.pendingTimers).toBe(0);
  });

  it('closes more than once, and attaches nothing after', async () => {
    const world = open();
    await begin(world);
    await Promise.all([world.farm.close(), world.farm.close()]);
    world.farm.attach('late', world.sink);
    expect(world.farm.status()).toEqual([]);
    expect(world.clock.pendingTimers).toBe(0);
  });
});

describe('a publisher that takes over in the middle of its GOP', () => {
  /** A GOP whose first `count` frames were shown already, of another publisher: each lasts a tick, but the last. */
  function squeezed(samples: readonly Sample[], startTicks: number, count: number): Sample[] {
    return samples.map((sample, n) => {
      if (n >= count) return sample;
      const dts = startTicks + n;
      const isHeld = n === count - 1;
      const duration = isHeld ? (samples[count]?.dts ?? 0) - dts : 1;
      return { ...sample, dts, pts: dts, duration, ...(!isHeld && { leadIn: true }) };
    });
  }

  it('has its lead-in decoded, and nothing encoded before the first picture that is seen', async () => {
    const world = open();
    const before = frames(3);
    await begin(world);
    await world.feed(before);
    const startMs = EPOCH_MS + 3000;
    const startTicks = startMs * 90;
    const after = squeezed(frames(4, startMs - 1000), startTicks, 31);
    await begin(
      world,
      timeline(
        { video: videoTrack() },
        { reason: 'resume', startMs, leadIn: { keyTicks: startTicks - 90_000 } },
      ),
    );
    await world.feed(after);
    world.fanOut.away();
    await world.settle();
    const shown = after.filter(({ leadIn }) => !leadIn);
    expect(world.encoders.at(-1)?.taken).toBe(after.length);
    for (const id of IDS) {
      expect(world.sink.pts(id)).toEqual([...ptsOf(before), ...ptsOf(shown)]);
      expect(world.sink.keys(id)).toContain(shown[0]?.pts);
    }
    await world.farm.close();
  });

  it('has its lead-in decoded again when the encoder dies in that GOP', async () => {
    const world = open();
    const startTicks = EPOCH_MS * 90;
    const all = squeezed(frames(3, EPOCH_MS - 1000), startTicks, 31);
    const leadIn = { keyTicks: startTicks - 90_000 };
    await begin(world, timeline({ video: videoTrack() }, { startMs: EPOCH_MS, leadIn }));
    await world.feed(all.slice(0, 40));
    world.encoders[0]?.exit();
    await world.settle();
    await world.feed(all.slice(40));
    world.fanOut.away();
    await world.settle();
    expect(world.encoders).toHaveLength(2);
    for (const id of IDS) expect(world.sink.pts(id)).toEqual(ptsOf(all.filter((sample) => !sample.leadIn)));
    await world.farm.close();
  });
});
