import { join } from 'node:path';
import { Metrics } from '../../src/base/metrics.ts';
import { writeChunk } from '../../src/media/isobmff/chunk.ts';
import { writeInitSegment } from '../../src/media/isobmff/init-segment.ts';
import type { Encryption } from '../../src/packager/period-cipher.ts';
import type { LeaseStore } from '../../src/state/lease-store.ts';
import type { Sample, Track } from '../../src/stream/track.ts';
import {
  audioStretchKey,
  pieceRange,
  type Master,
  type PlannedVideo,
  type TitlePlan,
  type TitleWork,
  workPrefix,
} from '../../src/transcode/vod/title-plan.ts';
import { TitleCatalogue } from '../../src/vod/title-catalogue.ts';
import { jobIds } from '../../src/vod/title-jobs.ts';
import { TitleService, type TitleServiceOptions } from '../../src/vod/title-service.ts';
import { Uploads } from '../../src/vod/uploads.ts';
import { VodMetrics } from '../../src/vod/vod-metrics.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeJobQueue } from './fake-job-queue.ts';
import { MemoryBlobStore } from './memory-blob-store.ts';
import { createMemoryLog } from './memory-log.ts';
import { audioSamples, audioTrack, videoSamples, videoTrack } from './sample-source.ts';

export const FPS = 25;
export const GOP_FRAMES = 50;
/** Ten seconds of sound in stretches of four. */
const STRETCH_SECONDS = 4;

export const MASTER: Master = {
  demuxer: 'mov',
  sizeBytes: 1_000_000,
  durationMs: 10_000,
  video: undefined,
  audios: [],
  texts: [],
  chapters: [{ startMs: 0, name: 'Start' }],
};

/** Ten seconds: a piece of 2 s, then two of 4 s. */
const VIDEO: PlannedVideo = {
  frameRate: { numerator: FPS, denominator: 1 },
  frames: 250,
  gopFrames: GOP_FRAMES,
  segmentFrames: 50,
  pieceFrames: 100,
  pieces: 3,
  rungs: [
    {
      id: '720p',
      codec: 'h264',
      width: 1280,
      height: 720,
      maxBitrateBps: 2_000_000,
      crf: 22,
      preset: 'fast',
    },
    { id: '240p', codec: 'h264', width: 426, height: 240, maxBitrateBps: 300_000, crf: 24, preset: 'fast' },
  ],
  groups: [['720p', '240p']],
  isInterlaced: false,
  toneMap: undefined,
};

export const PLAN: TitlePlan = {
  durationMs: 10_000,
  segmentMs: 2000,
  video: VIDEO,
  audios: [
    {
      id: 'audio-en',
      index: 1,
      codec: 'aac',
      channels: 2,
      sampleRate: 48_000,
      bitrateBps: 128_000,
      language: 'en',
      label: 'English',
      isDefault: true,
    },
  ],
  texts: [
    {
      id: 'text-en',
      index: 2,
      path: undefined,
      codec: 'subrip',
      language: 'en',
      label: 'English',
      isDefault: false,
      isForced: false,
    },
  ],
  thumbnails: { columns: 5, rows: 5, width: 160, height: 90, intervalMs: 1000 },
};

/** Fragmented MP4 as a worker makes it. */
function fragmented(track: Track, samples: readonly Sample[]): Uint8Array {
  const chunk = writeChunk({ sequence: 1, samples, position: 'segment-start', reference: undefined });
  return Buffer.concat([writeInitSegment(track), chunk]);
}

/** Frames of a rung in each of which its number is, so that whoever reads them sees which they are. */
export function pieceBytes(index: number, video: PlannedVideo = VIDEO): Uint8Array {
  const { start, end } = pieceRange(video, index);
  const frames = videoSamples({
    startMs: 0,
    seconds: (end - start) / FPS,
    fps: FPS,
    isKey: (n) => n % GOP_FRAMES === 0,
  });
  const numbered = frames.map((sample, n) => ({ ...sample, data: frameData(start + n) }));
  return fragmented(videoTrack({ fps: FPS, gopFrames: GOP_FRAMES }), numbered);
}

/** One slice NAL unit, length-prefixed, with the frame's number in it. */
export function frameData(frame: number): Uint8Array {
  const data = Buffer.alloc(40);
  data.writeUInt32BE(36, 0);
  data.writeUInt8(frame % GOP_FRAMES === 0 ? 0x65 : 0x41, 4);
  data.writeUInt32BE(frame, 8);
  return data;
}

/** A title in the making with everything around it in memory; the test is the workers. */
export class MadeTitles {
  readonly clock = new FakeClock();
  readonly store = new MemoryBlobStore();
  readonly queue = new FakeJobQueue();
  readonly log = createMemoryLog();
  readonly metrics = new Metrics();
  catalogue = new TitleCatalogue(this.store, this.clock);
  encryption: ((title: string) => Encryption | undefined) | undefined;
  readonly uploads: Uploads;
  readonly #options: TitleServiceOptions;
  plan: TitlePlan = PLAN;
  /** Names of recordings that are being made. */
  readonly recorded = new Set<string>();
  /** Titles that keys were taken back from. */
  readonly released: string[] = [];
  service: TitleService;

  constructor(folder: string, options: Partial<TitleServiceOptions> = {}) {
    this.#options = { roots: [folder], isProtected: false, ...options };
    this.uploads = new Uploads(
      join(folder, 'uploads'),
      { maxBytes: 1e9, maxUploads: 10, keptMs: 86_400_000 },
      { clock: this.clock, metrics: new Metrics(), randomBytes: (size) => new Uint8Array(size) },
    );
    this.service = this.#create();
  }

  #create(shared: { readonly leases?: LeaseStore; readonly owner?: string } = {}): TitleService {
    return new TitleService(this.#options, {
      queue: this.queue,
      store: this.store,
      catalogue: this.catalogue,
      uploads: this.uploads,
      encryptionOf: (title) => this.encryption?.(title),
      isBeingRecorded: (title) => this.recorded.has(title),
      releaseKeys: async (title) => void this.released.push(title),
      probe: () => Promise.resolve(MASTER),
      plan: () => this.plan,
      clock: this.clock,
      log: this.log,
      metrics: new VodMetrics(new Metrics()),
      ...shared,
    });
  }

  /** Another server beside this one, on the same queue and store; the caller opens and closes it. */
  beside(leases: LeaseStore, owner: string): TitleService {
    return this.#create({ leases, owner });
  }

  /** Another process on the same queue and store. */
  async restart(): Promise<void> {
    await this.service.close();
    this.catalogue = new TitleCatalogue(this.store, this.clock);
    this.service = this.#create();
    await this.service.open();
  }

  async workOf(flow: string): Promise<TitleWork> {
    const status = await this.queue.flow(flow);
    return status?.data as unknown as TitleWork;
  }

  /** Does a piece of all rungs. */
  async doPiece(flow: string, index: number, bytes: Uint8Array = pieceBytes(index)): Promise<void> {
    const work = await this.workOf(flow);
    const { start, end } = pieceRange(VIDEO, index);
    const outputs = [];
    for (const { id } of VIDEO.rungs) {
      const key = `${workPrefix(work)}${id}/${index}.1.mp4`;
      await this.store.put(key, bytes);
      outputs.push({ rung: id, key, sizeBytes: bytes.length });
    }
    this.queue.finish(flow, jobIds.piece(0, index), { frames: end - start, outputs });
  }

  /** Puts a stretch of sound; `done` when it was the last. */
  async doSound(flow: string, n: number, done = false): Promise<void> {
    const work = await this.workOf(flow);
    const all = audioSamples({ startMs: 0, seconds: 10 });
    const [from, to] = [n, n + 1].map((count) => count * STRETCH_SECONDS * 48_000);
    const samples = all.filter(({ dts }) => dts >= (from ?? 0) && dts < (to ?? 0));
    await this.store.put(audioStretchKey(work, 'audio-en', 1, n), fragmented(audioTrack(), samples));
    const id = jobIds.audio('audio-en');
    const prefix = `${workPrefix(work)}audio-en/1/`;
    if (done) this.queue.finish(flow, id, { prefix, stretches: n + 1 });
    else this.queue.set(flow, id, { state: 'active', attempt: 1, progress: 0.3 });
  }

  async doExtras(flow: string): Promise<void> {
    const prefix = workPrefix(await this.workOf(flow));
    await this.store.put(`${prefix}text-en.vtt`, Buffer.from('WEBVTT\n'));
    this.queue.finish(flow, jobIds.text('text-en'), { key: `${prefix}text-en.vtt`, sizeBytes: 7, cues: 0 });
    await this.store.put(`${prefix}sheet.jpg`, Buffer.from('jpeg'));
    this.queue.finish(flow, jobIds.thumbnails, { keys: [`${prefix}sheet.jpg`], sheetBytes: [4] });
  }

  /** All the work there is, in order. */
  async doAll(flow: string): Promise<void> {
    for (const index of [0, 1, 2]) await this.doPiece(flow, index);
    for (const n of [0, 1, 2]) await this.doSound(flow, n, n === 2);
    await this.doExtras(flow);
  }
}
