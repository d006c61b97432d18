/** The key that this browser is known by. Its private part cannot be read, by this page either. */
export interface DeviceKey {
  /** RFC 7517, the public part. */
  readonly publicJwk: Readonly<Record<'kty' | 'crv' | 'x' | 'y', string>>;
  /** ES256: 64 bytes, r and s. */
  sign(data: Uint8Array): Promise<Uint8Array>;
}

const DATABASE = 'headwater';
const STORE = 'keys';
const NAME = 'device';
const CURVE = { name: 'ECDSA', namedCurve: 'P-256' } as const;

/** This browser's key, made at its first visit. @throws where the browser keeps no keys: on a page without TLS, say */
export async function openDeviceKey(): Promise<DeviceKey> {
  const database = await openDatabase();
  try {
    return await asDeviceKey((await load(database)) ?? (await make(database)));
  } finally {
    database.close();
  }
}

async function asDeviceKey({ privateKey, publicKey }: CryptoKeyPair): Promise<DeviceKey> {
  const { kty = '', crv = '', x = '', y = '' } = await crypto.subtle.exportKey('jwk', publicKey);
  return {
    publicJwk: { kty, crv, x, y },
    async sign(data) {
      const algorithm = { name: 'ECDSA', hash: 'SHA-256' };
      return new Uint8Array(await crypto.subtle.sign(algorithm, privateKey, Uint8Array.from(data)));
    },
  };
}

async function make(database: IDBDatabase): Promise<CryptoKeyPair> {
  const pair = await crypto.subtle.generateKey(CURVE, false, ['sign', 'verify']);
  try {
    await settled(database.transaction(STORE, 'readwrite').objectStore(STORE).add(pair, NAME));
    return pair;
  } catch (error) {
    // Another tab was first: its key counts.
    const theirs = await load(database);
    if (!theirs) throw error;
    return theirs;
  }
}

async function load(database: IDBDatabase): Promise<CryptoKeyPair | undefined> {
  return (await settled(database.transaction(STORE).objectStore(STORE).get(NAME))) as
    | CryptoKeyPair
    | undefined;
}

function openDatabase(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.addEventListener('upgradeneeded', () => void request.result.createObjectStore(STORE));
  return settled(request);
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result));
    request.addEventListener('error', () => reject(request.error ?? new Error('the browser keeps no keys')));
  });
}
