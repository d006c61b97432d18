import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { AppError } from '../../src/base/errors.ts';
import { guardCommand } from '../../src/transcode/spawn-encoder.ts';
import { DEFAULT_VOD_LADDER } from '../../src/transcode/vod/ladder-presets.ts';
import { planTitle } from '../../src/transcode/vod/plan-title.ts';
import {
  DEFAULT_MASTER_LIMITS,
  type MasterLimits,
  type ProbeDeps,
  probeMaster,
} from '../../src/transcode/vod/probe-master.ts';
import { createRunTool, type RunTool } from '../../src/transcode/vod/probe-process.ts';
import { makeText } from '../../src/transcode/vod/text-track.ts';
import type { Master, MasterVideo, TitleWork } from '../../src/transcode/vod/title-plan.ts';
import type { BlobInfo, BlobStore } from '../../src/storage/blob-store.ts';
import { BROKEN_MASTERS, SECRET } from '../support/broken-masters.ts';
import { ffmpeg } from '../support/ffmpeg.ts';
import { MASTER_NAMES, masterFile, type MasterName } from '../support/masters.ts';
import { until } from '../support/until.ts';

let folder: string;
let run: RunTool;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vod-masters-'));
  run = createRunTool(process.env, await guardCommand(process.env), systemClock);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

function probe(
  path: string,
  limits: Partial<MasterLimits> = {},
  more: Partial<ProbeDeps> = {},
): Promise<Master> {
  return probeMaster(path, {
    run,
    limits: { ...DEFAULT_MASTER_LIMITS, ...limits },
    ffprobe: 'ffprobe',
    sidecars: true,
    ...more,
  });
}

const rate = (numerator: number, denominator = 1): MasterVideo['frameRate'] => ({ numerator, denominator });
const und = { language: 'und', label: undefined };

/** What was put into each master: see test/support/masters.ts. */
const EXPECTED: Readonly<Record<MasterName, object>> = {
  film: {
    demuxer: 'mov',
    durationMs: 2002,
    video: {
      codec: 'h264',
      width: 320,
      height: 180,
      frameRate: rate(24_000, 1001),
      startMs: 0,
      isVariableRate: false,
    },
    audios: [
      { index: 1, codec: 'aac', channels: 1, language: 'en', isDefault: false },
      { index: 2, codec: 'aac', channels: 1, language: 'de', isDefault: true },
    ],
    texts: [{ index: 3, codec: 'mov_text', language: 'en', path: undefined }],
    chapters: [
      { startMs: 0, name: 'Dawn' },
      { startMs: 1000, name: 'Noon' },
    ],
  },
  phone: {
    demuxer: 'mov',
    durationMs: 2002,
    video: { codec: 'h264', width: 180, height: 320, frameRate: rate(30_000, 1001) },
    audios: [{ codec: 'aac', sampleRate: 44_100, ...und }],
  },
  freeClock: {
    demuxer: 'matroska',
    video: { codec: 'h264', frameRate: rate(30), isVariableRate: true, startMs: 4 },
    audios: [],
  },
  screen: {
    demuxer: 'mov',
    durationMs: 2000,
    video: { codec: 'h264', frameRate: rate(60), isVariableRate: true, startMs: 0 },
  },
  prores: {
    demuxer: 'mov',
    durationMs: 2000,
    video: { codec: 'prores', width: 320, height: 180, frameRate: rate(25), isInterlaced: false },
    audios: [{ codec: 'pcm_s24le', channels: 6, sampleRate: 48_000 }],
  },
  hdr: {
    demuxer: 'matroska',
    durationMs: 2000,
    video: { codec: 'hevc', frameRate: rate(24), range: 'pq', matrix: 'bt2020nc', isVariableRate: false },
    audios: [{ codec: 'eac3', channels: 6, language: 'en', label: 'Original', bitrateBps: 384_000 }],
    texts: [
      { codec: 'subrip', language: 'en', isForced: false, isDefault: false },
      { codec: 'ass', language: 'de', isForced: true, isDefault: true },
    ],
  },
  broadcast: {
    demuxer: 'mpegts',
    durationMs: 2000,
    video: {
      codec: 'mpeg2video',
      width: 512,
      height: 288,
      frameRate: rate(25),
      isInterlaced: true,
      range: 'sdr',
    },
    audios: [{ codec: 'mp2', language: 'fr' }],
  },
  camera: {
    demuxer: 'mov',
    durationMs: 2002,
    video: { codec: 'h264', height: 192, frameRate: rate(30_000, 1001), isInterlaced: true },
  },
  archive: {
    demuxer: 'mxf',
    durationMs: 2000,
    video: { codec: 'mpeg2video', frameRate: rate(25) },
    audios: [{ codec: 'pcm_s16le' }],
  },
  late: {
    demuxer: 'mov',
    durationMs: 2000,
    video: { codec: 'h264', frameRate: rate(25), startMs: 520, durationMs: 2000 },
  },
  fragmented: {
    demuxer: 'mov',
    durationMs: 2000,
    video: { codec: 'h264', frameRate: rate(50) },
    audios: [{ language: 'pl' }],
  },
  song: {
    demuxer: 'mov',
    video: undefined,
    audios: [{ codec: 'aac', sampleRate: 44_100 }],
    durationMs: 2000,
  },
  sidecars: {
    video: { frameRate: rate(25) },
    texts: [
      { index: undefined, codec: 'subrip', language: 'de', isForced: false },
      { index: undefined, codec: 'ttml', language: 'es', label: 'Español (SDH)' },
      { index: undefined, codec: 'webvtt', language: 'fr', isForced: true },
      { index: undefined, codec: 'subrip', language: 'und' },
    ],
  },
  gstMatroska: {
    demuxer: 'matroska',
    durationMs: 2002,
    video: { codec: 'h264', frameRate: rate(30_000, 1001), isVariableRate: false },
    audios: [
      { codec: 'opus', language: 'sv', label: undefined },
      { codec: 'flac', language: 'fi', label: undefined },
    ],
  },
  gstWebm: {
    demuxer: 'matroska',
    durationMs: 2000,
    video: { codec: 'vp9', frameRate: rate(25) },
    audios: [{ codec: 'opus', channels: 2 }],
  },
  gstQuicktime: {
    demuxer: 'mov',
    durationMs: 2000,
    video: { codec: 'h264', frameRate: rate(48) },
    audios: [{ codec: 'aac', channels: 2, sampleRate: 44_100 }],
  },
  gstTransport: {
    demuxer: 'mpegts',
    durationMs: 2000,
    video: { codec: 'h264', frameRate: rate(25), isVariableRate: false },
    audios: [{ codec: 'aac', channels: 2 }],
  },
};

describe('a master', () => {
  it.each(MASTER_NAMES)('is found to be what was put into it: %s', async (name) => {
    const master = await probe(await masterFile(name));
    expect(master).toMatchObject(EXPECTED[name]);
    expect(JSON.parse(JSON.stringify(master))).toEqual(JSON.parse(JSON.stringify({ ...master })));
    const plan = planTitle(master, DEFAULT_VOD_LADDER);
    expect(plan.audios.length).toBeGreaterThanOrEqual(master.audios.length);
    expect(plan.video?.rungs.length ?? 0).toBe(master.video ? 1 : 0);
  });

  it('begins when its first picture is shown, on the clock that it has, with sound before it', async () => {
    const { video } = await probe(await masterFile('broadcast'));
    expect(video?.startMs).toBeGreaterThan(36_000_400);
    expect(video?.startMs).toBeLessThan(36_000_700);
  });

  it('has as many frames as its pictures, whatever the container says of its length', async () => {
    const bytes = Buffer.from(await readFile(await masterFile('hdr')));
    // The duration in the header of the segment (RFC 9559 5.1.2.10), ms.
    bytes.writeDoubleBE(360_000, bytes.indexOf(Buffer.from([0x44, 0x89, 0x88])) + 3);
    const path = join(folder, 'lying.mkv');
    await writeFile(path, bytes);
    for (const wholeBytes of [undefined, 0]) {
      const master = await probe(path, {}, { wholeBytes });
      expect(master.durationMs).toBe(2000);
      expect(planTitle(master, DEFAULT_VOD_LADDER).video?.frames).toBe(48);
    }
  });

  it('is known by samples of it, when it is too large to be read whole', async () => {
    const seconds = 61;
    const source = join(folder, 'long.mp4');
    const picture = `testsrc2=size=64x64:rate=60000/1001:duration=${seconds}`;
    const x264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2', '-g', '120', '-pix_fmt', 'yuv420p'];
    await ffmpeg(['-f', 'lavfi', '-i', picture, ...x264, source]);
    for (const name of ['mp4', 'mkv', 'm2t']) {
      const path = join(folder, `long.${name}`);
      const format = name === 'm2t' ? ['-f', 'mpegts'] : [];
      if (path !== source) await ffmpeg(['-i', source, '-c', 'copy', ...format, path]);
      const outputs: number[] = [];
      const counted: RunTool = async (tool, signal) => {
        const outcome = await run(tool, signal);
        outputs.push(outcome.output.toString('latin1').split('pts_time').length);
        return outcome;
      };
      const whole = await probe(path);
      const sampled = await probe(path, {}, { wholeBytes: 0, run: counted });
      expect(sampled).toEqual(whole);
      expect(whole.video).toMatchObject({ frameRate: rate(60_000, 1001), isVariableRate: false });
      expect(Math.max(...outputs)).toBeLessThan(0.8 * seconds * 60);
    }
  });

  it('keeps what cannot be used out of the plan, and says so', async () => {
    const own = join(folder, 'notes');
    await mkdir(own);
    await writeFile(join(own, 'film.mp4'), await readFile(await masterFile('film')));
    await writeFile(join(own, 'film.en.srt'), 'no times at all');
    const master = await probe(join(own, 'film.mp4'));
    expect(master.texts.length).toBe(1);
    expect(planTitle(master, DEFAULT_VOD_LADDER).notes).toEqual([
      'film.en.srt is left out. The subtitles cannot be read: it has no times.',
    ]);
  });
});

describe('a file that is not to be taken', () => {
  it.each(BROKEN_MASTERS.map((broken) => [broken.what, broken] as const))(
    'is refused with one clear error: %s',
    async (_what, { code, says, make }) => {
      const own = await mkdtemp(join(folder, 'broken-'));
      const path = await make(own);
      const before = performance.now();
      const error: unknown = await probe(path).catch((each: unknown) => each);
      expect(error).toBeInstanceOf(AppError);
      const { message } = error as AppError;
      expect([(error as AppError).code, message]).toEqual([code, expect.stringMatching(says)]);
      expect(message).not.toContain(own);
      expect(message).not.toContain('/dev/fd');
      expect(message).not.toContain(SECRET);
      expect(message).toMatch(/^[^\n]{1,300}$/);
      // Whoever waits for it is told at once; a machine under load is given its time.
      expect(performance.now() - before).toBeLessThan(15_000);
    },
  );

  it('is refused when it is over a limit: bytes, pixels, length, streams, frame rate', async () => {
    const path = await masterFile('film');
    const codeOf = (limits: Partial<MasterLimits>): Promise<unknown> =>
      probe(path, limits).catch((error: unknown) => (error instanceof AppError ? error.code : error));
    const codes = await Promise.all([
      codeOf({ maxBytes: 1000 }),
      codeOf({ maxPixels: 320 * 180 - 1 }),
      codeOf({ maxDurationMs: 2001 }),
      codeOf({ maxStreams: 2 }),
      codeOf({ maxFrameRate: 23 }),
    ]);
    expect(codes).toEqual(Array.from({ length: 5 }, () => 'VOD_MASTER_TOO_LARGE'));
  });

  it('never takes longer than it may, and leaves no process behind', async () => {
    const slow = join(folder, 'slow-ffprobe');
    const mark = join(folder, 'slow.pid');
    await writeFile(slow, `#!/bin/sh\necho $$ > ${mark}\nexec sleep 60\n`, { mode: 0o755 });
    const path = await masterFile('film');
    await expect(probe(path, { timeoutMs: 300 }, { ffprobe: slow })).rejects.toMatchObject({
      code: 'VOD_MASTER_UNREADABLE',
    });
    const pid = Number(await readFile(mark, 'utf8'));
    await until(() => !isAlive(pid), 'ffprobe is gone after its time');
    const abort = new AbortController();
    const deps = { run, limits: DEFAULT_MASTER_LIMITS, ffprobe: slow, sidecars: false };
    const probing = probeMaster(path, deps, abort.signal);
    setTimeout(() => abort.abort(new Error('not any more')), 300);
    await expect(probing).rejects.toThrow('not any more');
    await until(
      async () => !isAlive(Number(await readFile(mark, 'utf8'))),
      'ffprobe is gone after it was called off',
    );
  });

  it('says that ffprobe is missing where it is', async () => {
    await expect(
      probe(await masterFile('film'), {}, { ffprobe: join(folder, 'no-such-program') }),
    ).rejects.toMatchObject({ code: 'TOOL_MISSING', message: expect.not.stringContaining(folder) });
  });

  it('is never more than an error, wherever its bytes are damaged', async () => {
    let state = 11;
    const next = (below: number): number => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor((state / 2_147_483_648) * below);
    };
    const outcomes = new Map<string, number>();
    for (const name of ['film', 'hdr', 'broadcast', 'archive', 'fragmented'] as const) {
      const bytes = await readFile(await masterFile(name));
      for (let round = 0; round < 3; round++) {
        const damaged = Buffer.from(bytes);
        for (let change = 0; change < 40; change++) damaged[next(Math.min(bytes.length, 6000))] = next(256);
        const path = join(folder, 'damaged.bin');
        await writeFile(path, damaged);
        const outcome = await probe(path, { timeoutMs: 20_000 }).then(
          () => 'taken',
          (error: unknown) => (error instanceof AppError ? error.code : String(error)),
        );
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
    }
    expect(
      [...outcomes.keys()].filter((each) => each !== 'taken' && !each.startsWith('VOD_MASTER_')),
    ).toEqual([]);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Keeps what was put. */
class KeptBlobs {
  readonly blobs = new Map<string, string>();

  get store(): BlobStore {
    const put = (key: string, body: Uint8Array): Promise<BlobInfo> => {
      this.blobs.set(key, Buffer.from(body).toString('utf8'));
      return Promise.resolve({ key, sizeBytes: body.length, etag: '', modifiedMs: 0 });
    };
    return { put } as Partial<BlobStore> as BlobStore;
  }
}

/** All texts of a master, by their ids. */
async function textsOf(name: MasterName): Promise<Record<string, string>> {
  const masterPath = await masterFile(name);
  const master = await probe(masterPath);
  const plan = planTitle(master, DEFAULT_VOD_LADDER);
  const work: TitleWork = {
    ...{ title: 't', generation: 'p1', name: 't', isProtected: false, createdMs: 0 },
    ...{ masterPath, master, plan },
  };
  const kept = new KeptBlobs();
  const texts: Record<string, string> = {};
  const attempt = { number: 2, signal: new AbortController().signal };
  for (const { id } of plan.texts) {
    const result = await makeText(work, id, attempt, { run, store: kept.store, ffmpeg: 'ffmpeg' });
    expect(result.key).toBe(`work/t/p1/${id}/2/text.vtt`);
    const text = kept.blobs.get(result.key) ?? '';
    expect(Buffer.byteLength(text)).toBe(result.sizeBytes);
    expect(text.split('-->').length - 1).toBe(result.cues);
    texts[id] = text;
  }
  return texts;
}

const RAIN = '<i>Rain</i> is coming.';

describe('the texts of a master', () => {
  it('become WebVTT on the clock of the title: those of a container', async () => {
    expect(await textsOf('film')).toEqual({
      'text-en': `WEBVTT\n\n00:00:00.200 --> 00:00:00.900\n${RAIN}\n\n00:00:01.000 --> 00:00:01.800\nShut the windows!\n- At once.\n`,
    });
  });

  it('begin with the first picture, when that is not at 0 on the clock of the file', async () => {
    const master = await probe(await masterFile('hdr'));
    expect(master.video?.startMs).toBeGreaterThan(0);
    expect(await textsOf('hdr')).toEqual({
      'text-en': `WEBVTT\n\n00:00:00.200 --> 00:00:00.900\n${RAIN}\n\n00:00:01.000 --> 00:00:01.800\nShut the windows!\n- At once.\n`,
      'text-de-forced':
        'WEBVTT\n\n00:00:00.200 --> 00:00:00.900\n<i>Regen</i> kommt.\n\n00:00:01.000 --> 00:00:01.800\nFenster zu!\nSofort.\n',
    });
  });

  it('are read from the files beside it, in the encodings they come in', async () => {
    const texts = await textsOf('sidecars');
    expect(texts['text-und']).toContain(`00:00:00.200 --> 00:00:00.900\n${RAIN}\n`);
    expect(texts['text-de']).toBe('WEBVTT\n\n00:00:00.200 --> 00:00:00.900\nGrüße aus Köln\n');
    expect(texts['text-fr-forced']).toBe(
      'WEBVTT\n\n00:00:00.200 --> 00:00:00.900 line:0 align:left\nLa <b>pluie</b> arrive.\n',
    );
    expect(texts['text-es']).toBe(
      'WEBVTT\n\n00:00:00.200 --> 00:00:00.900\nViene <i>la lluvia</i>.\n\n00:00:01.000 --> 00:00:01.800\n¡Cierren\nlas ventanas!\n',
    );
  });

  it('fail for good, with one sentence, when they cannot be read', async () => {
    const masterPath = await masterFile('film');
    const master = await probe(masterPath);
    const plan = planTitle(master, DEFAULT_VOD_LADDER);
    const texts = plan.texts.map((text) => ({ ...text, index: 77 }));
    const work: TitleWork = {
      ...{ title: 't', generation: 'p1', name: 't', isProtected: false, createdMs: 0 },
      ...{ masterPath, master, plan: { ...plan, texts } },
    };
    const deps = { run, store: new KeptBlobs().store, ffmpeg: 'ffmpeg' };
    const attempt = { number: 1, signal: new AbortController().signal };
    await expect(makeText(work, 'text-en', attempt, deps)).rejects.toMatchObject({
      name: 'PermanentJobError',
      code: 'VOD_TEXT_UNREADABLE',
      message: expect.not.stringContaining(masterPath),
    });
  });
});
