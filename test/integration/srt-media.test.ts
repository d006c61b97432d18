import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { PullSource } from '../../src/ingest/srt/srt-puller.ts';
import { sourceArgs } from '../support/ffmpeg.ts';
import { PASSPHRASE, type SrtFixture, type SrtFixtureOptions, startSrt } from '../support/srt-fixture.ts';
import { CHUNK_BYTES, freeUdpPort } from '../support/srt-sender.ts';
import { until } from '../support/until.ts';

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function start(options: SrtFixtureOptions = {}): Promise<SrtFixture> {
  const fixture = await startSrt(options);
  closers.push(() => fixture.server.close());
  return fixture;
}

interface Program {
  readonly child: ChildProcess;
  readonly stderr: () => string;
  readonly exited: Promise<number | null>;
}

function run(command: string, args: readonly string[]): Program {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let words = '';
  child.stderr.on('data', (data: Buffer) => {
    words += data.toString();
  });
  const exited = once(child, 'close').then(([code]) => code as number | null);
  closers.push(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  return { child, stderr: () => words, exited };
}

function ffmpegTo(port: number, query: string, args: readonly string[]): Program {
  const url = `srt://127.0.0.1:${port}?${query}`;
  return run('ffmpeg', [
    '-hide_banner',
    '-nostats',
    '-loglevel',
    'warning',
    '-re',
    ...args,
    '-f',
    'mpegts',
    url,
  ]);
}

describe('SRT from ffmpeg', () => {
  it('becomes samples of picture and sound on their own clock, encrypted', async () => {
    const fixture = await start({ samples: true });
    const query = `streamid=#!::r=live/secret-a,m=publish&passphrase=${PASSPHRASE}&pbkeylen=32`;
    const program = ffmpegTo(fixture.port, query, sourceArgs({ seconds: 3, bFrames: 2 }));
    expect(await program.exited).toBe(0);
    await until(() => fixture.hub.publishers[0]?.closes.length, 'goodbye');
    const [publisher] = fixture.hub.publishers;
    const of = (kind: 'video' | 'audio') => publisher?.samples.filter((sample) => sample.kind === kind) ?? [];
    expect(publisher?.videoConfigs).toHaveLength(1);
    expect(publisher?.audioConfigs).toHaveLength(1);
    expect(publisher?.announcements).toContainEqual({ video: true, audio: true });
    // What ffmpeg had not sent when it ended is lost with it.
    expect(of('video').length).toBeGreaterThan(80);
    expect(of('audio').length).toBeGreaterThan(120);
    const steps = of('video').map(({ dts }, i, all) => dts - (all[i - 1]?.dts ?? dts - 3000));
    expect(new Set(steps)).toEqual(new Set([3000]));
    expect(of('video').filter(({ key }) => key)).toHaveLength(2);
    expect(await fixture.closed()).toEqual({ unpublished: 1 });
    // The picture that ffmpeg left unfinished when it ended.
    expect(await fixture.metric('ingest_srt_ts_faults_total')).toBeLessThanOrEqual(1);
    expect(await fixture.metric('ingest_srt_ts_packets_total')).toBeGreaterThan(500);
  });

  it('takes a stream id that is percent-encoded as a whole', async () => {
    const fixture = await start({ samples: true });
    const streamId = encodeURIComponent('#!::r=live/good-a,m=publish,role=backup');
    ffmpegTo(fixture.port, `streamid=${streamId}`, sourceArgs({ seconds: 20 }));
    const publisher = await until(() => fixture.hub.publishers[0], 'publisher');
    expect([publisher.stream, publisher.info.role]).toEqual(['a', 'backup']);
  });

  it('carries the sound of a publisher whose picture it cannot carry, and says which codec that is', async () => {
    const fixture = await start({ samples: true });
    const picture = ['-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=30', '-c:v', 'mpeg2video'];
    const sound = ['-f', 'lavfi', '-i', 'sine=frequency=440', '-c:a', 'aac'];
    const inputs = [...picture.slice(0, 4), ...sound.slice(0, 4)];
    ffmpegTo(fixture.port, 'streamid=good', [...inputs, ...picture.slice(4), ...sound.slice(4), '-t', '20']);
    await until(() => (fixture.hub.publishers[0]?.samples.length ?? 0) > 50, 'sound');
    const said = fixture.log.filter(({ fields }) => fields['codec'] === 'MPEG-2 video');
    expect(said).toMatchObject([{ level: 'warn', fields: { kind: 'video', stream: 'studio' } }]);
    expect(fixture.hub.publishers[0]?.closes).toEqual([]);
  });

  it('ends a publisher that sends what is no MPEG-TS', async () => {
    const fixture = await start({ samples: true, options: { silenceTimeoutMs: 1_500 } });
    const source = ['-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=30', '-c:v', 'libx264', '-t', '20'];
    const url = `srt://127.0.0.1:${fixture.port}?streamid=good&payload_size=1316`;
    run('ffmpeg', ['-hide_banner', '-loglevel', 'error', '-re', ...source, '-f', 'h264', url]);
    await until(async () => (await fixture.closed())['silence_timeout'], 'end');
    expect(await fixture.metric('ingest_srt_ts_skipped_bytes_total')).toBeGreaterThan(1000);
  });
});

describe('SRT that is pulled', () => {
  /** srt-live-transmit as a listener that is fed by UDP. */
  async function listener(
    query: string,
  ): Promise<{ port: number; feed: (bytes: Buffer) => void; stop: () => Promise<void> }> {
    const [port, input] = [await freeUdpPort(), await freeUdpPort()];
    const from = `udp://127.0.0.1:${input}`;
    const program = run('srt-live-transmit', [
      `-chunk:${CHUNK_BYTES}`,
      '-loglevel:fatal',
      from,
      `srt://127.0.0.1:${port}?mode=listener&${query}`,
    ]);
    const socket = createSocket('udp4');
    closers.push(() => socket.close());
    return {
      port,
      feed: (bytes) => socket.send(bytes, input, '127.0.0.1'),
      stop: async () => {
        program.child.kill('SIGKILL');
        await program.exited;
      },
    };
  }

  async function passphraseFile(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'headwater-srt-'));
    closers.push(() => rm(folder, { recursive: true }));
    const file = join(folder, 'passphrase');
    await writeFile(file, `${PASSPHRASE}\n`);
    await chmod(file, 0o600);
    return file;
  }

  const source = (port: number, change: Partial<PullSource> = {}): PullSource => ({
    stream: 'pulled',
    host: 'localhost',
    port,
    streamId: '',
    passphraseFile: undefined,
    keyBytes: 16,
    latencyMs: undefined,
    ...change,
  });

  it.each([
    ['in the clear', '', false, 16],
    ['with AES-128', `passphrase=${PASSPHRASE}`, true, 16],
    ['with AES-256', `passphrase=${PASSPHRASE}`, true, 32],
  ] as const)('arrives byte for byte %s', async (_how, query, encrypted, keyBytes) => {
    const from = await listener(query);
    const file = encrypted ? await passphraseFile() : undefined;
    const fixture = await start({
      pulls: [source(from.port, { passphraseFile: file, keyBytes, host: '127.0.0.1' })],
    });
    const payload = await until(() => fixture.payloads[0], 'connection');
    expect(fixture.hub.publishers[0]?.info).toMatchObject({ protocol: 'srt', timescale: 90_000 });
    const sent = Array.from({ length: 200 }, (_, i) => Buffer.alloc(CHUNK_BYTES, i));
    const got: Buffer[] = [];
    payload.onPayload = (bytes) => got.push(Buffer.from(bytes));
    for (const chunk of sent) {
      from.feed(chunk);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await until(() => got.length >= sent.length, 'all chunks');
    expect(Buffer.concat(got).equals(Buffer.concat(sent))).toBe(true);
  });

  it('says that the passphrase is wrong, and tries again', async () => {
    const from = await listener('passphrase=another-passphrase');
    const fixture = await start({
      pulls: [source(from.port, { host: '127.0.0.1', passphraseFile: await passphraseFile() })],
    });
    await until(async () => ((await fixture.closed())['pull_refused'] ?? 0) >= 2, 'two refusals');
    expect(fixture.hub.publishers).toEqual([]);
    expect(JSON.stringify(fixture.log)).not.toContain(PASSPHRASE);
  });

  it('comes back when the source was gone', async () => {
    const fixture = await start({ pulls: [source(await freeUdpPort())] });
    await until(async () => (await fixture.closed())['pull_timeout'], 'no answer');
    await fixture.server.close();
    const from = await listener('');
    const second = await start({
      pulls: [source(from.port, { host: '127.0.0.1' })],
      options: { peerIdleTimeoutMs: 2_000 },
    });
    await until(() => second.payloads[0], 'first connection');
    await from.stop();
    await until(async () => (await second.closed())['peer_idle'], 'end', 5_000);
    expect(second.hub.publishers[0]?.closes).toEqual(['disconnected']);
  });
});
