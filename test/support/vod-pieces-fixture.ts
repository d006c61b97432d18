import { readFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { AppError } from '../../src/base/errors.ts';
import { createLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { parseAudioConfig } from '../../src/media/audio-config.ts';
import { writeChunk, type ChunkSample } from '../../src/media/isobmff/chunk.ts';
import { writeInitSegment } from '../../src/media/isobmff/init-segment.ts';
import { STREAM_READER_LIMITS, StreamReader } from '../../src/media/isobmff/stream-reader.ts';
import type { StreamTrack } from '../../src/media/isobmff/stream-init.ts';
import type { BlobInfo, BlobStore, PutOptions } from '../../src/storage/blob-store.ts';
import { createSpawnEncoder, guardCommand } from '../../src/transcode/spawn-encoder.ts';
import { type Attempt, encodePiece, type WorkDeps } from '../../src/transcode/vod/encode-piece.ts';
import { FittedLadders } from '../../src/transcode/vod/fitted-ladders.ts';
import {
  type AudioResult,
  type MasterVideo,
  type PlannedAudio,
  pieceRange,
  type PieceResult,
  type PlannedRung,
  type PlannedVideo,
  type Ratio,
  type TitleWork,
} from '../../src/transcode/vod/title-plan.ts';
import { SeekMemory } from '../../src/transcode/vod/piece-seeks.ts';
import { WorkMetrics } from '../../src/transcode/vod/work-metrics.ts';
import { WorkProcesses } from '../../src/transcode/vod/work-processes.ts';
import { Scratch } from '../../src/transcode/vod/work-scratch.ts';
import { ffmpeg, run } from './ffmpeg.ts';

/** A store of blobs in memory, as much of one as the work on titles asks for. */
export class MemoryBlobs implements BlobStore {
  readonly blobs = new Map<string, Uint8Array>();

  put(key: string, body: Uint8Array, options: PutOptions = {}): Promise<BlobInfo> {
    if (options.ifAbsent && this.blobs.has(key)) return Promise.reject(new AppError('STORAGE_EXISTS'));
    this.blobs.set(key, Uint8Array.from(body));
    return Promise.resolve({ key, sizeBytes: body.length, etag: 'e', modifiedMs: 0 });
  }

  async putFile(key: string, path: string): Promise<BlobInfo> {
    return await this.put(key, await readFile(path));
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.blobs.get(key));
  }

  open(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  stat(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  list(): Promise<{ blobs: readonly BlobInfo[]; next: undefined }> {
    return Promise.resolve({ blobs: [], next: undefined });
  }

  copy(from: string, to: string): Promise<BlobInfo> {
    return this.put(to, this.blobs.get(from) ?? new Uint8Array(0));
  }

  delete(key: string): Promise<void> {
    this.blobs.delete(key);
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Bits of the number that {@link numbered} writes into a picture, and the side of each one's square. */
const BITS = 10;
const SQUARE = 16;

/** Filters that write the number of each frame into its top rows: a square a bit, white or black. */
export function numbered(): string {
  const squares = Array.from({ length: BITS }, (_, bit) => {
    const isSet = `gt(mod(floor(n/${2 ** bit}),2),0)`;
    return `drawbox=x=${bit * SQUARE}:y=0:w=${SQUARE}:h=${SQUARE}:color=white:t=fill:enable='${isSet}'`;
  });
  return [`drawbox=x=0:y=0:w=${BITS * SQUARE}:h=${SQUARE}:color=black:t=fill`, ...squares].join(',');
}

/** Reads the number of every frame of a file back, whatever its size. Fails when ffmpeg says a word. */
export async function readNumbers(
  file: string | Uint8Array,
  source: { readonly width: number; readonly height: number },
): Promise<number[]> {
  const { width, height } = source;
  const { stdout, stderr } = await ffmpeg(
    [
      ...['-i', typeof file === 'string' ? file : 'pipe:0', '-map', '0:v:0', '-fps_mode', 'passthrough'],
      ...['-vf', `scale=${width}:${height}`, '-pix_fmt', 'gray', '-f', 'rawvideo', 'pipe:1'],
    ],
    typeof file === 'string' ? {} : { stdin: file },
  );
  if (stderr !== '') throw new Error(`ffmpeg says: ${stderr}`);
  const pictures = stdout.length / (width * height);
  return Array.from({ length: pictures }, (_, picture) => {
    let number = 0;
    for (let bit = 0; bit < BITS; bit++) {
      const x = bit * SQUARE + SQUARE / 2;
      const luma = stdout[picture * width * height + (SQUARE / 2) * width + x] ?? 0;
      if (luma > 128) number += 2 ** bit;
    }
    return number;
  });
}

/** What ffprobe says of the first stream of pictures. */
export async function probeVideo(path: string): Promise<Record<string, string>> {
  const fields = 'codec_name,width,height,start_time,color_space,color_transfer,color_primaries';
  const { stdout } = await run('ffprobe', [
    ...['-v', 'error', '-select_streams', 'v:0', '-show_entries', `stream=${fields}`],
    ...['-of', 'json', path],
  ]);
  const parsed = JSON.parse(stdout.toString()) as { streams: readonly Record<string, string>[] };
  return parsed.streams[0] ?? {};
}

export const PAL: Ratio = { numerator: 25, denominator: 1 };
export const NTSC: Ratio = { numerator: 30_000, denominator: 1001 };

export const RUNG: PlannedRung = {
  id: '180p',
  codec: 'h264',
  width: 320,
  height: 180,
  maxBitrateBps: 2_000_000,
  crf: 20,
  preset: 'veryfast',
};
export const SMALL_RUNG: PlannedRung = { ...RUNG, id: '90p', width: 160, height: 90, maxBitrateBps: 800_000 };

export interface TitleOptions {
  readonly path: string;
  readonly demuxer: string;
  readonly rate: Ratio;
  readonly frames: number;
  readonly startMs?: number;
  readonly rungs?: readonly PlannedRung[];
  readonly video?: Partial<PlannedVideo>;
  readonly master?: Partial<MasterVideo>;
  readonly audios?: readonly PlannedAudio[];
}

/** A title with small pieces: GOPs of 12 frames, segments of 24, pieces of 48. */
export function titleWork(options: TitleOptions): TitleWork & {
  readonly plan: TitleWork['plan'] & { readonly video: PlannedVideo };
} {
  const { rate, frames, rungs = [RUNG, SMALL_RUNG], startMs = 0 } = options;
  const durationMs = (frames * 1000 * rate.denominator) / rate.numerator;
  const sizes = { segmentFrames: 24, pieceFrames: 48, ...options.video };
  const pieces = 1 + Math.max(0, Math.ceil((frames - sizes.segmentFrames) / sizes.pieceFrames));
  const video: PlannedVideo = {
    frameRate: rate,
    frames,
    gopFrames: 12,
    pieces,
    rungs,
    groups: [rungs.map(({ id }) => id)],
    isInterlaced: false,
    toneMap: undefined,
    ...sizes,
  };
  return {
    title: 'film',
    generation: 'g1',
    name: 'Film',
    isProtected: false,
    createdMs: 0,
    masterPath: options.path,
    master: {
      demuxer: options.demuxer,
      sizeBytes: 1,
      durationMs,
      video: {
        ...{ index: 0, codec: 'h264', width: 320, height: 180, frameRate: rate, isVariableRate: false },
        ...{ isInterlaced: false, range: 'sdr', startMs, durationMs, ...options.master },
      },
      audios: [],
      texts: [],
      chapters: [],
    },
    plan: {
      durationMs,
      video,
      audios: options.audios ?? [],
      texts: [],
      thumbnails: undefined,
      segmentMs: (sizes.segmentFrames * 1000 * rate.denominator) / rate.numerator,
    },
  };
}

/** What the work is done with, on this machine's ffmpeg. */
export async function workDeps(
  folder: string,
  given: Partial<WorkDeps> = {},
): Promise<WorkDeps & { store: MemoryBlobs; ladders: FittedLadders }> {
  const scratch = join(folder, 'scratch');
  await mkdir(scratch, { recursive: true });
  return {
    clock: systemClock,
    log: createLogger('silent'),
    spawn: createSpawnEncoder(process.env, await guardCommand(process.env)),
    program: 'ffmpeg',
    processes: new WorkProcesses(),
    watchdogMs: 20_000,
    scratch: new Scratch(scratch),
    seekMemory: new SeekMemory(),
    metrics: new WorkMetrics(new Metrics()),
    threads: 1,
    cores: 1,
    toneMapper: { kind: 'zscale' },
    ...given,
    ladders: new FittedLadders(),
    store: (given.store as MemoryBlobs | undefined) ?? new MemoryBlobs(),
  };
}

export function attempt(given: Partial<Attempt> = {}): Attempt {
  return { number: 1, signal: new AbortController().signal, progress() {}, ...given };
}

/** Encodes all pieces of a title, one after the other. */
export async function encodeAll(
  work: ReturnType<typeof titleWork>,
  deps: WorkDeps,
): Promise<{ readonly planned: number; readonly result: PieceResult }[]> {
  const { video } = work.plan;
  const made = [];
  for (let index = 0; index < video.pieces; index++) {
    const { start, end } = pieceRange(video, index);
    const rungs = video.rungs.map(({ id }) => id);
    const result = await encodePiece({ work, index, rungs }, attempt(), deps);
    made.push({ planned: end - start, result });
  }
  return made;
}

export interface ReadFile {
  readonly track: StreamTrack;
  readonly samples: readonly ChunkSample[];
}

/** The samples of a fragmented file. */
export function readSamples(bytes: Uint8Array): ReadFile {
  const samples: ChunkSample[] = [];
  let track: StreamTrack | undefined;
  const reader = new StreamReader(
    {
      init(tracks) {
        [track] = tracks;
        return true;
      },
      fragment() {},
      sample({ baseTicks, offsetTicks, compositionOffset, durationTicks, key, data }) {
        const dts = Number(baseTicks) + offsetTicks;
        samples.push({ dts, pts: dts + compositionOffset, duration: durationTicks, key, data });
      },
      event() {},
      last() {},
    },
    STREAM_READER_LIMITS,
  );
  const fault = reader.push(bytes) ?? reader.end();
  if (fault !== undefined || !track) throw new Error(`not a fragmented file: ${fault ?? 'empty'}`);
  return { track, samples };
}

/** One file of pieces of pictures, one after the other, as the packager joins them. */
export function joinPieces(files: readonly Uint8Array[]): Uint8Array {
  const read = files.map((file) => readSamples(file));
  const [first] = read;
  if (!first) throw new Error('no pieces');
  const { track } = first;
  const init = writeInitSegment({
    kind: 'video',
    codec: track.entry as 'avc1',
    timescale: track.timescale,
    config: track.config ?? new Uint8Array(),
    width: track.width,
    height: track.height,
  });
  let shift = 0;
  const chunks = read.map(({ samples }, index) => {
    const moved = samples.map((sample) => ({ ...sample, dts: sample.dts + shift, pts: sample.pts + shift }));
    shift += samples.reduce((sum, { duration }) => sum + duration, 0);
    return writeChunk({
      sequence: index + 1,
      samples: moved,
      position: 'segment-start',
      reference: undefined,
    });
  });
  return Buffer.concat([init, ...chunks]);
}

/** One file of all pieces of a rung. */
export function joinTitle(
  store: MemoryBlobs,
  made: readonly { readonly result: PieceResult }[],
  rung: string,
): Uint8Array {
  const keys = made.flatMap(({ result }) => result.outputs.filter((output) => output.rung === rung));
  return joinPieces(keys.map(({ key }) => store.blobs.get(key) ?? new Uint8Array()));
}

/** One file of stretches of sound, with the times that they have. */
export function joinStretches(files: readonly Uint8Array[]): Uint8Array {
  const read = files.map((file) => readSamples(file));
  const [first] = read;
  const config = first?.track.config;
  if (!first || !config) throw new Error('no stretches');
  const codec = first.track.entry as 'mp4a';
  const { channels } = parseAudioConfig(codec, config) ?? { channels: 0 };
  const init = writeInitSegment({ kind: 'audio', codec, timescale: first.track.timescale, config, channels });
  const chunks = read.map(({ samples }, index) =>
    writeChunk({ sequence: index + 1, samples, position: 'segment-start', reference: undefined }),
  );
  return Buffer.concat([init, ...chunks]);
}

export const STEREO: PlannedAudio = {
  id: 'audio-en',
  index: 1,
  codec: 'aac',
  channels: 2,
  sampleRate: 48_000,
  bitrateBps: 128_000,
  language: 'en',
  label: 'English',
  isDefault: true,
};

/** The stretches of a track that was made, in order. */
export function storedStretches(store: MemoryBlobs, { prefix, stretches }: AudioResult): Uint8Array[] {
  return Array.from(
    { length: stretches },
    (_, n) => store.blobs.get(`${prefix}${n}.mp4`) ?? new Uint8Array(),
  );
}
