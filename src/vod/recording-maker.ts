import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { initPath, segmentPath } from '../packager/media-path.ts';
import { readTitleRecord, writeTitleRecord } from '../packager/vod/title-record.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { Title } from '../stream/title.ts';
import type { RecordingSource } from './broadcast.ts';
import { clipStretch, type Recording, recordingOf, type SegmentCopy, withoutSegments } from './recording.ts';
import { madeKey, MAX_RECORDING_MS, type RecordingOrder } from './recording-order.ts';
import type { RecorderMetrics } from './recorder-metrics.ts';
import { type TitleCatalogue, titlePrefix } from './title-catalogue.ts';

/** Keys of live streams that titles need as long as they are there. */
export interface RecordingKeys {
  /** Gives a title keys of a stream, by their KIDs. @throws AppError DRM_KEYS_UNAVAILABLE */
  adopt(stream: string, title: string, kids: readonly Uint8Array[]): Promise<void>;
  /** Takes all of them back. Idempotent. @throws AppError DRM_KEYS_UNAVAILABLE */
  release(title: string): Promise<void>;
}

export interface MakerDeps {
  readonly source: RecordingSource;
  readonly store: BlobStore;
  readonly catalogue: TitleCatalogue;
  /** Undefined: there are none here; what is encrypted cannot be recorded then. */
  readonly keys: RecordingKeys | undefined;
  readonly clock: Clock;
  readonly metrics: RecorderMetrics;
}

/** Calls of the store at the same time: most take no longer than it takes to ask. */
const COPIES_AT_ONCE = 32;
/** Segments may be found missing once; those of a second look have just been there. */
const MAX_LOOKS = 3;
/** A segment at each end may be cut by the limit. */
const LENGTH_SLACK_MS = 60_000;
const MEDIA = { contentType: 'video/mp4', cacheControl: 'public, max-age=31536000, immutable' } as const;

/**
 * Makes one recording: keys, copies, and last of all the record, so that whatever is listed is stored. It may be tried again
 * after any failure, and does not do again what it has done; another one, in a later process, does the very same.
 */
export class RecordingMaker {
  readonly order: RecordingOrder;
  readonly #deps: MakerDeps;
  /** Keys of blobs that are in place. */
  readonly #placed = new Set<string>();
  #closed = false;

  constructor(order: RecordingOrder, deps: MakerDeps) {
    this.order = order;
    this.#deps = deps;
  }

  /** Stops {@link make} soon: it rejects. */
  close(): void {
    this.#closed = true;
  }

  /**
   * The title, listed; undefined: there is no media to make it of.
   * @throws AppError STORAGE_…, DRM_KEYS_UNAVAILABLE, VOD_RECORDING_TOO_LONG, VOD_TITLE_EXISTS
   */
  async make(): Promise<Title | undefined> {
    const { source } = this.#deps;
    const release = source.hold(this.order.stream, this.order.fromMs);
    try {
      return await this.#make();
    } finally {
      release();
    }
  }

  /** Takes away what was made so far of a title that is not to be. @throws AppError */
  async discard(): Promise<void> {
    const { store, keys } = this.#deps;
    await inParallel([...this.#placed], async (key) => {
      await store.delete(key);
      this.#placed.delete(key);
    });
    await keys?.release(this.order.id);
  }

  async #make(): Promise<Title | undefined> {
    const { source, clock } = this.#deps;
    const { id, name, broadcast } = this.order;
    const found = source.stretch(this.order);
    let stretch = found && broadcast ? clipStretch(found, broadcast) : found;
    const wish = { id, name, isAutomatic: broadcast !== undefined, createdMs: clock.wallMs() };
    for (let look = 0; stretch && look < MAX_LOOKS; look++) {
      const recording = recordingOf(stretch, wish);
      if (!recording) return undefined;
      requireWritable(recording.title);
      await this.#adopt(recording);
      const missing = await this.#place(recording);
      if (missing.length === 0) return this.#list(recording.title);
      this.#deps.metrics.missing.inc(missing.length);
      stretch = withoutSegments(stretch, missing);
    }
    if (!stretch) return undefined;
    throw new AppError('STORAGE_UNAVAILABLE', 'segments of a recording go while it is made');
  }

  async #adopt({ kids }: Recording): Promise<void> {
    if (kids.length === 0) return;
    const { keys } = this.#deps;
    if (!keys)
      throw new AppError('DRM_KEYS_UNAVAILABLE', 'a recording is encrypted, and there are no keys here');
    await keys.adopt(this.order.stream, this.order.id, kids);
  }

  /** Puts everything where the URLs of the title say. What turns out not to be there is given back. */
  async #place({ title, copies }: Recording): Promise<readonly SegmentCopy[]> {
    const prefix = titlePrefix(title.id);
    const inits = title.periods.flatMap(({ id, tracks }) =>
      [...tracks].map(([rendition, { init }]) => ({ key: prefix + initPath(rendition, id), init })),
    );
    await inParallel(inits, ({ key, init }) =>
      this.#once(key, async () => void (await this.#deps.store.put(key, init, MEDIA))),
    );
    const missing: SegmentCopy[] = [];
    await inParallel(copies, async (copy) => {
      const key = prefix + segmentPath(copy.rendition, copy.to, copy.number);
      await this.#once(key, () => this.#copy(copy, key)).catch((error: unknown) => {
        if (!(error instanceof AppError) || error.code !== 'STORAGE_NOT_FOUND') throw error;
        missing.push(copy);
      });
    });
    return missing;
  }

  async #once(key: string, act: () => Promise<void>): Promise<void> {
    if (this.#closed) throw new AppError('STORAGE_UNAVAILABLE', 'the server stops');
    if (this.#placed.has(key)) return;
    await act();
    this.#placed.add(key);
  }

  async #copy({ rendition, from, number }: SegmentCopy, key: string): Promise<void> {
    const { source, store, metrics } = this.#deps;
    const { sizeBytes } = await store.copy(
      source.segmentKey(this.order.stream, rendition, from, number),
      key,
    );
    metrics.segments.inc();
    metrics.bytes.inc(sizeBytes);
  }

  async #list(title: Title): Promise<Title> {
    const { catalogue, store } = this.#deps;
    // First, so that no title is without.
    if (title.recording?.isAutomatic) await store.put(madeKey(title), new Uint8Array(0));
    try {
      await catalogue.create(title);
      return title;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'STORAGE_EXISTS') throw error;
      throw new AppError('VOD_TITLE_EXISTS', undefined, { cause: error });
    }
  }
}

/** What nobody could read again is not written. @throws AppError VOD_RECORDING_TOO_LONG */
function requireWritable(title: Title): void {
  const hours = Math.round(MAX_RECORDING_MS / 3_600_000);
  if (title.durationMs > MAX_RECORDING_MS + LENGTH_SLACK_MS) {
    throw new AppError('VOD_RECORDING_TOO_LONG', `a title is at most ${hours} hours long: say from and to`);
  }
  if (!readTitleRecord(writeTitleRecord(title))) {
    throw new AppError('VOD_RECORDING_TOO_LONG', 'it has more segments or periods than one title may');
  }
}

/** Rejects with the first failure once all that had begun are over; no further ones begin then. */
async function inParallel<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  let failed = false;
  const run = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const item = items[next++] as T;
      try {
        await act(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const runs = await Promise.allSettled(Array.from({ length: COPIES_AT_ONCE }, run));
  const failure = runs.find((each) => each.status === 'rejected');
  if (failure) throw failure.reason;
}
