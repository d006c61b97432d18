import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import type { BlobStore } from '../../src/storage/blob-store.ts';
import { openS3BlobStore, type S3BlobStoreOptions } from '../../src/storage/s3-blob-store.ts';
import { credentialsInFile, givenCredentials } from '../../src/storage/s3-credentials.ts';
import { bytesOf, codeOf, listAll } from '../support/blob-store-contract.ts';
import { FakeS3, type FakeS3Options, type FaultKind, type SeenRequest } from '../support/fake-s3.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
/** Quick, for tests; the deadline is never near where a test expects success. */
const RETRY = { baseMs: 2, maxMs: 20, deadlineMs: 20_000, maxTries: 8 };
/** Out of the way, also on a machine that is busy. */
const TIME_OUTS = { connectMs: 20_000, headersMs: 20_000, idleMs: 20_000 };
/** Where a test waits for them to run out; what else they hit is tried again. */
const SHORT = { connectMs: 20_000, headersMs: 400, idleMs: 400 };

let folder: string;
let fake: FakeS3;
let log: ReturnType<typeof createMemoryLog>;
let retries: string[];
const stores: BlobStore[] = [];
const fakes: FakeS3[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-bucket-'));
  log = createMemoryLog();
  retries = [];
  fake = await startFake();
});
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
  for (const each of fakes.splice(0)) await each.close();
  await rm(folder, { recursive: true, force: true });
});

async function startFake(options: FakeS3Options = {}): Promise<FakeS3> {
  const started = await FakeS3.start(options);
  fakes.push(started);
  return started;
}

async function open(options: Partial<S3BlobStoreOptions> = {}): Promise<BlobStore> {
  const store = await openS3BlobStore(
    {
      ...fake.location,
      credentials: givenCredentials(fake.credentials),
      timeOuts: TIME_OUTS,
      retry: RETRY,
      ...options,
    },
    {
      clock: systemClock,
      log,
      random: Math.random,
      randomBytes,
      onRetry: (reason) => retries.push(reason),
    },
  );
  stores.push(store);
  fake.seen.length = 0;
  retries.length = 0;
  return store;
}

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const on =
  (method: string, name = 'media/a') =>
  (request: SeenRequest): boolean =>
    request.method === method && request.name === name;
const onPart =
  (number: number) =>
  (request: SeenRequest): boolean =>
    request.method === 'PUT' && request.query.get('partNumber') === String(number);
const onComplete = (request: SeenRequest): boolean =>
  request.method === 'POST' && request.query.has('uploadId');

async function sourceOf(size: number): Promise<{ path: string; hash: string }> {
  const bytes = randomBytes(size);
  const path = join(folder, `source-${size}`);
  await writeFile(path, bytes);
  return { path, hash: sha256(bytes) };
}

describe('a request that fails', () => {
  it.each<[string, FaultKind, string]>([
    ['500', { kind: 'status', status: 500, code: 'InternalError' }, 'server_error'],
    ['429', { kind: 'status', status: 429, code: 'TooManyRequests' }, 'throttled'],
    ['a connection that is cut', { kind: 'cut' }, 'network'],
    ['no answer', { kind: 'silent' }, 'time_out'],
  ])('with %s is made again', async (_, fault, reason) => {
    const store = await open(reason === 'time_out' ? { timeOuts: SHORT } : {});
    fake.fail(on('PUT'), fault, 2);
    await store.put('a', Buffer.from('stored'));
    fake.fail(on('GET'), fault, 2);
    expect(text(await store.get('a'))).toBe('stored');
    fake.fail(on('HEAD'), fault, 1);
    expect((await store.stat('a'))?.sizeBytes).toBe(6);
    fake.fail((request) => request.query.has('list-type'), fault, 1);
    expect((await store.list('')).blobs).toHaveLength(1);
    fake.fail(on('DELETE'), fault, 1);
    await store.delete('a');
    expect(fake.bucket.names).toEqual(['media/~headwater-probe']);
    expect(new Set(retries)).toEqual(new Set([reason]));
    expect(retries.length).toBeGreaterThanOrEqual(7);
  });

  it.each<[number, string, string]>([
    [503, 'SlowDown', 'throttled'],
    [400, 'RequestTimeout', 'server_error'],
    [409, 'ConditionalRequestConflict', 'clashed'],
    [409, 'OperationAborted', 'clashed'],
  ])('with %d %s is made again', async (status, code, reason) => {
    const store = await open();
    fake.fail(on('PUT'), { kind: 'status', status, code }, 2);
    await store.put('a', Buffer.from('stored'), { ifAbsent: true });
    expect(text(await store.get('a'))).toBe('stored');
    expect(retries).toEqual([reason, reason]);
  });

  it('for good is given up, with what the store said and no secret', async () => {
    const store = await open();
    fake.fail(on('PUT'), { kind: 'status', status: 503, code: 'ServiceUnavailable' }, 100);
    const failure = await store.put('a', Buffer.from('x')).catch((error: unknown) => error as Error);
    expect(failure).toMatchObject({
      code: 'STORAGE_UNAVAILABLE',
      message: 'the store answered 503 ServiceUnavailable',
    });
    expect(fake.seen).toHaveLength(RETRY.maxTries);
  });

  it('is not tried beyond the deadline', async () => {
    const store = await open({ retry: { ...RETRY, deadlineMs: 150, maxTries: 1000 } });
    fake.fail(on('GET'), { kind: 'status', status: 500, code: 'InternalError' }, 10_000);
    const beganMs = performance.now();
    expect(await codeOf(store.get('a'))).toBe('STORAGE_UNAVAILABLE');
    expect(performance.now() - beganMs).toBeLessThan(10_000);
  });

  it('keeps the process alive until it is made again', async () => {
    const held = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length;
    const store = await open({ retry: { ...RETRY, baseMs: 1500, maxMs: 1500 } });
    const before = held();
    fake.fail(on('HEAD'), { kind: 'cut' }, 2);
    const stat = store.stat('a');
    await until(() => held() > before, 'something is held while it waits');
    await stat;
    await until(() => held() <= before, 'nothing is held any more');
  });

  it.each([
    [507, 'InsufficientStorage', 'STORAGE_FULL'],
    [400, 'QuotaExceeded', 'STORAGE_FULL'],
    [400, 'EntityTooLarge', 'STORAGE_TOO_LARGE'],
    [403, 'AccessDenied', 'STORAGE_UNAVAILABLE'],
    [501, 'NotImplemented', 'STORAGE_UNAVAILABLE'],
  ])('with %d %s is not made again: %s', async (status, code, expected) => {
    const store = await open();
    fake.fail(on('PUT'), { kind: 'status', status, code }, 100);
    expect(await codeOf(store.put('a', Buffer.from('x')))).toBe(expected);
    expect(fake.seen).toHaveLength(1);
  });
});

describe('a put whose answer is lost', () => {
  const lost: FaultKind = { kind: 'cut', done: true };

  it('finds itself again: it is no conflict with itself', async () => {
    const store = await open();
    fake.fail(on('PUT'), lost);
    const first = await store.put('a', Buffer.from('first'), { ifAbsent: true });
    fake.fail(on('PUT'), lost);
    const second = await store.put('a', Buffer.from('second'), { ifMatch: first.etag });
    expect(text(await store.get('a'))).toBe('second');
    expect(second.etag).toBe((await store.stat('a'))?.etag);
  });

  it('is a conflict where another has written, also with the same bytes', async () => {
    const store = await open();
    await store.put('a', Buffer.from('same'));
    fake.fail(on('PUT'), { kind: 'cut' });
    expect(await codeOf(store.put('a', Buffer.from('same'), { ifAbsent: true }))).toBe('STORAGE_EXISTS');
    fake.fail(on('PUT'), { kind: 'status', status: 500, code: 'InternalError' });
    expect(await codeOf(store.put('a', Buffer.from('same'), { ifMatch: 'older' }))).toBe('STORAGE_CONFLICT');
  });

  it('in parts finds itself too, after it was completed', async () => {
    const store = await open();
    const { path, hash } = await sourceOf(17 * MIB);
    fake.fail(onComplete, lost);
    await store.putFile('a', path, { ifAbsent: true });
    fake.fail(onComplete, { kind: 'late_error', code: 'InternalError' });
    const { etag } = await store.putFile('b', path);
    expect(etag).toBe((await store.stat('b'))?.etag);
    for (const key of ['a', 'b']) expect(sha256(await bytesOf(await store.open(key)))).toBe(hash);
    expect(fake.bucket.openUploads).toBe(0);
  });
});

describe('a copy', () => {
  const onCopy = on('PUT', 'media/b');

  it('is made by the store: no byte of it goes over the line', async () => {
    const store = await open();
    const body = randomBytes(MIB);
    await store.put('a', body, { contentType: 'video/mp4', cacheControl: 'max-age=60' });
    fake.seen.length = 0;
    await store.copy('a', 'b');
    expect(fake.seen.map(({ method, name }) => `${method} ${name}`)).toEqual(['HEAD media/a', 'PUT media/b']);
    expect(fake.seen[1]?.headers['content-length']).toBe('0');
    expect(fake.bucket.copies).toBe(1);
    expect(fake.bucket.headersOf('media/b')).toMatchObject({
      'content-type': 'video/mp4',
      'cache-control': 'max-age=60',
    });
    await store.copy('a', 'b', { cacheControl: 'max-age=1' });
    expect(fake.bucket.headersOf('media/b')).toEqual({
      'content-type': 'video/mp4',
      'cache-control': 'max-age=1',
    });
    expect(sha256((await store.get('b')) ?? Buffer.from('none'))).toBe(sha256(body));
  });

  it.each<[string, FaultKind]>([
    ['an error behind a good status', { kind: 'late_error', code: 'InternalError' }],
    ['a cut connection', { kind: 'cut' }],
    ['a cut connection, with the copy made', { kind: 'cut', done: true }],
    ['an overloaded store', { kind: 'status', status: 503, code: 'SlowDown' }],
  ])('survives %s', async (_, fault) => {
    const store = await open();
    await store.put('a', Buffer.from('bytes'));
    fake.fail(onCopy, fault, 2);
    await store.copy('a', 'b');
    expect(text(await store.get('b'))).toBe('bytes');
    expect(retries).toHaveLength(2);
  });

  it('fails when the error behind a good status stays, or is no answer at all', async () => {
    const store = await open();
    await store.put('a', Buffer.from('bytes'));
    fake.fail(onCopy, { kind: 'late_error', code: 'InternalError' }, 100);
    expect(await codeOf(store.copy('a', 'b'))).toBe('STORAGE_UNAVAILABLE');
    fake.faults.length = 0;
    fake.fail(onCopy, { kind: 'nonsense', body: 'OK' });
    expect(await codeOf(store.copy('a', 'b'))).toBe('STORAGE_UNAVAILABLE');
    fake.fail(onCopy, { kind: 'late_error', code: 'NoSuchKey' });
    expect(await codeOf(store.copy('a', 'b'))).toBe('STORAGE_NOT_FOUND');
    expect(fake.bucket.names).not.toContain('media/b');
  });
});

describe('an upload in parts', () => {
  it('sends a few parts at once, of all uploads together, and repeats those that fail', async () => {
    const store = await open();
    const { path, hash } = await sourceOf(40 * MIB + 1);
    fake.fail(onPart(2), { kind: 'cut' }, 2);
    fake.fail(onPart(3), { kind: 'status', status: 503, code: 'SlowDown' }, 2);
    await Promise.all([store.putFile('a', path), store.putFile('b', path)]);
    for (const key of ['a', 'b']) expect(sha256(await bytesOf(await store.open(key)))).toBe(hash);
    expect(fake.peakParts).toBeGreaterThan(1);
    expect(fake.peakParts).toBeLessThanOrEqual(4);
    // The length of everything that is sent is known before.
    expect(fake.seen.filter(({ headers }) => headers['transfer-encoding'] !== undefined)).toEqual([]);
  });

  it('is thrown away when a part fails for good, or the completion does', async () => {
    const store = await open();
    const { path } = await sourceOf(33 * MIB);
    fake.fail(onPart(2), { kind: 'status', status: 403, code: 'AccessDenied' }, 100);
    expect(await codeOf(store.putFile('a', path))).toBe('STORAGE_UNAVAILABLE');
    fake.faults.length = 0;
    fake.fail(onComplete, { kind: 'late_error', code: 'InternalError' }, 100);
    expect(await codeOf(store.putFile('a', path))).toBe('STORAGE_UNAVAILABLE');
    expect(fake.bucket.openUploads).toBe(0);
    expect(fake.bucket.names).not.toContain('media/a');
  });

  it('is thrown away when the store is closed meanwhile', async () => {
    const store = await open();
    const { path } = await sourceOf(33 * MIB);
    fake.fail(onPart(3), { kind: 'silent' }, 100);
    const put = codeOf(store.putFile('a', path));
    await until(() => fake.seen.some(onPart(3)), 'the third part is on its way');
    await store.close();
    expect(await put).toBe('STORAGE_UNAVAILABLE');
    expect(fake.bucket.openUploads).toBe(0);
    await until(async () => (await fake.connections()) === 0, 'all connections are closed');
  });

  it('that cannot be thrown away is said in the log', async () => {
    const store = await open();
    const { path } = await sourceOf(17 * MIB);
    fake.fail(onPart(1), { kind: 'status', status: 403, code: 'AccessDenied' });
    fake.fail(({ method }) => method === 'DELETE', { kind: 'status', status: 403, code: 'AccessDenied' });
    expect(await codeOf(store.putFile('a', path))).toBe('STORAGE_UNAVAILABLE');
    expect(log.lines.map(({ message }) => message)).toContainEqual(expect.stringContaining('thrown away'));
  });
});

describe('a body that breaks off', () => {
  it.each<[string, FaultKind]>([
    ['is cut', { kind: 'cut_body', afterBytes: 200_001 }],
    ['stalls', { kind: 'stall_body', afterBytes: 200_001 }],
  ])('because it %s goes on where it was, and the reader sees nothing of it', async (_, fault) => {
    const store = await open(fault.kind === 'stall_body' ? { timeOuts: SHORT } : {});
    const body = randomBytes(900_000);
    await store.put('a', body);
    fake.fail(on('GET'), fault, 3);
    expect(sha256(await bytesOf(await store.open('a')))).toBe(sha256(body));
    fake.fail(on('GET'), fault, 2);
    const part = await bytesOf(await store.open('a', { start: 100_000, end: 800_000 }));
    expect(sha256(part)).toBe(sha256(body.subarray(100_000, 800_000)));
    fake.fail(on('GET'), fault, 2);
    expect(sha256((await store.get('a')) ?? Buffer.of())).toBe(sha256(body));
  });

  it('never goes on with other bytes', async () => {
    const store = await open();
    await store.put('a', randomBytes(900_000));
    fake.fail(on('GET'), { kind: 'cut_body', afterBytes: 200_000 });
    const opened = await store.open('a');
    await store.put('a', randomBytes(900_000));
    expect(await codeOf(bytesOf(opened))).toBe('STORAGE_UNAVAILABLE');
  });

  it('again and again without a byte is given up', async () => {
    const store = await open();
    await store.put('a', randomBytes(1000));
    fake.fail(on('GET'), { kind: 'cut_body', afterBytes: 0 }, 1000);
    expect(await codeOf(bytesOf(await store.open('a')))).toBe('STORAGE_UNAVAILABLE');
    expect(fake.seen.length).toBeLessThan(20);
  });

  it('may come slowly, and be read slowly', async () => {
    const store = await open({ timeOuts: { ...TIME_OUTS, idleMs: 1000 } });
    const body = randomBytes(40_000);
    await store.put('a', body);
    fake.fail(on('GET'), { kind: 'trickle', pieceBytes: 500 });
    const pieces: Uint8Array[] = [];
    for await (const piece of (await store.open('a'))?.body ?? []) {
      if (pieces.length === 3) await delay(1500);
      pieces.push(piece);
    }
    expect(sha256(Buffer.concat(pieces))).toBe(sha256(body));
    expect(retries).toEqual([]);
  });
});

describe('a store that', () => {
  it('takes no more of a large body is given up in time', async () => {
    const store = await open({ retry: { ...RETRY, maxTries: 2 }, timeOuts: SHORT });
    fake.fail(on('PUT'), { kind: 'deaf' }, 100);
    expect(await codeOf(store.put('a', randomBytes(15 * MIB)))).toBe('STORAGE_UNAVAILABLE');
    expect(retries).toEqual(['time_out']);
  });

  it.each<[string, FakeS3Options]>([
    ['ignores conditions', { conditions: { put: false, complete: false } }],
    ['keeps conditions of single puts only', { conditions: { put: true, complete: false } }],
  ])('%s is asked before, and said to be such', async (_, options) => {
    fake = await startFake(options);
    const store = await open();
    const { path } = await sourceOf(17 * MIB);
    const first = await store.put('a', Buffer.from('first'), { ifAbsent: true });
    expect(await codeOf(store.put('a', Buffer.from('x'), { ifAbsent: true }))).toBe('STORAGE_EXISTS');
    expect(await codeOf(store.putFile('a', path, { ifAbsent: true }))).toBe('STORAGE_EXISTS');
    await store.put('a', Buffer.from('second'), { ifMatch: first.etag });
    expect(await codeOf(store.put('a', Buffer.from('x'), { ifMatch: first.etag }))).toBe('STORAGE_CONFLICT');
    expect(text(await store.get('a'))).toBe('second');
    const { etag } = await store.putFile('b', path, { ifAbsent: true });
    expect(await codeOf(store.putFile('b', path, { ifMatch: 'x' }))).toBe('STORAGE_CONFLICT');
    await store.putFile('b', path, { ifMatch: etag });
    const said = log.lines.filter(({ message }) => message.includes('ignores conditions'));
    expect(said).toHaveLength(1);
    expect(fake.bucket.openUploads).toBe(0);
  });

  it('is asked once what it keeps, and not again by the next process', async () => {
    await open();
    await open();
    await open();
    expect(fake.bucket.names).toEqual(['media/~headwater-probe']);
    expect(log.lines).toEqual([]);
  });

  it('does not let us in is not opened, by the reason it gives', async () => {
    const wrong = givenCredentials({ ...fake.credentials, secretAccessKey: 'wrong secret' });
    for (const [options, reason] of [
      [{ credentials: wrong }, '403 SignatureDoesNotMatch'],
      [{ bucket: 'others' }, '404 NoSuchBucket'],
      [{ region: 'mars-1' }, '403 AuthorizationHeaderMalformed'],
    ] as const) {
      const failure = await open(options).catch((error: unknown) => error as Error);
      expect(failure).toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
      expect((failure as Error).message).toContain(reason);
      expect(JSON.stringify([failure, log.lines, String((failure as Error).stack)])).not.toContain('secret');
    }
  });

  it('is away when we start is tried again when it is needed', async () => {
    fake.fail(() => true, { kind: 'cut' }, 20);
    const store = await open({ retry: { ...RETRY, maxTries: 3 } });
    expect(log.lines.map(({ message }) => message)).toEqual([expect.stringContaining('cannot be reached')]);
    fake.faults.length = 0;
    await store.put('a', Buffer.from('x'), { ifAbsent: true });
    expect(await codeOf(store.put('a', Buffer.from('x'), { ifAbsent: true }))).toBe('STORAGE_EXISTS');
  });

  it('takes our credentials no more is asked with those that are in the file now', async () => {
    const path = join(folder, 'credentials');
    const write = async (words: string): Promise<void> => {
      await writeFile(path, words, { mode: 0o600 });
      await chmod(path, 0o600);
    };
    const { accessKeyId, secretAccessKey } = fake.credentials;
    await write(`${accessKeyId}\n${secretAccessKey}\n`);
    const store = await open({ credentials: credentialsInFile(path) });
    await store.put('a', Buffer.from('x'));
    fake.credentials = { accessKeyId: 'AKIDNEW', secretAccessKey: 'new', sessionToken: 'session' };
    expect(await codeOf(store.get('a'))).toBe('STORAGE_UNAVAILABLE');
    await write('AKIDNEW new session\n');
    expect(text(await store.get('a'))).toBe('x');
    expect(retries).toContain('credentials');
  });

  it.each([
    ['an entity bomb', '<!DOCTYPE x [<!ENTITY a "aaaa">]><ListBucketResult>&a;</ListBucketResult>'],
    ['something else', '<html><body>Welcome</body></html>'],
    ['nothing', ''],
    ['nonsense', '\0\0<<<'],
    ['too deep a tree', '<ListBucketResult>'.repeat(5000)],
  ])('lists %s is no use, and does no harm', async (_, body) => {
    const store = await open();
    fake.fail((request) => request.query.has('list-type'), { kind: 'nonsense', body }, 100);
    expect(await codeOf(store.list(''))).toBe('STORAGE_UNAVAILABLE');
  });

  it('lists the same page for ever is not followed', async () => {
    const store = await open();
    const page =
      '<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>media/a</Key><Size>1</Size></Contents></ListBucketResult>';
    fake.fail((request) => request.query.has('list-type'), { kind: 'nonsense', body: page }, 100);
    const { next } = await store.list('');
    expect(await codeOf(store.list('', next))).toBe('STORAGE_UNAVAILABLE');
  });
});

describe('a bucket', () => {
  it('may hold things of others, which are not listed and not in the way of pages', async () => {
    fake = await startFake({ pageKeys: 2 });
    const store = await open();
    const others = [
      'media/a b',
      'media/+%41',
      'media/ü',
      'media/x/',
      'media/a&b<c',
      'elsewhere',
      'mediax',
      'media/\x01',
    ];
    for (const name of others) fake.bucket.plant(name, Buffer.from('x'));
    const keys = ['a', 'a/b', 'b', 'x/y', 'z'];
    for (const key of keys) await store.put(key, Buffer.from(key));
    expect((await listAll(store)).map(({ key }) => key)).toEqual(keys);
    expect((await listAll(store, 'a')).map(({ key }) => key)).toEqual(['a', 'a/b']);
  });

  it('keeps what a blob is to be served as', async () => {
    const store = await open();
    const { path } = await sourceOf(17 * MIB);
    const options = { contentType: 'video/mp4', cacheControl: 'public, max-age=31536000, immutable' };
    await store.put('a', Buffer.from('x'), options);
    await store.putFile('b', path, options);
    for (const key of ['a', 'b']) {
      expect(fake.bucket.headersOf(`media/${key}`)).toMatchObject({
        'content-type': 'video/mp4',
        'cache-control': 'public, max-age=31536000, immutable',
      });
    }
  });

  it('may be ours from its root on', async () => {
    const store = await open({ prefix: '' });
    await store.put('a/b', Buffer.from('x'));
    expect(fake.bucket.names).toContain('a/b');
    expect((await store.list('a')).blobs.map(({ key }) => key)).toEqual(['a/b']);
  });

  it('is asked over few connections, and over none once it is closed', async () => {
    const store = await open();
    await store.put('a', randomBytes(300_000));
    for (let n = 0; n < 60; n++) {
      await store.stat('a');
      await bytesOf(await store.open('a'));
      await store.get('a', { start: 5, end: 10 });
      const left = await store.open('a');
      await left?.body[Symbol.asyncIterator]().return?.();
    }
    await until(async () => (await fake.connections()) <= 4, 'connections are used again');
    await store.close();
    await until(async () => (await fake.connections()) === 0, 'all connections are closed');
  });
});
