import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadPageFiles } from './page-files.ts';

describe('loadPageFiles', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'headwater-pages-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('reads every file below the folder with its type, tag and packed form', async () => {
    const script = 'export const answer = 42;\n'.repeat(100);
    await mkdir(join(folder, 'assets'));
    await writeFile(join(folder, 'watch.html'), '<!doctype html>');
    await writeFile(join(folder, 'assets', 'watch-1a2b.js'), script);

    const files = await loadPageFiles(folder);
    expect([...files.keys()].toSorted()).toEqual(['assets/watch-1a2b.js', 'watch.html']);
    const asset = files.get('assets/watch-1a2b.js');
    expect(asset?.contentType).toBe('text/javascript; charset=utf-8');
    expect(String(asset?.identity)).toBe(script);
    expect(gunzipSync(asset?.gzip ?? '').toString()).toBe(script);
    expect(asset?.tag).toMatch(/^[\w-]{22}$/);
    expect(files.get('watch.html')?.tag).not.toBe(asset?.tag);
  });

  it('keeps no packed form of what packing does not make smaller', async () => {
    await writeFile(join(folder, 'watch.html'), '<p>');
    expect((await loadPageFiles(folder)).get('watch.html')?.gzip).toBeUndefined();
  });

  it('gives no pages when nothing was built', async () => {
    expect((await loadPageFiles(join(folder, 'missing'))).size).toBe(0);
  });
});
