import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { callControl } from '../support/control-client.ts';
import { sourceArgs } from '../support/ffmpeg.ts';
import { impairUdp } from '../support/impair.ts';
import { get, getText, listMedia } from '../support/live-client.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { SpliceInserter } from '../support/splice-inserter.ts';
import { spliceInsert } from '../support/splice-sections.ts';
import { until } from '../support/until.ts';

/** The whole server with a broadcaster on SRT, libsrt's: what goes in over UDP is watched over HTTP. */

/** What the control API shows of a stream, as far as this test reads it. */
interface ShownStream {
  readonly publisher: { readonly srt: Readonly<Record<string, number>> } | null;
}

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function start(): Promise<TestServer> {
  const server = await startServer();
  closers.push(() => server.close());
  return server;
}

/** Starts a program that is killed at the end of the test. */
function launch(command: string, args: readonly string[], stdin: 'ignore' | 'pipe'): ChildProcess {
  const child = spawn(command, args, { stdio: [stdin, 'pipe', 'ignore'] });
  const ended = once(child, 'close');
  closers.push(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return child;
}

/** ffmpeg makes the picture, the inserter adds the markers, srt-live-transmit sends it. */
function broadcast(url: string): SpliceInserter {
  const make = [...['-hide_banner', '-loglevel', 'error', '-re'], ...sourceArgs({ seconds: 60 })];
  const encoder = launch('ffmpeg', [...make, '-f', 'mpegts', 'pipe:1'], 'ignore');
  const sender = launch('srt-live-transmit', ['-q', '-chunk:1316', 'file://con', url], 'pipe');
  const inserter = new SpliceInserter();
  if (!encoder.stdout || !sender.stdin) throw new Error('no pipes');
  // It is killed at the end of the test, in the middle of everything.
  sender.stdin.on('error', () => {});
  encoder.stdout.pipe(inserter).pipe(sender.stdin);
  return inserter;
}

async function playlist(server: TestServer): Promise<string> {
  return getText(`${server.mediaUrl}/live/studio/video.m3u8`);
}

describe('a broadcast over encrypted SRT', () => {
  it('is watched over HTTP with its ad markers as date ranges, events and in-band messages', async () => {
    const server = await start();
    await server.publishUrl('studio');
    const passphrase = await server.app.publishKeys.srtPassphrase('studio');
    const query = `streamid=publish:studio&passphrase=${passphrase ?? ''}&pbkeylen=32`;
    const inserter = broadcast(`srt://127.0.0.1:${server.ports.srt ?? 0}?${query}`);
    await until(async () => (await playlist(server).catch(() => '')).includes('#EXTINF'), 'the stream');

    const out = spliceInsert({ eventId: 7, durationTicks: 30 * 90_000 });
    inserter.insert(out);
    inserter.insert(out);
    const hex = Buffer.from(out).toString('hex').toUpperCase();
    const begun = await until(
      async () => /#EXT-X-DATERANGE:(.*)/.exec(await playlist(server))?.[1],
      'the beginning of the break',
    );
    expect(begun).toContain(`PLANNED-DURATION=30.00000,SCTE35-OUT=0x${hex}`);
    const date = Date.parse(/START-DATE="([^"]+)"/.exec(begun)?.[1] ?? '');
    expect(Math.abs(Date.now() - date)).toBeLessThan(10_000);

    const back = spliceInsert({ eventId: 7, out: false });
    inserter.insert(back);
    const ended = await until(
      async () => /#EXT-X-DATERANGE:(.*SCTE35-IN.*)/.exec(await playlist(server))?.[1],
      'the end of the break',
    );
    expect(ended).toContain(`SCTE35-IN=0x${Buffer.from(back).toString('hex').toUpperCase()}`);
    expect(/ID="([^"]+)"/.exec(ended)?.[1]).toBe(/ID="([^"]+)"/.exec(begun)?.[1]);

    const mpd = await getText(`${server.mediaUrl}/live/studio/index.mpd`);
    expect(mpd).toContain('<InbandEventStream schemeIdUri="urn:scte:scte35:2013:bin"/>');
    expect(mpd).toContain(Buffer.from(out).toString('base64'));
    const carried = await until(async () => {
      const { segments } = listMedia(await playlist(server));
      const bodies = await Promise.all(segments.map((uri) => get(`${server.mediaUrl}/live/studio/${uri}`)));
      return bodies.some((body) =>
        body.includes(Buffer.concat([Buffer.from('urn:scte:scte35:2013:bin\0\0'), back])),
      );
    }, 'a segment with the message');
    expect(carried).toBe(true);
  });

  it('tells in the control API how the connection does', async () => {
    const server = await start();
    const key = (await server.publishUrl('studio')).split('/').at(-1) ?? '';
    const path = await impairUdp({ target: server.ports.srt ?? 0, seed: 7, up: { loss: 0.05 } });
    closers.push(() => path.close());
    broadcast(`srt://127.0.0.1:${path.port}?streamid=publish:${key}&latency=400`);
    const link = await until(async () => {
      const { publisher } = (await callControl(server, 'GET', '/v1/streams/studio')) as ShownStream;
      const { srt } = publisher ?? {};
      const enough = (srt?.['receivedPackets'] ?? 0) > 300 && (srt?.['retransmittedPackets'] ?? 0) > 5;
      return enough ? srt : undefined;
    }, 'packets that were sent again');
    expect(link['latencyMs']).toBe(400);
    expect(link['lostPackets']).toBeGreaterThan(5);
    expect(link['lossReportsSent']).toBeGreaterThan(0);
    expect(link['droppedPackets']).toBeLessThan(link['lostPackets'] ?? 0);
    expect(link['undecryptedPackets']).toBe(0);
    // Of a path on this machine: measured, and not what stands there before.
    expect(link['rttMs']).toBeGreaterThanOrEqual(0);
    expect(link['rttMs']).toBeLessThan(100);
    expect(link['receiveBps']).toBeGreaterThan(100_000);
    expect(link['sendBps']).toBeGreaterThan(1000);
    expect(link['sendBps']).toBeLessThan(link['receiveBps'] ?? 0);
  });

  it('is nobody without the passphrase', async () => {
    const server = await start();
    await server.publishUrl('studio');
    const query = `streamid=publish:studio&passphrase=wrong-passphrase&pbkeylen=32`;
    broadcast(`srt://127.0.0.1:${server.ports.srt ?? 0}?${query}`);
    await until(() => server.log.find(({ message }) => message.startsWith('SRT')), 'a refusal');
    expect(server.log.map(({ message }) => message)).not.toContain('publisher accepted');
  });
});
