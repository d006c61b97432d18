import { basename, dirname } from 'node:path';
import type { DiskCalls } from '../../src/drm/durable-files.ts';

/** Thrown by every call from the one on at which power is cut. */
export class PowerCut extends Error {}

interface File {
  data: Buffer;
  /** What survives; undefined before the first fsync. */
  synced: Buffer | undefined;
}
interface Folder {
  readonly entries: Map<string, File | Folder>;
  /** Names that survive. */
  synced: Map<string, File | Folder>;
}
type Node = File | Folder;

/** What is left of what was not synced: nothing of it, all of it, or the names but only half of the bytes. */
export type Survival = 'synced' | 'all' | 'torn';

/**
 * A disk in memory that behaves as POSIX lets one: what was not fsynced (a file's bytes, a folder's names) may be gone
 * after a power cut. Calls are counted, and power can be cut at any of them.
 */
export class PowerCutDisk implements DiskCalls {
  calls = 0;
  /** The call that does not happen any more (from 1). */
  cutAt = Number.POSITIVE_INFINITY;
  readonly #root: Folder;
  readonly #open = new Map<number, Node>();
  #nextFd = 3;
  #clockMs = 1;

  constructor(root: Folder = { entries: new Map(), synced: new Map() }) {
    this.#root = root;
  }

  /** The disk as the next process finds it. */
  afterPowerCut(survival: Survival): PowerCutDisk {
    return new PowerCutDisk(survivor(this.#root, survival) as Folder);
  }

  /** All files by path, as a process sees them. */
  files(node: Node = this.#root, path = ''): Map<string, Buffer> {
    if ('data' in node) return new Map([[path, node.data]]);
    const below = [...node.entries].flatMap(([name, child]) => [...this.files(child, `${path}/${name}`)]);
    return new Map(below);
  }

  /** Puts other bytes into a file, as a fault of the disk would. */
  overwrite(path: string, data: Buffer): void {
    const file = this.#find(path);
    if (!file || !('data' in file)) throw new Error(`no file ${path}`);
    file.data = data;
    file.synced = data;
  }

  readonly sync = {
    openSync: (path: string, flags: string): number => this.#call(() => this.#openFile(path, flags)),
    closeSync: (fd: number): void => this.#call(() => void this.#open.delete(fd)),
    fsyncSync: (fd: number): void => this.#call(() => this.#fsync(this.#opened(fd))),
    writeFileSync: (fd: number, data: string): void => {
      // Half of it is written when power goes.
      const file = this.#opened(fd) as File;
      if (this.calls + 1 === this.cutAt) file.data = Buffer.from(data).subarray(0, data.length / 2);
      this.#call(() => void (file.data = Buffer.from(data)));
    },
    readFileSync: (path: string): string =>
      this.#call(() => (this.#need(path) as File).data.toString('utf8')),
    linkSync: (from: string, to: string): void =>
      this.#call(() => {
        const folder = this.#folder(dirname(to));
        if (folder.entries.has(basename(to))) throw fault('EEXIST', to);
        folder.entries.set(basename(to), this.#need(from));
      }),
    mkdirSync: (path: string): void => this.#call(() => this.#mkdir(path)),
    rmSync: (path: string): void =>
      this.#call(() => void this.#folder(dirname(path)).entries.delete(basename(path))),
  } as unknown as DiskCalls['sync'];

  readonly promises = {
    link: async (from: string, to: string) => this.sync.linkSync(from, to),
    mkdir: async (path: string) => {
      this.sync.mkdirSync(path);
    },
    rm: async (path: string) => this.sync.rmSync(path),
    readFile: async (path: string) => this.sync.readFileSync(path, 'utf8'),
    readdir: async (path: string) => this.#call(() => [...this.#folder(path).entries.keys()]),
    stat: async (path: string) => {
      this.#call(() => this.#need(path));
      return { mtimeMs: this.#clockMs++ };
    },
    rename: async (from: string, to: string) =>
      this.#call(() => {
        const node = this.#need(from);
        this.#folder(dirname(to)).entries.set(basename(to), node);
        this.#folder(dirname(from)).entries.delete(basename(from));
      }),
    open: async (path: string, flags: string) => {
      const fd = this.sync.openSync(path, flags);
      return {
        writeFile: async (data: string) => this.sync.writeFileSync(fd, data),
        sync: async () => this.sync.fsyncSync(fd),
        close: async () => this.sync.closeSync(fd),
      };
    },
  } as unknown as DiskCalls['promises'];

  #call<T>(run: () => T): T {
    this.calls += 1;
    if (this.calls >= this.cutAt) throw new PowerCut();
    return run();
  }

  #openFile(path: string, flags: string): number {
    if (flags === 'wx') {
      const folder = this.#folder(dirname(path));
      if (folder.entries.has(basename(path))) throw fault('EEXIST', path);
      folder.entries.set(basename(path), { data: Buffer.alloc(0), synced: undefined });
    }
    const fd = this.#nextFd++;
    this.#open.set(fd, this.#need(path));
    return fd;
  }

  #fsync(node: Node): void {
    if ('data' in node) node.synced = node.data;
    else node.synced = new Map(node.entries);
  }

  #mkdir(path: string): void {
    let folder = this.#root;
    for (const name of path.split('/').filter(Boolean)) {
      let next = folder.entries.get(name);
      if (next === undefined) {
        next = { entries: new Map(), synced: new Map() };
        folder.entries.set(name, next);
      }
      folder = next as Folder;
    }
  }

  #opened(fd: number): Node {
    const node = this.#open.get(fd);
    if (node === undefined) throw fault('EBADF', String(fd));
    return node;
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of path.split('/').filter(Boolean)) {
      node = node && 'entries' in node ? node.entries.get(name) : undefined;
    }
    return node;
  }

  #need(path: string): Node {
    const node = this.#find(path);
    if (node === undefined) throw fault('ENOENT', path);
    return node;
  }

  #folder(path: string): Folder {
    const node = this.#need(path);
    if ('data' in node) throw fault('ENOTDIR', path);
    return node;
  }
}

function fault(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

function survivor(node: Node, survival: Survival, seen = new Map<Node, Node>()): Node {
  const known = seen.get(node);
  if (known) return known;
  if ('data' in node) {
    const unsynced = survival === 'all' ? node.data : node.data.subarray(0, node.data.length / 2);
    const data = node.synced ?? (survival === 'synced' ? Buffer.alloc(0) : unsynced);
    const file: File = { data, synced: data };
    seen.set(node, file);
    return file;
  }
  const names = survival === 'synced' ? node.synced : node.entries;
  const entries = new Map([...names].map(([name, child]) => [name, survivor(child, survival, seen)]));
  const folder: Folder = { entries, synced: new Map(entries) };
  seen.set(node, folder);
  return folder;
}
