import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { createIngestGate, type IngestGate } from '../../src/ingest/open-gate.ts';
import { PublishKeys } from '../../src/ingest/publish-keys.ts';
import { SRT_DEFAULTS } from '../../src/ingest/srt/srt-options.ts';
import { SrtServer } from '../../src/ingest/srt/srt-server.ts';
import { CONFIG_SCHEMA } from '../../src/config.ts';
import { buildConfig } from '../../src/config/schema.ts';
import { sourceArgs } from '../support/ffmpeg.ts';
import { createMemoryLog, type LogLine } from '../support/memory-log.ts';
import { RecordingHub } from '../support/rtmp-hub.ts';
import { until } from '../support/until.ts';

/** Publish keys and the passphrases that follow from them, with ffmpeg's libsrt on the other side. */

let dir: string;
let keys: PublishKeys;
let gate: IngestGate;
let server: SrtServer;
let hub: RecordingHub;
let port: number;
let log: LogLine[];
const closers: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headwater-srt-keys-'));
  keys = new PublishKeys(dir, { clock: systemClock, randomBytes });
  hub = new RecordingHub();
  const memory = createMemoryLog();
  log = memory.lines;
  const deps = { clock: systemClock, log: memory, metrics: new Metrics(), randomBytes };
  const { ingest } = buildConfig(CONFIG_SCHEMA, new Map());
  gate = createIngestGate(ingest, { ...deps, keys });
  await gate.open();
  server = new SrtServer(
    { ...SRT_DEFAULTS, port: 0 },
    { ...deps, hub: gate.guard(hub), authoriser: gate.authoriser },
  );
  port = await server.listen();
});

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  await server.close();
  await gate.close();
  await rm(dir, { recursive: true });
});

function ffmpegTo(query: string): { readonly exited: Promise<unknown> } {
  const url = `srt://127.0.0.1:${port}?${query}`;
  const args = ['-loglevel', 'error', '-re', ...sourceArgs({ seconds: 30 }), '-f', 'mpegts', url];
  const child = spawn('ffmpeg', args, { stdio: 'ignore' });
  const exited = once(child, 'close');
  closers.push(() => {
    child.kill('SIGKILL');
    return exited;
  });
  return { exited };
}

const media = () => until(() => hub.publishers.find(({ samples }) => samples.length > 0), 'media');

describe('an SRT publisher', () => {
  it('is let in by the name of its stream and the passphrase, and cut when the key is rotated', async () => {
    await keys.create('studio');
    const passphrase = (await keys.srtPassphrase('studio')) ?? '';
    const { exited } = ffmpegTo(`streamid=publish:studio&passphrase=${passphrase}&pbkeylen=32`);
    const publisher = await media();
    expect(publisher.stream).toBe('studio');
    await keys.rotate('studio');
    await exited;
    expect(publisher.closes).toEqual(['disconnected']);
    await ffmpegTo(`streamid=publish:studio&passphrase=${passphrase}`).exited;
    expect(hub.publishers).toHaveLength(1);
    expect(JSON.stringify(log)).not.toContain(passphrase);
  });

  it('is let in by its key, encrypted or not', async () => {
    const key = await keys.create('studio');
    const passphrase = (await keys.srtPassphrase('studio')) ?? '';
    ffmpegTo(`streamid=publish:${key}`);
    expect((await media()).stream).toBe('studio');
    for (const close of closers.splice(0)) await close();
    await until(() => hub.publishers[0]?.closes.length, 'the end of the first');
    ffmpegTo(`streamid=publish:${key}&passphrase=${passphrase}`);
    await until(() => (hub.publishers[1]?.samples.length ?? 0) > 0, 'media of the second');
    expect(JSON.stringify(log)).not.toContain(key);
  });

  it.each([
    ['the name alone', 'streamid=publish:studio'],
    ['the name and a wrong passphrase', 'streamid=publish:studio&passphrase=wrongwrongwrong'],
    ['the name of no stream', 'streamid=publish:nobody'],
  ])('is refused with %s', async (_what, query) => {
    await keys.create('studio');
    await ffmpegTo(query).exited;
    expect(hub.publishers).toEqual([]);
  });
});
