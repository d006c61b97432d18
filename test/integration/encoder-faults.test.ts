import process from 'node:process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { EncoderFarm } from '../../src/transcode/encoder-farm.ts';
import type { EncoderEvents, SpawnEncoder } from '../../src/transcode/encoder-process.ts';
import type { LadderOptions } from '../../src/transcode/ladder-options.ts';
import { createSpawnEncoder, guardCommand } from '../../src/transcode/spawn-encoder.ts';
import { type EncodedSource, encodeSource } from '../support/encoded-source.ts';
import { fakeProgram, LADDER, reportRung, slowFfmpeg } from '../support/encoder-fixture.ts';
import { LiveFeed } from '../support/live-feed.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { RecordingLadder } from '../support/recording-ladder.ts';
import { until } from '../support/until.ts';

/**
 * An encoder that fails, and another stream beside it that must not notice. What a failure does to the stream itself is
 * in `transcode.test.ts`. `SABOTAGE`: `neighbour` lets the neighbour's encoder have the fault too; `whole` leaves the
 * fault out.
 */
const SABOTAGE = process.env['SABOTAGE'] ?? '';
/** How long a frame of the neighbour may take from the source to its rung: it bounds a hang, not a speed. */
const NEIGHBOUR_LAG_MS = 3000;
const NAMES = ['victim', 'neighbour'] as const;
type Name = (typeof NAMES)[number];

const open: { close(): Promise<unknown> }[] = [];
afterAll(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

/** What is done to the encoders of a stream. */
interface Fault {
  /** Stands in for ffmpeg. */
  readonly program?: string;
  /** Stands between an encoder and its reader, for the encoder with this number (0 is the first). */
  readonly events?: (events: EncoderEvents, encoder: number) => EncoderEvents;
}

/** Two streams in one farm, each with an encoder; the first has the fault. */
async function openPair(fault: Fault = {}, options: Partial<LadderOptions> = {}) {
  const feeds = { victim: new LiveFeed(), neighbour: new LiveFeed() };
  const sinks = { victim: new RecordingLadder(), neighbour: new RecordingLadder() };
  const spawn = createSpawnEncoder(process.env, await guardCommand(process.env));
  const spawned: Record<Name, number> = { victim: 0, neighbour: 0 };
  const metrics = new Metrics();
  const log = createMemoryLog();
  /** Encoders are told apart by what they make: the neighbour is so small that it has one rung only. */
  const spawnFor: SpawnEncoder = (command, events) => {
    const isVictim = command.outputs > 1;
    const number = spawned[isVictim ? 'victim' : 'neighbour']++;
    const hit = SABOTAGE === 'whole' ? false : isVictim || SABOTAGE === 'neighbour';
    if (!hit) return spawn(command, events);
    return spawn(
      fault.program === undefined ? command : { ...command, program: fault.program },
      fault.events?.(events, number) ?? events,
    );
  };
  const farm = new EncoderFarm(
    {
      ...LADDER,
      rungs: [
        { height: 120, bitrateBps: 200_000 },
        { height: 60, bitrateBps: 60_000 },
      ],
      maxChannels: 2,
      ...options,
    },
    {
      clock: systemClock,
      log,
      metrics,
      source: { subscribe: (name, wish) => feeds[name as Name].subscribe(name, wish) },
      spawn: spawnFor,
      cores: 2,
      toneMapper: { kind: 'zscale' },
      random: () => 0.5,
      queue: { maxQueueBytes: 64 * 1024 * 1024, maxQueueSamples: 4096 },
    },
  );
  for (const name of NAMES) farm.attach(name, sinks[name]);
  open.push({
    close: async () => {
      for (const name of NAMES) feeds[name].fanOut.close();
      await farm.close();
    },
  });
  const codes = (): unknown[] =>
    log.lines.flatMap(({ fields }) => ('code' in fields ? [fields['code']] : []));
  return { feeds, sinks, farm, spawned, codes };
}

type Pair = Awaited<ReturnType<typeof openPair>>;

describe.concurrent('an encoder that fails beside another', () => {
  let large: EncodedSource;
  let small: EncodedSource;
  beforeAll(async () => {
    [large, small] = await Promise.all([
      encodeSource({ seconds: 4, size: '320x180', gop: 30 }),
      // So small that there is but one rung below it.
      encodeSource({ seconds: 4, size: '160x90', gop: 30 }),
    ]);
  });

  /** Runs both, does something at the frame 45, and waits for the ends. */
  async function runPair(pair: Pair, hit: (pair: Pair) => void = () => {}): Promise<void> {
    const { feeds, sinks } = pair;
    await Promise.all([
      feeds.victim.run(large, { onFrame: (index) => (index === 45 ? hit(pair) : undefined) }),
      feeds.neighbour.run(small),
    ]);
    for (const name of NAMES) feeds[name].fanOut.away();
    await until(() => sinks.neighbour.rung('60p').flushes === 1, 'the neighbour at its end');
  }

  /** Every frame of the neighbour, once, and none late. */
  async function expectUnaware({ feeds, sinks, spawned }: Pair): Promise<void> {
    expect(await reportRung(sinks.neighbour, '60p', small)).toEqual({
      missing: 0,
      foreign: 0,
      ownKeys: [],
      missedKeys: 0,
      holes: 0,
      decodedFrames: small.samples.length,
      decoderSays: '',
    });
    expect(spawned.neighbour).toBe(1);
    const lags = sinks.neighbour
      .rung('60p')
      .arrivals.map(({ pts, atMs }) => atMs - (feeds.neighbour.fedAtMs.get(pts) ?? 0))
      // The encoder starts with the first ones.
      .slice(30)
      .toSorted((a, b) => a - b);
    expect(lags.at(-1)).toBeLessThan(NEIGHBOUR_LAG_MS);
  }

  /** What the victim lost in the end: nothing, and a decoder finds no fault. */
  async function expectWhole({ sinks }: Pair, rung = '120p'): Promise<void> {
    await until(() => sinks.victim.rung(rung).flushes === 1, 'the victim at its end');
    expect(await reportRung(sinks.victim, rung, large)).toMatchObject({
      missing: 0,
      foreign: 0,
      missedKeys: 0,
      holes: 0,
      decodedFrames: large.samples.length,
      decoderSays: '',
    });
  }

  function signalVictim({ farm }: Pair, name: NodeJS.Signals): void {
    const [pid] = farm.pids();
    if (pid === undefined) throw new Error('no encoder runs');
    if (SABOTAGE !== 'whole') process.kill(pid, name);
    if (SABOTAGE === 'neighbour') process.kill(farm.pids()[1] ?? Number.NaN, name);
  }

  it.each([
    ['SIGKILL', 'TRANSCODE_ENCODER_EXITED'],
    ['SIGSTOP', 'TRANSCODE_ENCODER_HUNG'],
  ] as const)('by %s is replaced, and the neighbour sees nothing of it', async (signal, code) => {
    const pair = await openPair();
    await runPair(pair, (all) => signalVictim(all, signal));
    await expectUnaware(pair);
    await expectWhole(pair);
    expect(pair.codes()).toEqual([code]);
    expect(pair.spawned.victim).toBe(2);
  });

  it('again and again leaves the neighbour alone', async () => {
    const broken = await fakeProgram('#!/bin/sh\nexit 7\n');
    open.push(broken);
    const pair = await openPair({ program: broken.path });
    await runPair(pair);
    await expectUnaware(pair);
    expect(pair.sinks.victim.expected.at(-1)).toEqual([]);
    expect(pair.spawned.victim).toBeGreaterThan(1);
    expect(pair.spawned.victim).toBeLessThan(8);
  });

  it('by starting slowly loses nothing, and the neighbour does not wait for it', async () => {
    const slow = await fakeProgram('#!/bin/sh\nsleep 1.5\nexec ffmpeg "$@"\n');
    open.push(slow);
    const pair = await openPair({ program: slow.path });
    const [firstFed] = large.samples;
    await runPair(pair);
    await expectUnaware(pair);
    await expectWhole(pair);
    const { arrivals } = pair.sinks.victim.rung('120p');
    const lagMs = (arrivals[0]?.atMs ?? 0) - (pair.feeds.victim.fedAtMs.get(firstFed?.pts ?? 0) ?? 0);
    expect(lagMs).toBeGreaterThan(1400);
    expect(pair.codes()).toEqual([]);
  });

  it('by not starting at all within its time is replaced', async () => {
    const marker = await fakeProgram('');
    open.push(marker);
    const never = await fakeProgram(
      `#!/bin/sh\nif [ -e ${marker.path} ]; then rm ${marker.path}; exec sleep 60; fi\nexec ffmpeg "$@"\n`,
    );
    open.push(never);
    const pair = await openPair({ program: never.path }, { startTimeoutMs: 1500 });
    await runPair(pair);
    await expectUnaware(pair);
    await expectWhole(pair);
    expect(pair.codes()).toEqual(['TRANSCODE_ENCODER_HUNG']);
  });

  /** Cuts an encoder's output in the middle of a tag and ends it there, or goes on with other bytes. */
  function torn(how: 'cut' | 'garbage') {
    return (events: EncoderEvents, encoder: number): EncoderEvents => {
      if (encoder > 0) return events;
      let left = 6000;
      return {
        ...events,
        output: (index, bytes) => {
          const whole = bytes.subarray(0, Math.max(0, left));
          left -= bytes.length;
          if (whole.length > 0) events.output(index, whole);
          if (left >= 0) return;
          if (how === 'garbage') events.output(index, new Uint8Array(bytes.length - whole.length).fill(0xa5));
        },
      };
    };
  }

  it('by tearing its output in the middle of a frame gives no torn frame, and is replaced', async () => {
    const pair = await openPair({ events: torn('cut') });
    await runPair(pair);
    await expectUnaware(pair);
    await expectWhole(pair);
    expect(pair.spawned.victim).toBe(2);
  });

  it('by writing nonsense behind a frame gives none of it, and is replaced', async () => {
    const pair = await openPair({ events: torn('garbage') });
    await runPair(pair);
    await expectUnaware(pair);
    await expectWhole(pair);
    expect(pair.spawned.victim).toBe(2);
  });

  it('for want of CPU sheds its rungs from the top, one after the other, and says so', async () => {
    // 28 ms a frame for each rung: 84 with three of them, 56 with two, where a frame lasts 33.
    const slow = await fakeProgram(slowFfmpeg(SABOTAGE === 'whole' ? 1 : 28));
    open.push(slow);
    const source = await encodeSource({ seconds: 12, size: '640x360', gop: 30 });
    const pair = await openPair(
      { program: slow.path },
      {
        rungs: [
          { height: 240, bitrateBps: 400_000 },
          { height: 180, bitrateBps: 300_000 },
          { height: 120, bitrateBps: 200_000 },
        ],
        maxLagMs: 500,
      },
    );
    const { feeds, sinks, farm, codes } = pair;
    const stop = new AbortController();
    const feeding = feeds.victim.run(source, { signal: stop.signal });
    await until(() => sinks.victim.expected.length >= 3, 'two rungs shed', 15_000);
    stop.abort();
    await feeding;
    expect(sinks.victim.expected).toEqual([['240p', '180p', '120p'], ['180p', '120p'], ['120p']]);
    expect(farm.statusOf('victim')?.shed).toEqual(['240p', '180p']);
    expect(codes()).toEqual(['TRANSCODE_TOO_SLOW', 'TRANSCODE_TOO_SLOW']);
  });
});
