/**
 * Where whole files of media are kept: VOD titles, recordings, what lies behind the live window. A key is a relative path,
 * `titles/film/720p/p1/17.m4s`: parts of `A-Z a-z 0-9 . _ -`, none of them `.` or `..`, each at most 200 characters, all
 * together at most 512. No key is the folder of another: a folder on disk refuses that (STORAGE_KEY_INVALID).
 */

/** One blob, without its bytes. */
export interface BlobInfo {
  readonly key: string;
  readonly sizeBytes: number;
  /** Opaque; another one when the bytes are others. */
  readonly etag: string;
  /** Ms since the Unix epoch. */
  readonly modifiedMs: number;
}

export interface PutOptions {
  /** Only when there is none of that key yet: else STORAGE_EXISTS. */
  readonly ifAbsent?: boolean | undefined;
  /** Only in the place of the one with this etag: else STORAGE_CONFLICT. */
  readonly ifMatch?: string | undefined;
  /** For stores that answer HTTP themselves. */
  readonly contentType?: string | undefined;
  readonly cacheControl?: string | undefined;
}

/** What a copy may have of its own. */
export type CopyOptions = Pick<PutOptions, 'contentType' | 'cacheControl'>;

/** Bytes `[start, end)`; a missing end is the blob's. */
export interface BlobRange {
  readonly start: number;
  readonly end?: number | undefined;
}

/** A blob that is being read. */
export interface OpenBlob {
  readonly info: BlobInfo;
  /** To be read to its end, or returned from early: both let go of what is open. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface BlobPage {
  /** In the order of their keys. */
  readonly blobs: readonly BlobInfo[];
  /** Where the next page begins; undefined: there is none. */
  readonly next: string | undefined;
}

/**
 * Keeps blobs. Every driver passes the same contract suite. A blob is whole or not there: nobody ever reads half of one,
 * also after a crash; what a put has resolved for outlives the process, and the machine where the store is told so.
 *
 * All calls reject with AppError: STORAGE_UNAVAILABLE (worth a retry), STORAGE_FULL, STORAGE_KEY_INVALID, and what
 * {@link PutOptions} and the calls themselves name.
 */
export interface BlobStore {
  put(key: string, body: Uint8Array, options?: PutOptions): Promise<BlobInfo>;
  /** The same with a file of any size, which stays where it is. */
  putFile(key: string, path: string, options?: PutOptions): Promise<BlobInfo>;
  /** The bytes, at most {@link MAX_GET_BYTES} (STORAGE_TOO_LARGE); undefined: there is none. */
  get(key: string, range?: BlobRange): Promise<Uint8Array | undefined>;
  /** The same as a stream, of any size. A range that begins behind the end gives an empty body. */
  open(key: string, range?: BlobRange): Promise<OpenBlob | undefined>;
  stat(key: string): Promise<BlobInfo | undefined>;
  /** Keys that begin with `prefix`, at most 1000 a page; `from`: what the page before gave as `next`. */
  list(prefix: string, from?: string): Promise<BlobPage>;
  /**
   * The bytes of `from` under `to` as well, in the place of what is there, without reading them here: what later becomes of
   * one does not touch the other. STORAGE_NOT_FOUND when there is nothing at `from`; STORAGE_TOO_LARGE past
   * {@link MAX_COPY_BYTES}. Options that are not given are as with `from`.
   */
  copy(from: string, to: string, options?: CopyOptions): Promise<BlobInfo>;
  /** Nothing happens when there is none. */
  delete(key: string): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Largest blob that can be copied: what S3 copies in one call. */
export const MAX_COPY_BYTES = 5 * 1024 ** 3;

/** What {@link BlobStore.get} holds in memory at most. */
export const MAX_GET_BYTES = 64 * 1024 * 1024;
