import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import * as fc from 'fast-check';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import type { BlobInfo, BlobStore } from '../../src/storage/blob-store.ts';
import { FS_CALLS, type FsCalls } from '../../src/storage/fs-calls.ts';
import { openFsBlobStore } from '../../src/storage/fs-blob-store.ts';
import { codeOf, listAll } from '../support/blob-store-contract.ts';
import { ROOT, setup } from '../support/build.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { openFiles } from '../support/open-files.ts';
import { until } from '../support/until.ts';

const WRITER = join(ROOT, 'test', 'support', 'blob-writer.mjs');
const HOUR_MS = 3_600_000;

let folder: string;
let root: string;
const stores: BlobStore[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-folder-'));
  root = join(folder, 'media');
});
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
  await rm(folder, { recursive: true, force: true });
});

async function open({
  durable = false,
  disk = FS_CALLS,
  clock = systemClock,
}: {
  durable?: boolean;
  disk?: FsCalls;
  clock?: Clock;
} = {}): Promise<BlobStore> {
  const deps = { clock, log: createMemoryLog(), randomBytes, disk };
  const store = await openFsBlobStore(root, { durable }, deps);
  stores.push(store);
  return store;
}

/** Every name below the folder of the test, of files and folders. */
async function namesBelow(path: string): Promise<string[]> {
  return (await readdir(path, { recursive: true })).sort();
}

const drafts = async (): Promise<string[]> => (await namesBelow(root)).filter((name) => name.includes('~'));

/** Whether a blob of the writer is whole. */
function isWhole(bytes: Uint8Array): boolean {
  const hash = createHash('sha256').update(bytes.subarray(32)).digest();
  return bytes.length > 32 && hash.equals(bytes.subarray(0, 32));
}

async function brokenBlobs(store: BlobStore): Promise<string[]> {
  const broken: string[] = [];
  for (const { key, sizeBytes } of await listAll(store)) {
    const bytes = await store.get(key);
    if (!bytes || bytes.length !== sizeBytes || !isWhole(bytes)) broken.push(key);
  }
  return broken;
}

describe('a process that is killed while it puts', () => {
  beforeAll(setup, 300_000);

  it('leaves whole blobs only, all that it was told of, and nothing else to be listed, twenty times', async () => {
    let left = 0;
    for (let round = 0; round < 20; round++) {
      const writer = spawn(process.execPath, [WRITER, root, '3000000', '4'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const told: string[] = [];
      const deleted = new Set<string>();
      createInterface({ input: writer.stdout }).on('line', (line) => {
        const { key, deleting } = JSON.parse(line) as { key?: string; deleting?: string };
        if (key !== undefined) told.push(key);
        if (deleting !== undefined) deleted.add(deleting);
      });
      const ended = once(writer, 'close');
      const enough = 1 + round * 2;
      await until(() => told.length >= enough, `${enough} blobs were put`);
      writer.kill('SIGKILL');
      await ended;

      const store = await open();
      const listed = new Set((await listAll(store)).map(({ key }) => key));
      expect([...listed].filter((key) => key.includes('~'))).toEqual([]);
      expect(await brokenBlobs(store)).toEqual([]);
      expect(told.filter((key) => !listed.has(key) && !deleted.has(key))).toEqual([]);
      await store.close();
      left += (await drafts()).length;
      await rm(join(root, 'new'), { recursive: true, force: true });
    }
    // Else no kill came in the middle of a put, and nothing was tested.
    expect(left).toBeGreaterThan(5);
  }, 120_000);
});

const canMount = spawnSync('unshare', ['--mount', 'true']).status === 0;

describe.skipIf(!canMount)('a disk that is full', () => {
  // A disk of four megabytes that is gone with the process. Needs the rights of root.
  beforeAll(setup, 300_000);

  it('fails the put, keeps nothing of it, and leaves everything else whole', async () => {
    await mkdir(root);
    // What the small disk held is copied out before it goes.
    const script = `mount -t tmpfs -o size=4m none "$1" && "$2" "$3" "$1" 400000 2; cp -r "$1" "$1-after"; df --output=avail -B1 "$1" | tail -1`;
    const ran = spawnSync('unshare', ['--mount', 'sh', '-c', script, 'sh', root, process.execPath, WRITER], {
      encoding: 'utf8',
    });
    const lines = ran.stdout.trim().split('\n');
    const availableBytes = Number(lines.pop());
    const ended = lines.map((line) => JSON.parse(line) as { code?: string });
    const failures = ended.flatMap(({ code }) => code ?? []);
    expect(new Set(failures)).toEqual(new Set(['STORAGE_FULL']));
    expect(ended.length).toBeGreaterThan(failures.length);
    root = `${root}-after`;
    expect(await drafts()).toEqual([]);
    const store = await open();
    expect(await brokenBlobs(store)).toEqual([]);
    expect((await listAll(store)).length).toBeGreaterThan(3);
    // The room that a failed put had taken is free again: less than one blob short of all is used.
    expect(availableBytes).toBeGreaterThan(0);
  });
});

describe('a disk', () => {
  /** A disk on which writing fails after so many bytes of a file. */
  function failingDisk(code: string, afterBytes: number): FsCalls {
    const failure = Object.assign(new Error(code), { code });
    return {
      ...FS_CALLS,
      open: async (path, flags, mode) => {
        const file = await FS_CALLS.open(path, flags, mode);
        if (flags !== 'wx') return file;
        file.writeFile = async (data) => {
          await file.write((data as Uint8Array).subarray(0, afterBytes));
          throw failure;
        };
        file.write = () => Promise.reject(failure);
        return file;
      },
    };
  }

  it.each([
    ['ENOSPC', 'STORAGE_FULL'],
    ['EDQUOT', 'STORAGE_FULL'],
    ['EROFS', 'STORAGE_FULL'],
    ['EFBIG', 'STORAGE_TOO_LARGE'],
    ['EIO', 'STORAGE_UNAVAILABLE'],
  ])('that says %s in the middle fails the put as %s and keeps nothing of it', async (failure, code) => {
    const store = await open({ disk: failingDisk(failure, 1000) });
    const source = join(folder, 'source');
    await writeFile(source, randomBytes(5000));
    expect(await codeOf(store.put('t/film/1.m4s', randomBytes(5000)))).toBe(code);
    expect(await codeOf(store.putFile('t/film/2.m4s', source))).toBe(code);
    expect(await namesBelow(root)).toEqual([]);
  });
});

describe('a copy', () => {
  it('is the same file under another name, and leaves nothing else', async () => {
    const store = await open();
    await store.put('live/cam/1.m4s', randomBytes(100_000));
    await store.copy('live/cam/1.m4s', 'titles/show/1.m4s');
    await store.copy('live/cam/1.m4s', 'titles/show/1.m4s');
    const inodeOf = async (key: string): Promise<number> => (await stat(join(root, key))).ino;
    expect(await inodeOf('titles/show/1.m4s')).toBe(await inodeOf('live/cam/1.m4s'));
    expect(await drafts()).toEqual([]);
    await store.delete('live/cam/1.m4s');
    expect((await store.get('titles/show/1.m4s'))?.length).toBe(100_000);
  });

  it.each(['EXDEV', 'EPERM', 'EMLINK'])('is made of its bytes where a link ends in %s', async (code) => {
    const link = (): Promise<never> => Promise.reject(Object.assign(new Error(code), { code }));
    const store = await open({ disk: { ...FS_CALLS, link }, durable: true });
    const body = randomBytes(3_000_000);
    await store.put('live/cam/1.m4s', body);
    const copied = await store.copy('live/cam/1.m4s', 'titles/show/1.m4s');
    expect(body.equals((await store.get('titles/show/1.m4s')) ?? Buffer.from('none'))).toBe(true);
    expect(copied).toEqual(await store.stat('titles/show/1.m4s'));
    expect(await codeOf(store.copy('none', 'titles/show/2.m4s'))).toBe('STORAGE_NOT_FOUND');
    expect((await listAll(store)).map(({ key }) => key)).toEqual(['live/cam/1.m4s', 'titles/show/1.m4s']);
    expect(await drafts()).toEqual([]);
  });

  it('follows no symbolic link', async () => {
    const outside = join(folder, 'outside');
    await writeFile(outside, 'secret');
    const store = await open();
    await store.put('t/own', Buffer.from('own'));
    await symlink(outside, join(root, 't', 'file'));
    expect(await codeOf(store.copy('t/file', 't/copy'))).toBe('STORAGE_NOT_FOUND');
    await store.copy('t/own', 't/file');
    expect(await readFile(outside, 'utf8')).toBe('secret');
  });
});

describe('hostile keys', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc
      .array(fc.constantFrom('..', '.', '/', '\\', '%2e', '\0', 'a', '~', '//', 'outside'), { maxLength: 8 })
      .map((parts) => parts.join('')),
    fc
      .array(fc.constantFrom('..', '.', 'a', 'b.c', '...', 'outside'), { maxLength: 5 })
      .map((parts) => parts.join('/')),
  );

  it('never reach beyond the root, whatever is done with them', async () => {
    const outside = join(folder, 'outside');
    await writeFile(outside, 'untouched');
    const store = await open();
    const source = join(folder, 'source');
    await writeFile(source, 'x');
    await fc.assert(
      fc.asyncProperty(hostile, async (key) => {
        await codeOf(store.put(key, Buffer.from('inside')));
        await codeOf(store.putFile(key, source));
        for (const bytes of [await store.get(key).catch(() => undefined)]) {
          expect(bytes === undefined || Buffer.from(bytes).toString() === 'x').toBe(true);
        }
        await codeOf(store.list(key));
        await codeOf(store.delete(key));
        expect((await readdir(folder)).sort()).toEqual(['media', 'outside', 'source']);
        expect(await readFile(outside, 'utf8')).toBe('untouched');
      }),
      { numRuns: 400, examples: [['../outside'], ['../x'], ['a/../../x'], ['/x'], ['..'], ['../media/a']] },
    );
  });
});

describe('symbolic links below the root', () => {
  it('are not there for readers, and lead no writer out', async () => {
    const outside = join(folder, 'outside');
    await mkdir(join(outside, 'deep'), { recursive: true });
    await writeFile(join(outside, 'secret'), 'secret');
    const store = await open();
    await store.put('t/own', Buffer.from('own'));
    await symlink(outside, join(root, 't', 'folder'));
    await symlink(join(outside, 'secret'), join(root, 't', 'file'));
    await symlink(join(outside, 'none'), join(root, 't', 'dangling'));
    for (const key of ['t/folder/secret', 't/file', 't/folder/deep/x']) {
      expect(await store.get(key)).toBeUndefined();
      expect(await store.open(key)).toBeUndefined();
      expect(await store.stat(key)).toBeUndefined();
      await store.delete(key);
    }
    expect((await listAll(store)).map(({ key }) => key)).toEqual(['t/own']);
    expect((await listAll(store, 't/folder/')).map(({ key }) => key)).toEqual([]);
    for (const key of ['t/folder/new', 't/folder/deep/new', 't/folder/new/new']) {
      expect(await codeOf(store.put(key, Buffer.from('x')))).toBe('STORAGE_KEY_INVALID');
    }
    // The name itself may be taken: the link goes, what it leads to stays.
    await store.put('t/file', Buffer.from('ours'));
    await store.put('t/dangling', Buffer.from('ours'));
    expect(await namesBelow(outside)).toEqual(['deep', 'secret']);
    expect(await readFile(join(outside, 'secret'), 'utf8')).toBe('secret');
    expect(Buffer.from((await store.get('t/file')) ?? []).toString()).toBe('ours');
  });

  it('may stand for the root itself', async () => {
    await mkdir(join(folder, 'disk'));
    await symlink(join(folder, 'disk'), root);
    const store = await open();
    await store.put('a/b', Buffer.from('x'));
    expect((await listAll(store)).map(({ key }) => key)).toEqual(['a/b']);
  });
});

describe('keys that are both blob and folder', () => {
  it('are refused, and nothing is lost', async () => {
    const store = await open();
    await store.put('a', Buffer.from('blob'));
    await store.put('f/b', Buffer.from('blob'));
    const calls: readonly [string, object][] = [
      ['a/b', {}],
      ['a/b/c', {}],
      ['a/b', { ifAbsent: true }],
      ['f', {}],
      ['f', { ifAbsent: true }],
    ];
    for (const [key, options] of calls) {
      expect(await codeOf(store.put(key, Buffer.from('x'), options))).toBe('STORAGE_KEY_INVALID');
    }
    expect(await namesBelow(root)).toEqual(['a', 'f', join('f', 'b')]);
  });
});

describe('what is left behind', () => {
  it('by a killed process is removed at the next start, when it is old and ours', async () => {
    const own = '~put-0123456789abcdef01234567';
    const names = [
      't/film/17.m4s',
      `t/film/${own}`,
      `gone/deep/${own}`,
      't/~put-short',
      't/~other',
      `t/${own}`,
    ];
    for (const name of names) {
      const path = join(root, name);
      await mkdir(join(path, '..'), { recursive: true });
      await writeFile(path, 'x');
      const old = Date.now() / 1000 - 2 * 3600;
      await utimes(path, old, old);
    }
    // Somebody is still writing it.
    const fresh = Date.now() / 1000 - 1800;
    await utimes(join(root, 't', own), fresh, fresh);
    await open();
    const left = ['t', 't/film', 't/film/17.m4s', `t/${own}`, 't/~other', 't/~put-short'];
    await until(async () => (await namesBelow(root)).length === left.length, 'the old drafts are gone');
    expect(await namesBelow(root)).toEqual(left.sort());
  });

  it('is nothing of folders, once their last blob is deleted, while others put there', async () => {
    const store = await open({ durable: true });
    const spin = async (lane: number): Promise<void> => {
      for (let n = 0; n < 60; n++) {
        await store.put(`race/deep/er/${lane}`, Buffer.from(`${n}`));
        expect(Buffer.from((await store.get(`race/deep/er/${lane}`)) ?? []).toString()).toBe(`${n}`);
        await store.delete(`race/deep/er/${lane}`);
      }
    };
    await Promise.all(Array.from({ length: 6 }, (_, lane) => spin(lane)));
    expect(await namesBelow(root)).toEqual([]);
  });

  it('is no open file, whatever ends a read', async () => {
    const store = await open();
    await store.put('a', randomBytes(1_000_000));
    await store.get('a');
    const before = openFiles();
    for (let n = 0; n < 20; n++) {
      const left = await store.open('a');
      for await (const piece of left?.body ?? []) if (piece.length > 0) break;
      const unread = await store.open('a');
      await unread?.body[Symbol.asyncIterator]().return?.();
      await store.get('a', { start: 5, end: 9 });
      await store.get('none');
    }
    expect(openFiles()).toBeLessThanOrEqual(before);
  });
});

describe('a body', () => {
  it('fails rather than to end early when its file is cut short', async () => {
    const store = await open();
    await store.put('a', randomBytes(1_000_000));
    const opened = await store.open('a');
    const pieces = opened?.body[Symbol.asyncIterator]();
    await pieces?.next();
    await writeFile(join(root, 'a'), 'short');
    const rest = async (): Promise<void> => {
      for (let piece = await pieces?.next(); !piece?.done; piece = await pieces?.next());
    };
    expect(await codeOf(rest())).toBe('STORAGE_UNAVAILABLE');
  });
});

describe('the clock', () => {
  it('may stand still or go back: no two versions have the same etag', async () => {
    const firstMs = Date.UTC(2026, 10, 1);
    let nowMs = firstMs;
    const clock: Clock = { ...systemClock, wallMs: () => nowMs };
    const store = await open({ clock });
    await store.put('a', Buffer.from('x'));
    nowMs -= HOUR_MS;
    const infos: BlobInfo[] = [];
    for (let n = 0; n < 50; n++) infos.push(await store.put('a', Buffer.from(`${n % 10}`)));
    expect(new Set(infos.map(({ modifiedMs }) => modifiedMs))).toEqual(new Set([firstMs]));
    // The inode left aside: it may be used again at once.
    expect(new Set(infos.map(({ etag }) => etag.replace(/-[^-]*$/, ''))).size).toBe(50);
  });
});
