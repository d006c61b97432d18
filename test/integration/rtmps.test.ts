import { chmod, copyFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CertificatePaths, makeCertificate, seenByOpenssl } from '../support/certificates.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { run, sourceArgs } from '../support/ffmpeg.ts';
import { RtmpTestClient, videoFrame } from '../support/rtmp-client.ts';
import { type RtmpFixture, type RtmpFixtureOptions, startRtmp } from '../support/rtmp-fixture.ts';
import { until } from '../support/until.ts';

/** RTMP over TLS, with ffmpeg and openssl as the other side. */

let folder: string;
let files: CertificatePaths;
let rtmp: RtmpFixture;
const sockets: Socket[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-rtmps-'));
  files = await makeCertificate(folder, 'server', { name: 'first.test' });
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await rtmp.server.close();
  await rm(folder, { recursive: true });
});

async function start(options: RtmpFixtureOptions = {}): Promise<number> {
  rtmp = await startRtmp(options);
  return rtmp.server.listenTls({ host: '127.0.0.1', port: 0, ...files });
}

function rawConnection(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  sockets.push(socket);
  return socket;
}

function isClosed(socket: Socket): Promise<boolean> {
  socket.resume();
  return until(() => socket.destroyed, 'the connection to be closed');
}

/** Names of the certificates read so far, and what came of it. */
async function reads(): Promise<Record<string, number>> {
  return rtmp.labelled('ingest_rtmps_certificate_reads_total', 'outcome');
}

describe('publishing over TLS', () => {
  it('takes ffmpeg, whose frames arrive like any, and says which protocol it was', async () => {
    const port = await start();
    const pushed = await run('ffmpeg', [
      ...['-hide_banner', '-nostats', '-loglevel', 'error', ...sourceArgs({ seconds: 1 })],
      ...['-f', 'flv', `rtmps://127.0.0.1:${port}/live/good`],
    ]);
    expect([pushed.code, pushed.stderr]).toEqual([0, '']);
    const publisher = await until(() => rtmp.hub.publishers[0], 'a publisher');
    await until(() => publisher.closes.length > 0, 'its end');
    expect(publisher.samples.filter(({ kind }) => kind === 'video').length).toBe(30);
    expect(publisher.info.protocol).toBe('rtmps');
    expect(publisher.closes).toEqual(['unpublished']);
    expect(await rtmp.closed()).toEqual({ unpublished: 1 });
    expect(rtmp.log.map(({ fields }) => fields['protocol'])).toEqual(['rtmps', 'rtmps']);
  });

  it('shares streams, sessions and limits with the plain listener', async () => {
    const port = await start({ options: { maxConnections: 2 } });
    const plain = await RtmpTestClient.publishing(rtmp.port, 'good');
    const secure = await RtmpTestClient.publishing(port, 'good-other', { tls: true });
    expect(rtmp.server.sessionCount).toBe(2);
    const third = await RtmpTestClient.connect(rtmp.port);
    await third.untilClosed();
    await isClosed(rawConnection(port));
    expect(await rtmp.closed()).toEqual({ connection_limit: 2 });
    secure.end();
    await until(() => rtmp.server.sessionCount === 1, 'the session to go');
    (await RtmpTestClient.publishing(port, 'good-other', { tls: true })).end();
    plain.end();
  });

  it('has no limit of connections by address when that is 0', async () => {
    const port = await start({ options: { maxConnectionsPerAddress: 0 } });
    const plain = await RtmpTestClient.publishing(rtmp.port, 'good');
    const secure = await RtmpTestClient.publishing(port, 'good-other', { tls: true });
    expect(rtmp.server.sessionCount).toBe(2);
    plain.end();
    secure.end();
  });

  it('speaks TLS 1.2 and 1.3 and nothing older', async () => {
    const port = await start();
    expect(await seenByOpenssl(port)).toEqual({ name: 'first.test', version: 'TLSv1.3' });
    expect(await seenByOpenssl(port, ['-tls1_2'])).toEqual({ name: 'first.test', version: 'TLSv1.2' });
    expect(await seenByOpenssl(port, ['-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0'])).toBeUndefined();
    await until(async () => (await rtmp.closed())['tls_failed'] === 1, 'the failure to be counted');
  });

  it('listens on every connection but waits for no handshake longer than for an RTMP one', async () => {
    const clock = new FakeClock();
    const port = await start({ clock, options: { handshakeTimeoutMs: 5000, maxConnectionsPerAddress: 2 } });
    const silent = rawConnection(port);
    const halfway = rawConnection(port);
    halfway.write(Buffer.from('1603010200010001fc0303', 'hex'));
    await until(async () => (await rtmp.metric('ingest_rtmp_sessions')) === 2, 'both');
    // They count before they have said anything.
    await isClosed(rawConnection(port));
    clock.advance(4999);
    expect([silent.destroyed, halfway.destroyed]).toEqual([false, false]);
    clock.advance(1);
    await Promise.all([isClosed(silent), isClosed(halfway)]);
    expect(await rtmp.closed()).toEqual({ address_limit: 1, handshake_timeout: 2 });
    await until(async () => (await rtmp.metric('ingest_rtmp_sessions')) === 0, 'none');
  });

  it('ends what is not TLS, and the RTMP handshake inside TLS has its own time', async () => {
    const clock = new FakeClock();
    const port = await start({ clock, options: { handshakeTimeoutMs: 5000 } });
    const plain = rawConnection(port);
    plain.write('GET / HTTP/1.1\r\n\r\n');
    await isClosed(plain);
    await until(async () => (await rtmp.closed())['tls_failed'] === 1, 'the failure to be counted');
    clock.advance(4000);
    const idle = await RtmpTestClient.connectTls(port);
    await until(() => rtmp.server.sessionCount === 1, 'the session');
    clock.advance(4999);
    expect(idle.closedAtMs).toBeUndefined();
    clock.advance(1);
    await idle.untilClosed();
    expect(await rtmp.closed()).toEqual({ tls_failed: 1, handshake_timeout: 1 });
  });

  it('closes with everything that is open, in whatever state', async () => {
    const port = await start();
    const silent = rawConnection(port);
    const publishing = await RtmpTestClient.publishing(port, 'good', { tls: true });
    await until(async () => (await rtmp.metric('ingest_rtmp_sessions')) === 2, 'both');
    await rtmp.server.close();
    await Promise.all([isClosed(silent), publishing.untilClosed()]);
    expect(await rtmp.metric('ingest_rtmp_sessions')).toBe(0);
    expect(await rtmp.closed()).toEqual({ shutdown: 2 });
  });
});

describe('the certificate', () => {
  it('is read again when it changes: old connections go on, new ones see the new one', async () => {
    const clock = new FakeClock(Date.now());
    const port = await start({ clock, options: { silenceTimeoutMs: 60_000 } });
    const publisher = await RtmpTestClient.publishing(port, 'good', { tls: true });
    publisher.send({ payload: videoFrame('before') });
    await makeCertificate(folder, 'server', { name: 'second.test' });
    expect((await seenByOpenssl(port))?.name).toBe('first.test');
    clock.advance(5000);
    await until(async () => (await reads())['used'] === 2, 'the new one to be read');
    expect((await seenByOpenssl(port))?.name).toBe('second.test');
    publisher.send({ payload: videoFrame('after') });
    await until(() => rtmp.hub.everything === 'before after', 'frames on the old connection');
    expect(publisher.closedAtMs).toBeUndefined();
    (await RtmpTestClient.publishing(port, 'good-new', { tls: true })).end();
    publisher.end();
    expect(rtmp.log.map(({ message }) => message)).toContain('RTMPS certificate changed');
  });

  it.each<[string, string, (folder: string, old: CertificatePaths) => Promise<unknown>]>([
    [
      'a key that belongs to another',
      'do not belong together',
      async (into) => rename((await makeCertificate(into, 'other')).certPath, join(into, 'server.crt')),
    ],
    [
      'a certificate cut short',
      'holds no certificate',
      (_into, { certPath }) => writeFile(certPath, '-----BEGIN'),
    ],
    ['a key that is missing', 'is missing', (_into, { keyPath }) => rm(keyPath)],
    [
      'a key that others may read',
      'may be read by other users',
      (_into, { keyPath }) => chmod(keyPath, 0o644),
    ],
    ['one that has ended', 'is expired', (into) => makeCertificate(into, 'server', { days: -1 })],
  ])('stays when the new pair is %s, and says so once', async (_what, problem, change) => {
    const clock = new FakeClock(Date.now());
    const port = await start({ clock });
    await change(folder, files);
    clock.advance(5000);
    await until(async () => (await reads())['refused'] === 1, 'the new one to be refused');
    clock.advance(10_000);
    expect((await seenByOpenssl(port))?.name).toBe('first.test');
    expect(await reads()).toEqual({ used: 1, refused: 1 });
    const complaints = rtmp.log.filter(({ level }) => level === 'error');
    expect(complaints.map((line) => line.fields['problem'])).toEqual([expect.stringContaining(problem)]);
    expect(JSON.stringify(rtmp.log)).not.toContain('PRIVATE');
  });

  it('is taken at the next look when the second half of a renewal comes later', async () => {
    const clock = new FakeClock(Date.now());
    const port = await start({ clock });
    const next = await makeCertificate(folder, 'next', { name: 'second.test' });
    await copyFile(next.certPath, files.certPath);
    clock.advance(5000);
    await until(async () => (await reads())['refused'] === 1, 'the half to be refused');
    await rename(next.keyPath, files.keyPath);
    await until(async () => {
      clock.advance(5000);
      return (await seenByOpenssl(port))?.name === 'second.test';
    }, 'the whole to be taken');
  });

  it('must be usable to begin with: anything else is an error that names the file', async () => {
    rtmp = await startRtmp();
    const listen = (paths: CertificatePaths) =>
      rtmp.server.listenTls({ host: '127.0.0.1', port: 0, ...paths });
    await expect(listen({ ...files, keyPath: join(folder, 'none') })).rejects.toMatchObject({
      code: 'INGEST_CERTIFICATE_UNUSABLE',
      message: `${join(folder, 'none')} is missing`,
    });
    await chmod(files.keyPath, 0o604);
    await expect(listen(files)).rejects.toThrow('may be read by other users');
    await chmod(files.keyPath, 0o640);
    expect(await listen(files)).toBeGreaterThan(0);
  });

  it('tells in a metric when it ends', async () => {
    await start();
    const inDays =
      (await rtmp.metric('ingest_rtmps_certificate_expiry_timestamp_seconds')) - Date.now() / 1000;
    expect(Math.round(inDays / 86_400)).toBe(30);
  });
});
