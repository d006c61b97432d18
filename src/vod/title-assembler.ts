import type { Clock, Timer } from '../base/clock.ts';
import { AppError, errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type Encryption, PeriodCipher } from '../packager/period-cipher.ts';
import { initPath, segmentPath, textPath, thumbnailPath } from '../packager/media-path.ts';
import { readTitleRecord, writeTitleRecord } from '../packager/vod/title-record.ts';
import type { PackagedSegment } from '../packager/vod/title-track-packager.ts';
import type { FlowState, FlowStatus, JobQueue, JobStatus } from '../state/job-queue.ts';
import { type BlobStore, MAX_GET_BYTES } from '../storage/blob-store.ts';
import type { Title } from '../stream/title.ts';
import {
  type AudioResult,
  audioStretchKey,
  type PieceResult,
  pieceRange,
  type PlannedAudio,
  type PlannedRung,
  type TextResult,
  type ThumbnailsResult,
  type TitleWork,
  workPrefix,
} from '../transcode/vod/title-plan.ts';
import { canRead } from './reachable-work.ts';
import { readPiece, readStretch } from './read-media.ts';
import { jobIds } from './title-jobs.ts';
import type { TitleCatalogue } from './title-catalogue.ts';
import { titlePrefix } from './title-catalogue.ts';
import { composeTitle, type Extras } from './compose-title.ts';
import { TitleLine } from './title-lines.ts';
import type { VodMetrics } from './vod-metrics.ts';

export interface AssemblerDeps {
  readonly queue: JobQueue;
  readonly store: BlobStore;
  readonly catalogue: TitleCatalogue;
  /** How titles are encrypted. @throws AppError DRM_KEYS_UNAVAILABLE */
  readonly encryptionOf: (title: string) => Encryption | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: VodMetrics;
}

/** How the making of a title ended. */
export type AssemblyEnd = 'complete' | 'failed' | 'cancelled' | 'gone';

interface PictureLine {
  readonly rung: PlannedRung;
  readonly group: number;
  readonly line: TitleLine;
  /** Next piece to be taken. */
  piece: number;
  readonly shown: boolean;
}

interface SoundLine {
  readonly audio: PlannedAudio;
  readonly line: TitleLine;
  stretch: number;
  finished: boolean;
}

/** After a store or a queue that could not be used: first wait and longest, milliseconds. */
const RETRY_MS = { first: 1000, longest: 30_000 };

/** What no waiting mends: the title has failed. */
const FATAL = new Set<string>([
  'VOD_WORK_DAMAGED',
  'VOD_MASTER_MISSING',
  'STORAGE_FULL',
  'STORAGE_TOO_LARGE',
  'DRM_TRACK_REFUSED',
]);

/**
 * Makes one title of what the farm's workers make, in order and as it comes: pieces become segments, encrypted, in the
 * blob store; then the title's record says so. Whatever is listed is stored. All that it needs to go on after a restart is in
 * the queue, the store and the record.
 */
export class TitleAssembler {
  readonly flow: string;
  readonly work: TitleWork;
  readonly #deps: AssemblerDeps;
  readonly #log: Logger;
  readonly #onEnd: (end: AssemblyEnd, error?: AppError) => void;
  #pictures: PictureLine[] = [];
  #sounds: SoundLine[] = [];
  #extras: Extras = { texts: [], thumbnails: undefined };
  #opened = false;
  #running: Promise<void> | undefined;
  #asked = false;
  #ended = false;
  #closed = false;
  #retry: Timer | undefined;
  #waitMs = RETRY_MS.first;

  constructor(
    flow: string,
    work: TitleWork,
    deps: AssemblerDeps,
    onEnd: (end: AssemblyEnd, error?: AppError) => void,
  ) {
    this.flow = flow;
    this.work = work;
    this.#deps = deps;
    this.#log = deps.log.child({ title: work.title, generation: work.generation });
    this.#onEnd = onEnd;
  }

  /** Looks at what the workers have done, now or once it has done with what it does. */
  advance(): void {
    this.#asked = true;
    if (this.#running || this.#ended || this.#closed) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      // Asked for between the last look and now.
      if (this.#asked) this.advance();
    });
  }

  /** Stops after what it is at. What is done stays done. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#asked = false;
    this.#retry?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#asked && !this.#ended && !this.#closed) {
      this.#asked = false;
      try {
        await this.#step();
        this.#waitMs = RETRY_MS.first;
      } catch (error) {
        await this.#cannotGoOn(error);
      }
    }
    this.#asked &&= !this.#ended && !this.#closed;
  }

  async #cannotGoOn(reason: unknown): Promise<void> {
    const code = errorCode(reason);
    if (reason instanceof AppError && !FATAL.has(code)) {
      this.#log.warn({ code, err: reason, waitMs: this.#waitMs }, 'a title cannot go on being made yet');
      // What was packaged and not stored is lost: begun again from the record, as after a restart.
      this.#opened = false;
      this.#retry?.cancel();
      this.#retry = this.#deps.clock.after(this.#waitMs, () => this.advance());
      this.#waitMs = Math.min(RETRY_MS.longest, 2 * this.#waitMs);
      return;
    }
    this.#log.error({ code, err: reason }, 'a title cannot be made');
    const shown =
      reason instanceof AppError ? reason : new AppError('INTERNAL', undefined, { cause: reason });
    await Promise.allSettled([this.#deps.queue.cancel(this.flow), this.#withdraw()]);
    this.#end('failed', shown);
  }

  async #step(): Promise<void> {
    const status = await this.#deps.queue.flow(this.flow);
    if (!status) return this.#end('gone');
    if (status.state === 'failed' || status.state === 'cancelled') return this.#stopped(status.state);
    if (!this.#opened) await this.#open();
    await this.#requireMaster(status);
    const jobs = new Map(status.jobs.map((job) => [job.id, job]));
    let grew = false;
    for (const line of this.#pictures) grew = (await this.#takePieces(line, jobs)) || grew;
    for (const line of this.#sounds) grew = (await this.#takeStretches(line, jobs)) || grew;
    if (this.#closed) return;
    if (this.#isComplete(status)) return this.#finish(jobs);
    if (grew) await this.#show('growing');
  }

  /** A worker may have no way to a master that is there; that it is gone only those can tell who took it. */
  async #requireMaster({ jobs }: FlowStatus): Promise<void> {
    const isMissed = jobs.some(
      ({ state, error }) => state === 'waiting' && error?.code === 'VOD_MASTER_UNREACHABLE',
    );
    if (!isMissed) return;
    const { masterPath, plan } = this.work;
    for (const path of [masterPath, ...plan.texts.flatMap((text) => text.path ?? [])]) {
      if (await canRead(path)) continue;
      throw new AppError('VOD_MASTER_MISSING', 'the master is not there any more');
    }
  }

  async #stopped(state: Extract<FlowState, 'failed' | 'cancelled'>): Promise<void> {
    await this.#withdraw();
    this.#end(state);
  }

  /** A title that did not become whole is not to be found. Should it be tried again, it goes on where it stood. */
  async #withdraw(): Promise<void> {
    const { catalogue, store } = this.#deps;
    const shown = await catalogue.find(this.work.title);
    if (!shown || !this.#isOwn(shown)) return;
    await store.put(this.#withdrawnKey, writeTitleRecord(shown)).catch(() => undefined);
    await catalogue.remove(this.work.title);
  }

  /** What was shown of the title, by us or by a process before us. */
  async #shownSoFar(): Promise<Title | undefined> {
    const { catalogue, store } = this.#deps;
    const shown = await catalogue.find(this.work.title);
    if (shown && this.#isOwn(shown)) return shown;
    const bytes = await store.get(this.#withdrawnKey);
    return bytes && readTitleRecord(bytes);
  }

  #isOwn({ state, periods }: Title): boolean {
    return state === 'growing' && periods[0]?.id === this.work.generation;
  }

  get #withdrawnKey(): string {
    return `${workPrefix(this.work)}title.json`;
  }

  #end(end: AssemblyEnd, error?: AppError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#log.info({ event: 'title', end }, 'the making of a title has ended');
    this.#deps.metrics.titles.inc({ end });
    this.#onEnd(end, error);
  }

  /** Goes on where the record says that a process before us stopped. */
  async #open(): Promise<void> {
    const { work } = this;
    const { plan } = work;
    const own = (await this.#shownSoFar())?.periods[0];
    const encryption = work.isProtected ? this.#deps.encryptionOf(work.title) : undefined;
    if (work.isProtected && !encryption) throw new AppError('DRM_KEYS_UNAVAILABLE');
    const cipher = encryption && (await openCipher(encryption));
    const options = { segmentSeconds: segmentSeconds(work), cipher };
    this.#pictures = (plan.video?.groups ?? []).flatMap((ids, group) =>
      ids.flatMap((id) => {
        const rung = plan.video?.rungs.find((one) => one.id === id);
        if (!rung) return [];
        const before = own?.tracks.get(id);
        const listed = before?.segments.length ?? 0;
        const piece = nextPiece(work, listed);
        const line = new TitleLine(options, before, listed);
        return [{ rung, group, line, piece, shown: group === 0 }];
      }),
    );
    this.#sounds = plan.audios.map((audio) => ({
      audio,
      line: new TitleLine(options, own?.tracks.get(audio.id)),
      stretch: 0,
      finished: false,
    }));
    this.#opened = true;
  }

  async #takePieces(picture: PictureLine, jobs: ReadonlyMap<string, JobStatus>): Promise<boolean> {
    const { video } = this.work.plan;
    let grew = false;
    if (!video) return false;
    while (picture.piece < video.pieces && !this.#closed) {
      const job = jobs.get(jobIds.piece(picture.group, picture.piece));
      if (job?.state !== 'done') break;
      const { frames, outputs } = job.result as unknown as PieceResult;
      // The master ended where the last piece begins.
      if (frames === 0) {
        picture.piece += 1;
        continue;
      }
      const output = outputs.find(({ rung }) => rung === picture.rung.id);
      if (!output) throw new AppError('VOD_WORK_DAMAGED', 'a worker left out a rung');
      const { start } = pieceRange(video, picture.piece);
      const media = readPiece(await this.#fetch(output.key), {
        startFrame: start,
        frameRate: video.frameRate,
        gopFrames: video.gopFrames,
      });
      // Pieces are whole segments: the last one need not wait for what follows.
      const segments = [...picture.line.add(media.track, media.samples), ...picture.line.closeSegment()];
      picture.piece += 1;
      await this.#store(picture.rung.id, picture.line, segments);
      grew = grew || segments.length > 0;
    }
    return grew;
  }

  async #takeStretches(sound: SoundLine, jobs: ReadonlyMap<string, JobStatus>): Promise<boolean> {
    const { audio, line } = sound;
    const job = jobs.get(jobIds.audio(audio.id));
    let grew = false;
    if (!job || job.attempt === 0) return false;
    while (!sound.finished && !this.#closed) {
      const done = job.state === 'done' ? (job.result as unknown as AudioResult) : undefined;
      const segments: PackagedSegment[] = [];
      if (done && sound.stretch >= done.stretches) {
        segments.push(...line.closeSegment());
        sound.finished = true;
      } else {
        const key = done
          ? `${done.prefix}${sound.stretch}.mp4`
          : audioStretchKey(this.work, audio.id, job.attempt, sound.stretch);
        const bytes = await this.#deps.store.get(key);
        if (!bytes && done) throw new AppError('VOD_WORK_DAMAGED', 'sound that was made is not there');
        if (!bytes) break;
        const media = readStretch(bytes);
        segments.push(...line.add(media.track, media.samples));
        sound.stretch += 1;
      }
      await this.#store(audio.id, line, segments);
      grew = grew || segments.length > 0;
    }
    return grew;
  }

  async #fetch(key: string): Promise<Uint8Array> {
    const bytes = await this.#deps.store.get(key);
    if (!bytes)
      throw new AppError(
        'VOD_WORK_DAMAGED',
        `a piece that was made is not there (at most ${MAX_GET_BYTES} bytes)`,
      );
    return bytes;
  }

  /** Puts segments where their URLs say; the initialization segment before the first. */
  async #store(rendition: string, line: TitleLine, segments: readonly PackagedSegment[]): Promise<void> {
    const { title, generation } = this.work;
    const prefix = titlePrefix(title);
    for (const { bytes, segment } of segments) {
      if (segment.number === 0 && line.init) {
        await this.#deps.store.put(prefix + initPath(rendition, generation), line.init, MEDIA);
      }
      await this.#deps.store.put(prefix + segmentPath(rendition, generation, segment.number), bytes, MEDIA);
      this.#deps.metrics.segmentBytes.inc(bytes.length);
    }
  }

  #isComplete(status: FlowStatus): boolean {
    return (
      status.state === 'done' &&
      this.#pictures.every(({ piece }) => piece === this.work.plan.video?.pieces) &&
      this.#sounds.every(({ finished }) => finished)
    );
  }

  async #finish(jobs: ReadonlyMap<string, JobStatus>): Promise<void> {
    this.#extras = {
      texts: await this.#takeTexts(jobs),
      thumbnails: await this.#takeThumbnails(jobs),
    };
    await this.#show('complete');
    await this.#clearWork();
    this.#end('complete');
  }

  /** What stays is in nobody's way, and goes with the title. */
  async #clearWork(): Promise<void> {
    try {
      await deleteAll(this.#deps.store, workPrefix(this.work));
    } catch (error) {
      this.#log.warn({ code: errorCode(error), err: error }, 'the work on a title could not be deleted');
    }
  }

  async #takeTexts(jobs: ReadonlyMap<string, JobStatus>): Promise<Extras['texts']> {
    const { title, generation, plan } = this.work;
    const texts: { id: string; sizeBytes: number }[] = [];
    for (const { id } of plan.texts) {
      const result = jobs.get(jobIds.text(id))?.result as unknown as TextResult | undefined;
      if (!result) continue;
      const bytes = await this.#fetch(result.key);
      await this.#deps.store.put(titlePrefix(title) + textPath(id, generation), bytes, {
        contentType: 'text/vtt',
      });
      texts.push({ id, sizeBytes: bytes.length });
    }
    return texts;
  }

  async #takeThumbnails(jobs: ReadonlyMap<string, JobStatus>): Promise<Extras['thumbnails']> {
    const { title, generation } = this.work;
    const result = jobs.get(jobIds.thumbnails)?.result as unknown as ThumbnailsResult | undefined;
    if (!result) return undefined;
    for (const [sheet, key] of result.keys.entries()) {
      const bytes = await this.#fetch(key);
      await this.#deps.store.put(titlePrefix(title) + thumbnailPath(generation, sheet), bytes, {
        contentType: 'image/jpeg',
      });
    }
    return { sheetBytes: result.sheetBytes };
  }

  async #show(state: Title['state']): Promise<void> {
    const all = state === 'complete';
    const title = composeTitle(this.work, {
      state,
      pictures: this.#pictures.filter(({ shown }) => shown || all),
      sounds: this.#sounds,
      extras: this.#extras,
      updatedMs: this.#deps.clock.wallMs(),
    });
    if (!title) return;
    await this.#deps.catalogue.put(title);
  }
}

const MEDIA = { contentType: 'video/mp4', cacheControl: 'public, max-age=31536000, immutable' } as const;

/** Keys of a title never change. @throws AppError DRM_KEYS_UNAVAILABLE */
async function openCipher(encryption: Encryption): Promise<PeriodCipher> {
  const { keys } = encryption;
  await keys.prepare(keys.periodAt(0));
  return new PeriodCipher(encryption, 0);
}

/** A segment lasts so many frames exactly; without pictures, as long as was planned. */
function segmentSeconds({ plan }: TitleWork): number {
  if (!plan.video) return plan.segmentMs / 1000;
  const { numerator, denominator } = plan.video.frameRate;
  return (plan.video.segmentFrames * denominator) / numerator;
}

/** The piece that begins with segment `listed`; records grow by whole pieces. */
function nextPiece({ plan }: TitleWork, listed: number): number {
  if (!plan.video || listed === 0) return 0;
  const { segmentFrames, pieceFrames } = plan.video;
  return Math.min(plan.video.pieces, 1 + Math.ceil((listed - 1) / (pieceFrames / segmentFrames)));
}

/** Deletes every blob below a prefix. */
export async function deleteAll(store: BlobStore, prefix: string): Promise<void> {
  for (;;) {
    const { blobs } = await store.list(prefix);
    if (blobs.length === 0) return;
    for (const { key } of blobs) await store.delete(key);
  }
}
