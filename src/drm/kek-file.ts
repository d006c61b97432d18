import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError } from '../base/errors.ts';
import { createSecretFileOf, isCode, readTextSecretFile, syncDirectory } from '../base/secret-file.ts';
import { KEK_BYTES, MAX_KEKS, kekIdOf, parseKeks, renderKeks } from './kek-text.ts';
import type { Kek, KekSource } from './key-wrapper.ts';

type RandomBytes = (size: number) => Uint8Array;

/** KEKs in a file that only its owner may read. It is read again when it is another file or was written to. */
export class KekFile implements KekSource {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  async load(): Promise<readonly Kek[]> {
    const reading = parseKeks((await readTextSecretFile(this.path, KEK_BYTES)).toString('latin1'));
    if ('problem' in reading) throw new AppError('SECRET_FILE_UNSAFE', `${this.path} ${reading.problem}`);
    return reading.keks;
  }

  async version(): Promise<string> {
    const found = await statOrUndefined(this.path);
    return found === undefined ? 'none' : `${found.ino}:${found.mtimeNs}:${found.size}`;
  }

  async exists(): Promise<boolean> {
    return (await statOrUndefined(this.path)) !== undefined;
  }

  /** Makes the file with one new KEK (0600), unless there is one; tells whether it did. */
  create(randomBytes: RandomBytes): Promise<boolean> {
    return createSecretFileOf(this.path, renderKeks([newKek(randomBytes)]), randomBytes);
  }

  /**
   * Replaces the KEKs by what `change` makes of them, as a whole. Only one process may do so at a time.
   * @throws AppError SECRET_FILE_UNSAFE, DRM_KEKS_BUSY
   */
  async change(change: (keks: readonly Kek[]) => readonly Kek[]): Promise<readonly Kek[]> {
    // That the draft exists is the lock: no KEK is ever lost to a second writer.
    const draftPath = `${this.path}.new`;
    const draft = await openDraft(draftPath);
    try {
      const keks = change(await this.load());
      await draft.writeFile(renderKeks(keks));
      await draft.sync();
      await rename(draftPath, this.path);
      await syncDirectory(dirname(this.path));
      return keks;
    } catch (error) {
      await rm(draftPath, { force: true });
      throw error;
    } finally {
      await draft.close();
    }
  }
}

/** KEKs that were given as text, by the environment; `name` tells people which. */
export class GivenKeks implements KekSource {
  readonly #name: string;
  readonly #given: string;

  constructor(name: string, given: string) {
    this.#name = name;
    this.#given = given;
  }

  load(): Promise<readonly Kek[]> {
    const reading = parseKeks(this.#given);
    return 'keks' in reading
      ? Promise.resolve(reading.keks)
      : Promise.reject(new AppError('SECRET_FILE_UNSAFE', `${this.#name} ${reading.problem}`));
  }

  version(): Promise<string> {
    return Promise.resolve('given');
  }
}

/**
 * The KEKs with a new one at their end.
 * @throws AppError SECRET_FILE_UNSAFE when there are too many
 */
export function withNewKek(keks: readonly Kek[], randomBytes: RandomBytes): readonly Kek[] {
  if (keks.length < MAX_KEKS) return [...keks, newKek(randomBytes)];
  throw new AppError('SECRET_FILE_UNSAFE', `the file of KEKs holds ${MAX_KEKS} keys, the most it may`);
}

function newKek(randomBytes: RandomBytes): Kek {
  const key = randomBytes(KEK_BYTES);
  return { id: kekIdOf(key), key };
}

async function openDraft(path: string) {
  try {
    return await open(path, 'wx', 0o600);
  } catch (cause) {
    if (!isCode(cause, 'EEXIST')) throw cause;
    throw new AppError(
      'DRM_KEKS_BUSY',
      `another process is changing the KEKs; if none is (it was killed), remove ${path}`,
      { cause },
    );
  }
}

async function statOrUndefined(path: string) {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}
