import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandLinesBelow } from '../support/children.ts';
import { broadcastDemo, whenListed } from '../support/demo-stream.ts';
import { TestDevice } from '../support/license-fixture.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { loginAt } from '../support/test-login.ts';
import { until } from '../support/until.ts';
import type { DemoBroadcast } from '../../src/cli/demo-broadcast.ts';

/** Not a real one of anything: whoever sends nonsense may have sent a real secret to the wrong place. */
const STRAY = `stray-${randomBytes(16).toString('hex')}`;

let folder: string;
let server: TestServer;
let broadcast: DemoBroadcast;
let publishKey: string;
/** What must not be seen, by what it is. */
const secrets = new Map<string, string>();
/** What was seen: bodies and headers of refusals, by the request. */
const refusals: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-canary-'));
  await writeFile(join(folder, 'kek'), `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  server = await startServer({
    set: [
      'log.level=debug',
      'drm.enabled=true',
      `drm.kekPath=${join(folder, 'kek')}`,
      'license.speke.enabled=true',
      'ladder.rungs=120p:100k',
    ],
  });
  const url = await server.publishUrl('demo');
  publishKey = url.split('/').at(-1) ?? '';
  broadcast = broadcastDemo(url);
  secrets.set('a stray secret', STRAY);
  secrets.set('the publish key', publishKey);
  secrets.set('the SRT passphrase', (await server.app.publishKeys.srtPassphrase('demo')) ?? '');
  secrets.set(
    'the admin token',
    (await readFile(join(server.dataDir, 'secrets', 'admin.token'), 'utf8')).trim(),
  );
  secrets.set('the key-encryption key', (await readFile(join(folder, 'kek'), 'utf8')).trim());
  for (const name of await readdir(join(server.dataDir, 'secrets'))) {
    for (const [index, line] of (await readFile(join(server.dataDir, 'secrets', name), 'utf8'))
      .split('\n')
      .entries()) {
      if (/^[\x21-\x7e]{20,}$/.test(line.trim())) secrets.set(`line ${index} of ${name}`, line.trim());
    }
  }
  await whenListed(server, 'demo/120p');
}, 60_000);

afterAll(async () => {
  await broadcast?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

function secret(name: string): string {
  const value = secrets.get(name);
  if (value === undefined || value.length < 16) throw new Error(`no secret: ${name}`);
  return value;
}

/** Asks, and keeps what a refusal says. */
async function ask(url: string, init: RequestInit = {}): Promise<{ status: number; text: string }> {
  const answer = await fetch(url, init);
  const text = await answer.text();
  if (!answer.ok) refusals.push(`${answer.status} ${JSON.stringify([...answer.headers])} ${text}`);
  return { status: answer.status, text };
}

/** Says a line to a TCP port and hangs up. */
function say(port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
    socket.on('error', () => resolve());
    socket.on('close', () => resolve());
    socket.resume();
  });
}

describe('what nobody may see', () => {
  it('goes in through every entry', async () => {
    const login = await loginAt(server, 'canary');
    secrets.set('a login token', login);
    const started = await ask(`${server.controlUrl}/v1/sessions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${login}` },
      body: JSON.stringify({ content: { kind: 'live', id: 'demo' }, device: new TestDevice().jwk }),
    });
    expect(started.status).toBe(201);
    const session = JSON.parse(started.text) as { token: string; manifests: { hls: string } };
    secrets.set('a playback token', session.token);
    secrets.set('a path token', /\/t\/([^/]+)\//.exec(session.manifests.hls)?.[1] ?? '');
    for (const [name, value] of [...secrets]) {
      const inUrl = encodeURIComponent(value);
      for (const base of [server.mediaUrl, server.controlUrl]) {
        await ask(`${base}/live/${inUrl}/index.m3u8`);
        await ask(`${base}/live/demo/${inUrl}.m3u8`);
        await ask(`${base}/live/demo/index.m3u8?token=${inUrl}&key=${inUrl}`);
        await ask(`${base}/t/${inUrl}/live/other/index.m3u8`);
        await ask(`${base}/vod/${inUrl}/index.mpd`);
        await ask(`${base}/nothing`, { headers: { authorization: `Bearer ${value}`, cookie: `k=${inUrl}` } });
      }
      for (const [method, path] of CONTROL_CALLS) {
        if (name === 'the admin token') continue;
        await ask(`${server.controlUrl}${path.replace('{x}', inUrl)}`, {
          method,
          headers: { authorization: `Bearer ${value}`, dpop: value },
          ...(method !== 'GET' && {
            body: JSON.stringify({ token: value, kids: [value], title: value, path: value }),
          }),
        });
      }
      await say(server.ports.rtmp, Buffer.from(`${value}\r\n${value}`));
      await say(server.ports.control, Buffer.from(`GET /${value} HTTP/9\r\nX: ${value}\r\n\r\n`));
      await say(server.ports.http, Buffer.from(`${value}\r\n\r\n`));
    }
    expect(refusals.length).toBeGreaterThan(100);
  }, 60_000);

  it('is in no log line, metric, refusal, listing, or command line of a child', async () => {
    const metrics = await (await fetch(`${server.metricsUrl}/metrics`)).text();
    const admin = { authorization: `Bearer ${secret('the admin token')}` };
    const listings = await Promise.all(
      ['/v1/streams', '/v1/streams/demo', '/v1/sessions', '/v1/assets', '/v1/jobs', '/v1/openapi.json'].map(
        async (path) => (await fetch(server.controlUrl + path, { headers: admin })).text(),
      ),
    );
    const manifests = await Promise.all(
      ['index.m3u8', 'video.m3u8', 'index.mpd'].map(async (name) =>
        (await fetch(`${server.mediaUrl}/live/demo/${name}`)).text(),
      ),
    );
    await until(
      () => commandLinesBelow(process.pid).some((line) => line.includes('ffmpeg')),
      'an encoder runs',
    );
    const places = new Map([
      ['the log', server.log.map((line) => JSON.stringify(line)).join('\n')],
      ['the metrics', metrics],
      ['a refusal', refusals.join('\n')],
      ['a listing', listings.join('\n')],
      ['a manifest', manifests.join('\n')],
      ['a command line', commandLinesBelow(process.pid).join('\n')],
    ]);
    const seen: string[] = [];
    for (const [name, value] of secrets) {
      for (const [place, text] of places) {
        expect(text.length, place).toBeGreaterThan(0);
        for (const form of formsOf(value)) if (text.includes(form)) seen.push(`${name} in ${place}`);
      }
    }
    expect(seen).toEqual([]);
  });

  it('is in no file of the data folder that others may read', async () => {
    const found = await readdir(server.dataDir, { recursive: true, withFileTypes: true });
    const files = found.filter((entry) => entry.isFile() && !entry.parentPath.includes('/secrets'));
    expect(files.length).toBeGreaterThan(2);
    const seen: string[] = [];
    for (const file of files) {
      const bytes = await readFile(join(file.parentPath, file.name));
      for (const [name, value] of secrets) if (bytes.includes(value)) seen.push(`${name} in ${file.name}`);
    }
    expect(seen).toEqual([]);
  });
});

const CONTROL_CALLS = [
  ['GET', '/v1/streams/{x}'],
  ['POST', '/v1/streams/{x}/key'],
  ['POST', '/v1/sessions'],
  ['POST', '/v1/sessions/{x}/heartbeat'],
  ['POST', '/license/clearkey'],
  ['GET', '/license/key/{x}'],
  ['POST', '/license/widevine'],
  ['POST', '/license/playready'],
  ['POST', '/license/fairplay'],
  ['POST', '/speke/v2'],
  ['POST', '/v1/assets'],
  ['POST', '/v1/uploads'],
  ['GET', '/v1/jobs/{x}'],
  ['GET', '/v1/resume'],
  ['PUT', '/v1/resume/{x}'],
  ['PUT', '/ingest/{x}/init.mp4'],
] as const;

/** A secret as it may stand somewhere: as it is, in the usual codings, and the half of a token that is the secret one. */
function formsOf(value: string): string[] {
  const bytes = Buffer.from(value);
  const half = value.slice(-Math.max(16, Math.floor(value.length / 2)));
  return [value, half, encodeURIComponent(value), bytes.toString('base64'), bytes.toString('hex')];
}
