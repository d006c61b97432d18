import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { token } from './token.ts';

let cwd = '';
let out: string[] = [];
let err: string[] = [];

beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'headwater-token-'));
  [out, err] = [[], []];
});
afterEach(() => rm(cwd, { recursive: true, force: true }));

function run(...args: string[]): Promise<number> {
  return token.run(args, { cwd, env: {}, out: (line) => out.push(line), err: (line) => err.push(line) });
}

function claimsOf(text = ''): Record<string, unknown> {
  return JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;
}

describe('headwater token', () => {
  it('prints a login token and nothing else on stdout, and makes the key file for its owner only', async () => {
    expect(
      await run('--user', 'anna', '--seconds', '60', '--content', 'live/studio', '--tiers', 'AUDIO,SD'),
    ).toBe(0);
    expect(out).toHaveLength(1);
    const claims = claimsOf(out[0]);
    expect(claims).toMatchObject({
      iss: 'headwater',
      aud: 'headwater:login',
      sub: 'anna',
      content: ['live/studio'],
      tiers: ['AUDIO', 'SD'],
    });
    expect(Number(claims['exp']) - Number(claims['iat'])).toBe(60);
    const file = join(cwd, 'headwater-data', 'secrets', 'playback-token-keys.json');
    expect((await stat(file)).mode & 0o077).toBe(0);
    expect(err.join()).toContain(file);
    expect(err.join()).not.toContain(out[0]);
  });

  it.each([
    [[]],
    [['--user', '']],
    [['--user', 'a', '--seconds', '0']],
    [['--user', 'a', '--device', 'short']],
    [['--user', 'a', '--tiers', '8K']],
    [['--user', 'a', '--content', 'studio']],
    [['--user', 'a', '--max-sessions', 'many']],
  ])('refuses %j', async (args) => {
    await expect(run(...args)).rejects.toThrow(expect.objectContaining({ code: 'CLI_USAGE' }));
    expect(out).toEqual([]);
  });
});
