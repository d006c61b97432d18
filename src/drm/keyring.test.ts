import { randomBytes, webcrypto } from 'node:crypto';
import * as fc from 'fast-check';
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { GivenKeks, KekFile, withNewKek } from './kek-file.ts';
import { defaultKekPath, openKekSource } from './kek-source.ts';
import { kekIdOf, MAX_KEKS, parseKeks, renderKeks } from './kek-text.ts';
import type { Kek } from './key-wrapper.ts';
import { Keyring } from './keyring.ts';

const newKek = (): Kek => {
  const key = randomBytes(32);
  return { id: kekIdOf(key), key };
};
const ringOf = (...keks: Kek[]): Promise<Keyring> =>
  Keyring.open({ load: async () => keks, version: async () => 'fixed' }, randomBytes);

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headwater-kek-'));
});

afterEach(() => rm(dir, { recursive: true, force: true }));

describe('Keyring', () => {
  it('unwraps what it wrapped, with the same context only', async () => {
    const ring = await ringOf(newKek());
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.uint8Array({ maxLength: 200 }),
        fc.uint8Array({ maxLength: 200 }),
        (secret, context, other) => {
          const wrapped = ring.wrap(secret, context);
          expect(Buffer.from(ring.unwrap(wrapped, context) ?? [1, 2])).toEqual(Buffer.from(secret));
          fc.pre(!Buffer.from(context).equals(Buffer.from(other)));
          expect(ring.unwrap(wrapped, other)).toBeUndefined();
        },
      ),
      { numRuns: 200 },
    );
  });

  it('is AES-256-GCM as others have it', async () => {
    const kek = newKek();
    const ring = await ringOf(kek);
    const context = Buffer.from('context');
    const secret = randomBytes(32);
    const { sealed } = ring.wrap(secret, context);
    const algorithm = {
      name: 'AES-GCM',
      iv: sealed.subarray(0, 12),
      additionalData: context,
      tagLength: 128,
    };
    const key = await webcrypto.subtle.importKey('raw', kek.key, 'AES-GCM', false, ['encrypt', 'decrypt']);
    const opened = await webcrypto.subtle.decrypt(algorithm, key, sealed.subarray(12));
    expect(Buffer.from(opened)).toEqual(secret);

    const theirs = Buffer.from(await webcrypto.subtle.encrypt(algorithm, key, secret));
    const wrapped = { kekId: kek.id, sealed: Buffer.concat([sealed.subarray(0, 12), theirs]) };
    expect(ring.unwrap(wrapped, context)).toEqual(secret);
  });

  it('gives nothing for a secret with any bit changed, cut short or grown', async () => {
    const ring = await ringOf(newKek());
    const context = Buffer.from('c');
    const wrapped = ring.wrap(randomBytes(32), context);
    for (let bit = 0; bit < wrapped.sealed.length * 8; bit++) {
      const sealed = Buffer.from(wrapped.sealed);
      sealed[bit >> 3] = (sealed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(ring.unwrap({ ...wrapped, sealed }, context)).toBeUndefined();
    }
    for (let length = 0; length < wrapped.sealed.length; length++) {
      expect(
        ring.unwrap({ ...wrapped, sealed: wrapped.sealed.subarray(0, length) }, context),
      ).toBeUndefined();
    }
    const grown = Buffer.concat([wrapped.sealed, Buffer.alloc(1)]);
    expect(ring.unwrap({ ...wrapped, sealed: grown }, context)).toBeUndefined();
  });

  it('never uses a nonce twice', async () => {
    const ring = await ringOf(newKek());
    const nonces = Array.from({ length: 1000 }, () =>
      Buffer.from(ring.wrap(Buffer.alloc(32), Buffer.alloc(0)).sealed.subarray(0, 12)).toString('hex'),
    );
    expect(new Set(nonces).size).toBe(1000);
  });

  it('wraps under the newest key and still unwraps what older ones wrapped', async () => {
    const [old, recent] = [newKek(), newKek()];
    const before = (await ringOf(old)).wrap(Buffer.from('secret'), Buffer.alloc(0));
    const ring = await ringOf(old, recent);
    expect(ring.kekId).toBe(recent.id);
    expect(ring.wrap(Buffer.from('x'), Buffer.alloc(0)).kekId).toBe(recent.id);
    expect(ring.unwrap(before, Buffer.alloc(0))?.toString()).toBe('secret');
    expect((await ringOf(recent)).unwrap(before, Buffer.alloc(0))).toBeUndefined();
  });

  it('takes up keys that another process added to the file', async () => {
    const file = new KekFile(join(dir, 'kek'));
    await file.create(randomBytes);
    const ring = await Keyring.open(file, randomBytes);
    const first = ring.kekId;
    await ring.refresh();
    expect(ring.kekId).toBe(first);
    const keks = await new KekFile(file.path).change((now) => withNewKek(now, randomBytes));
    await ring.refresh();
    expect(ring.kekId).toBe(keks[1]?.id);
    expect(ring.has(first)).toBe(true);
  });
});

describe('parseKeks', () => {
  it('reads hex, base64 and base64url, with comments, the newest last', () => {
    const keks = [newKek(), newKek(), newKek()];
    const [a, b, c] = keks.map(({ key }) => Buffer.from(key));
    const given = `# mine\n${a?.toString('hex')}\n${b?.toString('base64')}, ${c?.toString('base64url')} # newest\n`;
    expect(parseKeks(given)).toEqual({ keks: keks.map(({ id, key }) => ({ id, key: Buffer.from(key) })) });
    expect(parseKeks(renderKeks(keks))).toEqual(parseKeks(given));
  });

  it.each([
    ['nothing', '', 'holds no key'],
    ['comments alone', '# none\n', 'holds no key'],
    ['a word', 'hunter2', 'must be 32 bytes'],
    ['16 bytes', randomBytes(16).toString('hex'), 'must be 32 bytes'],
    ['33 bytes', randomBytes(33).toString('base64'), 'must be 32 bytes'],
    ['zeros', '00'.repeat(32), 'all its bytes are equal'],
    ['ones', 'ff'.repeat(32), 'all its bytes are equal'],
    [
      'counting',
      Buffer.from(Array.from({ length: 32 }, (_, i) => i)).toString('hex'),
      'out of a manual|count',
    ],
    ['counting by 7', Buffer.from(Array.from({ length: 32 }, (_, i) => 7 * i)).toString('hex'), 'count'],
    ['a pattern', '0123456789abcdef1032547698badcfe'.repeat(2), 'pattern|manual'],
    ['a sentence', Buffer.from('this is my very secret passphras').toString('base64'), 'text'],
    ['a default', 'changemechangemechangemechangemechangemechA', 'manual'],
  ])('refuses %s, and does not say what it was', (_name, given, problem) => {
    const reading = parseKeks(given);
    expect(reading).toHaveProperty('problem');
    const said = 'problem' in reading ? reading.problem : '';
    expect(said).toMatch(new RegExp(problem));
    if (given.length > 8) expect(said).not.toContain(given);
  });

  it('refuses a key that is there twice, and more than the most', () => {
    const hex = randomBytes(32).toString('hex');
    expect(parseKeks(`${hex} ${hex.toUpperCase()}`)).toMatchObject({
      problem: expect.stringContaining('twice'),
    });
    const many = Array.from({ length: MAX_KEKS + 1 }, () => randomBytes(32).toString('hex')).join(' ');
    expect(parseKeks(many)).toMatchObject({ problem: expect.stringContaining('more than') });
  });

  it('takes every random key', () => {
    for (let i = 0; i < 2000; i++) {
      expect(parseKeks(randomBytes(32).toString(i % 2 ? 'hex' : 'base64url'))).toHaveProperty('keks');
    }
  });

  it('names keys by ids that say nothing of them', () => {
    const { id, key } = newKek();
    expect(id).toMatch(/^[0-9a-f]{16}$/);
    expect(Buffer.from(key).toString('hex')).not.toContain(id);
  });
});

describe('the file of KEKs', () => {
  const deps = (hasKeys = false) => ({ log: createMemoryLog(), randomBytes, hasKeys: async () => hasKeys });
  const open = (hasKeys = false) => openKekSource(dir, { path: '', given: '' }, deps(hasKeys));

  it('is made at the first start, for its owner only, and its path logged but not its value', async () => {
    const first = deps();
    const source = await openKekSource(dir, { path: '', given: '' }, first);
    const path = defaultKekPath(dir);
    expect(((await stat(path)).mode & 0o777).toString(8)).toBe('600');
    expect(((await stat(join(dir, 'secrets'))).mode & 0o777).toString(8)).toBe('700');
    const [kek] = await source.load();
    expect(first.log.lines).toHaveLength(1);
    expect(first.log.lines[0]?.fields).toEqual({ path });
    const value = Buffer.from(kek?.key ?? []);
    for (const form of ['hex', 'base64', 'base64url'] as const) {
      expect(JSON.stringify(first.log.lines)).not.toContain(value.toString(form));
    }
    expect(await (await open()).load()).toEqual(await source.load());
  });

  it('is made once by many that start at the same time', async () => {
    const sources = await Promise.all(Array.from({ length: 8 }, () => open()));
    const loaded = await Promise.all(sources.map((source) => source.load()));
    expect(new Set(loaded.map(([kek]) => kek?.id)).size).toBe(1);
    expect(await readdir(join(dir, 'secrets'))).toEqual(['content-kek.keys']);
  });

  it('is not made anew when there are keys that need the old one', async () => {
    await expect(open(true)).rejects.toMatchObject({
      code: 'SECRET_FILE_UNSAFE',
      message: /is missing, and/,
    });
    await expect(readdir(join(dir, 'secrets'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('is refused when others may read it, and when it is named but not there', async () => {
    const path = join(dir, 'kek');
    await writeFile(path, randomBytes(32).toString('hex'), { mode: 0o600 });
    expect(await new KekFile(path).load()).toHaveLength(1);
    for (const mode of [0o640, 0o604, 0o644, 0o660]) {
      await chmod(path, mode);
      await expect(new KekFile(path).load()).rejects.toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
    }
    const named = await openKekSource(dir, { path: join(dir, 'none'), given: '' }, deps());
    await expect(named.load()).rejects.toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
    await symlink(path, join(dir, 'link'));
    await expect(new KekFile(join(dir, 'link')).load()).rejects.toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
  });

  it('says what is wrong without the value, from a file or the environment', async () => {
    const weak = '00'.repeat(32);
    await writeFile(join(dir, 'kek'), `${weak}\n`, { mode: 0o600 });
    for (const source of [new KekFile(join(dir, 'kek')), new GivenKeks('drm.kek', weak)]) {
      const error: unknown = await source.load().catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
      expect(String(error)).not.toContain(weak);
    }
  });

  it('is changed by one process at a time, and whole or not at all', async () => {
    const file = new KekFile(join(dir, 'kek'));
    await file.create(randomBytes);
    const before = await readFile(file.path, 'utf8');
    await expect(
      file.change(() => {
        throw new Error('stop');
      }),
    ).rejects.toThrow('stop');
    expect(await readFile(file.path, 'utf8')).toBe(before);
    const changes = await Promise.allSettled(
      Array.from({ length: 5 }, () => file.change((keks) => withNewKek(keks, randomBytes))),
    );
    const done = changes.filter(({ status }) => status === 'fulfilled').length;
    expect(done).toBeGreaterThan(0);
    expect(await file.load()).toHaveLength(1 + done);
    for (const change of changes) {
      if (change.status === 'rejected') expect(change.reason).toMatchObject({ code: 'DRM_KEKS_BUSY' });
    }
    expect(((await stat(file.path)).mode & 0o777).toString(8)).toBe('600');
    expect(await readdir(dir)).toEqual(['kek']);
  });
});
