import type { Clock } from '../base/clock.ts';
import { readTitleRecord, writeTitleRecord } from '../packager/vod/title-record.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { isStreamName } from '../stream/stream-name.ts';
import type { Title, TitleDirectory } from '../stream/title.ts';

/** A title that is held is believed for so long; then its record is looked at again: another server may have changed it. */
const FRESH_MS = 1000;
/** Titles held in memory; the one that nobody asked for longest goes. */
const MAX_HELD = 500;
/** Keys of the records; the media is elsewhere, so that listing titles lists no segments. */
const RECORDS = 'catalogue/';
const SUFFIX = '.json';

interface Held {
  readonly title: Title;
  readonly etag: string;
  checkedMs: number;
}

/** Where the media of a title is: everything below is called as in its URLs. */
export function titlePrefix(id: string): string {
  return `titles/${id}/`;
}

/** The titles that can be played: a record each in the blob store, the ones asked for in memory. */
export class TitleCatalogue implements TitleDirectory {
  readonly #store: BlobStore;
  readonly #clock: Clock;
  /** The one that was asked for last is the last. */
  readonly #held = new Map<string, Held>();
  /** Records being read: many who ask at once ask the store once. */
  readonly #reading = new Map<string, Promise<Title | undefined>>();

  constructor(store: BlobStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  async find(id: string): Promise<Title | undefined> {
    if (!isStreamName(id)) return undefined;
    const held = this.#held.get(id);
    if (held && this.#clock.monotonicMs() - held.checkedMs < FRESH_MS) {
      this.#hold(id, held);
      return held.title;
    }
    const known = this.#reading.get(id);
    if (known) return known;
    const reading = this.#read(id, held).finally(() => this.#reading.delete(id));
    this.#reading.set(id, reading);
    return reading;
  }

  async list(): Promise<readonly Title[]> {
    const titles: Title[] = [];
    let from: string | undefined;
    do {
      const page = await this.#store.list(RECORDS, from);
      for (const { key } of page.blobs) {
        const title = await this.find(key.slice(RECORDS.length, -SUFFIX.length));
        if (title) titles.push(title);
      }
      from = page.next;
    } while (from !== undefined);
    return titles.toSorted((one, other) => other.createdMs - one.createdMs || one.id.localeCompare(other.id));
  }

  blobKey({ id }: Title, path: string): string {
    return titlePrefix(id) + path;
  }

  /** Shows a title as it is from now on. Everything that it names must be in the store. */
  async put(title: Title): Promise<void> {
    const { etag } = await this.#store.put(recordKey(title.id), writeTitleRecord(title), {
      contentType: 'application/json',
    });
    this.#hold(title.id, { title, etag, checkedMs: this.#clock.monotonicMs() });
  }

  /** Shows one that is new. @throws AppError STORAGE_EXISTS when there is one of its id */
  async create(title: Title): Promise<void> {
    const checkedMs = this.#clock.monotonicMs();
    const { etag } = await this.#store.put(recordKey(title.id), writeTitleRecord(title), {
      contentType: 'application/json',
      ifAbsent: true,
    });
    this.#hold(title.id, { title, etag, checkedMs });
  }

  /** Nobody finds it any more; its media stays. */
  async remove(id: string): Promise<void> {
    await this.#store.delete(recordKey(id));
    this.#held.delete(id);
  }

  async #read(id: string, held: Held | undefined): Promise<Title | undefined> {
    const checkedMs = this.#clock.monotonicMs();
    const info = await this.#store.stat(recordKey(id));
    if (info && info.etag === held?.etag) {
      this.#hold(id, { ...held, checkedMs });
      return held.title;
    }
    const bytes = info && (await this.#store.get(info.key));
    const title = bytes && readTitleRecord(bytes);
    if (title?.id !== id || !info) {
      this.#held.delete(id);
      return undefined;
    }
    this.#hold(id, { title, etag: info.etag, checkedMs });
    return title;
  }

  #hold(id: string, held: Held): void {
    this.#held.delete(id);
    this.#held.set(id, held);
    if (this.#held.size <= MAX_HELD) return;
    const oldest = this.#held.keys().next();
    if (oldest.done !== true) this.#held.delete(oldest.value);
  }
}

function recordKey(id: string): string {
  return `${RECORDS}${id}${SUFFIX}`;
}
