import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { errorCode } from '../../src/base/errors.ts';
import { type BlobInfo, type BlobStore, MAX_GET_BYTES, type OpenBlob } from '../../src/storage/blob-store.ts';

/** One driver under test. */
export interface BlobStoreUnderTest {
  /** The store; each call sees the same blobs, as the next process would. */
  open(): Promise<BlobStore>;
  /** Throws everything away. */
  dispose(): Promise<void>;
}

const MIB = 1024 * 1024;

/** Keys that are none. */
export const BAD_KEYS = [
  '',
  '/',
  '/a',
  'a/',
  'a//b',
  '.',
  '..',
  'a/..',
  '../a',
  'a/../../b',
  'a/./b',
  'a\\b',
  'a b',
  'a%2e%2e/b',
  'a~b',
  'a\0b',
  'a\nb',
  'ä',
  'a/b?c',
  'a:b',
  'x'.repeat(201),
  `${'a/'.repeat(256)}b`,
];

/** Reads an opened blob to its end. */
export async function bytesOf(opened: OpenBlob | undefined): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  if (opened) for await (const piece of opened.body) pieces.push(piece);
  return Buffer.concat(pieces);
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'resolved';
  } catch (error) {
    return errorCode(error);
  }
}

/** Every key there is, page by page. */
export async function listAll(store: BlobStore, prefix = ''): Promise<BlobInfo[]> {
  const blobs: BlobInfo[] = [];
  let from: string | undefined;
  do {
    const page = await store.list(prefix, from);
    expect(page.blobs.length).toBeLessThanOrEqual(1000);
    blobs.push(...page.blobs);
    from = page.next;
  } while (from !== undefined);
  return blobs;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();

/** What every driver of the blob store must do. */
export function describeBlobStore(name: string, create: () => Promise<BlobStoreUnderTest>): void {
  describe(`${name} as a blob store`, () => {
    let under: BlobStoreUnderTest;
    let store: BlobStore;
    let folder: string;
    const stores: BlobStore[] = [];

    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'headwater-blobs-'));
      under = await create();
      store = await again();
    });
    afterEach(async () => {
      for (const each of stores.splice(0)) await each.close();
      await under.dispose();
      await rm(folder, { recursive: true, force: true });
    });
    async function again(): Promise<BlobStore> {
      const other = await under.open();
      stores.push(other);
      return other;
    }
    const put = (key: string, body: string, options = {}): Promise<BlobInfo> =>
      store.put(key, Buffer.from(body), options);

    describe('puts and gets', () => {
      it.each([0, 1, 65_537, 3 * MIB])('%d bytes as they are', async (size) => {
        const body = randomBytes(size);
        const info = await store.put('titles/film/720p/p1/17.m4s', body);
        expect(info).toMatchObject({ key: 'titles/film/720p/p1/17.m4s', sizeBytes: size });
        expect(sha256((await store.get(info.key)) ?? Buffer.from('none'))).toBe(sha256(body));
        const opened = await store.open(info.key);
        expect(opened?.info.etag).toBe(info.etag);
        expect(sha256(await bytesOf(opened))).toBe(sha256(body));
      });

      it('says the same of a blob wherever it is asked', async () => {
        const put1 = await put('a/b.m4s', 'bytes');
        const stat = await store.stat('a/b.m4s');
        const listed = (await store.list('a/')).blobs;
        const opened = await store.open('a/b.m4s');
        await bytesOf(opened);
        expect([listed[0]?.etag, opened?.info.etag, put1.etag]).toEqual([stat?.etag, stat?.etag, stat?.etag]);
        expect(opened?.info).toEqual(stat);
        expect(listed).toMatchObject([{ key: 'a/b.m4s', sizeBytes: 5 }]);
        expect(Math.abs(put1.modifiedMs - (stat?.modifiedMs ?? 0))).toBeLessThan(2000);
        expect(Math.abs(put1.modifiedMs - Date.now())).toBeLessThan(60_000);
      });

      it('only the part of a larger buffer that it is given', async () => {
        await store.put('a', Buffer.from('0123456789').subarray(3, 6));
        expect(text(await store.get('a'))).toBe('345');
      });

      it('nothing where nothing is, nor in the place of a folder', async () => {
        await put('a/b', 'x');
        for (const key of ['none', 'a', 'a/c', 'none/of/these']) {
          expect(await store.get(key)).toBeUndefined();
          expect(await store.open(key)).toBeUndefined();
          expect(await store.stat(key)).toBeUndefined();
          await store.delete(key);
        }
        expect(text(await store.get('a/b'))).toBe('x');
      });

      it('what the store before it was given', async () => {
        const before = await put('a/b', 'kept');
        await store.close();
        store = await again();
        expect((await store.stat('a/b'))?.etag).toBe(before.etag);
        expect(text(await store.get('a/b'))).toBe('kept');
      });

      it('the newer of two, under another etag, also of the same length', async () => {
        const etags = new Set<string>();
        for (let n = 0; n < 20; n++) etags.add((await put('a', `body ${n % 10}${n}`)).etag);
        expect(etags.size).toBe(20);
        expect(text(await store.get('a'))).toBe('body 919');
      });

      it.each([1, 5 * MIB, 20 * MIB + 12_345])(
        'a file of %d bytes, which stays where it is',
        async (size) => {
          const path = join(folder, 'source');
          const body = randomBytes(size);
          await writeFile(path, body);
          const info = await store.putFile('a/file.mp4', path, { contentType: 'video/mp4' });
          expect(info).toEqual({ ...(await store.stat('a/file.mp4')), modifiedMs: info.modifiedMs });
          expect(info.sizeBytes).toBe(size);
          expect(sha256(await bytesOf(await store.open('a/file.mp4')))).toBe(sha256(body));
          expect(sha256(await readFile(path))).toBe(sha256(body));
        },
      );

      it('no file that is not there', async () => {
        expect(await codeOf(store.putFile('a', join(folder, 'none')))).toBe('INTERNAL');
        expect(await store.stat('a')).toBeUndefined();
      });

      it('more than may be held in memory only as a stream, or in part', async () => {
        const path = join(folder, 'source');
        const file = await open(path, 'w');
        await file.truncate(MAX_GET_BYTES + 1);
        await file.write(Buffer.from('end'), 0, 3, MAX_GET_BYTES - 2);
        await file.close();
        await store.putFile('large', path);
        expect(await codeOf(store.get('large'))).toBe('STORAGE_TOO_LARGE');
        expect(text(await store.get('large', { start: MAX_GET_BYTES - 2 }))).toBe('end');
        expect((await store.get('large', { start: 0, end: 10 }))?.length).toBe(10);
        let size = 0;
        for await (const piece of (await store.open('large'))?.body ?? []) size += piece.length;
        expect(size).toBe(MAX_GET_BYTES + 1);
      });
    });

    describe('copies', () => {
      it.each([0, 1, 3 * MIB])(
        '%d bytes as they are, and says the same of them as others do',
        async (size) => {
          const body = randomBytes(size);
          await store.put('live/cam/video/p1/17.m4s', body, { contentType: 'video/mp4' });
          const copied = await store.copy('live/cam/video/p1/17.m4s', 'titles/show/video/p1/17.m4s');
          const there = await store.stat('titles/show/video/p1/17.m4s');
          expect(copied).toEqual({ ...there, modifiedMs: copied.modifiedMs });
          expect(Math.abs(copied.modifiedMs - (there?.modifiedMs ?? 0))).toBeLessThan(2000);
          expect(copied).toMatchObject({ key: 'titles/show/video/p1/17.m4s', sizeBytes: size });
          expect(sha256((await store.get(copied.key)) ?? Buffer.from('none'))).toBe(sha256(body));
          expect((await listAll(store)).map(({ key }) => key)).toEqual([
            'live/cam/video/p1/17.m4s',
            'titles/show/video/p1/17.m4s',
          ]);
        },
      );

      it('keep what they hold when the source is replaced, replaced by its etag, or deleted', async () => {
        const source = await put('source', 'first');
        await store.copy('source', 'a');
        await store.copy('source', 'b');
        await put('source', 'second', { ifMatch: source.etag });
        expect(text(await store.get('a'))).toBe('first');
        await put('source', 'third');
        await store.delete('source');
        expect([text(await store.get('a')), text(await store.get('b'))]).toEqual(['first', 'first']);
        await put('a', 'other');
        await store.delete('a');
        expect(text(await store.get('b'))).toBe('first');
      });

      it('leave the source as it is when they are replaced by their etag, or deleted', async () => {
        const source = await put('source', 'first');
        const copied = await store.copy('source', 'a');
        await put('a', 'other', { ifMatch: copied.etag });
        await store.copy('source', 'b');
        await store.delete('b');
        expect(text(await store.get('source'))).toBe('first');
        expect((await store.stat('source'))?.etag).toBe(source.etag);
      });

      it('take the place of what is there, also of a copy of the same, or of the source itself', async () => {
        await put('source', 'first');
        await put('a', 'older');
        for (let n = 0; n < 3; n++) await store.copy('source', 'a');
        expect(text(await store.get('a'))).toBe('first');
        expect(await store.copy('source', 'source')).toMatchObject({ key: 'source', sizeBytes: 5 });
        expect((await listAll(store)).map(({ key }) => key)).toEqual(['a', 'source']);
        await put('source', 'second');
        await store.copy('source', 'a');
        expect(text(await store.get('a'))).toBe('second');
      });

      it('are told of when there is nothing to copy, and leave nothing', async () => {
        await put('a/b', 'x');
        for (const from of ['none', 'a', 'a/c', 'none/of/these']) {
          expect(await codeOf(store.copy(from, 'copy/of/it'))).toBe('STORAGE_NOT_FOUND');
        }
        expect((await listAll(store)).map(({ key }) => key)).toEqual(['a/b']);
      });

      it('are made by many at once, while their folder comes and goes', async () => {
        await put('source', 'bytes');
        const spin = async (lane: number): Promise<void> => {
          for (let n = 0; n < 20; n++) {
            await store.copy('source', `race/deep/${lane}`);
            expect(text(await store.get(`race/deep/${lane}`))).toBe('bytes');
            await store.delete(`race/deep/${lane}`);
          }
        };
        await Promise.all(Array.from({ length: 4 }, (_, lane) => spin(lane)));
        expect((await listAll(store)).map(({ key }) => key)).toEqual(['source']);
      });
    });

    describe('ranges', () => {
      it.each([
        [{ start: 0 }, '0123456789'],
        [{ start: 0, end: 1 }, '0'],
        [{ start: 3, end: 7 }, '3456'],
        [{ start: 7 }, '789'],
        [{ start: 7, end: 100 }, '789'],
        [{ start: 9, end: 10 }, '9'],
        [{ start: 10 }, ''],
        [{ start: 10, end: 12 }, ''],
        [{ start: 1000, end: 2000 }, ''],
        [{ start: 4, end: 4 }, ''],
      ])('%j of ten bytes', async (range, wanted) => {
        await put('digits', '0123456789');
        expect(text(await store.get('digits', range))).toBe(wanted);
        const found = await store.open('digits', range);
        expect(found?.info.sizeBytes).toBe(10);
        expect(text(await bytesOf(found))).toBe(wanted);
      });

      it('of nothing are nothing, and of what is not there are undefined', async () => {
        await put('empty', '');
        expect((await store.get('empty', { start: 0 }))?.length).toBe(0);
        expect((await store.get('empty', { start: 5, end: 9 }))?.length).toBe(0);
        expect(await store.get('none', { start: 0, end: 1 })).toBeUndefined();
        expect(await store.open('none', { start: 5, end: 5 })).toBeUndefined();
      });
    });

    describe('conditions', () => {
      it('ifAbsent refuses what is there, and leaves it', async () => {
        const first = await put('a/b', 'first', { ifAbsent: true });
        expect(await codeOf(put('a/b', 'second', { ifAbsent: true }))).toBe('STORAGE_EXISTS');
        expect(text(await store.get('a/b'))).toBe('first');
        expect((await store.stat('a/b'))?.etag).toBe(first.etag);
        await store.delete('a/b');
        await put('a/b', 'third', { ifAbsent: true });
        expect(text(await store.get('a/b'))).toBe('third');
      });

      it('ifAbsent lets exactly one of a hundred writers win, over two openings', async () => {
        const other = await again();
        const outcomes = await Promise.all(
          Array.from({ length: 100 }, (_, n) =>
            codeOf((n % 2 ? store : other).put('race', Buffer.from(`writer ${n}`), { ifAbsent: true })),
          ),
        );
        expect(outcomes.filter((outcome) => outcome === 'resolved')).toHaveLength(1);
        expect(outcomes.filter((outcome) => outcome === 'STORAGE_EXISTS')).toHaveLength(99);
        expect(text(await store.get('race'))).toBe(`writer ${outcomes.indexOf('resolved')}`);
      });

      it('ifMatch takes the place of that very version only', async () => {
        const first = await put('a', 'first');
        const second = await put('a', 'second', { ifMatch: first.etag });
        expect(await codeOf(put('a', 'third', { ifMatch: first.etag }))).toBe('STORAGE_CONFLICT');
        expect(text(await store.get('a'))).toBe('second');
        await store.delete('a');
        expect(await codeOf(put('a', 'third', { ifMatch: second.etag }))).toBe('STORAGE_CONFLICT');
        expect(await store.stat('a')).toBeUndefined();
      });

      it('ifMatch loses no step of many writers who count together', async () => {
        await put('count', '0');
        const countOn = async (): Promise<void> => {
          for (;;) {
            const found = await store.open('count');
            const count = Number(text(await bytesOf(found)));
            const ifMatch = found?.info.etag;
            if ((await codeOf(put('count', String(count + 1), { ifMatch }))) === 'resolved') return;
          }
        };
        await Promise.all(Array.from({ length: 12 }, countOn));
        expect(text(await store.get('count'))).toBe('12');
      });

      it('count for large files too', async () => {
        const path = join(folder, 'source');
        await writeFile(path, randomBytes(17 * MIB));
        const first = await store.putFile('large', path, { ifAbsent: true });
        expect(await codeOf(store.putFile('large', path, { ifAbsent: true }))).toBe('STORAGE_EXISTS');
        await put('large', 'small', { ifMatch: first.etag });
        expect(await codeOf(store.putFile('large', path, { ifMatch: first.etag }))).toBe('STORAGE_CONFLICT');
        expect(text(await store.get('large'))).toBe('small');
      });
    });

    describe('lists', () => {
      it('in the order of keys, by prefix, with nothing else in it', async () => {
        const keys = ['a', 'b-1', 'b.1', 'b/1', 'b/1-', 'b/2/x', 'b0', 'bb/1', 'c/..x', 'c/.h', 'Z'].sort();
        for (const key of keys.toReversed()) await put(key, key);
        const list = async (prefix: string): Promise<string[]> =>
          (await listAll(store, prefix)).map(({ key }) => key);
        expect(await list('')).toEqual(keys);
        for (const prefix of ['b', 'b/', 'b/1', 'b/2/x', 'c/.', 'c/..', 'none', 'none/of', 'a/']) {
          expect(await list(prefix)).toEqual(keys.filter((key) => key.startsWith(prefix)));
        }
      });

      it.each(['../', 'a/../b', '/', 'a//', './a', 'a/./', 'ä', 'a\0'])(
        'nothing of %j, which no key begins with',
        async (prefix) => {
          expect(await codeOf(store.list(prefix))).toBe('STORAGE_KEY_INVALID');
        },
      );

      it('in pages of a thousand, which go on where they were also when keys come and go', async () => {
        const keys = Array.from({ length: 1203 }, (_, n) => `many/${n % 7}/${String(n).padStart(4, '0')}`);
        for (let at = 0; at < keys.length; at += 40) {
          await Promise.all(keys.slice(at, at + 40).map((key) => put(key, '')));
        }
        keys.sort();
        expect((await listAll(store, 'many/')).map(({ key }) => key)).toEqual(keys);
        const first = await store.list('many/');
        expect(first.blobs).toHaveLength(1000);
        await store.delete(first.blobs.at(-1)?.key ?? '');
        await put('many/0/0', '');
        const second = await store.list('many/', first.next);
        expect(second.blobs.map(({ key }) => key)).toEqual(keys.slice(1000));
        expect(second.next).toBeUndefined();
      }, 60_000);

      it('what was deleted no more, and what is put there again', async () => {
        await put('t/a/1', 'x');
        await put('t/b/1', 'x');
        await store.delete('t/a/1');
        expect((await store.list('')).blobs.map(({ key }) => key)).toEqual(['t/b/1']);
        await Promise.all(['t/a/1', 't/b/1'].map((key) => store.delete(key)));
        expect((await store.list('')).blobs).toEqual([]);
        await put('t/a/1', 'again');
        expect(text(await store.get('t/a/1'))).toBe('again');
      });
    });

    it.each(BAD_KEYS.map((key) => [key.slice(0, 20), key]))('takes %j for no key', async (_, key) => {
      const path = join(folder, 'source');
      await writeFile(path, 'x');
      const calls = [
        store.put(key, Buffer.from('x')),
        store.putFile(key, path),
        store.get(key),
        store.open(key),
        store.stat(key),
        store.copy(key, 'a'),
        store.copy('a', key),
        store.delete(key),
      ];
      expect(new Set(await Promise.all(calls.map(codeOf)))).toEqual(new Set(['STORAGE_KEY_INVALID']));
      expect((await store.list('')).blobs).toEqual([]);
    });

    it('takes the longest key', async () => {
      const key = `${'x'.repeat(200)}/${'y'.repeat(200)}/${'.z'.repeat(55)}`;
      expect(key).toHaveLength(512);
      await put(key, 'x');
      expect((await store.list('x')).blobs.map(({ key: found }) => found)).toEqual([key]);
      expect(await codeOf(put(`${key}z`, 'x'))).toBe('STORAGE_KEY_INVALID');
    });

    it('shows a reader the whole of the old or of the new, never of both', async () => {
      const bodies = ['a', 'b', 'c'].map((letter) => letter.repeat(700_000));
      await put('changing', bodies[0] ?? '');
      const written = new AbortController();
      const write = async (): Promise<void> => {
        for (let n = 0; n < 30; n++) await put('changing', bodies[n % 3] ?? '');
        written.abort();
      };
      const read = async (): Promise<void> => {
        while (!written.signal.aborted) {
          const found = await store.open('changing');
          const got = text(await bytesOf(found));
          expect(bodies.includes(got ?? '')).toBe(true);
          expect(bodies.includes(text(await store.get('changing')) ?? '')).toBe(true);
        }
      };
      await Promise.all([write(), read(), read()]);
    });

    it('lets go of a body that is left early, or never begun', async () => {
      await store.put('a', randomBytes(2 * MIB));
      for (let n = 0; n < 5; n++) {
        const begun = await store.open('a');
        for await (const piece of begun?.body ?? []) {
          expect(piece.length).toBeGreaterThan(0);
          break;
        }
        const unbegun = await store.open('a');
        await unbegun?.body[Symbol.asyncIterator]().return?.();
      }
      expect((await store.get('a'))?.length).toBe(2 * MIB);
    });

    it('is closed once and for all, and tells who still reads', async () => {
      await store.put('a', randomBytes(4 * MIB));
      const found = await store.open('a');
      const pieces = found?.body[Symbol.asyncIterator]();
      await pieces?.next();
      await Promise.all([store.close(), store.close()]);
      const rest = async (): Promise<void> => {
        while (!(await pieces?.next())?.done);
      };
      expect(await codeOf(rest())).toBe('STORAGE_UNAVAILABLE');
      const calls = [put('a', 'x'), store.get('a'), store.list(''), store.delete('a'), store.copy('a', 'b')];
      expect(new Set(await Promise.all(calls.map(codeOf)))).toEqual(new Set(['STORAGE_UNAVAILABLE']));
    });
  });
}
