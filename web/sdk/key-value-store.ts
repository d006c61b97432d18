/** What the library keeps in the browser. Calls may reject: it goes on without. */
export interface KeyValueStore {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<void>;
  /** Sets what is not there yet; false: it is, and stays. */
  add(key: string, value: unknown): Promise<boolean>;
  delete(key: string): Promise<void>;
  /** Keys that begin with `prefix`, in order, and their values. */
  list(prefix: string): Promise<readonly (readonly [key: string, value: unknown])[]>;
}

const DATABASE = 'headwater';
const VERSION = 2;
/** `keys`: this browser's key. `state`: what could not be sent yet. */
const STORES = ['keys', 'state'] as const;

/** One of the object stores in IndexedDB. Opened for each call and closed again, so that no tab holds up another. */
export function indexedDbStore(name: (typeof STORES)[number]): KeyValueStore {
  const within = async <T>(
    mode: IDBTransactionMode,
    act: (store: IDBObjectStore) => IDBRequest<T>,
  ): Promise<T> => {
    const database = await open();
    try {
      return await settled(act(database.transaction(name, mode).objectStore(name)));
    } finally {
      database.close();
    }
  };
  return {
    get: (key) => within('readonly', (store) => store.get(key)),
    async set(key, value) {
      await within('readwrite', (store) => store.put(value, key));
    },
    async add(key, value) {
      try {
        await within('readwrite', (store) => store.add(value, key));
        return true;
      } catch (error) {
        if (error instanceof DOMException && error.name === 'ConstraintError') return false;
        throw error;
      }
    },
    async delete(key) {
      await within('readwrite', (store) => store.delete(key));
    },
    async list(prefix) {
      const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
      const keys = await within('readonly', (store) => store.getAllKeys(range));
      const values: readonly unknown[] = await within('readonly', (store) => store.getAll(range));
      return keys.map((key, index) => [typeof key === 'string' ? key : '', values[index]] as const);
    },
  };
}

/** Kept for as long as the page: where the browser has no store, and for tests. */
export function memoryStore(): KeyValueStore {
  const values = new Map<string, unknown>();
  return {
    get: (key) => Promise.resolve(values.get(key)),
    set(key, value) {
      values.set(key, value);
      return Promise.resolve();
    },
    add(key, value) {
      if (values.has(key)) return Promise.resolve(false);
      values.set(key, value);
      return Promise.resolve(true);
    },
    delete(key) {
      values.delete(key);
      return Promise.resolve();
    },
    list: (prefix) =>
      Promise.resolve(
        [...values].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1)),
      ),
  };
}

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, VERSION);
  request.addEventListener('upgradeneeded', () => {
    const { result } = request;
    for (const name of STORES) {
      if (!result.objectStoreNames.contains(name)) result.createObjectStore(name);
    }
  });
  return settled(request);
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result));
    request.addEventListener('error', () => reject(request.error ?? new Error('the database refused')));
  });
}
