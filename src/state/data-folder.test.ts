import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDataFolder } from './data-folder.ts';

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headwater-folder-'));
});

afterEach(() => rm(dir, { recursive: true, force: true }));

describe('openDataFolder', () => {
  it('makes the folder and those above it for their owner only', async () => {
    const folder = join(dir, 'a', 'b');
    await openDataFolder(folder);
    for (const path of [join(dir, 'a'), folder]) expect((await stat(path)).mode & 0o777, path).toBe(0o700);
  });

  it('takes a folder that is there as it is', async () => {
    await mkdir(join(dir, 'a'), { mode: 0o755 });
    await openDataFolder(join(dir, 'a'));
    expect((await stat(join(dir, 'a'))).mode & 0o777).toBe(0o755);
  });

  it('says in one sentence which folder and why when it cannot be used', async () => {
    await writeFile(join(dir, 'file'), '');
    const refused = { code: 'STATE_FOLDER_UNUSABLE' };
    await expect(openDataFolder(join(dir, 'file'))).rejects.toMatchObject({
      ...refused,
      message: `cannot use the data folder ${join(dir, 'file')}: there is a file in its place`,
    });
    await expect(openDataFolder(join(dir, 'file', 'b'))).rejects.toMatchObject(refused);
  });

  // Where root may not make a folder either.
  it.each(['/dev/null/headwater', '/dev/null/headwater/data'])(
    'says so in words where no folder can be: %s',
    async (folder) => {
      await expect(openDataFolder(folder)).rejects.toMatchObject({
        code: 'STATE_FOLDER_UNUSABLE',
        message: expect.stringMatching(
          /^cannot use the data folder \/dev\/null\/headwater\S*: [a-z -]+$/,
        ) as string,
      });
    },
  );
});
