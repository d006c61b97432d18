import { execFileSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import type { PublishDecision } from '../../src/ingest/authorise.ts';
import type { IngestOptions, WebhookOptions } from '../../src/ingest/ingest-options.ts';
import { createIngestGate, type IngestGate } from '../../src/ingest/open-gate.ts';
import { PublishKeys } from '../../src/ingest/publish-keys.ts';
import { RTMP_DEFAULTS } from '../../src/ingest/rtmp/rtmp-options.ts';
import { RtmpServer } from '../../src/ingest/rtmp/rtmp-server.ts';
import { type AuthBackend, say, startAuthBackend } from '../support/auth-backend.ts';
import { createMemoryLog, type LogLine } from '../support/memory-log.ts';
import { RtmpTestClient, videoFrame } from '../support/rtmp-client.ts';
import { RecordingHub } from '../support/rtmp-hub.ts';
import { until } from '../support/until.ts';

/** The webhook over real HTTP, and real RTMP publishers behind it. */

const SECRET = 'c4n4ry-secret-of-the-webhook-0123456789';
const JWT = {
  jwksUrl: '',
  keyPath: '',
  algorithms: 'EdDSA',
  issuer: '',
  audience: '',
  leewaySeconds: 0,
  permissionsClaim: 'x',
  cutAtExpiry: false,
};

let dir: string;
let backend: AuthBackend;
let gate: IngestGate | undefined;
let rtmp: RtmpServer | undefined;
let log: LogLine[];
let metrics: Metrics;
let hub: RecordingHub;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headwater-webhook-'));
  await writeFile(join(dir, 'secret'), `${SECRET}\n`, { mode: 0o600 });
  backend = await startAuthBackend();
  hub = new RecordingHub();
});

afterEach(async () => {
  await rtmp?.close();
  await gate?.close();
  rtmp = undefined;
  gate = undefined;
  await backend.close();
  await rm(dir, { recursive: true });
});

async function openGate(webhook: Partial<WebhookOptions> = {}): Promise<IngestGate> {
  const options: IngestOptions = {
    auth: 'webhook',
    jwt: JWT,
    webhook: {
      url: `${backend.url}/publish?from=headwater`,
      unpublishUrl: '',
      format: 'headwater',
      secretPath: join(dir, 'secret'),
      timeoutMs: 400,
      maxConcurrent: 4,
      app: 'live',
      publicHost: 'localhost',
      pathPrefix: '',
      ...webhook,
    },
  };
  const memory = createMemoryLog();
  log = memory.lines;
  metrics = new Metrics();
  gate = createIngestGate(options, {
    keys: new PublishKeys(join(dir, 'data'), { clock: systemClock, randomBytes }),
    clock: systemClock,
    log: memory,
    metrics,
    randomBytes,
  });
  await gate.open();
  return gate;
}

async function listenRtmp(webhook: Partial<WebhookOptions> = {}): Promise<number> {
  const opened = await openGate(webhook);
  rtmp = new RtmpServer(
    { ...RTMP_DEFAULTS, port: 0 },
    {
      hub: opened.guard(hub),
      authoriser: opened.authoriser,
      clock: systemClock,
      log: createMemoryLog(log),
      metrics,
      randomBytes,
    },
  );
  return rtmp.listen();
}

function ask(
  opened: IngestGate,
  key = 'studio',
  signal = new AbortController().signal,
): Promise<PublishDecision> {
  return opened.authoriser.authorise(
    {
      protocol: 'rtmp',
      session: '0123456789ab',
      app: 'live',
      key,
      query: 'c4n4ry=1',
      remoteAddress: '192.0.2.7',
    },
    signal,
  );
}

async function outcomes(): Promise<string[]> {
  const metric = await metrics.registry.getSingleMetric('headwater_ingest_webhook_calls_total')?.get();
  return (metric?.values ?? []).map(({ labels, value }) => [...Object.values(labels), value].join(' '));
}

const UNAVAILABLE = { code: 'INGEST_AUTH_UNAVAILABLE' };

describe('the webhook', () => {
  it('asks with a signed POST and takes the yes', async () => {
    backend.answer = say(200, '{"allow":true,"stream":"main"}');
    expect(await ask(await openGate())).toEqual({ allow: true, stream: 'main', admittedBy: 'webhook' });
    const [call] = backend.calls;
    expect(call).toMatchObject({
      method: 'POST',
      path: '/publish?from=headwater',
      headers: { 'content-type': 'application/json', 'user-agent': 'headwater', connection: 'close' },
    });
    const body = call?.body ?? '';
    const headers = call?.headers ?? {};
    expect(JSON.parse(body)).toMatchObject({ event: 'publish', key: 'studio', address: '192.0.2.7' });
    const seconds = String(headers['x-headwater-timestamp']);
    expect(Math.abs(Number(seconds) * 1000 - systemClock.wallMs())).toBeLessThan(10_000);
    const expected = createHmac('sha256', SECRET).update(`${seconds}.${body}`).digest('hex');
    expect(headers['x-headwater-signature']).toBe(`sha256=${expected}`);
  });

  it.each(['../x', 'a/b', '', 'x'.repeat(65), 'ä'])('lets no back end name a stream %j', async (stream) => {
    backend.answer = say(200, JSON.stringify({ allow: true, stream }));
    expect(await ask(await openGate())).toEqual({ allow: false, code: 'name_invalid' });
  });

  it.each(['', 'x'.repeat(513), 'a\nb', 'a\0b'])('does not ask about the name %j at all', async (key) => {
    expect(await ask(await openGate(), key)).toEqual({ allow: false, code: 'name_invalid' });
    expect(backend.calls).toEqual([]);
  });

  it('takes a no', async () => {
    backend.answer = say(403);
    expect(await ask(await openGate())).toEqual({ allow: false, code: 'denied' });
    expect(await outcomes()).toEqual(['publish deny 1']);
  });

  it.each<[string, AuthBackend['answer'], string]>([
    ['a fault of the back end', say(500, '{"allow":true}'), 'broken'],
    ['garbage', say(200, '\u0000\u0001<html>'), 'broken'],
    ['a redirect to an address inside', say(302, '', { Location: 'http://127.0.0.1:1/' }), 'broken'],
    ['a redirect that keeps the method', say(307, '{"allow":true}', { Location: '/again' }), 'broken'],
    ['an answer that never begins', () => {}, 'timeout'],
    ['a body that never ends', (response) => void response.writeHead(200).write('{"allow":true'), 'timeout'],
    ['a body that drips', drip, 'timeout'],
    [
      'a huge body',
      (response) => void response.writeHead(200).end('{"allow":true}'.padEnd(40_000)),
      'answer_too_large',
    ],
    ['a connection that is cut', (response) => void response.destroy(), 'unreachable'],
    [
      'half a body',
      (response) => {
        response.writeHead(200, { 'Content-Length': '100' }).write('{"allow":true}');
        setTimeout(() => response.destroy(), 10);
      },
      'unreachable',
    ],
    ['something that is not HTTP', (response) => void response.socket?.end('hello\r\n\r\n'), 'unreachable'],
  ])('refuses on %s', async (_what, answer, outcome) => {
    backend.answer = answer;
    await expect(ask(await openGate())).rejects.toMatchObject(UNAVAILABLE);
    expect(await outcomes()).toEqual([`publish ${outcome} 1`]);
    expect(backend.calls).toHaveLength(1);
    await until(() => backend.connections === 0, 'no connection left');
  });

  it('refuses when nobody is there', async () => {
    const opened = await openGate();
    await backend.close();
    await expect(ask(opened)).rejects.toMatchObject(UNAVAILABLE);
    expect(await outcomes()).toEqual(['publish unreachable 1']);
  });

  it('refuses when the certificate of the back end is nobody the machine trusts', async () => {
    const [keyFile, certFile] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const making = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '1',
    ];
    execFileSync('openssl', [...making, ...subject, '-keyout', keyFile, '-out', certFile], {
      stdio: 'ignore',
    });
    let asked = 0;
    const secure = createServer(
      { key: readFileSync(keyFile), cert: readFileSync(certFile) },
      (_request, response) => {
        asked += 1;
        response.end('{"allow":true}');
      },
    );
    await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve));
    const { port } = secure.address() as AddressInfo;
    await expect(ask(await openGate({ url: `https://localhost:${port}/` }))).rejects.toMatchObject(
      UNAVAILABLE,
    );
    expect([asked, await outcomes()]).toEqual([0, ['publish unreachable 1']]);
    await new Promise((resolve) => secure.close(resolve));
  });

  it('gives up when the publisher has left', async () => {
    backend.answer = () => {};
    const left = new AbortController();
    const asked = ask(await openGate({ timeoutMs: 60_000 }), 'studio', left.signal);
    await until(() => backend.calls.length === 1, 'the call');
    left.abort();
    await expect(asked).rejects.toMatchObject(UNAVAILABLE);
    await until(() => backend.connections === 0, 'no connection left');
  });

  it('has only so many calls under way, lets others wait and loses none', async () => {
    let most = 0;
    backend.answer = (response) => {
      most = Math.max(most, backend.connections);
      setTimeout(() => response.end('{"allow":true}'), 5);
    };
    const opened = await openGate({ maxConcurrent: 2, timeoutMs: 10_000 });
    const decisions = await Promise.all(Array.from({ length: 40 }, (_, i) => ask(opened, `s${i}`)));
    expect(decisions.every(({ allow }) => allow)).toBe(true);
    expect(most).toBeLessThanOrEqual(2);
    expect(backend.calls).toHaveLength(40);
  });

  it('refuses at once what cannot wait any more', async () => {
    backend.answer = () => {};
    const opened = await openGate({ maxConcurrent: 1, timeoutMs: 60_000 });
    const left = new AbortController();
    const held = Array.from({ length: 257 }, () => ask(opened, 'studio', left.signal).catch(() => 'gone'));
    await expect(ask(opened)).rejects.toMatchObject(UNAVAILABLE);
    expect(await outcomes()).toEqual(['publish busy 1']);
    left.abort();
    expect(new Set(await Promise.all(held))).toEqual(new Set(['gone']));
  });

  it('opens with a secret only that nobody else may read and that is long enough', async () => {
    const path = join(dir, 'other');
    for (const [content, mode] of [
      ['short', 0o600],
      [SECRET, 0o644],
    ] as const) {
      await writeFile(path, content, { mode });
      await expect(openGate({ secretPath: path })).rejects.toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
      await rm(path);
    }
    await expect(openGate({ secretPath: path })).rejects.toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
  });
});

function drip(response: Parameters<AuthBackend['answer']>[0]): void {
  response.writeHead(200);
  const timer = setInterval(() => response.write(' '), 20);
  response.on('close', () => clearInterval(timer));
}

describe('an RTMP publisher behind the webhook', () => {
  it('publishes under the name it is given, and its end is told', async () => {
    backend.answer = say(200, '{"allow":true,"stream":"main"}');
    const port = await listenRtmp();
    const client = await RtmpTestClient.publishing(port, 'obs-key?x=1');
    client.send({ timestamp: 0, payload: videoFrame('good') });
    await until(() => hub.everything.includes('good'), 'the media');
    expect(hub.publishers.map(({ stream }) => stream)).toEqual(['main']);
    client.end();
    await until(() => backend.calls.length === 2, 'the end');
    expect(backend.calls.map(({ body }) => JSON.parse(body) as unknown)).toEqual([
      expect.objectContaining({ event: 'publish', key: 'obs-key', query: 'x=1', protocol: 'rtmp' }),
      expect.objectContaining({ event: 'unpublish', stream: 'main' }),
    ]);
    expect(backend.calls[1]?.headers['x-headwater-signature']).toMatch(/^sha256=[0-9a-f]{64}$/);
  });

  it.each<[string, AuthBackend['answer']]>([
    ['says no', say(403)],
    ['is ill', say(500)],
    ['hangs', () => {}],
    ['answers garbage', say(200, 'yes')],
    ['sends elsewhere', say(302, '{"allow":true}', { Location: 'http://127.0.0.1/' })],
  ])('gets no media in while the back end thinks, nor when it %s', async (_what, answer) => {
    backend.answer = (response, call) => void setTimeout(() => answer(response, call), 50);
    const port = await listenRtmp();
    const client = await RtmpTestClient.ready(port);
    client.publish('studio');
    for (let i = 0; i < 5; i++) client.send({ timestamp: i * 33, payload: videoFrame('EVIL') });
    const status = await client.untilStatus('NetStream.Publish.BadName');
    expect(status).not.toMatch(/webhook|denied|40|50/);
    for (let i = 5; i < 10; i++) client.send({ timestamp: i * 33, payload: videoFrame('EVIL') });
    await client.untilClosed();
    expect(hub.publishers).toEqual([]);
    expect(backend.calls).toHaveLength(1);
  });

  it('is cut when the time is over that the back end gave', async () => {
    backend.answer = say(200, '{"allow":true,"lifetimeMs":300}');
    const port = await listenRtmp();
    const client = await RtmpTestClient.publishing(port, 'studio');
    await client.untilClosed();
    expect(hub.publishers[0]?.closes).toEqual(['disconnected']);
    expect(log).toContainEqual(expect.objectContaining({ message: 'publisher cut' }));
  });

  it('is told of again when the back end was ill at the end, and in other formats at the URL for it only', async () => {
    let ill = true;
    backend.answer = (response, { body }) => {
      const failing = body.includes('publish_done') && ill;
      if (failing) ill = false;
      response.writeHead(failing ? 503 : 200).end();
    };
    const port = await listenRtmp({ format: 'nginx-rtmp', unpublishUrl: `${backend.url}/done` });
    const client = await RtmpTestClient.publishing(port, 'studio?token=t');
    client.end();
    await until(() => backend.calls.length === 3, 'the second try');
    expect(backend.calls.map(({ path, body }) => `${path} ${new URLSearchParams(body).get('call')}`)).toEqual(
      ['/publish?from=headwater publish', '/done publish_done', '/done publish_done'],
    );
  });

  it.each([
    [
      'mediamtx',
      say(204),
      (body: string) => JSON.parse(body) as unknown,
      { action: 'publish', path: 'studio', protocol: 'rtmp', user: 'u', password: 'p' },
    ],
    [
      'srs',
      say(200, '{"code":0}'),
      (body: string) => JSON.parse(body) as unknown,
      { action: 'on_publish', app: 'live', stream: 'studio', param: '?user=u&pass=p' },
    ],
    [
      'nginx-rtmp',
      say(302, '', { Location: 'studio' }),
      (body: string) => Object.fromEntries(new URLSearchParams(body)),
      { call: 'publish', app: 'live', name: 'studio', addr: '127.0.0.1', user: 'u', pass: 'p' },
    ],
    [
      'ome',
      say(200, '{"allowed":true}'),
      (body: string) => JSON.parse(body) as unknown,
      {
        request: expect.objectContaining({
          status: 'opening',
          url: 'rtmp://localhost/live/studio?user=u&pass=p',
        }),
      },
    ],
  ] as const)('is let in by a back end made for %s', async (format, answer, read, expected) => {
    backend.answer = answer;
    const port = await listenRtmp({ format });
    const client = await RtmpTestClient.publishing(port, 'studio?user=u&pass=p');
    expect(read(backend.calls[0]?.body ?? '')).toMatchObject(expected);
    expect(hub.publishers.map(({ stream }) => stream)).toEqual(['studio']);
    client.end();
  });

  it('leaves none of its secrets in log or metrics, whatever happens', async () => {
    const answers = [say(200, '{"allow":true}'), say(403), say(500, 'c4n4ry'), say(200, 'c4n4ry'), () => {}];
    const port = await listenRtmp({ url: `${backend.url}/c4n4ry-url?k=c4n4ry` });
    for (const answer of answers) {
      backend.answer = answer;
      const client = await RtmpTestClient.ready(port);
      client.publish('c4n4ry-key?pass=c4n4ry-pass&token=c4n4ry-token');
      await until(() => client.statuses.length > 0, 'an answer');
      client.end();
    }
    expect(backend.calls.length).toBeGreaterThanOrEqual(5);
    await until(() => log.length >= 6, 'log lines');
    const everything = JSON.stringify(log, replaceErrors) + (await metrics.registry.metrics());
    expect(everything.replaceAll('"stream":"c4n4ry-key"', '')).not.toContain('c4n4ry');
  });
});

/** Errors as a log writes them, with their causes. */
function replaceErrors(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { message: value.message, stack: value.stack, cause: value.cause };
}
