import { open, mkdir, readdir, rm, stat, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Clock, every, type Timer } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Metrics } from '../base/metrics.ts';

/** How far an upload is. */
export interface UploadStatus {
  readonly id: string;
  readonly sizeBytes: number;
  /** Where it goes on. */
  readonly offset: number;
}

export interface UploadsOptions {
  /** Of one master. */
  readonly maxBytes: number;
  /** Uploads that are not complete, or not used yet. */
  readonly maxUploads: number;
  /** One that nothing is added to for so long is deleted. */
  readonly keptMs: number;
}

interface UploadsDeps {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly randomBytes: (size: number) => Uint8Array;
}

const ID = /^[A-Za-z0-9_-]{22}$/;
const ID_BYTES = 16;
const SWEEP_MS = 600_000;
const FILE = /^([A-Za-z0-9_-]{22})\.(\d{1,15})$/;

/** Name of the file of an upload: its id and how long it is to be. Whoever may write to the folder may put one there. */
export function uploadName(id: string, sizeBytes: number): string {
  return `${id}.${sizeBytes}`;
}

/**
 * Masters that are sent over the network, in as many requests as it takes: what has come survives a broken connection and
 * a restart. A file's name says how long it is to be, its length how much of it has come.
 */
export class Uploads {
  readonly #folder: string;
  readonly #options: UploadsOptions;
  readonly #deps: UploadsDeps;
  readonly #writing = new Set<string>();
  /** Paths of those that a title is being made of. */
  readonly #used = new Set<string>();
  readonly #bytes: { inc(value: number): void };
  #sweep: Timer | undefined;

  constructor(folder: string, options: UploadsOptions, deps: UploadsDeps) {
    this.#folder = folder;
    this.#options = options;
    this.#deps = deps;
    this.#bytes = deps.metrics.counter('vod_upload_bytes_total', 'Bytes of masters that were uploaded.');
  }

  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await this.#dropOld();
    this.#sweep = every(this.#deps.clock, SWEEP_MS, () => void this.#dropOld());
  }

  /** Idempotent. */
  close(): void {
    this.#sweep?.cancel();
  }

  /** @throws AppError VOD_MASTER_TOO_LARGE, VOD_UPLOADS_FULL, HTTP_BAD_REQUEST */
  async create(sizeBytes: number): Promise<UploadStatus> {
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0) {
      throw new AppError('HTTP_BAD_REQUEST', 'Upload-Length must be a number of bytes');
    }
    if (sizeBytes > this.#options.maxBytes) throw new AppError('VOD_MASTER_TOO_LARGE');
    if ((await this.#files()).length >= this.#options.maxUploads) throw new AppError('VOD_UPLOADS_FULL');
    const id = Buffer.from(this.#deps.randomBytes(ID_BYTES)).toString('base64url');
    const file = await open(join(this.#folder, uploadName(id, sizeBytes)), 'wx', 0o600);
    await file.close();
    return { id, sizeBytes, offset: 0 };
  }

  /** Undefined: there is no such upload. */
  async find(id: string): Promise<UploadStatus | undefined> {
    return (await this.#find(id))?.status;
  }

  /**
   * Adds what comes at `offset`, which must be where the upload ends; what had come when it broke off is kept.
   * @throws AppError VOD_UPLOAD_NOT_FOUND, VOD_UPLOAD_CONFLICT, HTTP_BODY_TOO_LARGE, STORAGE_FULL
   */
  async append(id: string, offset: number, pieces: AsyncIterable<Uint8Array>): Promise<UploadStatus> {
    const found = await this.#find(id);
    if (!found) throw new AppError('VOD_UPLOAD_NOT_FOUND');
    if (found.status.offset !== offset || this.#writing.has(id)) throw new AppError('VOD_UPLOAD_CONFLICT');
    this.#writing.add(id);
    let at = offset;
    const file = await open(found.path, 'r+');
    try {
      for await (const piece of pieces) {
        if (at + piece.length > found.status.sizeBytes) throw new AppError('HTTP_BODY_TOO_LARGE');
        await writeAll(file, piece, at);
        at += piece.length;
        this.#bytes.inc(piece.length);
      }
    } catch (error) {
      // Half a piece may have been written: what is believed ends where whole ones do.
      await truncate(found.path, at).catch(() => undefined);
      throw isFull(error) ? new AppError('STORAGE_FULL', undefined, { cause: error }) : error;
    } finally {
      this.#writing.delete(id);
      await file.close();
    }
    return { ...found.status, offset: at };
  }

  /** It is needed until {@link discard}. False: the path is none of an upload. */
  use(path: string): boolean {
    const own = dirname(path) === this.#folder;
    if (own) this.#used.add(path);
    return own;
  }

  /** The file behind a path, if it is an upload, is not needed any more. */
  async discard(path: string): Promise<void> {
    this.#used.delete(path);
    if (dirname(path) === this.#folder) await rm(path, { force: true });
  }

  /** Where a complete upload is. @throws AppError VOD_UPLOAD_NOT_FOUND, VOD_UPLOAD_CONFLICT when it is not complete */
  async path(id: string): Promise<string> {
    const found = await this.#find(id);
    if (!found) throw new AppError('VOD_UPLOAD_NOT_FOUND');
    if (found.status.offset !== found.status.sizeBytes) {
      throw new AppError('VOD_UPLOAD_CONFLICT', 'the upload is not complete');
    }
    return found.path;
  }

  /** False: there is none. */
  async remove(id: string): Promise<boolean> {
    const found = await this.#find(id);
    if (!found) return false;
    await rm(found.path, { force: true });
    return true;
  }

  async #find(id: string): Promise<{ readonly path: string; readonly status: UploadStatus } | undefined> {
    if (!ID.test(id)) return undefined;
    const name = (await this.#files()).find((file) => file.startsWith(`${id}.`));
    if (name === undefined) return undefined;
    const path = join(this.#folder, name);
    const size = (await stat(path).catch(() => undefined))?.size;
    if (size === undefined) return undefined;
    return { path, status: { id, sizeBytes: Number(FILE.exec(name)?.[2]), offset: size } };
  }

  async #files(): Promise<string[]> {
    return (await readdir(this.#folder)).filter((name) => FILE.test(name));
  }

  async #dropOld(): Promise<void> {
    const now = this.#deps.clock.wallMs();
    for (const name of await this.#files().catch(() => [])) {
      const path = join(this.#folder, name);
      if (this.#used.has(path)) continue;
      const modifiedMs = (await stat(path).catch(() => undefined))?.ctimeMs;
      if (modifiedMs !== undefined && now - modifiedMs > this.#options.keptMs)
        await rm(path, { force: true });
    }
  }
}

async function writeAll(
  file: Awaited<ReturnType<typeof open>>,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

function isFull(error: unknown): boolean {
  const code = (error as { code?: string } | undefined)?.code;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
