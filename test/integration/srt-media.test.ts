import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { PullSource } from '../../src/ingest/srt/srt-puller.ts';
import { SRT_DEFAULTS } from '../../src/ingest/srt/srt-options.ts';
import { FakeClock } from '../support/fake-clock.ts';
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

function ffmpegTo(port: number, query: string, args: readonly string[], host = '127.0.0.1'): Program {
  const url = `srt://${host}:${port}?${query}`;
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

  it('ends a publisher whose picture and sound it cannot carry, and names both codecs', async () => {
    // The time for silence is longer than the test: the end has another reason.
    const fixture = await start({ samples: true, options: { silenceTimeoutMs: 120_000 } });
    const inputs = ['-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=30', '-f', 'lavfi', '-i', 'sine'];
    ffmpegTo(fixture.port, 'streamid=good', [...inputs, '-c:v', 'mpeg2video', '-c:a', 'mp2', '-t', '30']);
    await until(async () => (await fixture.closed())['codec_unsupported'], 'the end');
    const [publisher] = fixture.hub.publishers;
    expect([publisher?.closes, publisher?.samples, publisher?.announcements]).toEqual([['error'], [], []]);
    const { fields } = fixture.log.find(({ message }) => message === 'SRT session ended') ?? {};
    expect(fields).toMatchObject({
      reason: 'codec_unsupported',
      codec: 'MPEG-2 video, MPEG-1 audio',
      stream: 'studio',
    });
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

describe('SRT over IPv6', () => {
  it.each([
    ['IPv6 alone', '::1', '[::1]', /^\[::1\]:\d+$/],
    ['every address, from IPv6', '::', '[::1]', /^\[::1\]:\d+$/],
    ['every address, from IPv4', '::', '127.0.0.1', /127\.0\.0\.1\]?:\d+$/],
  ])('is taken by a listener on %s', async (_on, host, from, address) => {
    const fixture = await start({ samples: true, options: { host } });
    const query = `streamid=publish:secret-a&passphrase=${PASSPHRASE}&pbkeylen=16`;
    ffmpegTo(fixture.port, query, sourceArgs({ seconds: 20 }), from);
    const publisher = await until(() => fixture.hub.publishers[0], 'publisher');
    await until(() => publisher.samples.length > 50, 'media');
    expect(publisher.info.remoteAddress).toMatch(address);
  });

  it('counts the connections of one address, whichever way it comes', async () => {
    const options = { host: '::', maxConnectionsPerAddress: 1 };
    const fixture = await start({ samples: true, options });
    ffmpegTo(fixture.port, 'streamid=good-a', sourceArgs({ seconds: 20 }));
    await until(() => fixture.hub.publishers[0], 'publisher');
    const second = ffmpegTo(fixture.port, 'streamid=good-b', sourceArgs({ seconds: 20 }));
    expect(await second.exited).not.toBe(0);
    ffmpegTo(fixture.port, 'streamid=good-c', sourceArgs({ seconds: 20 }), '[::1]');
    await until(() => fixture.hub.publishers.some(({ stream }) => stream === 'c'), 'the other address');
    expect(fixture.hub.publishers.map(({ stream }) => stream)).toEqual(['a', 'c']);
  });
});

describe('SRT that is pulled', () => {
  interface Listener {
    readonly port: number;
    readonly feed: (bytes: Buffer) => void;
    readonly stop: () => Promise<void>;
  }

  /** srt-live-transmit as a listener that is fed by UDP. */
  async function listener(query: string, at: { host?: string; port?: number } = {}): Promise<Listener> {
    const [port, input] = [at.port ?? (await freeUdpPort()), await freeUdpPort()];
    const from = `udp://127.0.0.1:${input}`;
    const program = run('srt-live-transmit', [
      `-chunk:${CHUNK_BYTES}`,
      '-loglevel:fatal',
      from,
      `srt://${at.host ?? '127.0.0.1'}:${port}?mode=listener&${query}`,
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
    const { session, remoteAddress } = fixture.hub.publishers[0]?.info ?? {};
    const shown = { session, stream: 'pulled', remoteAddress, stats: { packets: 200, undecrypted: 0 } };
    expect(fixture.server.snapshots()).toMatchObject([shown]);
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

  it.each([
    ['::1', '[::1]'],
    ['0:0:0:0:0:0:0:1', '[::1]'],
  ])('is fetched over IPv6 from %s', async (host, from) => {
    const far = await listener('', { host: from });
    const fixture = await start({ pulls: [source(far.port, { host })] });
    const payload = await until(() => fixture.payloads[0], 'connection');
    expect(fixture.hub.publishers[0]?.info.remoteAddress).toBe(`[::1]:${far.port}`);
    far.feed(Buffer.alloc(CHUNK_BYTES, 7));
    await until(() => payload.sizeBytes === CHUNK_BYTES, 'a chunk');
  });

  it('is fetched again when the far end dies and comes back, however long that takes', async () => {
    const clock = new FakeClock();
    const first = await listener('');
    const fixture = await start({ clock, pulls: [source(first.port, { host: '127.0.0.1' })] });
    /** The clock goes on in small steps, as fast as the condition is looked at. */
    const pumped = <T>(condition: () => T | Promise<T>, what: string) =>
      until(() => {
        clock.advance(15);
        return condition();
      }, what);
    const before = await pumped(() => fixture.payloads[0], 'the first connection');
    first.feed(Buffer.alloc(CHUNK_BYTES, 1));
    await pumped(() => before.sizeBytes === CHUNK_BYTES, 'a chunk');

    await first.stop();
    clock.advance(SRT_DEFAULTS.peerIdleTimeoutMs + 1000);
    expect(await fixture.closed()).toEqual({ peer_idle: 1 });
    expect(fixture.hub.publishers[0]?.closes).toEqual(['disconnected']);
    // Nobody answers for some attempts.
    await until(async () => {
      clock.advance(500);
      return ((await fixture.closed())['pull_timeout'] ?? 0) >= 3;
    }, 'three attempts in vain');
    expect(fixture.hub.publishers).toHaveLength(1);

    const second = await listener('', { port: first.port });
    const after = await pumped(() => fixture.payloads[1], 'the second connection');
    second.feed(Buffer.alloc(CHUNK_BYTES, 2));
    await pumped(() => after.sizeBytes === CHUNK_BYTES, 'a chunk after it');
    expect(fixture.hub.publishers.map(({ stream }) => stream)).toEqual(['pulled', 'pulled']);
    expect(fixture.hub.publishers[1]?.closes).toEqual([]);
  });
});
