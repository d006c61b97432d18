// A process that puts blobs into a folder until it is killed, or until the disk is full.
// Each blob is 32 bytes of hash and what they are the hash of, so that who finds it sees whether it is whole.
// A line of JSON on stdout for each put that resolved, one before each delete, and one for the failure that ends it.
import { createHash, randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import process from 'node:process';
import { systemClock } from '../../dist/base/clock.js';
import { createLogger } from '../../dist/base/log.js';
import { openFsBlobStore } from '../../dist/storage/fs-blob-store.js';

const [root, maxBytes, lanes] = process.argv.slice(2);
const deps = { clock: systemClock, log: createLogger('silent'), randomBytes };
const store = await openFsBlobStore(root, { durable: false }, deps);
const say = (line) => writeSync(1, `${JSON.stringify(line)}\n`);

let puts = 0;
let failed = false;
await Promise.all(Array.from({ length: Number(lanes) }, (_, lane) => putOn(lane)));
await store.close();

async function putOn(lane) {
  while (!failed) {
    const n = puts++;
    const payload = randomBytes(1 + Math.floor(Math.random() * Number(maxBytes)));
    const body = Buffer.concat([createHash('sha256').update(payload).digest(), payload]);
    // Some keys are new, some are written over, and folders come and go.
    const key = n % 3 === 0 ? `over/${n % 5}` : `new/${process.pid}-${lane}/${n}`;
    try {
      await store.put(key, body, n % 3 === 1 ? { ifAbsent: true } : {});
      say({ key });
    } catch (error) {
      failed = true;
      say({ key, code: error.code });
    }
    if (n % 4 === 0) await deleteOne(`new/${process.pid}-${lane}/${n - 3}`);
  }
}

async function deleteOne(key) {
  say({ deleting: key });
  await store.delete(key);
}
