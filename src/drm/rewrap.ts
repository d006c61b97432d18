import { resolve } from 'node:path';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { Metrics } from '../base/metrics.ts';
import { openParts } from './content-keys.ts';
import { DrmMetrics } from './drm-metrics.ts';
import { KekFile, withNewKek } from './kek-file.ts';
import { defaultKekPath, type KekOptions } from './kek-source.ts';
import type { KeySetStore } from './key-set-store.ts';
import { KeyVault } from './key-vault.ts';
import type { Keyring } from './keyring.ts';

export interface RewrapDeps {
  readonly log: Logger;
  /** Cryptographically strong. */
  readonly randomBytes: (size: number) => Uint8Array;
}

/** What became of the key files. */
export interface RewrapReport {
  /** The KEK that content keys are encrypted with now. */
  readonly kekId: string;
  readonly rewrapped: number;
  /** They were encrypted with it already. */
  readonly unchanged: number;
  /** Files (folder and name) whose keys could not be opened; they are as they were. */
  readonly failed: readonly string[];
  /** KEKs that nothing needs any more, taken out of the file. */
  readonly dropped: number;
}

/**
 * Adds a KEK to the file of KEKs and encrypts all content keys with it anew. A server that runs goes on meanwhile: it
 * takes the new KEK up within seconds. The KEK before stays in the file, for keys that the server made just then; older
 * ones go when nothing is encrypted with them any more.
 * @throws AppError SECRET_FILE_UNSAFE, DRM_KEKS_BUSY, DRM_KEYS_UNAVAILABLE
 */
export async function rotateKek(dataDir: string, kek: KekOptions, deps: RewrapDeps): Promise<RewrapReport> {
  if (kek.given !== '') {
    throw new AppError(
      'SECRET_FILE_UNSAFE',
      'the KEKs come from drm.kek: add a new one at its end there, restart the server, then run headwater keys rewrap',
    );
  }
  const file = new KekFile(kek.path === '' ? defaultKekPath(resolve(dataDir)) : kek.path);
  // Makes the folder, and the first KEK where there is none yet.
  await openParts(dataDir, kek, deps);
  await file.change((keks) => withNewKek(keks, deps.randomBytes));
  const report = await rewrapKeys(dataDir, kek, deps);
  if (report.failed.length > 0) return report;
  const needed = new Set(await kekIdsInUse((await openParts(dataDir, kek, deps)).store));
  let dropped = 0;
  await file.change((keks) => {
    const kept = keks.filter(({ id }, i) => i >= keks.length - 2 || needed.has(id));
    dropped = keks.length - kept.length;
    return kept;
  });
  return { ...report, dropped };
}

/**
 * Encrypts all content keys with the newest KEK anew. Each file is replaced as a whole; stopped in the middle, it may
 * be run again.
 * @throws AppError SECRET_FILE_UNSAFE, DRM_KEYS_UNAVAILABLE
 */
export async function rewrapKeys(dataDir: string, kek: KekOptions, deps: RewrapDeps): Promise<RewrapReport> {
  const { store, keyring } = await openParts(dataDir, kek, deps);
  const vault = vaultOf(store, keyring, deps);
  let rewrapped = 0;
  let unchanged = 0;
  const failed: string[] = [];
  for (const folder of await store.folders()) {
    for (const slot of await store.slots(folder)) {
      const found = await store.load({ folder, slot });
      if (found === undefined) continue;
      const name = `${folder}/${slot}.json`;
      if ('damaged' in found) failed.push(name);
      else if (found.set.keys.every(({ wrapped }) => wrapped.kekId === keyring.kekId)) unchanged += 1;
      else if (await succeeds(() => store.rewrap(vault.rewrapped(found.set)), name, deps.log)) rewrapped += 1;
      else failed.push(name);
    }
  }
  return { kekId: keyring.kekId, rewrapped, unchanged, failed, dropped: 0 };
}

async function succeeds(call: () => Promise<void>, file: string, log: Logger): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    log.error({ file, err: error }, 'a content key cannot be encrypted anew');
    return false;
  }
}

async function kekIdsInUse(store: KeySetStore): Promise<string[]> {
  const ids: string[] = [];
  for (const folder of await store.folders()) {
    for (const slot of await store.slots(folder)) {
      const found = await store.load({ folder, slot });
      if (found && 'set' in found) ids.push(...found.set.keys.map(({ wrapped }) => wrapped.kekId));
    }
  }
  return ids;
}

/** Only to open and wrap: it holds no sets, and its numbers go nowhere. */
function vaultOf(store: KeySetStore, wrapper: Keyring, { randomBytes }: RewrapDeps): KeyVault {
  return new KeyVault({
    store,
    wrapper,
    randomBytes,
    source: undefined,
    metrics: new DrmMetrics(new Metrics()),
    maxSets: 0,
  });
}
