import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openAdminToken } from './admin-token.ts';

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'headwater-token-'));
});
afterEach(() => rmSync(dataDir, { recursive: true }));

const file = () => join(dataDir, 'secrets', 'admin.token');

describe('the admin token', () => {
  it('is made at the first start for its owner only, and is the same at the next', async () => {
    const first = await openAdminToken(dataDir, randomBytes);
    const value = readFileSync(file(), 'utf8').trim();
    expect(value).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect(statSync(join(dataDir, 'secrets')).mode & 0o777).toBe(0o700);
    expect(first.matches(value)).toBe(true);
    expect((await openAdminToken(dataDir, randomBytes)).matches(value)).toBe(true);
    expect(readdirSync(join(dataDir, 'secrets'))).toEqual(['admin.token']);
  });

  it('is made once when two processes start together', async () => {
    const opened = Array.from({ length: 8 }, () => openAdminToken(dataDir, randomBytes));
    const tokens = await Promise.all(opened);
    const value = readFileSync(file(), 'utf8').trim();
    expect(tokens.every((token) => token.matches(value))).toBe(true);
  });

  it('differs from every prefix, extension and other length, without throwing', async () => {
    const token = await openAdminToken(dataDir, randomBytes);
    const value = readFileSync(file(), 'utf8').trim();
    for (const wrong of [
      '',
      value.slice(1),
      `${value}x`,
      `${value}\n`,
      value.toUpperCase(),
      'x'.repeat(100_000),
    ]) {
      expect(token.matches(wrong)).toBe(false);
    }
  });

  it('is refused when others may read it, or when it is short, without being shown', async () => {
    mkdirSync(join(dataDir, 'secrets'));
    writeFileSync(file(), 'secret-that-is-long-enough-to-be-taken-as-one-really', { mode: 0o600 });
    chmodSync(file(), 0o640);
    await expect(openAdminToken(dataDir, randomBytes)).rejects.toMatchObject({
      code: 'CONTROL_TOKEN_UNSAFE',
      message: expect.stringContaining('chmod 600'),
    });
    chmodSync(file(), 0o600);
    writeFileSync(file(), 'changeme');
    await expect(openAdminToken(dataDir, randomBytes)).rejects.toMatchObject({
      code: 'CONTROL_TOKEN_UNSAFE',
      message: expect.not.stringContaining('changeme'),
    });
  });
});
