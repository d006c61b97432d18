import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSpawnEncoder, guardCommand } from '../../src/transcode/spawn-encoder.ts';
import type { EncoderCommand, SpawnEncoder } from '../../src/transcode/encoder-process.ts';
import { encodePiece } from '../../src/transcode/vod/encode-piece.ts';
import { ladderKey } from '../../src/transcode/vod/fitted-ladders.ts';
import type { ComplexityResult, TitleWork } from '../../src/transcode/vod/title-plan.ts';
import { WorkProcesses } from '../../src/transcode/vod/work-processes.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { ffmpeg } from '../support/ffmpeg.ts';
import { until } from '../support/until.ts';
import { attempt, MemoryBlobs, PAL, titleWork, workDeps } from '../support/vod-pieces-fixture.ts';

let folder = '';
let realSpawn: SpawnEncoder;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vod-content-aware-'));
  realSpawn = createSpawnEncoder(process.env, await guardCommand(process.env));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Six seconds of pictures, to be fitted. */
async function title(name: string, filter: string): Promise<ReturnType<typeof titleWork>> {
  const path = join(folder, `${name}.mkv`);
  const picture = 'smptebars=size=320x180:rate=25:duration=6';
  await ffmpeg(['-f', 'lavfi', '-i', picture, '-vf', filter, '-c:v', 'mpeg2video', '-q:v', '2', path]);
  const work = titleWork({ path, demuxer: 'matroska', rate: PAL, frames: 150 });
  return { ...work, title: name, plan: { ...work.plan, contentAware: true } };
}

/** What ffmpeg is asked for, in order. */
function watched(commands: EncoderCommand[], started: (pid: number) => void = () => {}): SpawnEncoder {
  return (command, events) => {
    commands.push(command);
    const encoder = realSpawn(command, events);
    if (encoder.pid !== undefined) started(encoder.pid);
    return encoder;
  };
}

const valueOf = (args: readonly string[], option: string): string => args[args.indexOf(option) + 1] ?? '';
const isMeasuring = ({ args }: EncoderCommand): boolean => args.includes('h264');

function kept(store: MemoryBlobs, work: TitleWork): ComplexityResult {
  const bytes = store.blobs.get(ladderKey(work)) ?? new Uint8Array();
  return JSON.parse(Buffer.from(bytes).toString()) as ComplexityResult;
}

describe('the ladder of a title that is fitted to its pictures', () => {
  it('is far smaller and coarser for a still picture than for noise, and both are said', async () => {
    const [still, noise] = [await title('still', 'null'), await title('noise', 'noise=alls=60:allf=t')];
    const log = createMemoryLog();
    const deps = await workDeps(folder, { log });
    const ofStill = await deps.ladders.ladderOf(still, attempt(), deps);
    const ofNoise = await deps.ladders.ladderOf(noise, attempt(), deps);
    expect(ofStill).toEqual(kept(deps.store, still));
    for (const [n, rung] of still.plan.video.rungs.entries()) {
      const [easy, hard] = [ofStill.rungs[n], ofNoise.rungs[n]];
      expect(easy?.id).toBe(rung.id);
      expect(easy?.maxBitrateBps).toBeLessThan(0.5 * (hard?.maxBitrateBps ?? 0));
      expect(easy?.crf).toBe(rung.crf + 5);
      expect(hard?.crf).toBe(rung.crf);
      expect(easy?.plannedBps).toBe(rung.maxBitrateBps);
    }
    expect(ofStill.notes[0]).toMatch(
      /^The pictures are easy, by SSIM: 180p 2\.0 -> 0\.\d+ Mb\/s, 90p .* \d+ % less\.$/,
    );
    expect(ofNoise.notes[0]).toMatch(/hard, by SSIM: .* 30 % more\.$/);
    const said = log.lines.filter(({ message }) => message === 'ladder of a title fitted to its pictures');
    expect(said).toHaveLength(2);
    expect(said[0]).toMatchObject({ fields: { title: 'still', metric: 'ssim', note: ofStill.notes[0] } });
  });

  it('is measured once for all pieces, also those that begin at the same time, and is what they are encoded by', async () => {
    const work = await title('pieces', 'null');
    const commands: EncoderCommand[] = [];
    const deps = await workDeps(folder, { spawn: watched(commands) });
    const rungs = work.plan.video.rungs.map(({ id }) => id);
    await Promise.all([0, 1].map((index) => encodePiece({ work, index, rungs }, attempt(), deps)));
    const fitted = kept(deps.store, work);
    // Four stretches, each encoded and compared.
    expect(commands.filter(isMeasuring)).toHaveLength(8);
    const pieces = commands.filter((command) => !isMeasuring(command));
    expect(pieces).toHaveLength(2);
    for (const { args } of pieces) {
      expect(valueOf(args, '-crf')).toBe(`${fitted.rungs[0]?.crf}`);
      expect(valueOf(args, '-maxrate')).toBe(`${fitted.rungs[0]?.maxBitrateBps}`);
    }
    // Another process finds what was measured.
    const others: EncoderCommand[] = [];
    const other = await workDeps(folder, { store: deps.store, spawn: watched(others) });
    await encodePiece({ work, index: 2, rungs }, attempt(), other);
    expect(others.filter(isMeasuring)).toEqual([]);
  });

  it('comes out the same when its encoder is killed and it is measured again', async () => {
    const work = await title('killed', 'noise=alls=12:allf=t');
    const quiet = await workDeps(folder);
    const expected = await quiet.ladders.ladderOf(work, attempt(), quiet);
    const commands: EncoderCommand[] = [];
    let kills = 1;
    const spawn = watched(commands, (pid) => {
      if (commands.length === 3 && kills-- > 0) process.kill(pid, 'SIGKILL');
    });
    const deps = await workDeps(folder, { spawn });
    const failing = deps.ladders.ladderOf(work, attempt(), deps);
    // Another job of the title waits for it, and takes over.
    const waiting = deps.ladders.ladderOf(work, attempt({ number: 2 }), deps);
    await expect(failing).rejects.toMatchObject({ code: 'VOD_COMPLEXITY_FAILED' });
    expect(await waiting).toEqual(expected);
    expect(kept(deps.store, work)).toEqual(expected);
  });

  it('stands still with all other work while live needs the machine, and ends with its job', async () => {
    const work = await title('held', 'null');
    const processes = new WorkProcesses();
    processes.hold();
    const pids: number[] = [];
    const deps = await workDeps(folder, { processes, spawn: watched([], (pid) => pids.push(pid)) });
    const controller = new AbortController();
    const measuring = deps.ladders.ladderOf(work, attempt({ signal: controller.signal }), deps);
    const outcome = expect(measuring).rejects.toMatchObject({ code: 'JOB_CANCELLED' });
    await until(() => pids.length === 1 && processes.running === 1, 'it has begun');
    controller.abort();
    await outcome;
    expect(processes.running).toBe(0);
    expect(deps.store.blobs.size).toBe(0);
  });

  it('is the one that was kept first, whoever else measured meanwhile', async () => {
    const work = await title('first', 'null');
    const store = new MemoryBlobs();
    const deps = await workDeps(folder, { store });
    const other: ComplexityResult = { metric: 'ssim', rungs: [], notes: ['Of another machine.'] };
    const put = store.put.bind(store);
    store.put = async (key, body, options) => {
      if (!store.blobs.has(key)) await put(key, Buffer.from(JSON.stringify(other)));
      return put(key, body, options);
    };
    expect(await deps.ladders.ladderOf(work, attempt(), deps)).toEqual(other);
    expect(kept(store, work)).toEqual(other);
  });
});
