import { readFileSync } from 'node:fs';
import process from 'node:process';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { EncoderFarm } from '../../src/transcode/encoder-farm.ts';
import { createSpawnEncoder } from '../../src/transcode/spawn-encoder.ts';
import { LADDER } from '../support/encoder-fixture.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import {
  backwards,
  duplicated,
  followedBy,
  frames,
  isHeader,
  jump,
  late,
  makeClip,
  type Mutator,
  type OddTag,
  offset,
  resetClock,
  uneven,
  without,
} from '../support/odd-media.ts';
import { OddMediaChain } from '../support/odd-media-chain.ts';
import { RecordingLadder } from '../support/recording-ladder.ts';
import { until } from '../support/until.ts';

/**
 * What an encoder makes of odd media. The stream's time is its own and goes by at once; the encoder is a real one.
 * `SABOTAGE`: `lose-frames` leaves one of forty out on its way to the hub; `heal` sends a picture of lawful size;
 * `source-keys` has key frames only where the source has them.
 */
const SABOTAGE = process.env['SABOTAGE'] ?? '';
const RUNG = '90p';

const clips: Record<'plain' | 'larger' | 'long', OddTag[]> = { plain: [], larger: [], long: [] };
beforeAll(async () => {
  [clips.plain, clips.larger, clips.long] = await Promise.all([
    makeClip({ seconds: 8, size: '320x180' }),
    makeClip({ seconds: 4, size: '640x360', noise: 8 }),
    makeClip({ seconds: 32, size: '320x180', gop: 900, rate: '15' }),
  ]);
});

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

interface Encoded {
  readonly sink: RecordingLadder;
  readonly chain: OddMediaChain;
  /** CPU of the encoders of the stream, all of them together. */
  readonly cpuMs: number;
  readonly spawned: number;
  readonly closedFor: string | undefined;
}

/** Plays tags into a hub with an encoder on it, and waits until the rung has come to its end. */
async function encode(tags: readonly OddTag[], endMs?: number): Promise<Encoded> {
  const sink = new RecordingLadder();
  const cpu = new Map<number, number>();
  const spawn = createSpawnEncoder(process.env, []);
  let spawned = 0;
  const chain = new OddMediaChain({ gopCacheMs: 60_000, gopCacheFrames: 2000 }, (stream) =>
    farm.attach(stream, sink),
  );
  const farm = new EncoderFarm(
    {
      ...LADDER,
      rungs: [{ height: 90, bitrateBps: 100_000 }],
      watchdogMs: 20_000,
      startTimeoutMs: 20_000,
      segmentMs: SABOTAGE === 'source-keys' ? undefined : 2000,
    },
    {
      clock: systemClock,
      log: createMemoryLog(),
      metrics: new Metrics(),
      source: chain.hub,
      spawn: (command, events) => {
        spawned++;
        return spawn(command, events);
      },
      cores: 2,
      toneMapper: { kind: 'zscale' },
      random: () => 0.5,
      queue: { maxQueueBytes: 64 * 1024 * 1024, maxQueueSamples: 8192 },
    },
  );
  open.push(chain, farm);
  const publisher = chain.playTags(
    SABOTAGE === 'lose-frames' ? tags.filter((tag, n) => isHeader(tag) || n % 40 !== 39) : tags,
  );
  chain.runTo(endMs ?? Math.max(...tags.map(({ atMs }) => atMs)) + 10);
  publisher.close();
  const [closing] = chain.closings;
  if (!closing) {
    const timelines = chain.hub.stream('cam') ? await chain.metric('stream_timelines_total') : 0;
    await until(
      () => {
        for (const pid of farm.pids()) cpu.set(pid, cpuMsOf(pid) ?? cpu.get(pid) ?? 0);
        return timelines > 0 && sink.rung(RUNG).flushes >= timelines;
      },
      'the rung at its end',
      30_000,
    );
  }
  return {
    sink,
    chain,
    cpuMs: [...cpu.values()].reduce((sum, ms) => sum + ms, 0),
    spawned,
    closedFor: closing?.reason,
  };
}

const MS_PER_TICK = 10;

/** User and system time of a process; undefined when it is gone. */
function cpuMsOf(pid: number): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
  } catch {
    return undefined;
  }
}

interface Row {
  readonly id: string;
  readonly name: string;
  readonly mutate: Mutator;
  readonly keptShare?: number;
}

const ROWS: readonly Row[] = [
  { id: 'F15', name: 'another resolution', mutate: (tags) => followedBy(clips.larger, 8000)(tags) },
  { id: 'F17', name: 'a clock that begins at 0 again', mutate: resetClock(5000) },
  { id: 'F18', name: 'a clock that passes 2^32 ms', mutate: offset(2 ** 32 - 4000) },
  { id: 'F19', name: 'no audio', mutate: without('audio') },
  { id: 'F19', name: 'audio 5 s late', mutate: late('audio', 5000) },
  { id: 'F22', name: 'every fifth frame twice', mutate: duplicated(5) },
  { id: 'F22', name: 'every fifth time stamp 40 ms back', mutate: backwards(5, 40), keptShare: 0.98 },
  { id: 'F22', name: 'a variable rate', mutate: uneven(3, 25), keptShare: 0.98 },
];

describe('the rung of an odd source', () => {
  it.each(ROWS)('$id: $name: has its frames, each once', async ({ mutate, keptShare }) => {
    const tags = mutate(clips.plain);
    const sent = new Set(frames(tags, 'video').map(({ trueMs }) => trueMs)).size;
    const { sink } = await encode(tags);
    const made = sink.rung(RUNG).arrivals.length;
    expect(made).toBeGreaterThanOrEqual(keptShare === undefined ? sent - 2 : sent * keptShare);
    expect(made).toBeLessThanOrEqual(sent + 2);
  });

  it('F16: costs no more for a clock that jumps ten minutes', async () => {
    const calm = await encode(clips.plain);
    const odd = await encode(jump(5100, 600_000)(clips.plain));
    const sent = frames(clips.plain, 'video').length;
    for (const { sink } of [calm, odd]) {
      expect(Math.abs(sink.rung(RUNG).arrivals.length - sent)).toBeLessThanOrEqual(2);
    }
    // A new timeline costs a new encoder; the frames themselves cost what they did.
    expect(odd.cpuMs).toBeLessThanOrEqual(1.3 * calm.cpuMs + 200);
  });

  it('F20: goes on through a GOP of 30 s', async () => {
    const { sink } = await encode(clips.long);
    const sent = frames(clips.long, 'video').length;
    expect(sink.rung(RUNG).arrivals.length).toBeGreaterThanOrEqual(sent - 2);
    // Nobody waits longer for a picture than a segment lasts.
    const [first = 0, ...keys] = sink.keys(RUNG);
    expect(keys.map((pts) => (pts - first) / 90_000)).toEqual(
      Array.from({ length: 15 }, (_, n) => 2 * n + 2),
    );
  });

  it('F20: has key frames where the source has them, and no others, when these are regular', async () => {
    const { sink } = await encode(clips.plain);
    const [first = 0, ...keys] = sink.keys(RUNG);
    expect(keys.map((pts) => (pts - first) / 90_000)).toEqual([2, 4, 6]);
  });
});

describe('S29: a picture of 8192x8192', () => {
  it('is refused by its parameter set, before any decoder starts', async () => {
    const bomb = SABOTAGE === 'heal' ? clips.plain : clips.plain.map(asBomb);
    const { closedFor, spawned, sink, chain } = await encode(bomb, 7000);
    expect(closedFor).toBe('STREAM_VIDEO_TOO_LARGE');
    expect(chain.closings[0]?.atMs).toBeLessThanOrEqual(100);
    expect(spawned).toBe(0);
    expect(sink.expected).toEqual([]);
  });
});

/** The same tag, but its sequence header tells of 8192x8192 pixels. */
function asBomb(tag: OddTag): OddTag {
  if (tag.kind !== 'video' || tag.body[1] !== 0) return tag;
  const sps = hugeSps();
  const record = [1, 66, 0, 62, 0xff, 0xe1, 0, sps.length, ...sps, 1, 0, 4, 0x68, 0xce, 0x0f, 0xc8];
  return { ...tag, body: Uint8Array.from([...tag.body.subarray(0, 5), ...record]) };
}

/** Baseline, level 6.2, 512 by 512 macroblocks. */
function hugeSps(): number[] {
  const golomb = (value: number): string => {
    const bits = (value + 1).toString(2);
    return '0'.repeat(bits.length - 1) + bits;
  };
  // seq_parameter_set_id, log2_max_frame_num, poc type 2, one reference, no gaps, sizes, frames only, direct, no
  // cropping, no VUI, stop bit.
  const body = `${[0, 0, 2, 1].map(golomb).join('')}0${golomb(511)}${golomb(511)}11001`;
  const bytes = (body.padEnd(Math.ceil(body.length / 8) * 8, '0').match(/.{8}/g) ?? []).map((bits) =>
    Number.parseInt(bits, 2),
  );
  return [0x67, 66, 0, 62, ...bytes];
}
