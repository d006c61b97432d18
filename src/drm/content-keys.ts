import { join } from 'node:path';
import { type Clock, every, type Timer } from '../base/clock.ts';
import { errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { KeyTier, ProtectionScheme } from '../media/protection.ts';
import type { ContentKey, CryptoPeriod, KeyDirectory, KeyEntry, KeyOwner, OwnerKeys } from './content-key.ts';
import {
  isObtainable,
  type KeyLifetime,
  nextPeriod,
  obtainableFromMs,
  refusedFromMs,
  ENDLESS_MS,
} from './crypto-period.ts';
import { DrmMetrics, type KeyFailure } from './drm-metrics.ts';
import { DISK, type DiskCalls, DurableFiles, unavailable } from './durable-files.ts';
import { IvLanes } from './iv-lanes.ts';
import { openKekSource, type KekOptions } from './kek-source.ts';
import { entryOf } from './key-index.ts';
import { KeyScan } from './key-scan.ts';
import { MAX_OWNER_ID_LENGTH, ownerFolder } from './key-set.ts';
import { KeySetStore } from './key-set-store.ts';
import type { KeySource } from './key-source.ts';
import { KeyVault } from './key-vault.ts';
import { Keyring } from './keyring.ts';
import { LocalOwnerKeys } from './owner-keys.ts';
import type { SignallingOptions } from './signalling.ts';

export interface ContentKeysOptions extends KeyLifetime {
  /** Of what is encrypted from now on; keys that exist keep theirs. */
  readonly scheme: ProtectionScheme;
  /** Length of the crypto periods of live streams; 0: they never change their keys. Titles never do. */
  readonly rotationMs: number;
  readonly kek: KekOptions;
  readonly signalling: SignallingOptions;
  /** Most sets of keys held, one a stream or title and period; default {@link DEFAULT_MAX_KEY_SETS}. */
  readonly maxKeySets?: number;
}

export interface ContentKeysDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Cryptographically strong. */
  readonly randomBytes: (size: number) => Uint8Array;
  /**
   * Whether media of that time is still kept, so that the keys of it must be too, though nobody may get them any more: a
   * recording may be made of it. True also while that cannot be told yet. Default: never.
   */
  readonly isNeeded?: ((owner: KeyOwner, period: CryptoPeriod) => boolean) | undefined;
  /** A key server elsewhere, if keys come from there; then `prepare` must have been awaited before `key`. */
  readonly source?: KeySource | undefined;
  readonly disk?: DiskCalls;
}

/** About 100 MB of memory. */
const DEFAULT_MAX_KEY_SETS = 100_000;
const UPKEEP_MS = 1000;
/** Turns of upkeep between looks at what other processes did, and at what is over. */
const TURNS_PER_SCAN = 5;
/** Looking at more folders than this takes more turns between, so that it is never much of what the process does. */
const FOLDERS_PER_SCAN = 1000;
const TURNS_PER_RETIREMENT = 60;
/** A failure that goes on is logged this often; each one is counted. */
const TELL_AGAIN_MS = 60_000;
/** Keys that could not be prepared are tried again after 1 s, then twice as long each time, up to this. */
const MAX_RETRY_MS = 15_000;
/** Keys are kept this long after nobody may have them any more: clocks of other processes may be behind. */
const RETIREMENT_MARGIN_MS = 600_000;

/**
 * Opens the keys of `<dataDir>/keys`: reads all sets, still wrapped, and the KEKs (a new one is made at the first
 * start). Files that are damaged are told of and left as they are.
 * @throws AppError SECRET_FILE_UNSAFE, DRM_KEYS_UNAVAILABLE
 */
export async function openContentKeys(
  dataDir: string,
  options: ContentKeysOptions,
  deps: ContentKeysDeps,
): Promise<ContentKeys> {
  const { store, keyring } = await openParts(dataDir, options.kek, deps);
  const metrics = new DrmMetrics(deps.metrics);
  const vault = new KeyVault({
    store,
    wrapper: keyring,
    source: deps.source,
    randomBytes: deps.randomBytes,
    metrics,
    maxSets: options.maxKeySets ?? DEFAULT_MAX_KEY_SETS,
  });
  const scan = new KeyScan({ store, vault, clock: deps.clock, log: deps.log, metrics });
  try {
    await scan.run();
  } catch (cause) {
    throw unavailable(`the content keys in ${store.root} cannot be read`, cause);
  }
  return new ContentKeys(options, deps, { store, keyring, vault, scan, metrics });
}

/** What keys are kept with, opened. */
export interface KeyParts {
  readonly store: KeySetStore;
  readonly keyring: Keyring;
}

interface OpenedParts extends KeyParts {
  readonly vault: KeyVault;
  readonly scan: KeyScan;
  readonly metrics: DrmMetrics;
}

/** Opens the folder of the keys and the KEKs. @throws AppError SECRET_FILE_UNSAFE, DRM_KEYS_UNAVAILABLE */
export async function openParts(
  dataDir: string,
  kek: KekOptions,
  deps: Pick<ContentKeysDeps, 'log' | 'randomBytes' | 'disk'>,
): Promise<KeyParts> {
  const root = join(dataDir, 'keys');
  const files = new DurableFiles(deps.disk ?? DISK, deps.randomBytes);
  try {
    // The data folder may be as new as we are; who may not read what is above it must do without.
    await files.makeFolder(dataDir).catch(() => undefined);
    await files.makeFolder(root);
  } catch (cause) {
    throw unavailable(`the folder ${root} cannot be made`, cause);
  }
  const store = new KeySetStore(root, files);
  const hasKeys = async (): Promise<boolean> => (await store.folders()).length > 0;
  const source = await openKekSource(dataDir, kek, { ...deps, hasKeys });
  return { store, keyring: await Keyring.open(source, deps.randomBytes) };
}

/** A key that a packager elsewhere asks for under a KID of its own. */
export interface ForeignKeyRequest {
  readonly owner: KeyOwner;
  readonly kid: Uint8Array;
  readonly tier: KeyTier;
  readonly scheme: ProtectionScheme;
  /** Undefined: the key does not rotate. */
  readonly period: CryptoPeriod | undefined;
}

/**
 * All content keys of this data folder: for who encrypts ({@link owner}) and for who answers licences
 * ({@link KeyDirectory}). Several processes may have the same folder open; they get the same keys.
 */
export class ContentKeys implements KeyDirectory {
  readonly #options: ContentKeysOptions;
  readonly #deps: Pick<ContentKeysDeps, 'clock' | 'log' | 'isNeeded'> & KeyParts;
  readonly #vault: KeyVault;
  readonly #metrics: DrmMetrics;
  readonly #lanes: IvLanes;
  readonly #scan: KeyScan;
  /** Of live streams and titles that were asked for, by folder. */
  readonly #owners = new Map<string, LocalOwnerKeys>();
  /** Of owners whose next keys could not be made. */
  readonly #retries = new Map<LocalOwnerKeys, { readonly failures: number; readonly atMs: number }>();
  /** When a failure was last logged, by what failed; monotonic. */
  readonly #told = new Map<KeyFailure, number>();
  readonly #timer: Timer;
  #turn = 0;
  #nextScanTurn = 0;
  #upkeep: Promise<void> | undefined;
  #closed = false;

  /** Use {@link openContentKeys}. */
  constructor(
    options: ContentKeysOptions,
    { clock, log, isNeeded }: Pick<ContentKeysDeps, 'clock' | 'log' | 'isNeeded'>,
    { store, keyring, vault, scan, metrics }: OpenedParts,
  ) {
    this.#options = options;
    this.#deps = { clock, log, isNeeded, store, keyring };
    this.#vault = vault;
    this.#metrics = metrics;
    this.#lanes = new IvLanes(store);
    this.#scan = scan;
    this.#timer = every(clock, UPKEEP_MS, () => void this.upkeep());
  }

  /**
   * The keys of a stream or title, for who encrypts it. Touches no disk.
   * @throws AppError DRM_KEYS_UNAVAILABLE for a name that is empty or longer than {@link MAX_OWNER_ID_LENGTH}
   */
  owner(owner: KeyOwner): OwnerKeys {
    const folder = folderOf(owner);
    let keys = this.#owners.get(folder);
    if (keys === undefined) {
      const { scheme, rotationMs, signalling } = this.#options;
      keys = new LocalOwnerKeys(
        owner,
        { scheme, rotationMs: owner.kind === 'vod' ? 0 : rotationMs, signalling },
        { vault: this.#vault, lanes: this.#lanes },
      );
      this.#owners.set(folder, keys);
    }
    return keys;
  }

  /**
   * A key for a packager elsewhere, made when there is none under that KID yet.
   * @throws AppError DRM_KEYS_UNAVAILABLE, also when the KID belongs to another owner or tier
   */
  async foreignKey({ owner, kid, tier, scheme, period }: ForeignKeyRequest): Promise<ContentKey> {
    folderOf(owner);
    const slot = { period: period ?? { index: 0, startMs: 0, endMs: ENDLESS_MS }, scheme, foreignKid: kid };
    return this.#vault.obtainForeign(owner, slot, tier);
  }

  /**
   * Gives a title keys of the live stream that it was recorded of: exactly these, under their KIDs and tiers, for as long as
   * it is there. The stream itself has them no longer by it. Those that the title has already stay. What it got of them
   * before a failure it keeps, until {@link release}.
   * @throws AppError DRM_KEYS_UNAVAILABLE also when the stream has not all of them (any more)
   */
  async adopt(from: KeyOwner, title: string, kids: readonly Uint8Array[]): Promise<void> {
    const owner: KeyOwner = { kind: 'vod', id: title };
    folderOf(owner);
    const { index } = this.#vault;
    if (kids.some((kid) => !index.ownedBy(from, kid))) {
      // Another process may have made them.
      await this.#refreshKeks();
      await this.#attempt('read', () => this.#scan.run());
    }
    for (const kid of kids) {
      if (index.ownedBy(owner, kid)) continue;
      const found = index.ownedBy(from, kid);
      if (!found) throw unavailable('a content key of this recording is not there any more');
      await this.#vault.adopt(owner, found);
    }
  }

  /** The titles that have keys of live streams. */
  adopters(): readonly string[] {
    const titles = new Set<string>();
    for (const { adopted, owner } of this.#vault.index.all()) if (adopted) titles.add(owner.id);
    return [...titles];
  }

  /** A title has the keys of live streams no more. Idempotent. @throws AppError DRM_KEYS_UNAVAILABLE */
  async release(title: string): Promise<void> {
    const folder = folderOf({ kind: 'vod', id: title });
    const { store } = this.#deps;
    try {
      for (const slot of await store.slots(folder)) {
        const found = await store.load({ folder, slot });
        if (found && 'set' in found && found.set.adopted) await store.remove(found.set);
      }
    } catch (cause) {
      throw unavailable('content keys of a title cannot be deleted', cause);
    }
    for (const set of [...this.#vault.index.slots(folder).values()]) if (set.adopted) this.#vault.drop(set);
  }

  find(kid: Uint8Array, owner?: KeyOwner): KeyEntry | undefined {
    const found = this.#vault.index.find(kid, owner);
    return found && entryOf(found);
  }

  obtainable(owner: KeyOwner, nowMs: number): readonly KeyEntry[] {
    return this.#vault.index
      .entries(owner)
      .filter(({ period }) => isObtainable(period, nowMs, this.#options));
  }

  isObtainable(entry: KeyEntry, nowMs: number): boolean {
    return isObtainable(entry.period, nowMs, this.#options);
  }

  async unwrap(entry: KeyEntry): Promise<ContentKey> {
    const found = this.#vault.index.ownedBy(entry.owner, entry.kid);
    if (found === undefined) throw unavailable('this content key is not there any more');
    if (!this.#deps.keyring.has(found.stored.wrapped.kekId)) await this.#refreshKeks();
    return this.#vault.open(found);
  }

  /**
   * One turn of what is done all the time: makes the keys of next periods, takes in what other processes did, and
   * deletes what is over. Runs by itself every second; what fails is logged, counted, and tried again.
   */
  upkeep(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#upkeep ??= this.#runUpkeep().finally(() => (this.#upkeep = undefined));
    return this.#upkeep;
  }

  /** Stops upkeep; keys that were given out stay good. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer.cancel();
    await this.#upkeep;
  }

  async #runUpkeep(): Promise<void> {
    const turn = this.#turn++;
    for (const keys of this.#owners.values()) await this.#prepareInTime(keys);
    if (turn >= this.#nextScanTurn) {
      await this.#refreshKeks();
      await this.#attempt('read', () => this.#scan.run());
      this.#nextScanTurn =
        turn + TURNS_PER_SCAN * Math.max(1, Math.ceil(this.#scan.folders / FOLDERS_PER_SCAN));
    }
    if (turn % TURNS_PER_RETIREMENT === 0) await this.#attempt('retire', () => this.#retire());
  }

  async #prepareInTime(keys: LocalOwnerKeys): Promise<void> {
    const nowMs = this.#deps.clock.monotonicMs();
    const retry = this.#retries.get(keys);
    if (retry && nowMs < retry.atMs) return;
    if (await this.#attempt('prepare', () => this.#prepareNext(keys))) {
      this.#retries.delete(keys);
      return;
    }
    const failures = (retry?.failures ?? 0) + 1;
    this.#retries.set(keys, {
      failures,
      atMs: nowMs + Math.min(MAX_RETRY_MS, UPKEEP_MS * 2 ** (failures - 1)),
    });
  }

  /** The next period of a stream that runs, once it is near. */
  async #prepareNext(keys: LocalOwnerKeys): Promise<void> {
    const nowMs = this.#deps.clock.wallMs();
    const { latest } = keys;
    const next = latest && nextPeriod(latest);
    if (!next || nowMs >= next.startMs || nowMs < obtainableFromMs(next, this.#options)) return;
    await keys.prepare(next);
  }

  async #retire(): Promise<void> {
    const beforeMs = this.#deps.clock.wallMs() - RETIREMENT_MARGIN_MS;
    for (const set of [...this.#vault.index.all()]) {
      if (set.owner.kind !== 'live' || refusedFromMs(set.period, this.#options) > beforeMs) continue;
      if (this.#deps.isNeeded?.(set.owner, set.period) ?? false) continue;
      await this.#deps.store.remove(set);
      this.#vault.drop(set);
      this.#lanes.forget(set);
      this.#metrics.retired.inc();
    }
  }

  #refreshKeks(): Promise<boolean> {
    return this.#attempt('kek', () => this.#deps.keyring.refresh());
  }

  /** Whether it went well. */
  async #attempt(what: KeyFailure, call: () => Promise<void>): Promise<boolean> {
    try {
      await call();
      return true;
    } catch (error) {
      this.#metrics.failures.inc({ what });
      this.#tell(what, error);
      return false;
    }
  }

  #tell(what: KeyFailure, error: unknown): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const toldMs = this.#told.get(what);
    if (toldMs !== undefined && nowMs < toldMs + TELL_AGAIN_MS) return;
    this.#told.set(what, nowMs);
    this.#deps.log.error({ what, code: errorCode(error), err: error }, 'the upkeep of content keys failed');
  }
}

function folderOf(owner: KeyOwner): string {
  if (owner.id !== '' && owner.id.length <= MAX_OWNER_ID_LENGTH) return ownerFolder(owner);
  throw unavailable(`the name of a stream or title must have 1 to ${MAX_OWNER_ID_LENGTH} characters`);
}
