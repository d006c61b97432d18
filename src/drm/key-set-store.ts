import { join } from 'node:path';
import type { KeyOwner } from './content-key.ts';
import { type DurableFiles, shortName, unavailable } from './durable-files.ts';
import {
  type KeySet,
  type KeySlot,
  MAX_KEY_SET_BYTES,
  ownerFolder,
  parseKeySet,
  renderKeySet,
  slotName,
  slotOf,
} from './key-set.ts';

const ENDING = '.json';
const CLAIM = /^(?<slot>.+)\.claim\.\d+$/;

/** What lies in one place of the store. */
export type Found = { readonly set: KeySet } | { readonly damaged: string };

/** A listed file of the store: its folder and slot. */
export interface Place {
  readonly folder: string;
  readonly slot: string;
}

/**
 * Key sets on disk, a folder an owner and a file a set. A set is created once and keeps its keys for good; only how they
 * are wrapped may be replaced. Several processes may use the same folder at once.
 */
export class KeySetStore {
  readonly root: string;
  readonly #files: DurableFiles;

  constructor(root: string, files: DurableFiles) {
    this.root = root;
    this.#files = files;
  }

  /**
   * Stores a set in its slot; when there is one already, gives that one.
   * @throws AppError DRM_KEYS_UNAVAILABLE when it cannot be stored, or what is there is damaged
   */
  createSync(set: KeySet): KeySet {
    const path = this.#pathOf(set.owner, slotOf(set));
    try {
      if (this.#files.createSync(path, renderKeySet(set))) return set;
    } catch (cause) {
      throw unavailable('a content key cannot be stored', cause);
    }
    return this.#existing(
      path,
      this.#read(() => this.#files.readSync(path)),
      set.owner,
    );
  }

  /** {@link createSync} without holding up the process. */
  async create(set: KeySet): Promise<KeySet> {
    const path = this.#pathOf(set.owner, slotOf(set));
    try {
      if (await this.#files.create(path, renderKeySet(set))) return set;
    } catch (cause) {
      throw this.#notStored(set.owner, cause);
    }
    return this.#existing(path, await this.#files.read(path), set.owner);
  }

  /** What is in a slot; undefined: nothing. @throws AppError DRM_KEYS_UNAVAILABLE when it cannot be read */
  findSync(owner: KeyOwner, slot: KeySlot): Found | undefined {
    const path = this.#pathOf(owner, slot);
    const text = this.#read(() => this.#files.readSync(path));
    return text === undefined ? undefined : judge({ folder: ownerFolder(owner), slot: slotName(slot) }, text);
  }

  /** Stores how the keys of a set are wrapped now. Its keys must be the same. */
  async rewrap(set: KeySet): Promise<void> {
    await this.#files.replace(this.#pathOf(set.owner, slotOf(set)), renderKeySet(set));
  }

  /** Makes sure that the sets of an owner that we have not stored ourselves survive a power cut. */
  settleSync(owner: KeyOwner): void {
    try {
      this.#files.settleSync(join(this.root, ownerFolder(owner)));
    } catch (cause) {
      throw unavailable('a content key cannot be stored', cause);
    }
  }

  /**
   * Takes the first number from `least` to below `limit` that nobody else has for this set, also no other process.
   * @throws AppError DRM_KEYS_UNAVAILABLE when there is none, or it cannot be noted
   */
  claimSync(set: KeySet, least: number, limit: number): number {
    const path = this.#claimPath(set);
    for (let number = least; number < limit; number++) {
      try {
        if (this.#files.claimSync(`${path}${number}`)) return number;
      } catch (cause) {
        throw unavailable('initialization vectors cannot be reserved', cause);
      }
    }
    throw unavailable('the initialization vectors of a content key are used up');
  }

  /** {@link claimSync} without holding up the process. */
  async claim(set: KeySet, least: number, limit: number): Promise<number> {
    const path = this.#claimPath(set);
    for (let number = least; number < limit; number++) {
      try {
        if (await this.#files.claim(`${path}${number}`)) return number;
      } catch (cause) {
        throw unavailable('initialization vectors cannot be reserved', cause);
      }
    }
    throw unavailable('the initialization vectors of a content key are used up');
  }

  /** The owners' folders. */
  folders(): Promise<readonly string[]> {
    return this.#files.list(this.root);
  }

  /** Changes when sets of the folder come or go, ms; undefined: there is no such folder. */
  changedMs(folder: string): Promise<number | undefined> {
    return this.#files.changedMs(join(this.root, folder));
  }

  /** The slots of an owner's folder in which something lies. */
  async slots(folder: string): Promise<readonly string[]> {
    const names = await this.#files.list(join(this.root, folder));
    return names.filter((name) => name.endsWith(ENDING)).map((name) => name.slice(0, -ENDING.length));
  }

  /** Deletes what processes that died in the middle of storing have left. */
  removeDrafts(folder: string, beforeMs: number): Promise<void> {
    return this.#files.removeDrafts(join(this.root, folder), beforeMs);
  }

  async load(place: Place): Promise<Found | undefined> {
    const text = await this.#files.read(join(this.root, place.folder, place.slot + ENDING));
    return text === undefined ? undefined : judge(place, text);
  }

  /** Deletes a set; what was reserved for it goes last, so that it is never reserved again while the set is there. */
  async remove(set: KeySet): Promise<void> {
    const slot = slotName(slotOf(set));
    const folder = join(this.root, ownerFolder(set.owner));
    await this.#files.remove(join(folder, slot + ENDING));
    for (const name of await this.#files.list(folder)) {
      if (CLAIM.exec(name)?.groups?.['slot'] === slot) await this.#files.remove(join(folder, name));
    }
  }

  #pathOf(owner: KeyOwner, slot: KeySlot): string {
    return join(this.root, ownerFolder(owner), slotName(slot) + ENDING);
  }

  #claimPath(set: KeySet): string {
    return join(this.root, ownerFolder(set.owner), `${slotName(slotOf(set))}.claim.`);
  }

  #read(read: () => string | undefined): string | undefined {
    try {
      return read();
    } catch (cause) {
      throw unavailable('a content key cannot be read', cause);
    }
  }

  #notStored(owner: KeyOwner, cause: unknown): Error {
    this.#files.forgetFolder(join(this.root, ownerFolder(owner)));
    return unavailable('a content key cannot be stored', cause);
  }

  /** Of the one who came first. */
  #existing(path: string, text: string | undefined, owner: KeyOwner): KeySet {
    const slot = path.slice(path.lastIndexOf('/') + 1, -ENDING.length);
    const found = text === undefined ? undefined : judge({ folder: ownerFolder(owner), slot }, text);
    if (found && 'set' in found) return found.set;
    throw unavailable(`the key file ${shortName(path)} is damaged; it is left as it is`);
  }
}

/** Whether the text is a set, and the one that belongs there. */
function judge(place: Place, text: string): Found {
  if (text.length > MAX_KEY_SET_BYTES) return { damaged: 'too long' };
  const set = parseKeySet(text);
  if (set === undefined) return { damaged: 'truncated or not a key file' };
  if (ownerFolder(set.owner) !== place.folder || slotName(slotOf(set)) !== place.slot) {
    return { damaged: 'not in its place' };
  }
  return { set };
}
