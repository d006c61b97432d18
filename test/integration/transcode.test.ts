import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import {
  type EncoderFixture,
  fakeProgram,
  type FixtureOptions,
  openEncoder,
  reportRung,
  slowFfmpeg,
} from '../support/encoder-fixture.ts';
import {
  type EncodedSource,
  type EncodedSourceOptions,
  encodeSource,
  shifted,
} from '../support/encoded-source.ts';
import { until } from '../support/until.ts';

const IDS = ['180p', '120p'];
const SIZE = '640x360';

/** Cases that wait for the clock of their media run side by side, so that nothing is closed before all are done. */
const open: { close(): Promise<unknown> }[] = [];
afterAll(async () => {
  for (const each of open.toReversed()) await each.close();
});

async function encoder(options: FixtureOptions = {}): Promise<EncoderFixture> {
  const fixture = await openEncoder(options);
  open.push(fixture);
  return fixture;
}

async function program(text: string): Promise<string> {
  const fake = await fakeProgram(text);
  open.push(fake);
  return fake.path;
}

const WHOLE = { missing: 0, foreign: 0, ownKeys: [], missedKeys: 0, holes: 0, decoderSays: '' };

describe('the rungs of a source', () => {
  const sources: [string, Omit<EncodedSourceOptions, 'seconds'>][] = [
    ['30 frames a second', {}],
    ['29.97 frames a second', { rate: '30000/1001', gop: 48 }],
    ['59.94 frames a second', { rate: '60000/1001' }],
    ['B-frames', { bFrames: 3, gop: 48 }],
    ['B-frames at 59.94 frames a second', { bFrames: 3, rate: '60000/1001' }],
    ['a variable frame rate', { variable: true }],
    ['a variable frame rate and B-frames', { variable: true, bFrames: 3 }],
  ];

  it.each(sources)(
    'have every frame of %s at its exact time, key frames where it has them',
    async (_what, given) => {
      const source = await encodeSource({ seconds: 5, size: SIZE, ...given });
      const { feed, sink, finish } = await encoder();
      await feed.run(source, { speed: 0 });
      await finish(...IDS);
      for (const id of IDS) {
        expect(await reportRung(sink, id, source), id).toEqual({
          ...WHOLE,
          decodedFrames: source.samples.length,
        });
      }
      expect(sink.expected).toEqual([IDS]);
      expect(IDS.map((id) => sink.rung(id).tracks)).toMatchObject([
        [{ width: 320, height: 180, cadence: source.video.cadence }],
        [{ width: 214, height: 120, cadence: source.video.cadence }],
      ]);
    },
  );

  it('go on over a new timeline, each flushed before the next one begins', async () => {
    const first = await encodeSource({ seconds: 2, size: SIZE, gop: 30 });
    const second = shifted(first, 3000);
    const { feed, sink, finish, farm } = await encoder();
    await feed.run(first, { speed: 0 });
    await feed.run(second, { speed: 0 });
    await finish(...IDS);
    for (const id of IDS) {
      const report = await reportRung(sink, id, first, second);
      // The second between the timelines is one hole.
      expect(report, id).toEqual({ ...WHOLE, holes: 1, decodedFrames: 120 });
      expect(sink.rung(id).flushes).toBe(2);
    }
    expect(farm.pids()).toEqual([]);
  });

  it('go on from one encoder to the next when the clock of its input nears its end', async () => {
    const source = await encodeSource({ seconds: 4, size: SIZE, gop: 15 });
    // The fed clock starts at ten seconds.
    const { feed, sink, finish, metric } = await encoder({ maxSessionMs: 11_200 });
    await feed.run(source, { speed: 2 });
    await finish(...IDS);
    for (const id of IDS) {
      expect(await reportRung(sink, id, source), id).toEqual({ ...WHOLE, decodedFrames: 120 });
      expect(sink.rung(id).flushes).toBe(1);
    }
    expect(await metric('restarts_total', '{reason="worn"}')).toBe(2);
  });

  it('end with their stream, and leave no process', async () => {
    const source = await encodeSource({ seconds: 2, size: SIZE });
    const { feed, sink, farm } = await encoder();
    await feed.run(source, { speed: 0 });
    feed.fanOut.end();
    await until(() => farm.status().length === 0, 'the channel to end');
    expect(await reportRung(sink, '180p', source)).toEqual({ ...WHOLE, decodedFrames: 60 });
    expect(farm.pids()).toEqual([]);
  });

  it('stop at once when the farm closes', async () => {
    const source = await encodeSource({ seconds: 4, size: SIZE });
    const { feed, sink, farm, pid } = await encoder();
    const stop = new AbortController();
    const feeding = feed.run(source, { signal: stop.signal });
    await until(() => sink.pts('180p').length > 10, 'the first frames');
    const encoderPid = pid();
    await farm.close();
    const given = sink.pts('180p').length;
    await feed.run(source, { from: 60, to: 70 });
    stop.abort();
    await feeding;
    expect(sink.pts('180p').length).toBe(given);
    expect(encoderPid).toBeGreaterThan(1);
    expect(() => process.kill(encoderPid ?? Number.NaN, 0)).toThrow('ESRCH');
  });
});

describe.concurrent('an encoder that fails', () => {
  let source: EncodedSource;
  beforeAll(async () => {
    source = await encodeSource({ seconds: 5, size: SIZE });
  });

  /** Does something to the encoder in the middle of a GOP and reports what came of it. */
  async function disturb(options: FixtureOptions & { readonly forGood?: boolean }, signal: NodeJS.Signals) {
    const { forGood = false, ...rest } = options;
    const fixture = await encoder(rest);
    let hitAtMs = 0;
    await fixture.feed.run(source, {
      onFrame: (index) => {
        if (index !== 80) return;
        hitAtMs = performance.now();
        fixture.signal(signal);
      },
    });
    if (!forGood) await fixture.finish(...IDS);
    const reports = await Promise.all(IDS.map((id) => reportRung(fixture.sink, id, source)));
    const firstAfterMs = IDS.map((id) => {
      const hitPts = source.samples[80]?.pts ?? 0;
      const next = fixture.sink.rung(id).arrivals.find(({ pts, atMs }) => pts >= hitPts && atMs > hitAtMs);
      return (next?.atMs ?? Number.POSITIVE_INFINITY) - hitAtMs;
    });
    return { ...fixture, reports, firstAfterMs };
  }

  /** The key frame of the splice is the only one that the source does not have. */
  const NOTHING_LOST = { ...WHOLE, ownKeys: [expect.any(Number)], decodedFrames: 150 };

  it('is replaced when it is killed: nothing lost or doubled, and the splice begins with a key frame', async () => {
    const { reports, firstAfterMs, sink, codes, status } = await disturb({}, 'SIGKILL');
    expect(reports).toEqual([NOTHING_LOST, NOTHING_LOST]);
    expect(Math.max(...firstAfterMs)).toBeLessThan(2000);
    expect(codes()).toEqual(['TRANSCODE_ENCODER_EXITED']);
    expect(status()).toMatchObject({ restarts: 1, lastCode: 'TRANSCODE_ENCODER_EXITED' });
    expect(sink.expected).toEqual([IDS]);
  });

  it('loses frames when no GOPs are cached', async () => {
    const { reports } = await disturb({ gopCacheMs: 1 }, 'SIGKILL');
    for (const { missing } of reports) expect(missing).toBeGreaterThan(5);
  });

  it('is replaced when it hangs', async () => {
    const { reports, firstAfterMs, codes } = await disturb({}, 'SIGSTOP');
    expect(reports).toEqual([NOTHING_LOST, NOTHING_LOST]);
    expect(Math.min(...firstAfterMs)).toBeGreaterThan(700);
    expect(Math.max(...firstAfterMs)).toBeLessThan(3500);
    expect(codes()).toEqual(['TRANSCODE_ENCODER_HUNG']);
  });

  it('hangs for good without a watchdog', async () => {
    const { reports } = await disturb({ watchdogMs: Number.POSITIVE_INFINITY, forGood: true }, 'SIGSTOP');
    for (const { missing } of reports) expect(missing).toBeGreaterThan(60);
  });

  it('is replaced with B-frames in the source too', async () => {
    const reordered = await encodeSource({ seconds: 4, size: SIZE, bFrames: 3 });
    const { feed, sink, finish, signal } = await encoder();
    await feed.run(reordered, {
      onFrame: (index) => {
        if (index === 80) signal('SIGKILL');
      },
    });
    await finish(...IDS);
    for (const id of IDS) {
      expect(await reportRung(sink, id, reordered), id).toEqual({
        ...WHOLE,
        ownKeys: [expect.any(Number)],
        decodedFrames: 120,
      });
    }
  });
});

describe.concurrent('an encoder that cannot run', () => {
  let source: EncodedSource;
  beforeAll(async () => {
    source = await encodeSource({ seconds: 8, size: SIZE });
  });

  it('is tried ever more slowly, and the stream is degraded meanwhile', async () => {
    const ffmpeg = await program('#!/bin/sh\necho broken driver >&2\nexit 7\n');
    const { feed, sink, status, metric, log } = await encoder({ ffmpeg });
    await feed.run(source, { to: 120 });
    expect(sink.expected).toEqual([IDS, []]);
    expect(status()).toMatchObject({ state: 'degraded', rungs: [], lastCode: 'TRANSCODE_ENCODER_EXITED' });
    expect(await metric('restarts_total')).toBeLessThan(8);
    const failures = log.lines.filter(({ message }) => message === 'encoder failed');
    expect(failures[0]?.fields).toMatchObject({ exit: { code: 7 }, lines: ['broken driver'] });
    expect(log.lines.filter(({ level }) => level === 'warn').length).toBeLessThan(8);
  });

  it('is started over and over without its back-off', async () => {
    const ffmpeg = await program('#!/bin/sh\nexit 7\n');
    const clock: Clock = { ...systemClock, after: (_delayMs, callback) => systemClock.after(1, callback) };
    const { feed, metric } = await encoder({ ffmpeg, clock });
    await feed.run(source, { to: 60 });
    expect(await metric('restarts_total')).toBeGreaterThan(30);
  });

  it('leaves the stream without rungs and says so once when it is not there', async () => {
    const { feed, sink, status, log } = await encoder({ ffmpeg: 'no-such-ffmpeg' });
    await feed.run(source, { to: 90 });
    expect(sink.expected).toEqual([IDS, []]);
    expect(status()).toMatchObject({ state: 'degraded', lastCode: 'TRANSCODE_FFMPEG_MISSING' });
    expect(log.lines.map(({ message }) => message)).toEqual([
      'encoder failed',
      'encoding stopped, the source goes out alone',
    ]);
  });

  it('has its rungs shown again, from a key frame on, once it runs', async () => {
    const ffmpeg = await program('#!/bin/sh\nexit 1\n');
    const { feed, sink, status } = await encoder({ ffmpeg });
    const feeding = feed.run(source);
    await until(() => sink.expected.length === 2, 'the stream to be degraded');
    await writeFile(ffmpeg, '#!/bin/sh\nexec ffmpeg "$@"\n');
    await until(() => status()?.state === 'running', 'the encoder to run');
    expect(sink.expected).toEqual([IDS, [], IDS]);
    await feeding;
    expect(sink.rung('180p').arrivals.length).toBeGreaterThan(20);
  });
});

describe.concurrent('an encoder that is too slow', () => {
  let source: EncodedSource;
  let slow: Awaited<ReturnType<typeof fakeProgram>>;
  beforeAll(async () => {
    source = await encodeSource({ seconds: 9, size: SIZE, gop: 30 });
    // 44 ms a frame with two rungs, which is 23 frames a second; 22 ms with one.
    slow = await fakeProgram(slowFfmpeg(22));
  });
  afterAll(() => slow.close());

  it('loses its most expensive rung and goes on with the others, without a lost frame', async () => {
    const { feed, sink, status, finish, log, metric } = await encoder({ ffmpeg: slow.path, maxLagMs: 500 });
    await feed.run(source);
    expect(sink.expected).toEqual([IDS, ['120p']]);
    await until(() => (status()?.lagMs ?? Number.POSITIVE_INFINITY) < 500, 'the lag to go');
    expect(status()).toMatchObject({ state: 'running', shed: ['180p'], rungs: [{ id: '120p' }] });
    await finish('120p');
    expect(await reportRung(sink, '120p', source)).toMatchObject({ missing: 0, foreign: 0, decoderSays: '' });
    expect(log.lines.map(({ fields }) => fields)).toContainEqual(
      expect.objectContaining({ code: 'TRANSCODE_TOO_SLOW', rung: '180p', left: 1 }),
    );
    expect(await metric('restarts_total', '{reason="shed"}')).toBe(1);
  });

  it('falls further and further behind when nothing is shed', async () => {
    const { feed, sink, status } = await encoder({ ffmpeg: slow.path });
    await feed.run(source);
    expect(sink.expected).toEqual([IDS]);
    expect(status()?.lagMs).toBeGreaterThan(1500);
  });
});
