import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metrics } from '../../src/base/metrics.ts';
import {
  type ContentKeys,
  type ContentKeysDeps,
  type ContentKeysOptions,
  openContentKeys,
} from '../../src/drm/content-keys.ts';
import { FakeClock } from './fake-clock.ts';
import { createMemoryLog } from './memory-log.ts';

export const KEY_OPTIONS: ContentKeysOptions = {
  scheme: 'cbcs',
  rotationMs: 300_000,
  leadMs: 30_000,
  windowMs: 60_000,
  licenseTtlMs: 3_600_000,
  kek: { path: '', given: '' },
  signalling: {
    systems: ['clearkey'],
    licenseUrls: { clearkey: '/license/clearkey' },
    widevineProvider: '',
  },
};

/** A data folder with content keys, opened as often as a test wants: each time as another process would. */
export class KeysFolder {
  readonly clock = new FakeClock();
  readonly log = createMemoryLog();
  readonly dir: string;
  readonly #opened: ContentKeys[] = [];

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async make(): Promise<KeysFolder> {
    return new KeysFolder(await mkdtemp(join(tmpdir(), 'headwater-keys-')));
  }

  async open(
    options: Partial<ContentKeysOptions> = {},
    deps: Partial<ContentKeysDeps> = {},
  ): Promise<ContentKeys> {
    const { clock, log } = this;
    const keys = await openContentKeys(
      this.dir,
      { ...KEY_OPTIONS, ...options },
      { clock, log, metrics: new Metrics(), randomBytes, ...deps },
    );
    this.#opened.push(keys);
    return keys;
  }

  /** Key files and reservations, relative to the folder of the keys. */
  async files(): Promise<string[]> {
    const all = await readdir(join(this.dir, 'keys'), { recursive: true });
    return all.filter((name) => name.includes('/')).sort();
  }

  async keyFiles(): Promise<string[]> {
    return (await this.files()).filter((name) => name.endsWith('.json'));
  }

  path(file: string): string {
    return join(this.dir, 'keys', file);
  }

  read(file: string): Promise<string> {
    return readFile(this.path(file), 'utf8');
  }

  async remove(): Promise<void> {
    for (const keys of this.#opened) await keys.close();
    await rm(this.dir, { recursive: true, force: true });
  }
}
