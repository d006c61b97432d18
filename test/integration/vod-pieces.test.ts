import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { STREAM_READER_LIMITS, StreamReader } from '../../src/media/isobmff/stream-reader.ts';
import { createSpawnEncoder } from '../../src/transcode/spawn-encoder.ts';
import { encodePiece } from '../../src/transcode/vod/encode-piece.ts';
import { ENCODER_PRESETS } from '../../src/transcode/vod/ladder-presets.ts';
import { pieceOutput } from '../../src/transcode/vod/piece-encoders.ts';
import { DEFAULT_MASTER_LIMITS, probeMaster } from '../../src/transcode/vod/probe-master.ts';
import { createRunTool } from '../../src/transcode/vod/probe-process.ts';
import { pieceRange, type PlannedRung } from '../../src/transcode/vod/title-plan.ts';
import { makeThumbnails } from '../../src/transcode/vod/thumbnails.ts';
import { writeToneTables } from '../../src/transcode/tone-mapper.ts';
import { ffmpeg } from '../support/ffmpeg.ts';
import {
  attempt,
  encodeAll,
  joinTitle,
  NTSC,
  numbered,
  PAL,
  probeVideo,
  readNumbers,
  readSamples,
  RUNG,
  SMALL_RUNG,
  titleWork,
  workDeps,
} from '../support/vod-pieces-fixture.ts';

const FILM = { numerator: 24_000, denominator: 1001 };
const SOURCE = { width: 320, height: 180 };

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vod-pieces-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Numbered pictures in a file. */
async function clip(name: string, filters: string, args: readonly string[] = []): Promise<string> {
  const path = join(folder, name);
  await ffmpeg([
    ...['-f', 'lavfi', '-i', filters, '-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '12'],
    ...['-pix_fmt', 'yuv420p', ...args, path],
  ]);
  return path;
}

const pictures = (rate: string, frames: number): string =>
  `testsrc2=size=320x180:rate=${rate},${numbered()},trim=end_frame=${frames}`;

const upTo = (frames: number): number[] => Array.from({ length: frames }, (_, n) => n);

describe('pieces of a title', () => {
  it.each([
    {
      ...{
        name: 'mp4 at 25 with B-frames and open GOPs',
        file: 'a.mp4',
        demuxer: 'mov',
        rate: PAL,
        frames: 131,
      },
      args: ['-bf', '3', '-g', '50', '-x264-params', 'open-gop=1'],
    },
    {
      ...{ name: 'a transport stream at 29.97', file: 'b.m2ts', demuxer: 'mpegts', rate: NTSC, frames: 140 },
      args: ['-bf', '2', '-g', '37', '-f', 'mpegts'],
    },
    {
      ...{
        name: 'one whose key frames are far apart',
        file: 'c.m2ts',
        demuxer: 'mpegts',
        rate: NTSC,
        frames: 200,
      },
      args: ['-bf', '2', '-g', '170', '-sc_threshold', '0', '-f', 'mpegts'],
    },
    {
      ...{ name: 'Matroska at 23.976', file: 'd.mkv', demuxer: 'matroska', rate: FILM, frames: 97 },
      args: ['-bf', '3', '-g', '48'],
    },
  ])('of $name have every frame once, in order', async ({ file, demuxer, rate, frames, args }) => {
    const path = await clip(file, pictures(`${rate.numerator}/${rate.denominator}`, frames), args);
    const { start_time: start } = await probeVideo(path);
    const work = titleWork({ path, demuxer, rate, frames, startMs: Number(start) * 1000 });
    const deps = await workDeps(folder);
    const made = await encodeAll(work, deps);
    expect(made.map(({ result }) => result.frames)).toEqual(made.map(({ planned }) => planned));
    for (const rung of work.plan.video.rungs) {
      const joined = joinTitle(deps.store, made, rung.id);
      const keys = readSamples(joined).samples.flatMap(({ key }, n) => (key ? [n] : []));
      expect(keys).toEqual(upTo(Math.ceil(frames / 12)).map((n) => n * 12));
      expect(await readNumbers(joined, SOURCE)).toEqual(upTo(frames));
    }
  });

  it.each([
    {
      ...{ name: 'mp4 at 29.97 with B-frames and open GOPs', file: 'ka.mp4', rate: NTSC },
      ...{ demuxer: 'mov', args: ['-bf', '3', '-x264-params', 'open-gop=1'] },
    },
    { name: 'Matroska at 23.976', file: 'kb.mkv', rate: FILM, demuxer: 'matroska', args: ['-bf', '3'] },
    { name: 'Matroska without B-frames', file: 'kc.mkv', rate: PAL, demuxer: 'matroska', args: ['-bf', '0'] },
  ])('of $name begin to be read at their own key frame', async ({ file, demuxer, rate, args }) => {
    const gop = ['-g', '24', '-keyint_min', '24', '-sc_threshold', '0'];
    const path = await clip(file, pictures(`${rate.numerator}/${rate.denominator}`, 140), [...gop, ...args]);
    const run = createRunTool(process.env, [], systemClock);
    const limits = DEFAULT_MASTER_LIMITS;
    const { video } = await probeMaster(path, { run, limits, ffprobe: 'ffprobe', sidecars: false });
    const evenMs = (24_000 * rate.denominator) / rate.numerator;
    expect(video?.keyFrames?.evenMs).toBeCloseTo(evenMs, 0);
    expect(video?.keyFrames?.longestMs).toBeCloseTo(evenMs, 0);
    const startMs = video?.startMs ?? 0;
    const master = { keyFrames: video?.keyFrames };
    const work = titleWork({ path, demuxer, rate, frames: 140, startMs, master, rungs: [RUNG] });
    const asked: string[] = [];
    const spawn = createSpawnEncoder(process.env, []);
    const deps = await workDeps(folder, {
      spawn(command, events) {
        asked.push(command.args[command.args.indexOf('-ss') + 1] ?? '');
        return spawn(command, events);
      },
    });
    const made = await encodeAll(work, deps);
    expect(await readNumbers(joinTitle(deps.store, made, RUNG.id), SOURCE)).toEqual(upTo(140));
    // Each once, and none from before the frame that it begins with.
    expect(asked).toHaveLength(work.plan.video.pieces);
    const starts = made.map(
      (_, index) => startMs / 1000 + (pieceRange(work.plan.video, index).start * evenMs) / 24_000,
    );
    for (const [index, at] of asked.entries())
      if (index > 0) expect(Number(at)).toBeGreaterThan(starts[index] ?? 0);
  });

  it('of a variable rate show at every moment what the master shows then', async () => {
    const isKept = (n: number): boolean => (n % 7 > 0 && !(n > 60 && n < 100)) || n === 0;
    const keep = `select='gt(mod(n,7),0)*not(between(n,61,99))+eq(n,0)'`;
    const path = await clip('v.mkv', `${pictures('30', 160)},${keep}`, [
      '-fps_mode',
      'vfr',
      '-bf',
      '2',
      '-g',
      '30',
    ]);
    const rate = { numerator: 30, denominator: 1 };
    const work = titleWork({ path, demuxer: 'matroska', rate, frames: 160, rungs: [RUNG] });
    const deps = await workDeps(folder);
    const made = await encodeAll(work, deps);
    const shown = upTo(160).map((n) => {
      let at = n;
      while (!isKept(at)) at--;
      return at;
    });
    expect(await readNumbers(joinTitle(deps.store, made, RUNG.id), SOURCE)).toEqual(shown);
  });

  it('of interlaced pictures have as many frames as the master', async () => {
    const fields = `testsrc2=size=320x180:rate=50,trim=end_frame=200,interlace`;
    const path = await clip('i.m2ts', fields, ['-flags', '+ilme+ildct', '-f', 'mpegts', '-g', '25']);
    const { start_time: start } = await probeVideo(path);
    const startMs = Number(start) * 1000;
    const video = { isInterlaced: true };
    const work = titleWork({
      path,
      demuxer: 'mpegts',
      rate: PAL,
      frames: 100,
      startMs,
      video,
      rungs: [RUNG],
    });
    const made = await encodeAll(work, await workDeps(folder));
    expect(made.map(({ result }) => result.frames)).toEqual([24, 48, 28]);
  });

  it('begin with the first picture there is where the file begins in the middle of a GOP', async () => {
    const whole = await clip('w.m2ts', pictures('25', 120), ['-g', '40', '-bf', '0', '-f', 'mpegts']);
    const { start_time: start } = await probeVideo(whole);
    const path = join(folder, 'cut.m2ts');
    // The first packets of pictures are taken out: what is left of the first GOP cannot be decoded.
    const bytes = await readFile(whole);
    const packets = upTo(bytes.length / 188).map((n) => bytes.subarray(n * 188, n * 188 + 188));
    const video = packets.flatMap((packet, n) =>
      ((packet[1] ?? 0) & 0x1f) === 1 && packet[2] === 0 ? [n] : [],
    );
    const key = video.find((n, index) => index > 0 && ((packets[n]?.[1] ?? 0) & 0x40) !== 0) ?? 0;
    await writeFile(path, Buffer.concat(packets.filter((_, n) => n < 3 || n >= key)));
    const startMs = Number(start) * 1000;
    const work = titleWork({ path, demuxer: 'mpegts', rate: PAL, frames: 120, startMs, rungs: [RUNG] });
    const deps = await workDeps(folder);
    const made = await encodeAll(work, deps);
    const numbers = await readNumbers(joinTitle(deps.store, made, RUNG.id), SOURCE);
    expect(numbers).toEqual(upTo(120).map((n) => Math.max(40, n)));
  });

  it('take what the master has where that is not quite what was planned', async () => {
    const path = await clip('e.mp4', pictures('25', 120), ['-g', '50']);
    const lengths = [];
    for (const frames of [100, 118, 124]) {
      const work = titleWork({ path, demuxer: 'mov', rate: PAL, frames, rungs: [SMALL_RUNG] });
      const made = await encodeAll(work, await workDeps(folder));
      lengths.push(made.map(({ result }) => result.frames));
    }
    expect(lengths).toEqual([
      [24, 48, 48],
      [24, 48, 48],
      [24, 48, 48, 0],
    ]);
  });

  it.each([
    { codec: 'hevc', preset: 'ultrafast', crf: 28 },
    { codec: 'av1', preset: '10', crf: 40 },
  ] as const)('are made in $codec on the same grid', async ({ codec, preset, crf }) => {
    const path = await clip(`${codec}.mp4`, pictures('25', 75), ['-bf', '2']);
    const rung: PlannedRung = { ...RUNG, id: codec, codec, preset, crf };
    const work = titleWork({ path, demuxer: 'mov', rate: PAL, frames: 75, rungs: [rung] });
    const deps = await workDeps(folder);
    const made = await encodeAll(work, deps);
    expect(made.map(({ result }) => result.frames)).toEqual([24, 48, 3]);
    const joined = joinTitle(deps.store, made, rung.id);
    expect(await readNumbers(joined, SOURCE)).toEqual(upTo(75));
    const keys = readSamples(joined).samples.flatMap(({ key }, n) => (key ? [n] : []));
    expect(keys).toEqual([0, 12, 24, 36, 48, 60, 72]);
    const file = join(folder, `joined-${codec}.mp4`);
    await writeFile(file, joined);
    const colours = { color_space: 'bt709', color_primaries: 'bt709', color_transfer: 'bt709' };
    expect(await probeVideo(file)).toMatchObject({ codec_name: codec, width: 320, height: 180, ...colours });
  });

  it('are as good at their joins as beside them, and as good as one encode of all', async () => {
    const noise = 'testsrc2=size=320x180:rate=25,noise=alls=14:allf=t+u,trim=end_frame=168';
    const colours = ['-colorspace', 'bt709', '-color_primaries', 'bt709', '-color_trc', 'bt709'];
    const path = await clip('n.mp4', noise, ['-g', '50', '-bf', '2', ...colours]);
    const master = { matrix: 'bt709' };
    const work = titleWork({ path, demuxer: 'mov', rate: PAL, frames: 168, master, rungs: [RUNG] });
    const deps = await workDeps(folder);
    const joined = join(folder, 'joined.mp4');
    await writeFile(joined, joinTitle(deps.store, await encodeAll(work, deps), RUNG.id));
    const single = join(folder, 'single.mp4');
    const rate = ['-crf', '20', '-maxrate', '2000k', '-bufsize', '3000k', '-g', '12', '-keyint_min', '12'];
    await ffmpeg([
      ...[
        '-i',
        path,
        '-c:v',
        'libx264',
        '-preset',
        'veryfast',
        '-threads',
        '1',
        '-sc_threshold',
        '0',
        ...rate,
        single,
      ],
    ]);
    const [pieces, whole] = [await psnr(joined, path), await psnr(single, path)];
    expect(pieces).toHaveLength(168);
    for (const at of [24, 72, 120]) {
      const atJoin = pieces.slice(at - 2, at + 2);
      const around = [...pieces.slice(at - 12, at - 2), ...pieces.slice(at + 2, at + 12)];
      expect(mean(atJoin)).toBeGreaterThan(mean(around) - 0.5);
      expect(Math.min(...atJoin)).toBeGreaterThan(Math.min(...around) - 0.5);
      expect(Math.min(...atJoin)).toBeGreaterThan(Math.min(...whole.slice(at - 2, at + 2)) - 0.5);
    }
    expect(mean(pieces)).toBeGreaterThan(mean(whole) - 0.1);
  });

  it.each(Object.values(ENCODER_PRESETS.h264))(
    'have the same parameter sets, also where the first is made in haste: %s',
    async (preset) => {
      const path = await clip('sets.mp4', pictures('25', 60));
      const rung = { ...RUNG, preset };
      const [calm, hasty] = await Promise.all(
        [false, true].map(async (isAwaited) => {
          const to = join(folder, `sets-${preset}-${isAwaited}.mp4`);
          const output = pieceOutput({ rung, gopFrames: 12, threads: 1, isAwaited }, { frameRate: PAL }, to);
          await ffmpeg(['-i', path, '-map', '0:v', ...output]);
          const found: Uint8Array[] = [];
          const reader = new StreamReader(
            {
              init: ([track]) => track?.config !== undefined && found.push(track.config) > 0,
              ...{ fragment: () => undefined, sample: () => undefined },
              ...{ event: () => undefined, last: () => undefined },
            },
            STREAM_READER_LIMITS,
          );
          expect(reader.push(await readFile(to))).toBeUndefined();
          return Buffer.from(found[0] ?? []).toString('hex');
        }),
      );
      expect(calm).not.toBe('');
      expect(hasty).toBe(calm);
    },
  );

  it('of HDR come out as SDR in the colours of HD', async () => {
    const path = join(folder, 'hdr.mkv');
    const grey = 'color=0x949494:size=320x180:rate=25:d=1,format=yuv420p10le';
    const tags = ['-color_primaries', 'bt2020', '-color_trc', 'smpte2084', '-colorspace', 'bt2020nc'];
    await ffmpeg(['-f', 'lavfi', '-i', grey, '-c:v', 'libx264', '-preset', 'ultrafast', ...tags, path]);
    const master = { range: 'pq', matrix: 'bt2020nc' } as const;
    const work = titleWork({
      path,
      demuxer: 'matroska',
      rate: PAL,
      frames: 24,
      master,
      video: { toneMap: 'pq' },
    });
    const deps = await workDeps(folder);
    const { outputs } = await encodePiece({ work, index: 0, rungs: ['180p', '90p'] }, attempt(), deps);
    for (const { key } of outputs) {
      const file = join(folder, 'sdr.mp4');
      await writeFile(file, deps.store.blobs.get(key) ?? '');
      const probed = await probeVideo(file);
      expect(probed).toMatchObject({
        color_transfer: 'bt709',
        color_space: 'bt709',
        color_primaries: 'bt709',
      });
      const { stdout } = await ffmpeg([
        '-i',
        file,
        '-vf',
        'scale=1:1',
        '-pix_fmt',
        'gray',
        '-f',
        'rawvideo',
        'pipe:1',
      ]);
      // 58 % of PQ is 203 nits, the white of a page: far brighter than its own number, and not burnt out.
      expect(stdout[0]).toBeGreaterThan(150);
      expect(stdout[0]).toBeLessThan(235);
    }
  });

  it.each([
    { range: 'pq', transfer: 'smpte2084' },
    { range: 'hlg', transfer: 'arib-std-b67' },
  ] as const)(
    'of $range look the same from an ffmpeg that must be given a table',
    async ({ range, transfer }) => {
      const path = join(folder, `${range}.mkv`);
      // Grey from black to 75 % over muted colours.
      const picture = `color=black:size=320x180:rate=25:d=1,format=gbrp10le,geq=r='X*2+Y':g='X*2+Y/2':b='X*2'`;
      const tags = ['-color_primaries', 'bt2020', '-color_trc', transfer, '-colorspace', 'bt2020nc'];
      const depth = ['-vf', 'scale=out_color_matrix=bt2020,format=yuv420p10le'];
      const x264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '5', ...depth, ...tags];
      await ffmpeg(['-f', 'lavfi', '-i', picture, ...x264, path]);
      const master = { range, matrix: 'bt2020nc' };
      const video = { toneMap: range };
      const times = { rate: PAL, frames: 24 };
      const work = titleWork({
        path,
        demuxer: 'matroska',
        ...times,
        master,
        video,
        rungs: [{ ...RUNG, crf: 5 }],
      });
      const shown = [];
      for (const toneMapper of [
        { kind: 'zscale' } as const,
        await writeToneTables(join(folder, "it's, a: [table]")),
      ]) {
        const deps = await workDeps(folder, { toneMapper });
        const { outputs } = await encodePiece({ work, index: 0, rungs: [RUNG.id] }, attempt(), deps);
        const stdin = deps.store.blobs.get(outputs[0]?.key ?? '') ?? new Uint8Array();
        const args = [
          '-i',
          'pipe:0',
          '-frames:v',
          '1',
          '-vf',
          'scale=32:18',
          '-pix_fmt',
          'rgb24',
          '-f',
          'rawvideo',
        ];
        shown.push([...(await ffmpeg([...args, 'pipe:1'], { stdin })).stdout]);
      }
      const [linear = [], table = []] = shown;
      expect(Math.max(...linear)).toBeGreaterThan(160);
      const differences = linear.map((value, at) => Math.abs(value - (table[at] ?? 0)));
      expect(mean(differences)).toBeLessThan(4);
      expect(Math.max(...differences)).toBeLessThan(20);
    },
  );

  it('come with sheets of thumbnails that show what is on at their times', async () => {
    const path = await clip('t.mp4', pictures('25', 240), ['-g', '50']);
    const thumbnails = { columns: 3, rows: 2, width: 320, height: 180, intervalMs: 1000 };
    const work = titleWork({ path, demuxer: 'mov', rate: PAL, frames: 240 });
    const deps = await workDeps(folder);
    const planned = { ...work, plan: { ...work.plan, thumbnails } };
    const { keys, sheetBytes } = await makeThumbnails(planned, attempt(), deps);
    expect(keys).toHaveLength(2);
    expect(sheetBytes).toEqual(keys.map((key) => deps.store.blobs.get(key)?.length));
    const numbers = [];
    for (const [n, key] of keys.entries()) {
      const sheet = join(folder, `sheet-${n}.jpg`);
      await writeFile(sheet, deps.store.blobs.get(key) ?? '');
      for (let cell = 0; cell < 6 && n * 6 + cell < 10; cell++) {
        const crop = join(folder, 'cell.png');
        const [x, y] = [(cell % 3) * 320, Math.floor(cell / 3) * 180];
        await ffmpeg(['-i', sheet, '-vf', `crop=320:180:${x}:${y}`, crop]);
        numbers.push(...(await readNumbers(crop, SOURCE)));
      }
    }
    expect(numbers).toEqual(upTo(10).map((n) => n * 25));
  });
});

/** Of each frame against the master's, decibels. */
async function psnr(file: string, master: string): Promise<number[]> {
  const stats = join(folder, 'psnr.log');
  await ffmpeg([
    '-i',
    file,
    '-i',
    master,
    '-lavfi',
    `[0:v]setpts=round(N/25/TB)[a];[1:v]setpts=round(N/25/TB)[b];[a][b]psnr=stats_file=${stats}`,
    '-f',
    'null',
    '-',
  ]);
  const text = await readFile(stats, 'utf8');
  return [...text.matchAll(/psnr_y:([\d.]+)/g)].map(([, value]) => Number(value));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
