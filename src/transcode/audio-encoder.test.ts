import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { RecordedPublisher } from '../../test/support/rtmp-hub.ts';
import { Metrics } from '../base/metrics.ts';
import { FlvReader } from '../media/flv-reader.ts';
import { writeFlvAudio, writeFlvAudioStart } from '../media/flv-writer.ts';
import { AudioEncoderFarm, type AudioFarmOptions } from './audio-encoder-farm.ts';
import type { EncoderCommand, EncoderEvents, EncoderExit, EncoderProcess } from './encoder-process.ts';

const OPTIONS: AudioFarmOptions = {
  ffmpeg: 'ffmpeg',
  watchdogMs: 800,
  startTimeoutMs: 5000,
  maxAudioEncoders: 2,
};
const TAG_MS = 20;
const FRAME_MS = 1024 / 48;
const SPEEX = 0xb6;
const G711 = 0x8e;
const STEREO = Uint8Array.of(0x11, 0x90);

/** An encoder that gives AAC on the grid that the real one has, as soon as it has the samples. */
class FakeEncoder implements EncoderProcess {
  readonly pid = 7;
  readonly #events: EncoderEvents;
  readonly #reader = new FlvReader();
  readonly #rate: number;
  readonly fedMs: number[] = [];
  #next: number;
  #headed = false;
  over = false;
  ending = false;
  killed = false;
  /** Takes input and gives nothing. */
  stuck = false;
  blocked = false;

  constructor({ args }: EncoderCommand, events: EncoderEvents) {
    this.#events = events;
    const filters = args[args.indexOf('-af') + 1] ?? '';
    this.#rate = Number(/aresample=(\d+)/.exec(filters)?.[1]);
    this.#next = Number(/start_pts=(\d+)/.exec(filters)?.[1]) / 1024 - 1;
  }

  write(bytes: Uint8Array): boolean {
    for (const tag of this.#reader.push(bytes)) this.fedMs.push(tag.timestampMs);
    this.#give();
    return !this.blocked;
  }

  unblock(): void {
    this.blocked = false;
    this.#events.drained();
  }

  say(bytes: Uint8Array): void {
    this.#events.output(0, bytes);
  }

  exit(exit: EncoderExit = { kind: 'exited', code: 1, signal: null }): void {
    if (this.over) return;
    this.over = true;
    this.#events.exited(exit);
  }

  end(): void {
    this.ending = true;
  }

  kill(): void {
    this.killed = true;
    queueMicrotask(() => this.exit({ kind: 'exited', code: null, signal: 'SIGKILL' }));
  }

  flow(): void {}

  /** Gives what is left, as at the end of its input. */
  flush(): void {
    this.#give(0);
  }

  #give(heldSamples = 2048): void {
    const newestMs = this.fedMs.at(-1);
    if (this.over || this.stuck || newestMs === undefined) return;
    const until = ((newestMs + TAG_MS) * this.#rate) / 1000 - heldSamples;
    for (; this.#next * 1024 <= until; this.#next++) {
      if (!this.#headed) this.say(writeFlvAudioStart());
      if (!this.#headed) this.say(writeFlvAudio(0, Uint8Array.of(0xaf, 0, ...STEREO)));
      this.#headed = true;
      const ms = Math.round((this.#next * 1024 * 1000) / this.#rate);
      this.say(writeFlvAudio(ms, Uint8Array.of(0xaf, 1, this.#next & 0xff)));
    }
  }
}

function open(options: Partial<AudioFarmOptions> = {}, maxRunMs?: number) {
  const clock = new FakeClock();
  const log = createMemoryLog();
  const metrics = new Metrics();
  const processes: FakeEncoder[] = [];
  /** What becomes of each further process. */
  const fate: { missing?: boolean; exits?: boolean; stuck?: boolean } = {};
  const farm = new AudioEncoderFarm(
    { ...OPTIONS, ...options },
    {
      clock,
      log,
      metrics,
      random: () => 0.5,
      spawn: (command, events) => {
        const process = new FakeEncoder(command, events);
        processes.push(process);
        process.stuck = fate.stuck ?? fate.exits ?? false;
        if (fate.missing) queueMicrotask(() => process.exit({ kind: 'missing' }));
        else if (fate.exits) queueMicrotask(() => process.exit());
        return process;
      },
      ...(maxRunMs !== undefined && { maxRunMs }),
    },
  );
  const publisher = new RecordedPublisher(
    'studio',
    { protocol: 'rtmp', role: 'primary', session: 's', remoteAddress: 'a', timescale: 1000, wrapBits: 32 },
    () => {},
  );
  const feed = farm.open(publisher);
  return {
    clock,
    log,
    processes,
    fate,
    farm,
    publisher,
    feed,
    newest: (): FakeEncoder => {
      const process = processes.at(-1);
      if (!process) throw new Error('no process was started');
      return process;
    },
    /** Priming may lie before the source's zero. */
    dts: () => publisher.samples.map(({ dts }) => (dts > 2 ** 32 - 100 ? dts - 2 ** 32 : dts)),
    codes: () => log.lines.flatMap(({ level, fields }) => (level === 'warn' ? [fields['code']] : [])),
    /** Feeds tags in real time. */
    play: async (fromMs: number, untilMs: number, format = SPEEX): Promise<void> => {
      for (let ms = fromMs; ms < untilMs; ms += TAG_MS) {
        feed.feed(ms % 2 ** 32, Uint8Array.of(format, 1, 2, 3));
        clock.advance(TAG_MS);
        await new Promise<void>((resolve) => {
          queueMicrotask(resolve);
        });
      }
    },
    metric: async (name: string): Promise<number> => {
      const lines = (await metrics.registry.metrics()).split('\n');
      const line = lines.find((each) => each.startsWith(`headwater_transcode_audio_${name}`));
      return Number(line?.split(' ').at(-1) ?? 0);
    },
  };
}

/** Frames lie one behind the other. */
function expectSteady(dts: readonly number[]): void {
  const steps = dts.slice(1).map((at, i) => at - (dts[i] ?? 0));
  expect(steps.filter((step) => Math.abs(step - FRAME_MS) > 1)).toEqual([]);
}

describe('AudioEncoder', () => {
  it('gives AAC to the publisher at the times of the source', async () => {
    const { play, publisher, dts, newest, metric } = open();
    await play(5000, 7000);
    expect(publisher.audioConfigs).toEqual([STEREO]);
    expectSteady(dts());
    // The first frame is the encoder's priming, before the first whole frame of the source.
    expect(dts()[0]).toBeGreaterThan(5000 - FRAME_MS - 1);
    expect(dts()[0]).toBeLessThan(5000 + 1);
    expect(dts().at(-1)).toBeGreaterThan(7000 - 3 * FRAME_MS);
    expect(newest().fedMs.length).toBe(100);
    expect(await metric('frames_in_total')).toBe(100);
    expect(await metric('frames_out_total')).toBe(dts().length);
    expect(await metric('processes')).toBe(1);
  });

  it('is started again at once when it ended, and goes on where it was', async () => {
    const { play, publisher, dts, newest, processes, codes, metric } = open();
    await play(0, 3000);
    newest().stuck = true;
    await play(3000, 3400);
    newest().exit();
    expect(processes.length).toBe(2);
    await play(3400, 5000);
    expectSteady(dts());
    expect(dts().at(-1)).toBeGreaterThan(5000 - 3 * FRAME_MS);
    // Some of what was encoded is decoded again: codecs lean on the frames before.
    expect(newest().fedMs[0]).toBeLessThan(1000 + 3000 - 200);
    expect(publisher.audioConfigs.every((config) => Buffer.compare(config, STEREO) === 0)).toBe(true);
    expect(codes()).toEqual(['TRANSCODE_ENCODER_EXITED']);
    expect(await metric('restarts_total{reason="exited"}')).toBe(1);
  });

  it('is tried again less and less often while it ends at once', async () => {
    const { play, fate, processes, codes, publisher, dts, metric, log } = open();
    fate.exits = true;
    await play(0, 120_000);
    expect(processes.length).toBeGreaterThan(8);
    expect(processes.length).toBeLessThan(16);
    expect(codes()).toEqual([
      'TRANSCODE_ENCODER_EXITED',
      'TRANSCODE_ENCODER_EXITED',
      'TRANSCODE_ENCODER_EXITED',
    ]);
    expect(publisher.samples).toEqual([]);
    expect(await metric('frames_dropped_total{cause="overflow"}')).toBeGreaterThan(5000);
    fate.exits = false;
    await play(120_000, 145_000);
    expectSteady(dts());
    expect(dts().at(-1)).toBeGreaterThan(144_900);
    expect(log.lines.at(-1)?.message).toBe('audio goes on');
  });

  it('says once that there is no ffmpeg, and looks again after a long time', async () => {
    const { play, fate, processes, codes, dts } = open();
    fate.missing = true;
    await play(0, 29_000);
    expect([processes.length, codes()]).toEqual([1, ['TRANSCODE_FFMPEG_MISSING']]);
    await play(29_000, 70_000);
    expect([processes.length, codes()]).toEqual([3, ['TRANSCODE_FFMPEG_MISSING']]);
    fate.missing = false;
    await play(70_000, 100_000);
    expect(dts().at(-1)).toBeGreaterThan(99_900);
  });

  it('is replaced when it gives nothing, and nothing is lost by it', async () => {
    const { play, newest, processes, dts, codes } = open();
    await play(0, 3000);
    newest().stuck = true;
    await play(3000, 3700);
    expect(processes.length).toBe(1);
    await play(3700, 6000);
    expect(processes.length).toBe(2);
    expectSteady(dts());
    expect(codes()).toEqual(['TRANSCODE_ENCODER_HUNG']);
  });

  it('has more time for its first frame', async () => {
    const { play, fate, processes } = open();
    fate.stuck = true;
    await play(0, 4900);
    expect(processes.length).toBe(1);
    await play(4900, 6000);
    expect(processes.length).toBe(2);
  });

  it('is not taken as hung when the source is silent', async () => {
    const { play, clock, processes, dts } = open();
    await play(0, 2000);
    clock.advance(8000);
    await play(10_000, 10_020);
    clock.advance(5000);
    await play(15_020, 16_000);
    expect(processes.length).toBe(1);
    expect(dts().at(-1)).toBeGreaterThan(15_900);
  });

  it('gives up the oldest audio when the process takes none', async () => {
    const { play, newest, metric } = open({ startTimeoutMs: 60_000, watchdogMs: 60_000 });
    await play(0, 1000);
    newest().blocked = true;
    await play(1000, 9000);
    const fed = newest().fedMs.length;
    expect(fed).toBe(51);
    const dropped = await metric('frames_dropped_total{cause="overflow"}');
    expect(dropped).toBeGreaterThan(250);
    newest().unblock();
    // 2.3 seconds are kept.
    expect(newest().fedMs.length - fed).toBe(116);
    expect(newest().fedMs.at(-1)).toBe(1000 + 9000 - TAG_MS);
  });

  it('follows a source whose clock steps back', async () => {
    const { play, processes, dts, metric } = open();
    await play(50_000, 53_000);
    const before = dts().length;
    await play(1000, 3000);
    expect(processes.length).toBe(2);
    expect(processes[0]?.ending).toBe(true);
    expect(dts()[before]).toBeLessThan(1000 + 1);
    expectSteady(dts().slice(before));
    expect(await metric('restarts_total{reason="jumped"}')).toBe(1);
  });

  it('bears a little disorder', async () => {
    const { feed, play, processes, newest } = open();
    await play(0, 1000);
    feed.feed(940, Uint8Array.of(SPEEX, 1, 2));
    await play(1000, 2000);
    expect(processes.length).toBe(1);
    expect(newest().fedMs).toEqual(newest().fedMs.toSorted((a, b) => a - b));
  });

  it.each([31, 32])('goes on when the clock of %i bits begins again', async (bits) => {
    const { feed, clock, processes, publisher } = open();
    const dts = () => publisher.samples.map((sample) => sample.dts);
    const modulus = 2 ** bits;
    for (let ms = modulus - 1000; ms < modulus + 1000; ms += TAG_MS) {
      feed.feed(ms % modulus, Uint8Array.of(SPEEX, 1, 2));
      clock.advance(TAG_MS);
    }
    expect(processes.length).toBe(1);
    expectSteady(dts().map((at) => (at < 2 ** 31 - 5000 ? at + modulus : at)));
    expect(dts().every((at) => at >= 0 && at < 2 ** 32)).toBe(true);
  });

  it('goes to another process before the clock of its file comes to its end', async () => {
    const { play, processes, dts, metric } = open({}, 3000);
    await play(0, 4000);
    expect(processes.length).toBe(2);
    processes[0]?.flush();
    await play(4000, 5000);
    const steps = dts()
      .slice(1)
      .map((at, i) => at - (dts()[i] ?? 0));
    expect(Math.min(...steps)).toBeGreaterThan(FRAME_MS / 2 - 1);
    expect(Math.max(...steps)).toBeLessThan(5 * FRAME_MS);
    expect(await metric('restarts_total{reason="worn"}')).toBe(1);
  });

  it('takes what the last process still has when the codec changes, until the next one gives', async () => {
    const { play, feed, processes, dts, publisher } = open();
    await play(0, 2000);
    const before = dts().length;
    feed.feed(2000, Uint8Array.of(G711, 1, 2));
    expect(processes[0]?.ending).toBe(true);
    processes[0]?.flush();
    expect(dts().length).toBeGreaterThan(before);
    await play(2020, 4000, G711);
    expect(processes.length).toBe(2);
    expect(processes[0]?.killed).toBe(true);
    expect(publisher.audioConfigs.length).toBe(2);
    expect(dts()).toEqual(dts().toSorted((a, b) => a - b));
  });

  it('starts no more than one process a second for a source that changes all the time', async () => {
    const { feed, clock, processes } = open();
    for (let ms = 0; ms < 10_000; ms += TAG_MS) {
      feed.feed(ms, Uint8Array.of(ms % 40 === 0 ? SPEEX : G711, 1, 2));
      clock.advance(TAG_MS);
    }
    expect(processes.length).toBeLessThanOrEqual(11);
  });

  it('gives nothing any more once the source sends AAC, and begins anew after it', async () => {
    const { play, feed, newest, processes, dts, publisher } = open();
    await play(0, 2000);
    const before = dts().length;
    feed.stop();
    newest().flush();
    expect([dts().length, newest().killed]).toEqual([before, true]);
    await play(5000, 7000);
    expect(processes.length).toBe(2);
    expect(dts()[before]).toBeLessThan(5000 + 1);
    expect(publisher.audioConfigs.length).toBe(2);
  });

  it('is replaced when it gives something else', async () => {
    const { play, newest, codes, processes } = open();
    await play(0, 3000);
    newest().say(writeFlvAudio(0, Uint8Array.of(0x2f, 1)));
    newest().say(Buffer.from('nonsense'.repeat(4)));
    await play(3000, 3100);
    expect(processes.length).toBe(2);
    expect(codes()).toEqual(['TRANSCODE_OUTPUT_MALFORMED']);
  });

  it('ends its process with the publisher, and leaves no timer', async () => {
    const { play, feed, newest, clock, farm, dts, processes } = open();
    await play(0, 1000);
    const before = dts().length;
    feed.close();
    feed.close();
    feed.feed(2000, Uint8Array.of(SPEEX, 1));
    newest().flush();
    expect([newest().killed, clock.pendingTimers, dts().length, processes.length]).toEqual([
      true,
      0,
      before,
      1,
    ]);
    await farm.close();
    expect(newest().over).toBe(true);
  });

  it('has its end awaited when the server stops', async () => {
    const { play, newest, farm, clock, metric } = open();
    await play(0, 1000);
    const closed = farm.close();
    expect([newest().killed, newest().over]).toEqual([true, false]);
    await closed;
    expect([newest().over, clock.pendingTimers, await metric('processes')]).toEqual([true, 0, 0]);
  });

  it('is one of so many; one more gets no process until there is room', async () => {
    const { play, feed, farm, publisher, processes, codes, metric, dts } = open({ maxAudioEncoders: 1 });
    const other = farm.open(publisher);
    other.feed(0, Uint8Array.of(SPEEX, 1, 2));
    await play(0, 500);
    expect([processes.length, codes()]).toEqual([1, ['TRANSCODE_AUDIO_NO_ROOM']]);
    expect(await metric('frames_dropped_total{cause="no_room"}')).toBe(25);
    other.close();
    await play(500, 1000);
    expect([processes.length, codes()]).toEqual([2, ['TRANSCODE_AUDIO_NO_ROOM']]);
    expect(dts().length).toBeGreaterThan(10);
    feed.close();
  });
});
