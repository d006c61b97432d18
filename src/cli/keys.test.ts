import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KeysFolder } from '../../test/support/content-keys-fixture.ts';
import { kekIdOf } from '../drm/kek-text.ts';
import { EXIT_CODES, type CliContext, type Command, type ExitCode } from './command.ts';
import { keysRewrap, keysRotateKek } from './keys.ts';

const OWNER = { kind: 'live', id: 'studio' } as const;

let folder: KeysFolder;

beforeEach(async () => {
  folder = await KeysFolder.make();
});

afterEach(() => folder.remove());

async function run(
  command: Command,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: ExitCode; lines: string[]; out: string[] }> {
  const lines: string[] = [];
  const out: string[] = [];
  const context: CliContext = {
    cwd: folder.dir,
    env,
    out: (line) => void out.push(line),
    err: (line) => void lines.push(line),
  };
  return { code: await command.run(['--set', 'dataDir=.', ...args], context), lines, out };
}

/** A key of the stream's current period, by a process of its own. */
async function currentKey(given = ''): Promise<string> {
  const owner = (await folder.open({ kek: { path: '', given } })).owner(OWNER);
  return Buffer.from(owner.key(owner.periodAt(folder.clock.wallMs()), 'HD').key).toString('hex');
}

describe('headwater keys', () => {
  it('rotates the KEK: another one is in use, the content keys are the same, and nothing secret is said', async () => {
    const key = await currentKey();
    const first = await run(keysRotateKek, []);
    expect(first).toMatchObject({ code: EXIT_CODES.ok, out: [] });
    expect(first.lines).toMatchObject([
      expect.stringMatching(/^key-encryption key in use: [0-9a-f]{16}$/),
      'key files encrypted anew: 1; already were: 0',
    ]);
    const second = await run(keysRotateKek, []);
    expect(second.lines[0]).not.toBe(first.lines[0]);
    expect(second.lines[2]).toBe('key-encryption keys that nothing needs any more, removed: 1');
    expect(await currentKey()).toBe(key);
    const keks = (await readFile(join(folder.dir, 'secrets', 'content-kek.keys'), 'utf8')).split('\n');
    for (const kek of keks.filter((line) => /^[\w-]{43}$/.test(line))) {
      expect([...first.lines, ...second.lines].join('\n')).not.toContain(kek);
    }
  });

  it('makes the first KEK where there is none yet', async () => {
    expect(await run(keysRotateKek, [])).toMatchObject({ code: EXIT_CODES.ok });
    expect(await currentKey()).toMatch(/^[0-9a-f]{32}$/);
  });

  it('wraps anew under a KEK that was added to the environment', async () => {
    const [old, recent] = [randomBytes(32), randomBytes(32)];
    const key = await currentKey(old.toString('hex'));
    const given = `${old.toString('hex')} ${recent.toString('hex')}`;
    const env = { HEADWATER_DRM__KEK: given };
    await expect(run(keysRotateKek, [], env)).rejects.toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
    const report = await run(keysRewrap, [], env);
    expect(report.lines).toEqual([
      `key-encryption key in use: ${kekIdOf(recent)}`,
      'key files encrypted anew: 1; already were: 0',
    ]);
    expect(await currentKey(recent.toString('hex'))).toBe(key);
  });

  it('fails when a key file cannot be opened, names it, and leaves it as it is', async () => {
    await currentKey();
    const [file = ''] = await folder.keyFiles();
    await writeFile(folder.path(file), '{');
    const report = await run(keysRewrap, []);
    expect(report).toMatchObject({ code: EXIT_CODES.failed });
    expect(report.lines.at(-1)).toBe(`cannot be opened, left as it is: keys/${file}`);
    expect(await folder.read(file)).toBe('{');
  });

  it('takes no KEK from the command line, where everybody can read it', async () => {
    const kek = randomBytes(32).toString('hex');
    const refused: unknown = await run(keysRewrap, ['--set', `drm.kek=${kek}`]).catch(
      (error: unknown) => error,
    );
    expect(refused).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(String(refused)).toContain('drm.kek');
    expect(String(refused)).not.toContain(kek);
  });
});
