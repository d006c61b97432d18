// A process that keeps segments of live streams in a folder until it is killed: a line of JSON on stdout when it is open, and
// for each segment that was stored. Each blob is 32 bytes of hash and what they are the hash of. Started with the folder, what
// it is to do, and perhaps another folder for the media.
import { createHash, randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../../dist/base/clock.js';
import { createLogger } from '../../dist/base/log.js';
import { Metrics } from '../../dist/base/metrics.js';
import { openFsBlobStore } from '../../dist/storage/fs-blob-store.js';
import { openLiveArchive } from '../../dist/vod/live-archive.js';

const [folder, mode = 'kill', mediaFolder = join(folder, 'media')] = process.argv.slice(2);
const SEGMENT_MS = 2000;
const say = (line) => writeSync(1, `${JSON.stringify(line)}\n`);
const log = createLogger('error', 2);
const deps = { clock: systemClock, log, random: Math.random, randomBytes };
const store = await openFsBlobStore(mediaFolder, { durable: false }, deps);
const archive = await openLiveArchive(
  {
    ...{ indexPath: join(folder, 'state', 'live.lmdb'), windowSeconds: 60, dvrSeconds: 86_400 },
    ...{ record: true, graceMs: 60_000, isShared: false, maxDiskShare: 1 },
  },
  { ...deps, store, read: (key) => store.get(key), metrics: new Metrics() },
);
const keepAlive = setInterval(() => undefined, 1000);

const track = {
  ...{ kind: 'video', codec: 'avc1', codecString: 'avc1.64001f', timescale: 90_000 },
  ...{ config: Uint8Array.of(1), width: 640, height: 360 },
  cadence: { frameTicks: 3000, gopTicks: 180_000 },
};
const rendition = (id) => ({
  ...{ id, kind: 'video', timescale: 90_000, segments: [], firstListed: 0 },
  ...{ discontinuitySequence: 0, peakBps: 0, averageBps: 0 },
});

/** One stream of two renditions, from the next free number on. */
class Stream {
  constructor(name) {
    this.session = archive.open(name);
    const past = this.session.past();
    const last = past?.renditions[0]?.segments.at(-1)?.number ?? 0;
    // As the journal sees to it that no number is used twice: what was on its way when a process was killed, was not stored.
    this.number = Math.max(Math.floor(systemClock.wallMs() / SEGMENT_MS), last + 50);
    this.renditions = ['video', '480p'].map(rendition);
    const ids = this.renditions.map(({ id }) => id);
    this.period = {
      ...{ id: `p${this.number.toString(36)}`, startMs: this.number * SEGMENT_MS, startNumber: this.number },
      ...{
        segmentTicks: 180_000,
        segmentTimescale: 90_000,
        continues: undefined,
        lead: track,
        rekeyed: false,
      },
      tracks: new Map(ids.map((id) => [id, track])),
      inits: new Map(ids.map((id) => [id, Uint8Array.of(1, 2, 3)])),
      protections: new Map(),
    };
    this.session.describe({ targetDurationSeconds: 2 });
    say({ opened: name, from: past?.renditions[0]?.segments[0]?.number, last });
  }

  /** Resolves when both are settled: whether they were stored. */
  keep(sizeBytes) {
    const number = this.number;
    this.number += 1;
    return Promise.all(
      this.renditions.map((each) => {
        const payload = randomBytes(sizeBytes);
        const chunks = [createHash('sha256').update(payload).digest(), payload];
        const segment = {
          ...{ number, period: this.period, startTicks: number * 180_000, durationTicks: 180_000 },
          ...{
            state: 'closed',
            place: 'memory',
            discontinuity: false,
            independent: true,
            partsForetold: false,
          },
          ...{ parts: [], sizeBytes: sizeBytes + 32, brokenOff: false },
          chunks: chunks.map((bytes) => ({ bytes, independent: true })),
        };
        return new Promise((resolve) =>
          this.session.keep(each, segment, (isKept) => {
            if (isKept)
              say({ kept: `live/${this.session.stream}/${each.id}/${this.period.id}/${number}.m4s` });
            resolve(isKept);
          }),
        );
      }),
    );
  }
}

if (mode === 'kill') {
  const keepOn = async (stream) => {
    for (;;) await stream.keep(1 + Math.floor(Math.random() * 60_000));
  };
  // Several at once, so that a kill finds some at every step.
  const streams = ['one', 'two'].map((name) => new Stream(name));
  await Promise.all([...streams, ...streams, ...streams].map(keepOn));
}

// A disk that fills up: live goes on (a turn of the event loop is never waited for longer than a moment), and when there is
// room again what is still in memory is stored.
const { rm, writeFile } = await import('node:fs/promises');
// An index grows by far less.
const [count, sizeBytes] = mode === 'full-index' ? [100, 1000] : [20, 100_000];
const stream = new Stream('cam');
await stream.keep(100_000);
say({ phase: 'before' });
await writeFile(join(folder, 'filler'), new Uint8Array(64 * 1024 * 1024)).catch(() => undefined);
const waiting = [];
let slowestMs = 0;
for (let n = 0; n < count; n++) {
  const beganMs = performance.now();
  waiting.push(stream.keep(sizeBytes));
  slowestMs = Math.max(slowestMs, performance.now() - beganMs);
  await delay(400 / count);
}
const settled = await Promise.race([Promise.all(waiting), delay(500)]);
const listed = archive.stretch({ stream: 'cam', fromMs: 0, toMs: Number.MAX_SAFE_INTEGER });
say({
  phase: 'full',
  settled: settled !== undefined,
  listed: listed?.renditions[0]?.segments.length,
  slowestMs,
});
await rm(join(folder, 'filler'));
const outcomes = (await Promise.all(waiting)).flat();
say({ phase: 'after', stored: outcomes.filter(Boolean).length });
stream.session.end();
stream.session.close();
await archive.close();
await store.close();
clearInterval(keepAlive);
