import { readFile, stat } from 'node:fs/promises';
import { type Clock, every, type Timer } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { KeyOwner } from '../drm/content-key.ts';
import { type Catalogue, parseCatalogue } from './catalogue.ts';
import type { Entitlements } from './entitlement.ts';

export interface CatalogueFileDeps {
  /** Text to a plain value; undefined when it is none. */
  readonly read: (text: string) => unknown;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How often the file is looked at. */
const LOOK_MS = 2_000;
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** The catalogue of a file, read again when the file changes. What cannot be read leaves the last one in force. */
export class CatalogueFile implements Entitlements {
  readonly #path: string;
  readonly #deps: CatalogueFileDeps;
  readonly #timer: Timer;
  #catalogue: Catalogue;
  #version: string;
  #looking = false;

  private constructor(path: string, deps: CatalogueFileDeps, catalogue: Catalogue, version: string) {
    this.#path = path;
    this.#deps = deps;
    this.#catalogue = catalogue;
    this.#version = version;
    this.#timer = every(deps.clock, LOOK_MS, () => void this.look());
  }

  /** @throws AppError CONFIG_INVALID with a sentence, when the file cannot be read or a rule is not understood */
  static async open(path: string, deps: CatalogueFileDeps): Promise<CatalogueFile> {
    const version = await versionOf(path);
    return new CatalogueFile(path, deps, await load(path, deps), version);
  }

  entitle: Entitlements['entitle'] = async (question) => this.#catalogue.entitle(question);

  creditsMs(owner: KeyOwner): number | undefined {
    return this.#catalogue.creditsMs(owner);
  }

  /** Reads the file again if it has changed. Never rejects. */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const { log } = this.#deps;
    try {
      const version = await versionOf(this.#path);
      if (version === this.#version) return;
      // A file with a mistake is told of once, not at every look.
      this.#version = version;
      this.#catalogue = await load(this.#path, this.#deps);
      log.info({ event: 'catalogue' }, 'the catalogue was read again');
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.error({ reason }, 'the catalogue cannot be read; the last one stays in force');
    } finally {
      this.#looking = false;
    }
  }

  /** Idempotent. */
  close(): void {
    this.#timer.cancel();
  }
}

async function load(path: string, { read }: CatalogueFileDeps): Promise<Catalogue> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new AppError('CONFIG_INVALID', `viewers.cataloguePath: ${path} cannot be read`, { cause });
  });
  if (text.length > MAX_FILE_BYTES) throw invalid(path, `is longer than ${MAX_FILE_BYTES} bytes`);
  const value = read(text);
  if (value === undefined) throw invalid(path, 'is no YAML');
  const parsed = parseCatalogue(value);
  if ('problem' in parsed) throw invalid(path, parsed.problem);
  return parsed.catalogue;
}

function invalid(path: string, what: string): AppError {
  return new AppError('CONFIG_INVALID', `viewers.cataloguePath: ${path}: ${what}`);
}

async function versionOf(path: string): Promise<string> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found ? `${found.ino}:${found.mtimeNs}:${found.size}` : 'missing';
}
