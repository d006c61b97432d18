import { constants, type BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { requireBlobKey, splitPrefix } from './blob-key.ts';
import { requireHoldable, spanOf } from './blob-range.ts';
import type { BlobInfo, BlobPage, BlobRange, BlobStore, OpenBlob, PutOptions } from './blob-store.ts';
import { FileBody, readWhole } from './fs-body.ts';
import { failureOf, FS_CALLS, type FsCalls } from './fs-calls.ts';
import { asStorageError } from './fs-errors.ts';
import { FsFolders } from './fs-folders.ts';
import { DRAFT_NONCE_BYTES, draftName, isRealFolder, walkDrafts, walkKeys } from './fs-tree.ts';
import { KeyLocks } from './key-locks.ts';
import { conditionOf, type PutCondition } from './put-condition.ts';
import { openSource, readSourceAt } from './source-file.ts';

export interface FsBlobStoreOptions {
  /** Whether what was put is on disk, not only in the system's memory, when the put resolves. */
  readonly durable: boolean;
}

export interface FsBlobStoreDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly randomBytes: (size: number) => Uint8Array;
  /** Counts drafts of killed processes that were removed. */
  readonly onSwept?: (() => void) | undefined;
  readonly disk?: FsCalls | undefined;
}

const ROOT_MODE = 0o700;
const FILE_MODE = 0o600;
const PAGE_KEYS = 1000;
/** Files looked at at once for a page of a list: the four threads of file calls are everybody's. */
const LIST_PARALLEL = 4;
const COPY_BYTES = 1024 * 1024;
/** A draft that nobody has written to for so long has no writer any more. */
const DRAFT_LEFT_MS = 3_600_000;
/** Times a put makes its folder again that a delete pruned under its hands. */
const MAX_FOLDER_TRIES = 100;

/** What a file system says that has no hard links, or no more of one file, or not between these two places. */
const CANNOT_LINK = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
/** A pipe that somebody put there must not hold us up. */
const READ_FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;

/**
 * Opens a store on a folder (made when it is not there): one file a blob, at the path that its key is. Keys may not be
 * both a blob and the folder of others (STORAGE_KEY_INVALID). Several processes may share the folder; `ifAbsent` holds
 * between them too, `ifMatch` only within one. Symbolic links below `root` are not followed: what is behind one is not
 * there. Needs hard links (`ifAbsent`).
 * @throws AppError STORAGE_UNAVAILABLE, STORAGE_FULL when the folder cannot be made
 */
export async function openFsBlobStore(
  root: string,
  options: FsBlobStoreOptions,
  deps: FsBlobStoreDeps,
): Promise<BlobStore> {
  const disk = deps.disk ?? FS_CALLS;
  try {
    await disk.mkdir(root, { recursive: true, mode: ROOT_MODE });
    return new FsBlobStore(await disk.realpath(root), options, { ...deps, disk });
  } catch (error) {
    throw asStorageError(error);
  }
}

class FsBlobStore implements BlobStore {
  /** Real path. */
  readonly #root: string;
  readonly #durable: boolean;
  readonly #deps: FsBlobStoreDeps;
  readonly #disk: FsCalls;
  readonly #folders: FsFolders;
  readonly #locks = new KeyLocks();
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #bodies = new Set<FileBody>();
  readonly #closing = new AbortController();
  #lastStampUs = 0;

  constructor(
    root: string,
    { durable }: FsBlobStoreOptions,
    deps: FsBlobStoreDeps & { readonly disk: FsCalls },
  ) {
    this.#root = root;
    this.#durable = durable;
    this.#deps = deps;
    this.#disk = deps.disk;
    this.#folders = new FsFolders(deps.disk, root);
    void this.#run(() => this.#sweep()).catch((error: unknown) => {
      deps.log.warn({ error }, 'drafts of earlier processes could not be looked for');
    });
  }

  async put(key: string, body: Uint8Array, options?: PutOptions): Promise<BlobInfo> {
    return this.#run(() => this.#write(key, options, (draft) => draft.writeFile(body)));
  }

  async putFile(key: string, path: string, options?: PutOptions): Promise<BlobInfo> {
    return this.#run(async () => {
      const source = await openSource(path);
      try {
        return await this.#write(key, options, (draft) => copy(source, draft, () => this.#requireOpen()));
      } finally {
        await source.close();
      }
    });
  }

  async get(key: string, range?: BlobRange): Promise<Uint8Array | undefined> {
    return this.#run(async () => {
      const found = await this.#openFile(key);
      if (!found) return undefined;
      try {
        const span = spanOf(range, found.info.sizeBytes);
        requireHoldable(span);
        const bytes = Buffer.allocUnsafeSlow(span.end - span.start);
        await readWhole(found.file, bytes, span.start);
        return bytes;
      } finally {
        await found.file.close();
      }
    });
  }

  async open(key: string, range?: BlobRange): Promise<OpenBlob | undefined> {
    return this.#run(async () => {
      const found = await this.#openFile(key);
      if (!found) return undefined;
      const { info, file } = found;
      const body = new FileBody(file, spanOf(range, info.sizeBytes), (closed) => this.#bodies.delete(closed));
      this.#bodies.add(body);
      return { info, body };
    });
  }

  async stat(key: string): Promise<BlobInfo | undefined> {
    return this.#run(async () => {
      requireBlobKey(key);
      if (!(await isRealFolder(this.#disk, dirname(this.#pathOf(key))))) return undefined;
      return this.#look(key);
    });
  }

  async list(prefix: string, from = ''): Promise<BlobPage> {
    return this.#run(async () => {
      splitPrefix(prefix);
      const keys: string[] = [];
      for await (const key of walkKeys(this.#disk, this.#root, prefix, from)) {
        // One more than fits: only then there is a next page.
        if (keys.push(key) > PAGE_KEYS) break;
      }
      const listed = keys.slice(0, PAGE_KEYS);
      return {
        blobs: await this.#lookAtAll(listed),
        next: keys.length > PAGE_KEYS ? listed.at(-1) : undefined,
      };
    });
  }

  async copy(from: string, to: string): Promise<BlobInfo> {
    return this.#run(async () => {
      requireBlobKey(from);
      requireBlobKey(to);
      const linked = await this.#link(from, to);
      if (linked !== 'cannot') return linked;
      const source = await this.#openFile(from);
      if (!source) throw new AppError('STORAGE_NOT_FOUND');
      try {
        return await this.#write(to, {}, (draft) => copy(source.file, draft, () => this.#requireOpen()));
      } finally {
        await source.file.close();
      }
    });
  }

  async delete(key: string): Promise<void> {
    await this.#run(async () => {
      requireBlobKey(key);
      const path = this.#pathOf(key);
      if (!(await isRealFolder(this.#disk, dirname(path)))) return;
      await this.#locks.run(key, async () => {
        if (!(await this.#look(key))) return;
        await unlinkIfThere(this.#disk, path);
        await this.#folders.prune(dirname(path));
      });
    });
  }

  /** Waits for writes under way; bodies that are being read end with an error. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled([...this.#bodies].map((body) => body.abandon()));
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  /** Runs one call to its end, with errors as they are promised; `close()` waits for it. */
  async #run<T>(act: () => Promise<T>): Promise<T> {
    this.#requireOpen();
    const running = act();
    this.#underWay.add(running);
    try {
      return await running;
    } catch (error) {
      throw asStorageError(error);
    } finally {
      this.#underWay.delete(running);
    }
  }

  #requireOpen(): void {
    if (this.#closing.signal.aborted) throw new AppError('STORAGE_UNAVAILABLE', 'the store is closed');
  }

  #pathOf(key: string): string {
    return join(this.#root, key);
  }

  async #write(
    key: string,
    options: PutOptions | undefined,
    fill: (draft: FileHandle) => Promise<void>,
  ): Promise<BlobInfo> {
    requireBlobKey(key);
    const condition = conditionOf(options);
    const path = this.#pathOf(key);
    const folder = dirname(path);
    // Looked at before too, so that no large file is written in vain.
    await this.#check(key, condition);
    const draft = await this.#openDraft(folder);
    try {
      const info = await this.#fill(draft.file, key, fill);
      await this.#locks.run(key, () => this.#publish(draft.path, key, condition));
      if (this.#durable) await this.#folders.makeDurable(folder);
      return info;
    } catch (error) {
      await this.#discard(draft.path);
      throw error;
    }
  }

  /**
   * The same file under another name: no put ever writes into a file that is there, so that nobody changes both. `cannot`:
   * the file system does not, or not so often.
   */
  async #link(from: string, to: string): Promise<BlobInfo | 'cannot'> {
    const path = this.#pathOf(to);
    const folder = dirname(path);
    const draft = join(folder, draftName(this.#deps.randomBytes(DRAFT_NONCE_BYTES)));
    for (let tries = 1; ; tries++) {
      if (!(await this.#isThere(from))) throw new AppError('STORAGE_NOT_FOUND');
      try {
        if (!(await isRealFolder(this.#disk, folder))) await this.#folders.make(folder);
        await this.#disk.link(this.#pathOf(from), draft);
        const stat = await this.#disk.lstat(draft, { bigint: true });
        if (!stat.isFile()) throw new AppError('STORAGE_NOT_FOUND');
        await this.#locks.run(to, () => this.#disk.rename(draft, path));
        // Renaming changes nothing when both names are of one file already: the draft is still there.
        await unlinkIfThere(this.#disk, draft);
        if (this.#durable) await this.#folders.makeDurable(folder);
        return infoOf(to, stat);
      } catch (error) {
        await this.#discard(draft);
        if (CANNOT_LINK.has(failureOf(error))) return 'cannot';
        // A delete pruned the folder, or a sweep of another process took the draft, which is as old as its source.
        if (failureOf(error) !== 'ENOENT' || tries >= MAX_FOLDER_TRIES) throw error;
      }
    }
  }

  async #isThere(key: string): Promise<boolean> {
    if (!(await isRealFolder(this.#disk, dirname(this.#pathOf(key))))) return false;
    return (await this.#look(key)) !== undefined;
  }

  /** What cannot be removed now is swept at a later start. */
  async #discard(draftPath: string): Promise<void> {
    await unlinkIfThere(this.#disk, draftPath).catch(() => undefined);
    await this.#folders.prune(dirname(draftPath));
  }

  async #fill(draft: FileHandle, key: string, fill: (draft: FileHandle) => Promise<void>): Promise<BlobInfo> {
    try {
      await fill(draft);
      // Half a microsecond more: what is left of it is cut off on the way to the disk.
      const stamp = (this.#nextStampUs() + 0.5) / 1e6;
      await draft.utimes(stamp, stamp);
      if (this.#durable) await draft.sync();
      return infoOf(key, await draft.stat({ bigint: true }));
    } finally {
      await draft.close();
    }
  }

  /** A time of its own for every put: two versions of one size within one tick of the disk's clock differ by it. */
  #nextStampUs(): number {
    this.#lastStampUs = Math.max(this.#lastStampUs + 1, Math.floor(this.#deps.clock.wallMs()) * 1000);
    return this.#lastStampUs;
  }

  async #openDraft(folder: string): Promise<{ readonly path: string; readonly file: FileHandle }> {
    const path = join(folder, draftName(this.#deps.randomBytes(DRAFT_NONCE_BYTES)));
    for (let tries = 1; ; tries++) {
      try {
        if (!(await isRealFolder(this.#disk, folder))) await this.#folders.make(folder);
        return { path, file: await this.#disk.open(path, 'wx', FILE_MODE) };
      } catch (error) {
        // A delete pruned the folder: it can no more once the draft is in it.
        if (failureOf(error) === 'ENOENT' && tries < MAX_FOLDER_TRIES) continue;
        if (await isRealFolder(this.#disk, folder)) await this.#folders.prune(folder);
        throw error;
      }
    }
  }

  async #publish(draftPath: string, key: string, condition: PutCondition): Promise<void> {
    const path = this.#pathOf(key);
    if (condition.kind !== 'absent') {
      await this.#check(key, condition);
      return this.#disk.rename(draftPath, path);
    }
    try {
      await this.#disk.link(draftPath, path);
    } catch (error) {
      if (failureOf(error) !== 'EEXIST') throw error;
      const isFolder = (await this.#disk.lstat(path)).isDirectory();
      throw new AppError(isFolder ? 'STORAGE_KEY_INVALID' : 'STORAGE_EXISTS');
    }
    await unlinkIfThere(this.#disk, draftPath).catch(() => undefined);
  }

  async #check(key: string, condition: PutCondition): Promise<void> {
    if (condition.kind === 'none') return;
    const there = await this.#look(key);
    if (condition.kind === 'absent' && there) throw new AppError('STORAGE_EXISTS');
    if (condition.kind === 'match' && there?.etag !== condition.etag) throw new AppError('STORAGE_CONFLICT');
  }

  /** What is at the key now, links left aside. */
  async #look(key: string): Promise<BlobInfo | undefined> {
    try {
      const stat = await this.#disk.lstat(this.#pathOf(key), { bigint: true });
      return stat.isFile() ? infoOf(key, stat) : undefined;
    } catch (error) {
      if (isNothingThere(error)) return undefined;
      throw error;
    }
  }

  async #lookAtAll(keys: readonly string[]): Promise<BlobInfo[]> {
    const infos: BlobInfo[] = [];
    for (let at = 0; at < keys.length; at += LIST_PARALLEL) {
      const found = await Promise.all(keys.slice(at, at + LIST_PARALLEL).map((key) => this.#look(key)));
      for (const info of found) if (info) infos.push(info);
    }
    return infos;
  }

  /** The file of a blob and what it is; the caller closes it. */
  async #openFile(key: string): Promise<{ readonly file: FileHandle; readonly info: BlobInfo } | undefined> {
    requireBlobKey(key);
    const path = this.#pathOf(key);
    if (!(await isRealFolder(this.#disk, dirname(path)))) return undefined;
    const file = await this.#openToRead(path);
    if (!file) return undefined;
    try {
      const stat = await file.stat({ bigint: true });
      if (stat.isFile()) return { file, info: infoOf(key, stat) };
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
    return undefined;
  }

  async #openToRead(path: string): Promise<FileHandle | undefined> {
    try {
      return await this.#disk.open(path, READ_FLAGS);
    } catch (error) {
      if (isNothingThere(error)) return undefined;
      throw error;
    }
  }

  /** Removes what processes that were killed were writing. */
  async #sweep(): Promise<void> {
    const beforeMs = this.#deps.clock.wallMs() - DRAFT_LEFT_MS;
    const { signal } = this.#closing;
    for await (const { folder, path } of walkDrafts(this.#disk, this.#root, beforeMs, signal)) {
      await unlinkIfThere(this.#disk, path);
      await this.#folders.prune(folder);
      this.#deps.onSwept?.();
    }
  }
}

function infoOf(key: string, { size, mtimeNs, ino }: BigIntStats): BlobInfo {
  return {
    key,
    sizeBytes: Number(size),
    etag: [size, mtimeNs, ino].map((each) => each.toString(36)).join('-'),
    modifiedMs: Number(mtimeNs / 1_000_000n),
  };
}

/** No such file, a symbolic link in its place (ELOOP), or a blob where a folder would be. */
function isNothingThere(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'].includes(failureOf(error));
}

async function unlinkIfThere(disk: FsCalls, path: string): Promise<void> {
  try {
    await disk.unlink(path);
  } catch (error) {
    if (failureOf(error) !== 'ENOENT') throw error;
  }
}

/** In pieces, so that a long copy holds none of the few threads of file calls. */
async function copy(source: FileHandle, draft: FileHandle, check: () => void): Promise<void> {
  const piece = Buffer.allocUnsafeSlow(COPY_BYTES);
  for (let position = 0; ; ) {
    check();
    const bytesRead = await readSourceAt(source, piece, position);
    if (bytesRead === 0) return;
    await writeWhole(draft, piece.subarray(0, bytesRead), position);
    position += bytesRead;
  }
}

async function writeWhole(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
