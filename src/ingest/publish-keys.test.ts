import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { until } from '../../test/support/until.ts';
import { systemClock } from '../base/clock.ts';
import { PublishKeys } from './publish-keys.ts';

let root: string;
let dir: string;
let file: string;
let secretFile: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'headwater-keys-'));
  dir = join(root, 'data');
  file = join(dir, 'publish-keys.json');
  secretFile = join(dir, 'secrets', 'publish-key.hmac');
});

afterEach(() => rm(root, { recursive: true }));

function open(clock = systemClock): PublishKeys {
  return new PublishKeys(dir, { clock, randomBytes });
}

async function modeOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8);
}

describe('PublishKeys', () => {
  it('finds a stream by the key it was given, and by nothing else', async () => {
    const keys = open();
    const key = await keys.create('studio');
    expect(key).toMatch(/^hw_[A-Za-z0-9_-]{32}$/);
    expect(await keys.find(key)).toBe('studio');
    for (const wrong of [
      'studio',
      '',
      'hw_',
      `${key} `,
      key.slice(0, -1),
      key.toUpperCase(),
      'x'.repeat(10_000),
    ]) {
      expect(await keys.find(wrong)).toBeUndefined();
    }
  });

  it('knows nobody before the first key is made, and touches no file for it', async () => {
    expect(await open().find('hw_x')).toBeUndefined();
    expect(await open().list()).toEqual([]);
    expect(await readdir(root)).toEqual([]);
  });

  it('stores the key nowhere, and everything it stores for its owner only', async () => {
    const key = await open().create('studio');
    const text = await readFile(file, 'utf8');
    expect(text).not.toContain(key);
    expect(text).not.toContain(key.slice(3));
    expect(await Promise.all([dir, join(dir, 'secrets'), file, secretFile].map(modeOf))).toEqual([
      '700',
      '700',
      '600',
      '600',
    ]);
    expect((await stat(secretFile)).size).toBe(32);
    expect(await readdir(dir)).toEqual(['publish-keys.json', 'secrets']);
    expect(await readdir(join(dir, 'secrets'))).toEqual(['publish-key.hmac']);
  });

  it('kills the old key when it rotates, and keeps the times', async () => {
    const clock = new FakeClock(1_000_000);
    const keys = open(clock);
    const first = await keys.create('studio');
    clock.advance(500);
    const second = await keys.rotate('studio');
    expect([await keys.find(first), await keys.find(second)]).toEqual([undefined, 'studio']);
    expect(await keys.list()).toEqual([{ stream: 'studio', createdMs: 1_000_000, rotatedMs: 1_000_500 }]);
  });

  it('takes a key back, after which the stream may get another', async () => {
    const keys = open();
    const first = await keys.create('studio');
    await keys.create('other');
    await keys.revoke('studio');
    expect(await keys.find(first)).toBeUndefined();
    expect((await keys.list()).map(({ stream }) => stream)).toEqual(['other']);
    await expect(keys.revoke('studio')).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
    await expect(keys.rotate('studio')).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
    const second = await keys.create('studio');
    expect([await keys.find(first), await keys.find(second)]).toEqual([undefined, 'studio']);
  });

  it('gives each stream an SRT passphrase that every process derives, and that changes with the key', async () => {
    const keys = open();
    await keys.create('studio');
    await keys.create('other');
    const first = await keys.srtPassphrase('studio');
    expect(first).toMatch(/^[A-Za-z0-9_-]{32}$/);
    expect(await open().srtPassphrase('studio')).toBe(first);
    expect(await keys.srtPassphrase('other')).not.toBe(first);
    expect(await readFile(file, 'utf8')).not.toContain(first);
    await keys.rotate('studio');
    const second = await keys.srtPassphrase('studio');
    expect(second).toMatch(/^[A-Za-z0-9_-]{32}$/);
    expect(second).not.toBe(first);
    await keys.revoke('studio');
    expect(await keys.srtPassphrase('studio')).toBeUndefined();
    expect(await keys.srtPassphrase('nobody')).toBeUndefined();
  });

  describe('a watcher', () => {
    function watch(keys: PublishKeys) {
      const seen: string[] = [];
      const failures: unknown[] = [];
      const stop = keys.watch({
        onChange: (stream, change) => seen.push(`${stream} ${change}`),
        onFailure: (error) => failures.push(error),
      });
      return { seen, failures, stop };
    }

    it('hears of a change by its own process before the change is done', async () => {
      const keys = open(new FakeClock());
      await keys.create('studio');
      const { seen, stop } = watch(keys);
      await keys.create('new');
      expect(seen).toEqual([]);
      await keys.rotate('studio');
      expect(seen).toEqual(['studio rotated']);
      await keys.revoke('studio');
      expect(seen).toEqual(['studio rotated', 'studio revoked']);
      stop();
    });

    it('hears within two seconds of what another process changed, each once', async () => {
      const clock = new FakeClock();
      const keys = open(clock);
      const cli = open();
      for (const stream of ['a', 'b', 'c']) await cli.create(stream);
      const { seen, stop } = watch(keys);
      await keys.verify();
      await cli.rotate('a');
      await cli.revoke('b');
      expect(seen).toEqual([]);
      clock.advance(2000);
      await until(() => seen.length >= 2, 'both changes');
      expect(seen).toEqual(['a rotated', 'b revoked']);
      for (let i = 0; i < 3; i++) {
        clock.advance(2000);
        await keys.verify();
      }
      expect(seen).toHaveLength(2);
      stop();
      expect(clock.pendingTimers).toBe(0);
      await cli.rotate('c');
      await keys.verify();
      expect(seen).toHaveLength(2);
    });

    it('takes the keys it finds at first for no change, and a damaged file for a failure', async () => {
      const clock = new FakeClock();
      await open().create('studio');
      const keys = open(clock);
      const { seen, failures, stop } = watch(keys);
      await keys.verify();
      const good = await readFile(file);
      await writeFile(file, '{"version":1,"streams":[');
      clock.advance(2000);
      await until(() => failures.length > 0, 'the failure');
      expect([seen, failures]).toEqual([[], [expect.objectContaining({ code: 'INGEST_KEYS_CORRUPT' })]]);
      await writeFile(file, good);
      await keys.verify();
      expect(seen).toEqual([]);
      stop();
    });
  });

  it('lists streams by name', async () => {
    const keys = open();
    for (const stream of ['b', 'a', 'c']) await keys.create(stream);
    expect((await keys.list()).map(({ stream }) => stream)).toEqual(['a', 'b', 'c']);
  });

  it('sees at once what another process has made or rotated', async () => {
    const server = open();
    const cli = open();
    expect(await server.find('hw_x')).toBeUndefined();
    const first = await cli.create('studio');
    expect(await server.find(first)).toBe('studio');
    const second = await cli.rotate('studio');
    expect([await server.find(first), await server.find(second)]).toEqual([undefined, 'studio']);
  });

  it('loses no key when many writers make one at the same time', async () => {
    const streams = [...Array(8)].map((_, i) => `stream-${i}`);
    const made = await Promise.all(streams.map((stream) => open().create(stream)));
    const keys = open();
    expect(await Promise.all(made.map((key) => keys.find(key)))).toEqual(streams);
  });

  it('refuses a second key, an unknown stream and a bad name', async () => {
    const keys = open();
    await keys.create('studio');
    await expect(keys.create('studio')).rejects.toMatchObject({ code: 'INGEST_STREAM_EXISTS' });
    await expect(keys.rotate('other')).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
    await expect(keys.create('../x')).rejects.toMatchObject({ code: 'STREAM_NAME_INVALID' });
    expect(await readdir(dir)).toEqual(['publish-keys.json', 'secrets']);
  });

  const goodRecord = {
    stream: 'a',
    hmac: Buffer.alloc(32).toString('base64url'),
    createdMs: 1,
    rotatedMs: 1,
  };
  it.each([
    ['half a file', '{"version":1,"streams":['],
    ['nothing', ''],
    ['another version', JSON.stringify({ version: 2, streams: [] })],
    ['a list', '[]'],
    ['a short HMAC', JSON.stringify({ version: 1, streams: [{ ...goodRecord, hmac: 'AAAA' }] })],
    ['a bad name', JSON.stringify({ version: 1, streams: [{ ...goodRecord, stream: '../a' }] })],
    ['a stream twice', JSON.stringify({ version: 1, streams: [goodRecord, goodRecord] })],
  ])('reports a file that holds %s, and leaves it as it is', async (_what, text) => {
    await mkdir(dir);
    await writeFile(file, text);
    const keys = open();
    const corrupt = { code: 'INGEST_KEYS_CORRUPT', message: expect.stringContaining(file) };
    await expect(keys.find('hw_x')).rejects.toMatchObject(corrupt);
    await expect(keys.create('studio')).rejects.toMatchObject(corrupt);
    expect(await readFile(file, 'utf8')).toBe(text);
    expect(await readdir(dir)).toEqual(['publish-keys.json']);
  });

  it.each([0o640, 0o604, 0o666])('refuses a secret that others may read (mode %i)', async (mode) => {
    const key = await open().create('studio');
    await chmod(secretFile, mode);
    await expect(open().find(key)).rejects.toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
  });

  it('refuses a short secret', async () => {
    const key = await open().create('studio');
    await writeFile(secretFile, 'short');
    await expect(open().find(key)).rejects.toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
  });

  it('does not make a new secret while keys exist that need the old one', async () => {
    await open().create('studio');
    await rm(secretFile);
    await expect(open().create('other')).rejects.toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
    expect(await readdir(join(dir, 'secrets'))).toEqual([]);
  });

  it('waits for another writer no longer than a second', async () => {
    await open().create('studio');
    await writeFile(`${file}.new`, '');
    await expect(open().create('other')).rejects.toMatchObject({ code: 'INGEST_KEYS_BUSY' });
  });

  it('takes over from a writer that died', async () => {
    await open().create('studio');
    await writeFile(`${file}.new`, 'half');
    const longAgo = systemClock.wallMs() / 1000 - 60;
    await utimes(`${file}.new`, longAgo, longAgo);
    const key = await open().create('other');
    expect(await open().find(key)).toBe('other');
  });
});
