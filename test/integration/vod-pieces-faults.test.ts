import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { type JobQueue, PermanentJobError } from '../../src/state/job-queue.ts';
import { openLmdbJobQueue } from '../../src/state/lmdb-job-queue.ts';
import type { SpawnEncoder } from '../../src/transcode/encoder-process.ts';
import { createSpawnEncoder, guardCommand } from '../../src/transcode/spawn-encoder.ts';
import { encodeAudio } from '../../src/transcode/vod/encode-audio.ts';
import { encodePiece } from '../../src/transcode/vod/encode-piece.ts';
import { type LiveChannel, STEP_BACK_LIMITS } from '../../src/transcode/vod/step-back-policy.ts';
import { cpuTicks } from '../../src/transcode/vod/work-processes.ts';
import { createTitleWorker } from '../../src/transcode/vod/work-titles.ts';
import { ffmpeg } from '../support/ffmpeg.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { until } from '../support/until.ts';
import {
  attempt,
  MemoryBlobs,
  PAL,
  SMALL_RUNG,
  STEREO,
  titleWork,
  workDeps,
} from '../support/vod-pieces-fixture.ts';

let folder = '';
let master = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vod-faults-'));
  master = join(folder, 'master.mp4');
  await ffmpeg([
    ...['-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=25:duration=8'],
    ...['-f', 'lavfi', '-i', 'sine=440:duration=8:sample_rate=48000'],
    ...['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '50', '-c:a', 'aac', master],
  ]);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const FRAMES = 200;
/** Bounds a hang on a machine that is busy with other tests. */
const LONG_MS = 100_000;
/** Slow enough to be met while it runs. */
const SLOW_RUNG = { ...SMALL_RUNG, width: 640, height: 360, preset: 'veryslow', maxBitrateBps: 4_000_000 };

const title = (rung = SMALL_RUNG, frames = FRAMES): ReturnType<typeof titleWork> =>
  titleWork({ path: master, demuxer: 'mov', rate: PAL, frames, rungs: [rung], audios: [STEREO] });

interface Farm {
  readonly queue: JobQueue;
  readonly store: MemoryBlobs;
  /** Of every ffmpeg, oldest first. */
  readonly pids: number[];
  readonly scratch: string;
  readonly live: { channels: LiveChannel[] };
  readonly log: ReturnType<typeof createMemoryLog>;
  /** Told of each ffmpeg at once. */
  onStart: (pid: number) => void;
  close(): Promise<void>;
}

async function openFarm(options: { readonly watchdogMs?: number } = {}): Promise<Farm> {
  const home = await mkdtemp(join(folder, 'farm-'));
  const log = createMemoryLog();
  const deps = { clock: systemClock, log, metrics: new Metrics(), random: Math.random };
  const queue = await openLmdbJobQueue(join(home, 'jobs.mdb'), { retryDelayMs: 50 }, deps);
  const realSpawn = createSpawnEncoder(process.env, await guardCommand(process.env));
  const spawn: SpawnEncoder = (command, events) => {
    const encoder = realSpawn(command, events);
    if (encoder.pid !== undefined) {
      farm.pids.push(encoder.pid);
      farm.onStart(encoder.pid);
    }
    return encoder;
  };
  const live = { channels: [] as LiveChannel[] };
  const store = new MemoryBlobs();
  const scratch = join(home, 'scratch');
  const worker = createTitleWorker(
    {
      slots: 2,
      cores: 4,
      ffmpeg: 'ffmpeg',
      toneMapper: { kind: 'zscale' },
      scratchFolder: scratch,
      stepBack: { ...STEP_BACK_LIMITS, quietMs: 300 },
      ...options,
    },
    {
      ...deps,
      queue,
      store,
      spawn,
      live: { status: () => live.channels },
      text: () => Promise.reject(new Error()),
    },
  );
  const farm: Farm = {
    ...{ queue, store, pids: [], scratch, live, log },
    onStart() {},
    async close() {
      await worker.close();
      await queue.close();
    },
  };
  onTestFinished(() => farm.close());
  return farm;
}

async function addTitle(farm: Farm, work: ReturnType<typeof titleWork>): Promise<void> {
  const rungs = [...(work.plan.video.groups[0] ?? [])];
  const pieces = Array.from({ length: work.plan.video.pieces }, (_, index) => ({
    ...{ id: `piece-${index}`, kind: 'piece', data: { kind: 'piece', rungs, index } },
  }));
  const sound = { id: 'sound', kind: 'audio', data: { kind: 'audio', id: STEREO.id } };
  const data = JSON.parse(JSON.stringify(work)) as null;
  await farm.queue.add({
    id: 'film',
    data,
    priority: 10,
    jobs: [...pieces.slice(0, 1), sound, ...pieces.slice(1)],
    attempts: 4,
  });
}

async function ended(farm: Farm): Promise<string | undefined> {
  const flow = await farm.queue.flow('film');
  return flow?.state === 'running' ? undefined : flow?.state;
}

/** What was stored, whichever attempt it was of. */
function stored(store: MemoryBlobs): Record<string, string> {
  const withoutAttempt = (key: string): string =>
    key.replace(/-\d+\.mp4$/, '.mp4').replace(/\/\d+\/(\d+\.mp4)$/, '/$1');
  return Object.fromEntries(
    [...store.blobs].map(([key, bytes]) => [withoutAttempt(key), Buffer.from(bytes).toString('base64')]),
  );
}

/** R, S, T, Z, …; undefined: there is no such process. */
function stateOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.charAt(0);
  } catch {
    return undefined;
  }
}

/** One that has ended by itself meanwhile is as well. */
function killIfThere(pid: number): void {
  if (stateOf(pid) !== undefined) process.kill(pid, 'SIGKILL');
}

/** Of every thread of a process. */
function niceOfThreads(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1');
    return stat.split(') ').at(-1)?.split(' ')[16] ?? '';
  });
}

const SLOW_LIVE: LiveChannel = { state: 'running', shed: [], lagMs: 5000 };

describe('work on titles', { timeout: 2 * LONG_MS }, () => {
  it('is done again where an encoder is killed, with the same result', async () => {
    const quiet = await openFarm();
    await addTitle(quiet, title());
    expect(await until(() => ended(quiet), 'the title is done', LONG_MS)).toBe('done');
    const expected = stored(quiet.store);
    expect(Object.keys(expected)).toHaveLength(10);

    const farm = await openFarm();
    // Three die, fewer than a job may be begun: two at once, one in the middle of its work.
    farm.onStart = (pid) => {
      const nth = farm.pids.length;
      if (nth === 1 || nth === 3) process.kill(pid, 'SIGKILL');
      if (nth === 5) void until(() => (cpuTicks(pid) ?? 100) > 10, 'it works').then(() => killIfThere(pid));
    };
    await addTitle(farm, title());
    expect(await until(() => ended(farm), 'the title is done', LONG_MS)).toBe('done');
    expect(farm.pids.length).toBeGreaterThan(quiet.pids.length + 1);
    expect(stored(farm.store)).toEqual(expected);
    expect(await readdir(farm.scratch)).toEqual([]);
  });

  it('leaves no process and no file behind when it is cancelled, or the worker is closed', async () => {
    for (const end of ['cancel', 'close'] as const) {
      const farm = await openFarm();
      // None of them ends by itself.
      farm.onStart = (pid) => process.kill(pid, 'SIGSTOP');
      await addTitle(farm, title());
      await until(() => farm.pids.length >= 2, 'two encoders run');
      if (end === 'cancel') await farm.queue.cancel('film');
      else await farm.close();
      const isIdle = async (): Promise<boolean> =>
        farm.pids.every((pid) => stateOf(pid) === undefined) && (await readdir(farm.scratch)).length === 0;
      if (end === 'cancel') await until(isIdle, 'nothing is left');
      expect(await isIdle()).toBe(true);
    }
  });

  it('stands still while live needs the machine, is not taken for hung, and goes on', async () => {
    const farm = await openFarm({ watchdogMs: 3000 });
    const short = join(folder, 'short.mp4');
    await ffmpeg(['-i', master, '-t', '3', '-c', 'copy', short]);
    const atStart: string[][] = [];
    farm.onStart = (pid) => setImmediate(() => atStart.push(niceOfThreads(pid)));
    await addTitle(farm, { ...title(SLOW_RUNG, 75), masterPath: short });
    await until(() => atStart.length >= 2, 'two encoders run');
    // The first piece is waited for: it goes before sound, and behind everything else.
    expect(atStart.map(([nice]) => nice).sort()).toEqual(['10', '19']);
    const first = farm.pids[atStart.findIndex(([nice]) => nice === '10')] ?? 0;
    const threads = await until(() => {
      const found = niceOfThreads(first);
      return found.length > 2 ? found : undefined;
    }, 'it has threads');
    expect(new Set(threads)).toEqual(new Set(['10']));
    farm.live.channels = [SLOW_LIVE];
    const running = (): number[] => farm.pids.filter((pid) => stateOf(pid) !== undefined);
    await until(
      () => running().length > 0 && running().every((pid) => stateOf(pid) === 'T'),
      'all are stopped',
    );
    const held = running();
    const begun = farm.pids.length;
    const heldAtMs = systemClock.monotonicMs();
    await until(() => systemClock.monotonicMs() - heldAtMs > 5000, 'the watchdog would have barked long ago');
    expect(running()).toEqual(held);
    expect(farm.pids).toHaveLength(begun);
    farm.live.channels = [];
    expect(await until(() => ended(farm), 'the title is done', LONG_MS)).toBe('done');
    expect(farm.log.lines.map(({ message }) => message)).toEqual([
      'titles wait for live encoding',
      'work on titles goes on',
    ]);
  });

  it('ends an encoder that hangs, and begins again', async () => {
    const farm = await openFarm({ watchdogMs: 2000 });
    farm.onStart = (pid) => {
      if (farm.pids.length === 1) process.kill(pid, 'SIGSTOP');
    };
    await addTitle(farm, title());
    expect(await until(() => ended(farm), 'the title is done', LONG_MS)).toBe('done');
    const failed = farm.log.lines.filter(({ message }) => message === 'job of a title failed');
    expect(failed.map(({ fields }) => fields['reason'])).toEqual([
      expect.stringContaining('ffmpeg got nowhere for too long'),
    ]);
  });

  it('stops for good, with the line that matters, at a master that cannot be read', async () => {
    const garbage = join(folder, 'garbage.mp4');
    await writeFile(garbage, Buffer.alloc(100_000, 'not media'));
    const farm = await openFarm();
    await addTitle(farm, { ...title(), masterPath: garbage });
    expect(await until(() => ended(farm), 'the title has failed', LONG_MS)).toBe('failed');
    const flow = await farm.queue.flow('film');
    const failed = flow?.jobs.find(({ state }) => state === 'failed');
    expect(failed?.attempt).toBe(1);
    expect(failed?.error?.message).toMatch(
      /^ffmpeg ended with \d+: .*(moov atom not found|Invalid data found)/,
    );
    expect(failed?.error?.message).not.toContain(folder);
  });

  it('does not take a master for whole that was cut short', async () => {
    const cut = join(folder, 'cut.mkv');
    await ffmpeg(['-i', master, '-c', 'copy', cut]);
    await truncate(cut, 60_000);
    const work = { ...title(), masterPath: cut };
    const deps = await workDeps(folder);
    const cutWork = { ...work, master: { ...work.master, demuxer: 'matroska' } };
    await expect(encodePiece({ work: cutWork, index: 3, rungs: ['90p'] }, attempt(), deps)).rejects.toThrow(
      PermanentJobError,
    );
    expect(deps.store.blobs.size).toBe(0);
    expect(await readdir(join(folder, 'scratch'))).toEqual([]);
  });

  it('ends with what the store says, and its encoder with it', async () => {
    class FullBlobs extends MemoryBlobs {
      override put(): Promise<never> {
        return Promise.reject(new Error('full'));
      }
    }
    const deps = await workDeps(folder, { store: new FullBlobs() });
    const work = title();
    await expect(encodeAudio({ work, id: STEREO.id }, attempt(), deps)).rejects.toThrow('full');
    await expect(encodePiece({ work, index: 0, rungs: ['90p'] }, attempt(), deps)).rejects.toThrow('full');
    expect(deps.processes.running).toBe(0);
    expect(await readdir(join(folder, 'scratch'))).toEqual([]);
  });
});
