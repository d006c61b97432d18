import { AppError } from '../../base/errors.ts';
import { PermanentJobError } from '../../state/job-queue.ts';
import { AudioStretches, type StretchOptions } from './audio-stretches.ts';
import { audioArguments } from './audio-track-arguments.ts';
import { type Attempt, letAwaitedGoFirst, type WorkDeps } from './encode-piece.ts';
import {
  type AudioResult,
  audioStretchKey,
  type PlannedAudio,
  type TitlePlan,
  type TitleWork,
} from './title-plan.ts';
import { failureOf } from './work-failures.ts';
import { endedWell, WorkRun } from './work-run.ts';

export interface AudioTask {
  readonly work: TitleWork;
  /** Of the planned track. */
  readonly id: string;
}

/** Stretches of a title without pictures, in segments. */
const SEGMENTS_A_STRETCH = 5;
/** A track that begins later than this is begun with silence, milliseconds: about a frame of sound. */
const LATE_MS = 22;

/**
 * Encodes, or carries over, a whole track of sound, and stores it stretch by stretch while it comes; progress is told
 * after each. It begins at the title's 0 and ends with the pictures.
 * @throws AppError VOD_AUDIO_FAILED and those of the store; PermanentJobError when the master is at fault
 */
export async function encodeAudio(task: AudioTask, attempt: Attempt, deps: WorkDeps): Promise<AudioResult> {
  const { work, id } = task;
  const track = work.plan.audios.find((planned) => planned.id === id);
  if (!track) throw new PermanentJobError('VOD_AUDIO_FAILED', 'The plan of the title has no such sound.');
  const asItIs = await new TrackEncoding(work, track, false, attempt, deps).finish();
  const stretches = asItIs ?? (await new TrackEncoding(work, track, true, attempt, deps).finish()) ?? 0;
  if (stretches === 0) throw new PermanentJobError('VOD_AUDIO_FAILED', 'There is no sound in the track.');
  const firstKey = audioStretchKey(work, id, attempt.number, 0);
  return { prefix: firstKey.slice(0, -'0.mp4'.length), stretches };
}

/** One ffmpeg that gives a track, and the storing of what it gives. */
class TrackEncoding {
  readonly #work: TitleWork;
  readonly #track: PlannedAudio;
  readonly #mayPad: boolean;
  readonly #attempt: Attempt;
  readonly #deps: WorkDeps;
  readonly #endMs: number | undefined;
  readonly #stretches: AudioStretches;
  readonly #run: WorkRun;
  #storing = Promise.resolve();
  #stored = 0;
  #failure: unknown;
  #isLate = false;

  constructor(work: TitleWork, track: PlannedAudio, padded: boolean, attempt: Attempt, deps: WorkDeps) {
    this.#work = work;
    this.#track = track;
    this.#mayPad = !padded && track.codec === 'aac';
    this.#attempt = attempt;
    this.#deps = deps;
    const options = stretchOptions(work.plan, track);
    this.#endMs = options.endMs;
    this.#stretches = new AudioStretches(options);
    const { masterPath, plan, master } = work;
    const startMs = plan.video && master.video?.startMs;
    const { demuxer } = master;
    const args = audioArguments({ masterPath, demuxer, track, startMs, endMs: options.endMs, padded });
    this.#run = new WorkRun(args, (bytes) => this.#take(bytes), attempt.signal, deps);
  }

  /** How many stretches there are; undefined: the track begins so late that it is to be padded. */
  async finish(): Promise<number | undefined> {
    const end = await this.#run.ended;
    await this.#storing;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isLate) return undefined;
    if (this.#stretches.fault === undefined && !endedWell(end)) {
      throw failureOf(end, 'VOD_AUDIO_FAILED', this.#work.masterPath);
    }
    this.#stretches.end();
    const { fault } = this.#stretches;
    if (fault !== undefined) throw new AppError('VOD_AUDIO_FAILED', `Of track ${this.#track.id}, ${fault}.`);
    await this.#storeReady();
    return this.#stored;
  }

  #take(bytes: Uint8Array): void {
    this.#run.alive();
    this.#stretches.push(bytes);
    this.#isLate ||= this.#mayPad && (this.#stretches.firstMs ?? 0) > LATE_MS;
    if (this.#isLate || this.#stretches.fault !== undefined) this.#run.kill('enough');
    else if (this.#stretches.hasNext) this.#storeSoon();
  }

  /** ffmpeg waits meanwhile, so that no more than a stretch or two are in memory. */
  #storeSoon(): void {
    this.#run.flow(false);
    this.#storing = this.#storing
      .then(() => this.#storeReady())
      .then(() => letAwaitedGoFirst(this.#attempt, this.#deps))
      .then(
        () => this.#run.flow(true),
        (error: unknown) => {
          this.#failure ??= error;
          this.#run.kill('enough');
        },
      );
  }

  async #storeReady(): Promise<void> {
    const { signal, number, progress } = this.#attempt;
    const totalMs = this.#endMs ?? this.#work.plan.durationMs;
    for (let next = this.#stretches.next(); next; next = this.#stretches.next()) {
      signal.throwIfAborted();
      const key = audioStretchKey(this.#work, this.#track.id, number, this.#stored);
      await this.#deps.store.put(key, next.bytes, { contentType: 'audio/mp4' });
      this.#stored++;
      progress(Math.min(1, next.endMs / totalMs));
    }
  }
}

/** Stretches are as long as the pieces of pictures, and the first one is, too. */
function stretchOptions({ video, segmentMs }: TitlePlan, track: PlannedAudio): StretchOptions {
  if (!video) {
    const stretchMs = segmentMs * SEGMENTS_A_STRETCH;
    return { firstMs: segmentMs, stretchMs, endMs: undefined, fromFirst: track.codec === 'copy' };
  }
  const frameMs = (1000 * video.frameRate.denominator) / video.frameRate.numerator;
  return {
    firstMs: video.segmentFrames * frameMs,
    stretchMs: video.pieceFrames * frameMs,
    endMs: video.frames * frameMs,
    fromFirst: false,
  };
}
