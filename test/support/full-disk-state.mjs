// A process that writes to a state store on a small disk until that is full, makes room, and writes again: one line of JSON
// for each. Started with the store's name and its folder. Whatever rejects without being heard ends it, as it ends a server.
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';

const [store, folder] = process.argv.slice(2);
const dist = (name) => import(join(import.meta.dirname, '..', '..', 'dist', name));
const { systemClock } = await dist('base/clock.js');
const { createLogger } = await dist('base/log.js');
const { Metrics } = await dist('base/metrics.js');
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const keepAlive = setInterval(() => undefined, 1000);

const STORES = {
  async resume() {
    const { openLmdbResumeStore } = await dist('state/lmdb-resume-store.js');
    const { StateMetrics } = await dist('state/state-metrics.js');
    const metrics = new StateMetrics(new Metrics());
    const opened = await openLmdbResumeStore(join(folder, 'resume.lmdb'), { clock: systemClock, metrics });
    return async (n) => {
      const key = { viewer: `v${n}`, profile: 'main' };
      for (let title = 0; title < 50; title++) await opened.claim(key, `title-${title}`);
    };
  },
  async sessions() {
    const { openLmdbSessionStore } = await dist('state/lmdb-session-store.js');
    const log = createLogger('silent', 2);
    const opened = await openLmdbSessionStore(join(folder, 'sessions.lmdb'), { clock: systemClock, log });
    const endsMs = systemClock.wallMs() + 3_600_000;
    return async (n) => {
      for (let i = 0; i < 50; i++) {
        const id = `session-${n}-${i}-${'x'.repeat(40)}`;
        const session = {
          ...{
            id,
            viewer: `v${n}-${i}`,
            device: undefined,
            content: 'vod/film',
            robustness: 'L3',
            tiers: ['SD'],
          },
          ...{ startedMs: 0, aliveUntilMs: endsMs, endsMs },
        };
        await opened.create(session, { maxAlive: 1000, nowMs: systemClock.wallMs() });
      }
    };
  },
};

const write = await STORES[store]();
await write(0);
say({ wrote: 'before' });
await writeFile(join(folder, 'filler'), new Uint8Array(64 * 1024 * 1024)).catch(() => undefined);
let refused;
for (let n = 1; n < 400 && refused === undefined; n++) {
  refused = await write(n).then(
    () => undefined,
    (error) => error,
  );
}
say({ refused: refused?.code ?? null });
await rm(join(folder, 'filler'));
for (let n = 1000; ; n++) {
  const done = await write(n).then(
    () => true,
    () => false,
  );
  if (done) break;
  await new Promise((resolve) => setTimeout(resolve, 100));
}
say({ wrote: 'after' });
clearInterval(keepAlive);
process.exit(0);
